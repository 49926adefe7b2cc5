"""The registry's whole life on Podman's Docker-compatible socket, as root and as a user, and on rootless Docker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.box import GDK_YML, HOST
from tests.machines.engines import USER, OtherBox, RootlessBox, UserBox, open_engine

SOCKETS = {
    "podman": "unix:///run/podman/podman.sock",
    "podman-rootless": f"unix:///run/user/{USER}/podman/podman.sock",
    "rootless": f"unix:///run/user/{USER}/docker.sock",
}


@pytest.fixture(scope="module", params=list(SOCKETS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def other(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherBox]:
    opened = open_engine(kind, tmp_path_factory.mktemp("other") / "box")
    try:
        yield opened
    finally:
        opened.close()


def told(box: OtherBox, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(box.ok(*arguments, "--json").out)
    return found


def steps(told: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(item["resource"], item["action"], item["target"]) for item in told["actions"]]


def same(box: OtherBox, *command: str) -> dict[str, Any]:
    """What the dry run tells is what the run does."""
    dry = told(box, *command, "--dry-run")
    assert steps(dry), dry
    done = told(box, *command, *(["--yes"] if command[0] != "login" else []))
    assert steps(done) == steps(dry)
    return done


def test_the_whole_life(other: OtherBox, kind: str) -> None:
    box, before = other, other.hosts.read_bytes()
    box.configure(GDK_YML)
    up = same(box, "up")
    assert box.listeners(5000) == ["172.16.123.1"]
    if isinstance(box, RootlessBox):
        # It has read /etc/hosts when it started, and a container without a restart policy ends with it.
        assert any("systemctl --user restart docker; gdkreg start" in note for note in up["notes"])
        box.restart_engine()
        same(box, "start")
    status = told(box, "status")
    engine = status["engine"]
    assert (engine["kind"], engine["endpoint"], engine["source"]) == (kind, SOCKETS[kind], "default socket")
    assert status["services"]["registry"]["verdict"] == "ready"
    assert f"{kind} {engine['version']} at {SOCKETS[kind]} (default socket)" in box.ok("status").out

    same(box, "login")
    box.import_small(f"{HOST}/group/app:1")
    box.client("docker", "push", f"{HOST}/group/app:1")
    box.client("docker", "rmi", f"{HOST}/group/app:1")
    box.client("docker", "pull", f"{HOST}/group/app:1")
    same(box, "trust-docker-registry", "--remove")
    refused = box.run("docker", "pull", f"{HOST}/group/app:1")
    assert "x509" in refused.err + refused.out, refused
    same(box, "trust-docker-registry")
    box.client("docker", "pull", f"{HOST}/group/app:1")
    assert "group/app" in box.ok("catalog").out
    assert "deleted" in box.ok("verify", "--client", "docker").out

    same(box, "stop")
    assert box.listeners(5000) == []
    same(box, "start")
    same(box, "restart")
    assert told(box, "start")["changes"] == 0
    same(box, "gc")
    same(box, "undo")
    assert told(box, "gc", "--engine", "registry", "--yes")["deleted"] > 0, "what verify left"
    box.client("docker", "pull", f"{HOST}/group/app:1")
    assert "GET /v2/" in box.ok("tail", "registry", "--no-follow").out

    same(box, "down")
    assert box.listeners(5000) == box.listeners(5001) == []
    assert box.run("docker", "ps", "-aq").out == ""
    assert box.hosts.read_bytes() == before
    assert not list(box.root.glob("*.crt"))


def test_undo_takes_up_back(other: OtherBox) -> None:
    other.configure(GDK_YML)
    other.ok("up", "--yes")
    same(other, "undo")
    assert other.listeners(5000) == []
    assert other.run("docker", "ps", "-aq").out == ""
    assert other.ok("down", "--yes").code == 0


@pytest.mark.parametrize("kind", ["podman", "rootless"], indirect=True)
def test_what_fails_to_start_says_why_and_goes_away(other: OtherBox, kind: str) -> None:
    """Podman's service keeps the port of a container that failed to start, and tells a second try of that alone."""
    other.import_image("broken:1", {"true": "/bin/true"}, 'ENTRYPOINT ["/nothing"]')
    other.configure(GDK_YML)
    other.ok("up", "--yes")
    other.ok("config", "set", "registry.image", "broken:1")
    other.ok("reconfigure", "--yes")
    for _ in range(2):
        failed = other.gdkreg("start")
        assert failed.code == 1
        if "already in use" not in failed.err and "is held by podman" not in failed.err:
            assert "/nothing" in failed.err, failed
        else:
            assert kind.startswith("podman")
            assert "systemctl --user restart podman" in failed.err, failed
    other.ok("config", "set", "registry.image", "registry:dev")
    other.ok("reconfigure", "--yes")
    healed = other.gdkreg("start")
    assert healed.code == 0 or "systemctl --user restart podman" in healed.err, healed
    other.ok("down", "--yes")
    assert other.run("docker", "ps", "-aq").out == ""


@pytest.mark.parametrize("kind", ["podman", "rootless"], indirect=True)
def test_a_name_that_is_taken_is_told_with_its_way_out(other: OtherBox, kind: str) -> None:
    other.configure(GDK_YML)
    other.ok("up", "--yes")
    name = other.run("docker", "ps", "--format", "{{.Names}}").out.strip()
    other.run("docker", "rm", "-f", name)
    assert other.run("docker", "create", "--name", name, "registry:dev").code == 0
    refused = other.gdkreg("start")
    assert refused.code == 1
    assert f"fix: {'docker' if kind == 'rootless' else 'podman'} rm {name}" in refused.err, refused
    other.run("docker", "rm", name)
    other.ok("start")
    other.ok("down", "--yes")


@pytest.mark.parametrize("kind", ["podman-rootless", "rootless"], indirect=True)
def test_what_a_rootless_engine_cannot_do_is_told_before_anything_changes(other: OtherBox) -> None:
    before = other.hosts.read_bytes()
    for text, words in (
        (GDK_YML + "  port: 443\n", "port 443 needs root"),
        (GDK_YML + "  uid: 1000\n  gid: 1000\n", "a rootless engine cannot run the registry as 1000:1000"),
    ):
        other.configure(text)
        refused = other.gdkreg("up", "--yes")
        assert refused.code == 1
        assert words in refused.err, refused
        assert len([line for line in refused.err.splitlines() if line.lstrip().startswith("gdkreg:")]) == 1
        assert other.hosts.read_bytes() == before
        assert not (other.root / "registry").exists() or not (other.root / "registry/config.yml").exists()


@pytest.mark.parametrize("kind", ["podman", "podman-rootless"], indirect=True)
def test_a_socket_that_an_engine_left_behind_hides_none_that_lives(other: OtherBox, kind: str) -> None:
    left = "import socket; socket.socket(socket.AF_UNIX).bind('/run/docker.sock')"
    box = other
    root = box.as_root if isinstance(box, UserBox) else box.run
    assert root("python3", "-c", left).code == 0
    root("chmod", "666", "/run/docker.sock")
    box.configure(GDK_YML)
    assert told(box, "status")["engine"]["kind"] == kind
    root("rm", "/run/docker.sock")
