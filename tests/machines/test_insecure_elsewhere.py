"""insecure on|off where the engine is not the system's Docker: rootless Docker, by a user, and Podman's socket, by root."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.box import GDK_YML
from tests.machines.engines import PODMAN, ROOTLESS, OtherBox, RootlessBox

# A rootless engine has read /etc/hosts when it started, so it is asked by the address.
ADDRESS = "172.16.123.1:5000"
PLAIN = GDK_YML.replace("host: registry.test", "host: 172.16.123.1").replace("self_signed: true", "self_signed: false")
REFUSED = "server gave HTTP response to HTTPS client"


@pytest.fixture
def rootless(tmp_path: Path) -> Iterator[RootlessBox]:
    opened = RootlessBox(tmp_path / "box", start=ROOTLESS)
    try:
        opened.import_registry()
        yield opened
    finally:
        opened.close()


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[OtherBox]:
    opened = OtherBox(tmp_path / "box", start=PODMAN)
    try:
        opened.import_registry()
        yield opened
    finally:
        opened.close()


def push(box: OtherBox, *, want: bool) -> str:
    result = box.client("docker", "push", f"{ADDRESS}/group/app:1", want=want)
    return result.out + result.err


def test_rootless_docker(rootless: RootlessBox) -> None:
    box = rootless
    box.import_small(f"{ADDRESS}/group/app:1")
    box.configure(PLAIN.replace("self_signed", "auth_enabled: false\n  self_signed"))
    box.ok("up", "--yes")
    assert REFUSED in push(box, want=False)
    folder = box.home / ".config/docker"
    told = json.loads(box.ok("insecure", "on", "--yes", "--json").out)
    written = {item["target"]: item for item in told["actions"]}
    assert not written["/home/dev/.config/docker/daemon.json"]["as_root"]
    assert not written["engine"]["as_root"]
    assert json.loads((folder / "daemon.json").read_text()) == {"insecure-registries": [ADDRESS]}
    assert (folder / "daemon.json").stat().st_uid == int(box.run("id", "-u").out)
    push(box, want=True)
    box.ok("insecure", "off", "--yes")
    assert not (folder / "daemon.json").exists()
    assert REFUSED in push(box, want=False)
    box.ok("insecure", "on", "--yes")
    box.ok("down", "--yes")
    assert not (folder / "daemon.json").exists()


def test_podmans_socket(podman: OtherBox) -> None:
    box = podman
    box.import_small(f"{ADDRESS}/group/app:1")
    box.configure(PLAIN.replace("self_signed", "auth_enabled: false\n  self_signed"))
    box.ok("up", "--yes")
    assert REFUSED in push(box, want=False)
    box.ok("insecure", "on", "--yes")
    (conf,) = (box.folder / "etc-containers/registries.conf.d").glob("gdkreg-*.conf")
    assert f'location = "{ADDRESS}"' in conf.read_text()
    assert not (box.folder / "etc-docker/daemon.json").exists()
    push(box, want=True)
    assert "taken without TLS" in box.ok("status").out
    box.ok("insecure", "off", "--yes")
    assert not conf.exists()
    assert REFUSED in push(box, want=False)
    box.ok("undo", "--yes")
    push(box, want=True)
    box.ok("down", "--yes")
    assert not conf.exists()
    assert '"Insecure":true' not in box.run("curl", "-s", "--unix-socket", box.socket, "http://d/v4.0.0/libpod/info").out
