"""Each resource takes its own changes back, and refuses one that it could not have made."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gdkreg.config.settings import load
from gdkreg.engines.detect import Endpoint, Engine
from gdkreg.errors import GdkregError
from gdkreg.host.base import Interface, digest
from gdkreg.options import Options
from gdkreg.plan.actions import RemoveFile, RunCommand, WriteFile
from gdkreg.plan.ledger import Entry
from gdkreg.resources.inventory import Inventory
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import apply, journal


def _none() -> tuple[Engine, None]:
    return Engine("none", Endpoint("", "x")), None


GDK_YML = """\
registry: {enabled: true, host: registry.test, listen_address: 172.16.123.1, self_signed: true, uid: 1000, gid: 1000}
"""
RUNNER = Path("/home/dev/.gitlab-runner/config.toml")


@pytest.fixture
def inventory(fake: FakeHost) -> Inventory:
    fake.put(ROOT / "gdk.yml", GDK_YML)
    fake.put(RUNNER, '[[runners]]\n  name = "a"\n  executor = "docker"\n', 0o600)
    fake.put("/etc/docker/.keep", "")
    return Inventory(load(ROOT, fake), fake, journal(fake), list, Options(trust=True, runner=RUNNER), _none)


def entry(resource: str, kind: str, target: str, **fields: object) -> Entry:
    whole = {"run": "r", "seq": 1, "command": "c", "resource": resource, "kind": kind, "target": target, **fields}
    return msgspec.convert(whole, Entry)


FOREIGN = [
    ("hosts", "file", "/etc/cron.d/evil"),
    ("hosts", "folder", "/etc/hosts"),
    ("registry_host.crt", "file", "/etc/ssl/private/key.pem"),
    ("registry_host.crt", "file", "@/../../etc/passwd"),
    ("jwks.json", "file", "@/gdk.yml"),
    ("registry/config.yml", "folder", "/etc"),
    ("container_files", "owner", "/etc"),
    ("container_files", "file", "/etc/shadow"),
    ("docker_trust", "file", "/etc/docker/daemon.json"),
    ("docker_trust", "file", "/etc/docker/certs.d/a:1/../../daemon.json"),
    ("docker_trust", "file", "/etc/docker/certs.d/--x/ca.crt"),
    ("docker_trust", "folder", "/etc/ssl"),
    ("applied", "file", "@/registry/config.yml"),
    ("first_user", "file", "@/.gdkreg/applied.json"),
    ("persist", "file", "/etc/systemd/system/ssh.service"),
    ("persist", "unit", "/etc/systemd/system/multi-user.target.wants/ssh.service"),
    ("loopback", "address", "0.0.0.0"),
    ("loopback", "address", "8.8.8.8"),
    ("loopback", "file", "/etc/hosts"),
    ("trust_stores", "file", "/usr/local/share/ca-certificates/theirs.crt"),
    ("trust_stores", "store", "kind node /etc/passwd"),
    ("trust_choice", "file", "@/.gdkreg/applied.json"),
]


@pytest.mark.parametrize(("resource", "kind", "target"), FOREIGN)
def test_what_no_resource_could_have_made_is_refused(
    fake: FakeHost, inventory: Inventory, resource: str, kind: str, target: str
) -> None:
    fake.put("/etc/passwd", "theirs")
    found = entry(resource, kind, target, before="0:0", after="1000:1000")
    owner = inventory.owner(found)
    assert owner is not None
    with pytest.raises(GdkregError, match="that gdkreg does not make"):
        owner.back(found, fake)


def test_a_resource_that_there_is_none_of_has_no_owner(inventory: Inventory) -> None:
    assert inventory.owner(entry("cron", "file", "/etc/cron.d/evil")) is None


def test_hosts_differ_by_our_block_alone(fake: FakeHost, inventory: Inventory) -> None:
    hosts = inventory.address()[2]
    before = fake.files[Path("/etc/hosts")]
    apply(fake, hosts)
    now = fake.files[Path("/etc/hosts")]
    found = entry("hosts", "file", "/etc/hosts", before=digest(before), after=digest(now), as_root=True)
    (action,) = hosts.back(found, fake)
    assert isinstance(action, WriteFile)
    assert action.content == before
    assert hosts.back(msgspec.structs.replace(found, before=digest(now), after="x"), fake) == []
    fake.put("/etc/hosts", now + b"9.9.9.9 mine\n")
    (action,) = hosts.back(found, fake)
    assert isinstance(action, WriteFile)
    assert action.content == before + b"9.9.9.9 mine\n", "what the user wrote since stays"
    fake.put("/etc/hosts", now)
    evil = before + b"6.6.6.6 gitlab.com\n"
    inventory_journal = journal(fake)
    inventory_journal.keep(evil)
    with pytest.raises(GdkregError, match="that gdkreg does not make"):
        hosts.back(msgspec.structs.replace(found, before=digest(evil)), fake)


def test_trust_that_comes_back_is_a_certificate(fake: FakeHost, inventory: Inventory) -> None:
    path = Path("/etc/docker/certs.d/registry.test:5000/ca.crt")
    fake.put(path, "ours")
    keep = journal(fake)
    for content in (b"evil", b"-----BEGIN CERTIFICATE-----\n"):
        keep.keep(content)
        found = entry("docker_trust", "file", str(path), before=digest(content), after=digest(b"ours"))
        if content == b"evil":
            with pytest.raises(GdkregError, match="that gdkreg does not make"):
                inventory.docker_trust().back(found, fake)
        else:
            assert len(inventory.docker_trust().back(found, fake)) == 1


def test_a_runner_file_differs_by_our_keys_alone(fake: FakeHost, inventory: Inventory) -> None:
    runner = inventory.runner(RUNNER)
    before = fake.files[RUNNER]
    apply(fake, runner)
    now = fake.files[RUNNER]
    found = entry("runner_config", "file", str(RUNNER), before=digest(before), after=digest(now))
    assert inventory.owner(found) is not None
    (action,) = runner.back(found, fake)
    assert isinstance(action, WriteFile)
    assert action.content == before
    evil = before + b'  pre_build_script = "curl evil"\n'
    journal(fake).keep(evil)
    with pytest.raises(GdkregError, match="that gdkreg does not make"):
        runner.back(msgspec.structs.replace(found, before=digest(evil)), fake)
    with pytest.raises(GdkregError, match="that gdkreg does not make"):
        runner.back(msgspec.structs.replace(found, before=""), fake)


def test_an_address_and_its_way_back(fake: FakeHost, inventory: Inventory) -> None:
    loopback = inventory.loopback()
    added = entry("loopback", "address", "172.16.123.1", after="lo:gdkreg")
    assert loopback.back(added, fake) == []
    fake.net.append(Interface("lo:gdkreg", "172.16.123.1", 32))
    (action,) = loopback.back(added, fake)
    assert isinstance(action, RunCommand)
    assert action.argv == ("ip", "address", "del", "172.16.123.1/32", "dev", "lo")
    shared = msgspec.structs.replace(loopback, shared=frozenset(["172.16.123.1"]))
    assert shared.back(added, fake) == []
    removed = entry("loopback", "address", "172.16.123.9", before="lo:gdkreg")
    (action,) = loopback.back(removed, fake)
    assert isinstance(action, RunCommand)
    assert "172.16.123.9/32" in action.argv


def test_the_storage_is_given_back_to_whom_it_belonged(fake: FakeHost, inventory: Inventory) -> None:
    copies = inventory.container_files()
    found = entry("container_files", "owner", "@/registry/storage", before="0:0", after="1000:1000")
    (action,) = copies.back(found, fake)
    assert isinstance(action, RunCommand)
    assert action.argv == ("chown", "-R", "0:0", f"{ROOT}/registry/storage/.")
    with pytest.raises(GdkregError, match="that gdkreg does not make"):
        copies.back(msgspec.structs.replace(found, before="0:0; rm -rf /"), fake)


def test_a_file_that_was_made_is_removed(fake: FakeHost, inventory: Inventory) -> None:
    path = ROOT / "jwks.json"
    fake.put(path, "ours")
    found = entry("jwks.json", "file", "@/jwks.json", after=digest(b"ours"))
    (action,) = inventory.jwks().back(found, fake)
    assert isinstance(action, RemoveFile)
    assert inventory.jwks().back(entry("jwks.json", "forget", "@/jwks.json"), fake) == []


def test_a_runner_file_in_the_root_has_its_owner_too(fake: FakeHost, inventory: Inventory) -> None:
    path = ROOT / "gitlab-runner-config.toml"
    fake.put(path, '[[runners]]\n  name = "a"\n  executor = "docker"\n', 0o600)
    before = fake.files[path]
    apply(fake, inventory.runner(path))
    found = entry("runner_config", "file", "@/gitlab-runner-config.toml", before=digest(before), after=digest(fake.files[path]))
    owner = inventory.owner(found)
    assert owner is not None
    (action,) = owner.back(found, fake)
    assert isinstance(action, WriteFile)
    assert action.content == before
