"""As a stranger would: an installed wheel from anywhere, and `make up` in a fresh clone with no engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.box import REPO, Box


def sh(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git would give a stranger: the committed and the not yet committed files that it does not ignore."""
    folder = tmp_path_factory.mktemp("fresh") / "gdkreg"
    folder.mkdir()
    names = sh("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=REPO).split("\0")
    for name in filter(lambda name: name and (REPO / name).exists(), names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((REPO / name).read_bytes())
        (folder / name).chmod((REPO / name).stat().st_mode)
    return folder


def test_a_wheel_works_from_anywhere(clone: Path, tmp_path: Path) -> None:
    sh(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(clone), cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    sh(sys.executable, "-m", "venv", "venv", cwd=tmp_path)
    sh("venv/bin/pip", "install", "-q", str(wheel), cwd=tmp_path)
    gdkreg = str(tmp_path / "venv/bin/gdkreg")
    root = tmp_path / "root"
    root.mkdir()
    (root / "gdk.yml").write_text("registry: {enabled: true}\n")
    assert "gdkreg 0." in sh(gdkreg, "--version", cwd=root)
    assert "registry/config.yml" in sh(gdkreg, "plan", cwd=root)
    unit = "from gdkreg.host import support; print(support.text('gdkreg-loopback.service'))"
    assert "ExecStart=ip address replace" in sh("venv/bin/python", "-c", unit, cwd=tmp_path), "support/ is inside the wheel"


def test_make_up_on_a_machine_without_an_engine(clone: Path, lone_box: Box) -> None:
    sh("support/bootstrap", "run", cwd=clone)
    env = {"PATH": os.environ["PATH"], "DOCKER_HOST": "unix:///run/nowhere.sock"}
    up = lone_box.run("make", "up", cwd=clone, env=env)
    assert up.code == 0, up
    assert f"wrote a starter {clone}/gdk.yml" in up.out
    assert "Ready: docker push registry.test:5000/NAME" in up.out
    assert lone_box.listeners(5000) == ["172.16.123.1"]
    again = lone_box.run("make", "up", cwd=clone, env=env)
    assert "already running" in again.out, again
    assert "registry.test:5000" in lone_box.run("make", "trust-docker-registry", cwd=clone, env=env).out
    down = lone_box.run("make", "down", cwd=clone, env=env)
    assert down.code == 0, down
    assert lone_box.listeners(5000) == []
    help_text = lone_box.run("make", cwd=clone).out
    assert "make up" in help_text
    assert "make test" in help_text
