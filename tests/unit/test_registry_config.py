from __future__ import annotations

from typing import Any

import pytest
import yaml

from gdkreg.config.settings import load
from gdkreg.errors import DamagedError
from gdkreg.plan.actions import RunCommand, WriteFile
from gdkreg.resources.applied import Applied, differences, read
from gdkreg.resources.container_files import ContainerFiles
from gdkreg.resources.registry_config import RegistryConfig, build, merge
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import apply, files, levels, plan

PATH = ROOT / "registry" / "config.yml"
GDK_YML = "registry: {enabled: true, host: registry.test, listen_address: 172.16.123.1, image: gdkreg}"


def config(host: FakeHost, text: str = "") -> RegistryConfig:
    host.put(ROOT / "gdk.yml", text)
    return RegistryConfig(load(ROOT, host), files(host, "registry/config.yml"))


def built(host: FakeHost, text: str) -> dict[str, Any]:
    return build(config(host, text).settings, "s3cret")


def test_what_is_in_it_by_default(fake: FakeHost) -> None:
    found = built(fake, "hostname: gdk.test")
    assert found["http"] == {"addr": ":5000", "secret": "s3cret", "headers": {"X-Content-Type-Options": ["nosniff"]}}
    assert found["auth"]["token"]["realm"] == "http://gdk.test:3000/jwt/auth"
    assert found["auth"]["token"]["jwks"] == "/etc/docker/registry/jwks.json"
    assert found["database"] == {"enabled": False}
    assert found["compatibility"] == {"schema1": {"enabled": False}}
    assert found["storage"]["delete"] == {"enabled": True}


def test_tls_no_auth_read_only(fake: FakeHost) -> None:
    found = built(fake, "registry: {self_signed: true, auth_enabled: false, read_only_maintenance_enabled: true}")
    assert found["http"]["tls"]["certificate"] == "/etc/docker/registry/registry_host.crt"
    assert "auth" not in found
    assert found["storage"]["maintenance"] == {"readonly": {"enabled": True}}


def test_behind_a_tunnel_no_location_names_a_scheme(fake: FakeHost) -> None:
    found = built(fake, "auto_devops: {enabled: true, gitlab: {port: 20001}}")
    assert found["http"]["relativeurls"] is True
    assert found["auth"]["token"]["realm"] == "https://20001.qa-tunnel.gitlab.info/jwt/auth"


def test_the_users_settings_are_merged_deep(fake: FakeHost) -> None:
    text = "registry: {config: {log: {level: debug}, validation: null, storage: {s3: {bucket: b}}, new: {a: [1]}}}"
    found = built(fake, text)
    assert found["log"] == {"level": "debug", "formatter": "text", "fields": {"service": "registry"}}
    assert "validation" not in found
    assert found["storage"]["s3"] == {"bucket": "b"}
    assert "filesystem" not in found["storage"], "Distribution takes one driver"
    assert found["new"] == {"a": [1]}


def test_merge_leaves_its_arguments_alone() -> None:
    base, over = {"a": {"b": [1]}}, {"a": {"c": {"d": 1}}}
    merged = merge(base, over)
    merged["a"]["b"].append(2)
    merged["a"]["c"]["d"] = 2
    assert (base, over) == ({"a": {"b": [1]}}, {"a": {"c": {"d": 1}}})


def test_the_secret_is_kept(fake: FakeHost) -> None:
    apply(fake, config(fake))
    secret = fake.files[ROOT / ".gdkreg" / "http_secret"].decode()
    assert yaml.safe_load(fake.files[PATH])["http"]["secret"] == secret
    assert len(secret) == 64
    apply(fake, config(fake, "registry: {port: 5001}"))
    assert yaml.safe_load(fake.files[PATH])["http"]["secret"] == secret
    assert fake.infos[PATH].mode == 0o600
    assert levels(fake, config(fake, "registry: {port: 5001}")) == ["ok"]
    assert levels(fake, config(fake)) == ["changed"]


def test_a_plan_before_the_first_run_shows_the_file_without_the_secret(fake: FakeHost) -> None:
    from gdkreg.plan import diff

    shown = diff.of(plan(fake, config(fake))[-1])
    assert "+  secret: ***" in shown
    assert "rootdirectory: /var/lib/registry" in shown


def test_gdks_own_file_is_taken_over_and_given_back(fake: FakeHost) -> None:
    fake.put(PATH, "version: 0.1 # GDK's\n", 0o644)
    apply(fake, config(fake))
    fake.put(PATH, "version: 0.1 # GDK's, newer\n", 0o644)  # gdk reconfigure
    assert levels(fake, config(fake)) == ["changed"]
    assert "somebody else wrote over it" in plan(fake, config(fake))[0].reason
    apply(fake, config(fake))
    apply(fake, config(fake), present=False)
    assert fake.files[PATH] == b"version: 0.1 # GDK's, newer\n"
    assert fake.infos[PATH].mode == 0o644


