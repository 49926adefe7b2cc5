"""Under GDK's supervisor, with Debian's runit, in both ways in which GDK links its services."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e import gdk_root
from tests.e2e.box import GDK_YML, Box, child
from tests.e2e.gdk_root import gdk, log

WAYS: list[gdk_root.Way] = ["procfile", "services"]


@pytest.fixture(autouse=True)
def _runit() -> None:
    if shutil.which("runsvdir") is None:
        pytest.fail("Debian's runit is missing: support/bootstrap test")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> gdk_root.Way:
    found: gdk_root.Way = request.param
    return found


@pytest.fixture
def root(lone_engine_box: Box, way: gdk_root.Way) -> Iterator[Box]:
    box = lone_engine_box
    box.import_registry()
    gdk_root.make(box, way)
    box.configure(GDK_YML)
    box.ok("reconfigure", "--yes")
    yield box


def until(what: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def containers(box: Box) -> list[str]:
    return box.run("docker", "ps", "--format", "{{.Names}}").out.split()


def snapshot(box: Box) -> dict[str, str]:
    """What stands in services and sv, but runit's own."""
    found = {}
    for top in ("services", "sv"):
        for folder, names, files in os.walk(box.root / top):
            for name in [*names, *files]:
                path = Path(folder) / name
                if "supervise" not in path.parts and not (path.name == "registry" and path.parent.name == "registry"):
                    text = os.readlink(path) if path.is_symlink() else path.read_text() if path.is_file() else "folder"
                    found[str(path.relative_to(box.root))] = text
    return found


def status(box: Box) -> dict[str, object]:
    found: dict[str, object] = json.loads(box.ok("gdk", "status", "--json").out)
    return found


def test_gdks_commands_drive_ours_and_off_gives_its_own_back(root: Box, way: gdk_root.Way) -> None:
    box = root
    gdk(box, "start")  # GDK's own, as before us
    before = snapshot(box)
    assert ("services/registry" in before) == (way == "procfile")
    if way == "procfile":
        until(lambda: "own registry of gdk" in log(box))
    told = box.ok("gdk", "on", "--dry-run").out
    box.ok("gdk", "on", "--yes")
    assert "gdk start drives this registry" in told
    assert (box.root / "services/registry").is_dir() and not (box.root / "services/registry").is_symlink()

    gdk(box, "start", "registry")
    until(lambda: "runs" in log(box) and box.listeners(5000) == ["172.16.123.1"])
    assert "run: " in gdk(box, "status", "registry")
    assert "registry : " in log(box) or way == "services"
    found = status(box)
    assert (found["gdk"], found["service"], found["supervisor"], found["whose"]) == (True, "gdkreg", True, "gdkreg")
    box.ok("login")
    assert box.gdkreg("plan", "--exit-code").code == 0

    gdk(box, "stop", "registry")
    assert containers(box) == [] and box.listeners(5000) == [] and box.listeners(5100) == []
    assert "not run" not in box.ok("status").out
    gdk(box, "start")  # with everything, and what GDK drops into our folder is harmless
    until(lambda: bool(box.listeners(5000)))
    gdk(box, "restart", "registry")
    until(lambda: bool(box.listeners(5000)) and log(box).count("runs") >= 3)
    assert len(containers(box)) == 1

    box.ok("gdk", "off", "--yes")
    assert containers(box) == []
    assert snapshot(box) == before
    gdk(box, "start", "registry", ok=way == "procfile")
    if way == "procfile":
        until(lambda: log(box).count("own registry of gdk") >= 2)
    assert status(box)["service"] == ("gdk" if way == "procfile" else "")
