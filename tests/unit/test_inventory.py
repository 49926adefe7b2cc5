"""Which resources a root has, and what each may have written: by its settings, its journal and what others claim."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gdkreg.config.settings import load
from gdkreg.engines.trust import Place
from gdkreg.host.base import FileInfo, digest
from gdkreg.options import Options
from gdkreg.plan import roots, state
from gdkreg.plan.ledger import Entry
from gdkreg.resources import units
from gdkreg.resources.docker_trust import BUILDKIT_MARK
from gdkreg.resources.inventory import Inventory
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import journal

KEYS = {"enabled": True, "host": "registry.test", "listen_address": "172.16.123.1", "self_signed": True}
ELSEWHERE = Path("/home/dev/elsewhere")
CERTS_D = Path("/etc/docker/certs.d")


def inventory(at: FakeHost, *places: Place, options: Options | None = None, **keys: Any) -> Inventory:
    import yaml

    at.put(ROOT / "gdk.yml", yaml.safe_dump({"hostname": "gdk.test", "registry": KEYS | keys}))
    return Inventory(load(ROOT, at), at, journal(at), lambda: list(places), options or Options())


def wrote(host: FakeHost, resource: str, kind: str, target: str, **fields: Any) -> None:
    found = journal(host)
    number = len(found.entries)
    whole = {"run": "r", "seq": number, "command": "up", "resource": resource, "kind": kind, "target": target} | fields
    found.note(msgspec.convert(whole, Entry))


def test_the_order_of_reconfigure(fake: FakeHost) -> None:
    everything = inventory(fake, options=Options(runner=Path("/r.toml")))
    names = [item.name for item in everything.all()]
    assert names == [
        *("loopback", "persist", "hosts", "registry_host.crt", "localhost.crt", "jwks.json", "registry/config.yml"),
        *("container_files", "first_user", "docker_trust", "runner_config", "gc_schedule", "applied"),
    ]
    assert [item.name for item in everything.outside_state()] == [name for name in names if name not in {"first_user", "applied"}]
    assert [item.name for item in inventory(fake).all()] == [name for name in names if name != "runner_config"]


# the alias


def test_whose_the_addresses_are(fake: FakeHost) -> None:
    assert inventory(fake).loopback().ours == ()
    wrote(fake, "loopback", "address", "1.1.1.1", before="", after="lo:gdkreg")
    wrote(fake, "loopback", "address", "2.2.2.2", before="lo", after="")
    assert inventory(fake).loopback().ours == ("1.1.1.1",), "one that we took away is not ours any more"
    who = journal(fake).identity.claim
    roots.write(fake, msgspec.structs.replace(who, address="3.3.3.3", alias=False))
    assert inventory(fake).loopback().ours == ("1.1.1.1",)
    roots.write(fake, msgspec.structs.replace(who, address="3.3.3.3", alias=True))
    assert inventory(fake).loopback().ours == ("1.1.1.1", "3.3.3.3")


def other_root(host: FakeHost, address: str) -> None:
    host.put(ELSEWHERE / "gdk.yml", "")
    claim = roots.Claim(id="0" * 16, path=str(ELSEWHERE), key="k" * 64, address=address)
    roots.write(host, claim)
    state.write(host, ELSEWHERE, "id", claim.id.encode())


def test_what_another_root_needs_is_shared(fake: FakeHost) -> None:
    other_root(fake, "172.16.123.1")
    found = inventory(fake)
    assert found.loopback().shared == {"172.16.123.1"}
    units = found.persist(found.loopback())
    assert units.shared == {units.units[0].path}, "the alias' unit alone: its services are its own affair"
    assert "loopback" in units.units[0].path.name
    other_root(fake, "9.9.9.9")
    assert inventory(fake).persist(inventory(fake).loopback()).shared == frozenset()


def test_an_address_without_an_alias_needs_no_unit_for_it(fake: FakeHost) -> None:
    found = inventory(fake, listen_address="127.0.0.1", persist=True)
    (unit,) = found.persist(found.loopback()).units
    assert unit.path.parent == units.SYSTEMD, "of the system, for root"
    user = FakeHost(uid=1000, home="/home/dev")
    user.make_folder(ROOT, mode=0o755)
    found = inventory(user, listen_address="127.0.0.1", persist=True)
    (unit,) = found.persist(found.loopback()).units
    assert unit.path.parent == Path("/home/dev/.config/systemd/user")


# what each may have written


@pytest.mark.parametrize(
    ("path", "may"),
    [
        ("/etc/systemd/system/gdkreg-0123456789abcdef.service", True),
        ("/etc/systemd/system/gdkreg-loopback-1.2.3.4.service", True),
        ("/etc/systemd/system/gdkreg-x.service", False),
        ("/etc/systemd/gdkreg-0123456789abcdef.service", False),
        ("/Library/LaunchDaemons/dev.gdkreg.loopback.1.2.3.4.plist", True),
        ("/home/dev/Library/LaunchAgents/dev.gdkreg.0123456789abcdef.plist", True),
        ("/home/dev/Library/LaunchAgents", True),
        ("/home/dev/Library", True),
        ("/home/dev/.config/systemd/user/gdkreg-0123456789abcdef.service", True),
        ("/home/dev/.config", True),
        ("/home/dev", False),
        ("/home", False),
    ],
)
def test_units_lie_where_units_lie(fake: FakeHost, path: str, may: bool) -> None:
    found = inventory(fake)
    assert found.persist(found.loopback()).files.mine(Path(path)) == may


@pytest.mark.parametrize(
    ("path", "may"),
    [
        (CERTS_D / "registry.test:5000", True),
        (CERTS_D / "registry.test:5000/ca.crt", True),
        (CERTS_D / "registry.test:5000/other.crt", False),
        (CERTS_D / "registry.test:5000/deeper/ca.crt", False),
        (CERTS_D / "registry.test", True),
        (CERTS_D / "registry.test:x", False),
        (CERTS_D, True),
        (CERTS_D.parent, True),
        (Path("/home/dev/.docker/certs.d/r:1/ca.crt"), True),
        (ROOT / "registry/buildkitd.toml", True),
        (ROOT / "registry", True),
        (ROOT / "registry/other.toml", False),
        (Path("/r:1/ca.crt"), False),
    ],
)
def test_trust_lies_where_trust_lies(fake: FakeHost, path: Path, may: bool) -> None:
    assert inventory(fake).docker_trust().files.mine(path) == may


@pytest.mark.parametrize(("content", "marked"), [(BUILDKIT_MARK + b"x", True), (b"x" + BUILDKIT_MARK, False), (b"", False)])
def test_what_is_ours_without_a_journal(fake: FakeHost, content: bytes, marked: bool) -> None:
    assert inventory(fake).docker_trust().files.marked(content) == marked
    unit = inventory(fake).persist(inventory(fake).loopback()).files
    assert (unit.marked(b"# " + units.MARK), unit.marked(b"[Unit]")) == (True, False)


def test_a_certificate_of_this_root_is_ours_and_of_another_is_not(fake: FakeHost) -> None:
    from gdkreg.resources import x509

    key = x509.new_tls_key()
    found = inventory(fake)
    ours = x509.self_signed(key, "x", ("x",), 9, journal(fake).identity.id).certificate
    theirs = x509.self_signed(key, "x", ("x",), 9, "0" * 16).certificate
    nobodys = x509.self_signed(key, "x", ("x",), 9).certificate
    assert [found.docker_trust().files.marked(item) for item in (ours, theirs, nobodys)] == [True, False, False]
    tls, token = found.certificates()
    for files in (tls.files, token.files):
        assert [files.marked(item) for item in (ours, theirs, nobodys)] == [True, True, False]


# certificates


def test_what_the_certificates_are_for(fake: FakeHost) -> None:
    tls, token = inventory(fake, options=Options(renew=("tls",))).certificates()
    assert (tls.names, tls.wanted, tls.renew, token.renew, token.wanted) == (
        ("registry.test", "172.16.123.1"),
        True,
        True,
        False,
        True,
    )
    tls, _ = inventory(fake, self_signed=False, host="172.16.123.1").certificates()
    assert (tls.names, tls.wanted) == (("172.16.123.1",), False)


# the issuer's first user


@pytest.mark.parametrize(
    ("keys", "wanted", "kept"),
    [
        ({"token_issuer": "local"}, True, False),
        ({"token_issuer": "gitlab"}, False, False),
        ({"token_issuer": "auto"}, False, True),  # it is GitLab's, as long as nothing says that it is not there
        ({"token_issuer": "local", "auth_enabled": False}, False, False),
        ({"token_issuer": "auto", "auth_enabled": False}, False, False),
        ({"token_issuer": "auto", "users": [{"name": "ci", "password": "$2y$10$" + "a" * 53}]}, False, False),
    ],
)
def test_who_needs_a_first_user(fake: FakeHost, keys: dict[str, Any], wanted: bool, kept: bool) -> None:
    found = inventory(fake, **keys).first_user()
    assert (found.wanted, found.kept) == (wanted, kept)


# copies for another user


def test_copies_are_for_another_user_alone(fake: FakeHost) -> None:
    mine = inventory(fake).container_files()
    assert (mine.owner, mine.foreign_root) == (None, False)
    assert [path.name for path in mine.sources] == ["config.yml", "registry_host.key"]
    other = inventory(fake, uid=7, gid=8, self_signed=False).container_files()
    assert (other.owner, [path.name for path in other.sources]) == ((7, 8), ["config.yml"])
    found = inventory(fake)
    fake.infos[ROOT] = FileInfo("folder", 0o755, 1000, 1000)
    assert found.container_files().foreign_root


# trust


def test_trust_is_kept_for_an_engine_that_does_not_answer_now(fake: FakeHost) -> None:
    place = Place(CERTS_D, True, "Docker Engine")
    assert inventory(fake, place).docker_trust().wanted is False
    assert inventory(fake, place).docker_trust().places == []
    asked = inventory(fake, place, options=Options(trust=True)).docker_trust()
    assert (asked.wanted, asked.places) == (True, [place])
    assert inventory(fake, place, options=Options(trust=True), self_signed=False).docker_trust().wanted is False
    wrote(fake, "docker_trust", "file", f"{CERTS_D}/registry.test:5000/ca.crt", after=digest(b"x"), as_root=True)
    wrote(fake, "docker_trust", "file", "@/registry/buildkitd.toml", after=digest(b"y"))
    wrote(fake, "jwks.json", "file", "@/jwks.json", after=digest(b"z"))
    again = inventory(fake).docker_trust()
    assert (again.wanted, again.places) == (True, [Place(CERTS_D, True, "the engine used before")])
    assert inventory(fake, place).docker_trust().places == [place]


def test_every_place_is_looked_at_where_there_is_no_journal(fake: FakeHost) -> None:
    assert CERTS_D in inventory(fake).docker_trust().scanned
    wrote(fake, "jwks.json", "file", "@/jwks.json", after=digest(b"z"))
    assert inventory(fake).docker_trust().scanned == ()


# runners


def test_runner_files_that_were_asked_for(fake: FakeHost) -> None:
    asked = Path("/home/dev/asked.toml")
    wrote(fake, "runner_config", "file", "/home/dev/earlier.toml", after=digest(b"x"))
    found = inventory(fake, options=Options(runner=asked))
    assert [(item.path.name, item.named) for item in found.runners()] == [("earlier.toml", False), ("asked.toml", True)]
    assert [item.path.name for item in inventory(fake).runners()] == ["earlier.toml"]
    runner = found.runner(asked)
    assert (runner.files.mine(asked), runner.files.mine(asked.with_name("x"))) == (True, False)