def test_missing_is_said(fake: FakeHost) -> None:
    resource = config(fake)
    assert resource.notes(resource.inspect(fake))[0].text == "missing"


# the settings that were applied last


def test_applied_is_read_back_and_compared(fake: FakeHost) -> None:
    settings = config(fake, "registry: {enabled: true, port: 5005, config: {log: {level: debug}}}").settings
    resource = Applied(settings, files(fake, "applied"))
    assert read(ROOT, fake) is None
    apply(fake, resource)
    found = read(ROOT, fake)
    assert found is not None
    assert (found.root, found.registry.port) == (ROOT, 5005)
    assert differences(found, settings) == []
    later = config(fake, "registry: {enabled: true, port: 5006, config: {log: {level: debug}}}").settings
    assert "registry.port: 5005 → 5006" in differences(found, later)
    assert levels(fake, Applied(later, files(fake, "applied"))) == ["changed"]
    assert levels(fake, Applied(settings, files(fake, "applied"))) == ["ok"]
    apply(fake, Applied(settings, files(fake, "applied")), present=False)
    assert read(ROOT, fake) is None


@pytest.mark.parametrize("content", ["{}", "", "\0", '{"root": 1}', "[" * 100_000])
def test_applied_settings_that_gdkreg_did_not_write_are_refused(fake: FakeHost, content: str) -> None:
    fake.put(ROOT / ".gdkreg" / "applied.json", content)
    with pytest.raises(DamagedError, match=r"applied\.json is damaged"):
        read(ROOT, fake)


@pytest.mark.parametrize(
    ("ours", "edited"),
    [("172.16.123.1", "0.0.0.0"), ('"port":5000', '"port":99999'), ("registry.test", "-evil"), ("gdkreg", "\n")],
)
def test_applied_settings_are_checked_like_gdk_yml(fake: FakeHost, ours: str, edited: str) -> None:
    applied = config(fake, GDK_YML).settings
    apply(fake, Applied(applied, files(fake, "applied")))
    path = ROOT / ".gdkreg" / "applied.json"
    text = fake.files[path].decode()
    assert ours in text
    fake.put(path, text.replace(ours, edited), 0o600)
    with pytest.raises(DamagedError, match=r"applied\.json is damaged"):
        read(ROOT, fake)


# copies for the registry's own user


def copies(host: FakeHost, owner: tuple[int, int] | None) -> ContainerFiles:
    return ContainerFiles(
        folder=ROOT / ".gdkreg" / "mounts",
        sources=(PATH, ROOT / "registry_host.key"),
        storage=ROOT / "registry" / "storage",
        own=(0, 0),
        owner=owner,
        files=files(host, "container_files"),
    )


@pytest.fixture
def with_files(fake: FakeHost) -> FakeHost:
    fake.put(PATH, "version: 0.1\n", 0o600)
    fake.put(ROOT / "registry_host.key", "KEY", 0o600)
    fake.put(ROOT / "registry" / "storage" / "x", "")
    fake.put(ROOT / ".gdkreg" / ".gitignore", "*\n")
    fake.make_folder(ROOT / ".gdkreg" / "backups", mode=0o700)
    return fake


def test_another_user_gets_copies_that_nobody_else_can_read(with_files: FakeHost) -> None:
    resource = copies(with_files, (1000, 1001))
    done = apply(with_files, resource)
    key = ROOT / ".gdkreg" / "mounts" / "registry_host.key"
    info = with_files.infos[key]
    assert (info.mode, info.uid, info.gid) == (0o400, 1000, 1001)
    assert with_files.files[key] == b"KEY"
    assert with_files.infos[ROOT / "registry" / "storage"].uid == 1000
    assert [action.argv[-2] for action in done if isinstance(action, RunCommand)] == ["1000:1001"]
    assert levels(with_files, copies(with_files, (1000, 1001))) == ["ok"]


def test_copies_that_we_may_not_read_are_known_by_the_journal(with_files: FakeHost) -> None:
    apply(with_files, copies(with_files, (1000, 1001)))
    with_files.unreadable = {ROOT / ".gdkreg" / "mounts" / "config.yml"}
    assert plan(with_files, copies(with_files, (1000, 1001))) == []
    with_files.put(PATH, "version: 0.1 # new\n", 0o600)
    (action,) = plan(with_files, copies(with_files, (1000, 1001)))
    assert isinstance(action, WriteFile)
    assert action.owner == (1000, 1001)


def test_back_to_ones_own_user(with_files: FakeHost) -> None:
    apply(with_files, copies(with_files, (1000, 1001)))
    apply(with_files, copies(with_files, None))
    assert ROOT / ".gdkreg" / "mounts" / "config.yml" not in with_files.files
    assert with_files.infos[ROOT / "registry" / "storage"].uid == 0
    assert levels(with_files, copies(with_files, None)) == ["off"]
    assert levels(with_files, copies(with_files, (1, 1))) == ["changed"]
