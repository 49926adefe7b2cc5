"""As a stranger would: `make up` in a fresh clone with no engine."""

from __future__ import annotations

import os
import subprocess
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


@pytest.fixture
def stranger(clone: Path, lone_box: Box) -> dict[str, str]:
    """The environment of somebody with a folder of his own on PATH, and no engine."""
    sh("support/bootstrap", "run", cwd=clone)
    (lone_box.home / ".local/bin").mkdir(parents=True)
    path = [part for part in os.environ["PATH"].split(":") if part != "/usr/local/bin" and not (Path(part) / "gdkreg").exists()]
    return {"PATH": ":".join([f"{lone_box.home}/.local/bin", *path]), "DOCKER_HOST": "unix:///run/nowhere.sock"}


def test_make_up_on_a_machine_without_an_engine(clone: Path, lone_box: Box, stranger: dict[str, str]) -> None:
    up = lone_box.run("make", "up", cwd=clone, env=stranger)
    assert up.code == 0, up
    assert f"wrote a starter {clone}/gdk.yml" in up.out
    assert "Ready: docker push registry.test:5000/NAME" in up.out
    assert lone_box.listeners(5000) == ["172.16.123.1"]
    assert lone_box.run("gdkreg", "status", cwd=clone, env=stranger).code == 0, "it can be typed"
    again = lone_box.run("make", "up", cwd=clone, env=stranger)
    assert "already running" in again.out, again
    assert "registry.test:5000" in lone_box.run("make", "trust-docker-registry", cwd=clone, env=stranger).out
    down = lone_box.run("make", "down", cwd=clone, env=stranger)
    assert down.code == 0, down
    assert lone_box.listeners(5000) == []
    assert list((lone_box.home / ".local/bin").iterdir()) == [], "the link is gone again"
    (clone / "gdk.yml").unlink()
    help_text = lone_box.run("make", cwd=clone).out
    assert "make up" in help_text
    assert "make test" in help_text


def test_where_no_folder_is_on_path_every_fix_has_the_whole_path(clone: Path, lone_box: Box, stranger: dict[str, str]) -> None:
    nowhere = {**stranger, "PATH": stranger["PATH"].partition(":")[2]}
    up = lone_box.run("make", "up", f"ROOT={lone_box.root}", cwd=clone, env=nowhere)
    whole = f"{clone}/.venv/bin/gdkreg"
    assert f"so type: {whole}" in up.out, up
    told = lone_box.run(whole, "start", "nothing", env=nowhere)
    assert told.code == 2, told
    (lone_box.root / "gdk.yml").write_text("registry: {enabled: false}\n")
    off = lone_box.run(whole, "start", env=nowhere)
    assert f"fix: {whole} config set registry.enabled true; {whole} reconfigure" in off.err, off
    assert lone_box.run("make", "down", f"ROOT={lone_box.root}", cwd=clone, env=nowhere).code == 0


def test_a_root_that_is_not_there_is_one_error(clone: Path, lone_box: Box, stranger: dict[str, str]) -> None:
    for target in ("up", "down"):
        done = lone_box.run("make", target, "ROOT=/nowhere at all", cwd=clone, env=stranger)
        assert done.code != 0
        assert "gdkreg: there is no folder /nowhere at all" in done.err
        assert "wrote" not in done.out
    (lone_box.home / "gdk").mkdir()
    (lone_box.home / "gdk/gdk.yml").write_text("registry: {enabled: true, listen_address: 127.0.0.1, runtime: process}\n")
    up = lone_box.run("make", "up", "ROOT=~/gdk", cwd=clone, env=stranger)
    assert up.code == 0, up
    assert (lone_box.home / "gdk/registry/config.yml").exists(), "a shell that does not expand ~ is no reason to fail"
    assert lone_box.run("make", "down", "ROOT=~/gdk", cwd=clone, env=stranger).code == 0
