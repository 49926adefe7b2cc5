"""insecure on|off, on a real Docker Engine and a real Podman: refused before, accepted after, refused again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.box import GDK_YML, HOST, Box

PLAIN = GDK_YML.replace("self_signed: true", "self_signed: false\n  auth_enabled: false")
DAEMON = """\
{
    "log-level": "warn",   \t
    "insecure-registries": [
        "other.test:5000"
    ],
    "mtu": 1400
}
"""


@pytest.fixture
def plain(lone_engine_box: Box) -> Box:
    box = lone_engine_box
    box.import_registry()
    box.import_small(f"{HOST}/group/app:1")
    box.configure(PLAIN)
    box.ok("up", "--yes")
    return box


def daemon(box: Box) -> Path:
    return box.folder / "etc-docker/daemon.json"


def listed(box: Box) -> list[str]:
    indexes = json.loads(box.run("docker", "info", "--format", "{{json .RegistryConfig.IndexConfigs}}").out)
    return sorted(name for name, index in indexes.items() if not index["Secure"])


def hup(box: Box) -> None:
    box.run("sh", "-c", "kill -HUP $(cat /run/docker.pid); sleep 1")


def refused(box: Box) -> None:
    result = box.client("docker", "push", f"{HOST}/group/app:1", want=False)
    assert "server gave HTTP response to HTTPS client" in result.err, result


@pytest.mark.parametrize("before", [None, DAEMON, '{"debug":true}', "{}"], ids=["none", "a list", "no list", "empty"])
def test_refused_accepted_refused(plain: Box, before: str | None) -> None:
    box, path = plain, daemon(plain)
    if before is not None:
        path.write_text(before)
        path.chmod(0o640)
        hup(box)
    others = ["other.test:5000"] if before == DAEMON else []
    assert listed(box) == others
    refused(box)
    containers = box.run("docker", "ps", "-q").out
    told = box.ok("insecure", "on", "--dry-run").out
    assert not path.exists() or path.read_text() == before
    assert "+" in told
    assert '"registry.test:5000"' in told
    box.ok("insecure", "on", "--yes")
    assert listed(box) == sorted([*others, HOST])
    box.client("docker", "push", f"{HOST}/group/app:1")
    assert box.run("docker", "ps", "-q").out == containers
    assert "Nothing to do" in box.ok("insecure", "on").out
    assert "taken without TLS" in box.ok("status").out
    assert box.gdkreg("plan", "--exit-code").code == 0
    if before is not None:
        assert path.stat().st_mode & 0o777 == 0o640
    box.ok("insecure", "off", "--yes")
    assert (path.read_text() if path.exists() else None) == before
    assert listed(box) == others
    refused(box)
    assert box.run("docker", "ps", "-q").out == containers
    assert "Nothing to do" in box.ok("insecure", "off").out
    assert "taken without TLS" not in box.ok("status").out


def test_with_a_login(plain: Box) -> None:
    """The tokens go over plain HTTP too."""
    box = plain
    box.configure(PLAIN.replace("auth_enabled: false", "auth_enabled: true"))
    box.ok("up", "--yes")
    assert "gdkreg insecure on" in box.gdkreg("login").err
    assert "gdkreg insecure on" in box.gdkreg("doctor").out
    box.ok("insecure", "on", "--yes")
    assert "denied" in box.client("docker", "push", f"{HOST}/group/app:1", want=False).err
    box.ok("login")
    box.client("docker", "push", f"{HOST}/group/app:1")
    assert "the engine refuses" not in box.gdkreg("doctor").out
    box.ok("verify", "--client", "docker")


def test_undo_down_and_a_new_name(plain: Box) -> None:
    box, path = plain, daemon(plain)
    path.write_text(DAEMON)
    hup(box)
    box.ok("insecure", "on", "--yes")
    box.ok("undo", "--yes")
    assert path.read_text() == DAEMON
    assert listed(box) == ["other.test:5000"]
    box.ok("insecure", "on", "--yes")
    box.ok("insecure", "off", "--yes")
    box.ok("undo", "--yes")
    assert listed(box) == ["other.test:5000", HOST]
    box.configure(PLAIN.replace("registry.test", "images.test"))
    box.ok("up", "--yes")  # the list follows the name
    assert listed(box) == ["images.test:5000", "other.test:5000"]
    box.configure(PLAIN.replace("self_signed: false", "self_signed: true"))
    box.ok("up", "--yes")  # with TLS nobody may be let off it
    assert listed(box) == ["other.test:5000"]
    assert path.read_text() == DAEMON
    box.configure(PLAIN)
    box.ok("up", "--yes")
    box.ok("insecure", "on", "--yes")
    box.ok("down", "--yes")
    assert path.read_text() == DAEMON
    assert listed(box) == ["other.test:5000"]
    assert not (box.root / ".gdkreg").exists()


def test_down_without_a_journal(plain: Box) -> None:
    """The files that carry our mark go; of a name in daemon.json nobody can tell whose it is."""
    box, path = plain, daemon(plain)
    box.ok("insecure", "on", "--yes")
    box.run("rm", "-r", str(box.root / ".gdkreg"))
    result = box.gdkreg("down", "--yes")
    assert result.code == 1
    assert "take registry.test:5000 out of it" in result.out
    assert not (box.root / "registry/buildkitd.toml").exists()
    assert list((box.home / ".config").rglob("*.conf")) == []
    assert json.loads(path.read_text()) == {"insecure-registries": [HOST]}
    box.ok("down", "--yes")


def test_what_somebody_edited_since_stays(plain: Box) -> None:
    box, path = plain, daemon(plain)
    box.ok("insecure", "on", "--yes")
    path.write_text(json.dumps({"insecure-registries": [HOST, "mine.test"], "mtu": 1300}))
    hup(box)
    box.ok("insecure", "off", "--yes")
    assert json.loads(path.read_text()) == {"insecure-registries": ["mine.test"], "mtu": 1300}
    assert listed(box) == ["mine.test"]


def test_a_broken_file_and_a_conflict_are_refused(plain: Box) -> None:
    box, path = plain, daemon(plain)
    broken = '{\n  "debug": true,\n}\n'
    path.write_text(broken)
    result = box.gdkreg("insecure", "on", "--yes")
    assert result.code == 2
    assert "/etc/docker/daemon.json:3:1: " in result.err
    assert result.err.count("gdkreg:") == 1
    assert path.read_text() == broken
    path.unlink()
    result = box.gdkreg("insecure", "on", "--yes", "--json")
    assert result.code == 0
    path.write_text(broken)  # the way back does not need the file either
    result = box.gdkreg("insecure", "off", "--yes")
    assert "/etc/docker/daemon.json:3:1: " in result.err
    assert path.read_text() == broken
    path.unlink()
    box.ok("insecure", "off", "--yes")
    engine = (box.folder / "engine").read_text()
    (box.folder / "engine").write_text(engine.replace("--data-root", "--insecure-registry=flag.test --data-root"))
    box.restart_engine()
    result = box.gdkreg("insecure", "on", "--yes")
    assert result.code == 1
    assert "was started with --insecure-registry flag.test" in result.err
    assert not path.exists()


def test_an_engine_that_does_not_take_it(plain: Box) -> None:
    """An unknown key: dockerd refuses the whole file, and keeps its list."""
    box, path = plain, daemon(plain)
    before = '{"no-such-key": 1}'
    path.write_text(before)
    result = box.gdkreg("insecure", "on", "--yes")
    assert result.code == 1
    assert "did not take the new list" in result.err
    assert "as it was" in result.err
    assert path.read_text() == before
    assert listed(box) == []
    assert "Nothing to do" in box.ok("insecure", "off").out


def test_the_engine_is_away(plain: Box) -> None:
    box, path = plain, daemon(plain)
    path.write_text(DAEMON)
    box.ok("insecure", "on", "--yes")
    box.run("sh", "-c", 'kill "$(cat /run/docker.pid)"; while [ -e /run/docker.pid ]; do sleep 0.05; done')
    assert box.gdkreg("reconfigure").code == 0
    assert HOST in path.read_text()
    out = box.ok("insecure", "off", "--yes").out
    assert "until it is restarted" in out
    assert path.read_text() == DAEMON
    box.run("sh", "-c", 'setsid bash "$BOX/engine" >/dev/null 2>&1')
    assert listed(box) == ["other.test:5000"]


def test_where_it_is_not_needed_or_not_meant(plain: Box) -> None:
    box = plain
    box.configure(GDK_YML)
    box.ok("reconfigure", "--yes")
    result = box.gdkreg("insecure", "on", "--yes")
    assert result.code == 1
    assert "checks no certificate" in result.err
    assert "gdkreg trust-docker-registry" in result.err
    box.configure(PLAIN.replace("172.16.123.1", "127.0.0.1"))
    box.ok("reconfigure", "--yes")
    assert "nothing is needed" in box.ok("insecure", "on").out
    assert not daemon(box).exists()


def test_another_config_file(plain: Box) -> None:
    box = plain
    own = box.folder / "engine.json"
    own.write_text('{"mtu": 1300}')
    engine = (box.folder / "engine").read_text()
    (box.folder / "engine").write_text(engine.replace("--data-root", f"--config-file {own} --data-root"))
    box.restart_engine()
    box.ok("insecure", "on", "--yes")
    assert json.loads(own.read_text()) == {"mtu": 1300, "insecure-registries": [HOST]}
    assert listed(box) == [HOST]
    box.ok("insecure", "off", "--yes")
    assert own.read_text() == '{"mtu": 1300}'
    assert listed(box) == []


def test_podman_and_builders(plain: Box) -> None:
    box = plain
    podman = ("podman", "--root", str(box.folder / "podman"), "--storage-driver", "vfs")
    box.client("docker", "save", "-o", str(box.folder / "app.tar"), f"{HOST}/group/app:1")
    box.client(*podman, "load", "-i", str(box.folder / "app.tar"))
    push = (*podman, "push", f"{HOST}/group/app:1")
    assert "server gave HTTP response" in box.client(*push, want=False).err
    box.ok("insecure", "on", "--yes")
    box.client(*push)
    (conf,) = (box.home / ".config/containers/registries.conf.d").iterdir()
    assert "insecure = true" in conf.read_text()
    assert "  http = true\n" in (box.root / "registry/buildkitd.toml").read_text()
    box.ok("reconfigure")
    assert (box.root / "registry/buildkitd.toml").exists()
    box.ok("insecure", "off", "--yes")
    assert not (box.home / ".config/containers").exists()
    assert not (box.root / "registry/buildkitd.toml").exists()
    assert "server gave HTTP response" in box.client(*push, want=False).err
