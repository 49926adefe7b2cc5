"""A `.gdkreg/` that is not ours, a root that was moved, a copy of one, and state files that are damaged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.box import Box, Result

GDK_YML = """\
registry:
  enabled: true
  host: registry.test
  listen_address: 172.16.123.1
  self_signed: true
  auth_enabled: false
  runtime: process
"""
VICTIMS = ("/etc/docker/victim", "/run/victim")


@pytest.fixture
def box(lone_box: Box) -> Box:
    lone_box.configure(GDK_YML)
    return lone_box


def machine(box: Box) -> dict[str, str]:
    """All that lies outside the root."""
    outside = ("/etc/docker", "/etc/systemd/system", str(box.home), "/run")
    listed = box.run("find", *outside, "-not", "-path", "*/.cache/*", "-printf", "%p %s %m\n").out
    listed = "\n".join(sorted(row for row in listed.splitlines() if ".gdkreg-roots" not in row))
    return {"hosts": box.hosts.read_text(), "files": listed, "addresses": " ".join(sorted(box.addresses()))}


def settled(box: Box) -> dict[str, str]:
    """The same without folders in which nothing is: which of them were ours only the journal knows."""
    found = machine(box)
    rows = [row for row in found["files"].splitlines() if not row.endswith(" 755")]
    return {**found, "files": "\n".join(rows)}


def rewritten(folder: Path, change: dict[str, str]) -> None:
    """Edit every state file, as somebody who wants to lead gdkreg astray."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            text = path.read_bytes()
            for old, new in change.items():
                text = text.replace(old.encode(), new.encode())
            path.write_bytes(text)


@pytest.fixture
def foreign(box: Box) -> Path:
    """A root that somebody set up elsewhere, with everything that can be in a `.gdkreg/`."""
    (box.home / ".gitlab-runner").mkdir()
    (box.home / ".gitlab-runner/config.toml").write_text('[[runners]]\n  name = "a"\n  executor = "docker"\n')
    box.ok("up", "--yes")
    box.ok("config", "set", "registry.certificate_days", "90")
    box.ok("reconfigure")
    kept = box.folder / "kept"
    shutil.copytree(box.root / ".gdkreg", kept)
    box.ok("down", "--yes")
    return kept


def test_a_folder_that_came_with_a_repository_is_not_believed(box: Box, foreign: Path) -> None:
    hostile = {"/etc/hosts": "/etc/cron.d/evil", "registry_host.crt": "../../../run/victim", "172.16.123.1": "172.16.123.66"}
    for change in ({}, hostile):
        shutil.rmtree(box.root / ".gdkreg", ignore_errors=True)
        shutil.copytree(foreign, box.root / ".gdkreg")
        rewritten(box.root / ".gdkreg", change)
        before = machine(box)
        for command in (["undo", "--yes"], ["down", "--yes"], ["stop"], ["plan"], ["status"], ["start"]):
            result = box.gdkreg(*command)
            assert "Traceback" not in result.err
            assert "bug" not in result.err
            assert machine(box) == before, command
        assert ".gdkreg is not used" in box.gdkreg("status").out
        text = box.ok("up", "--yes").out
        assert "set aside" in text
        assert not Path("/etc/cron.d/evil").exists()
        assert "172.16.123.66" not in box.addresses()
        box.ok("down", "--yes")
        assert machine(box) == before
        for aside in box.root.glob(".gdkreg.foreign*"):
            shutil.rmtree(aside)


@pytest.mark.parametrize("name", ["journal.jsonl", "applied.json"])
def test_an_edited_state_file_leads_nowhere(box: Box, name: str) -> None:
    before = machine(box)
    box.ok("reconfigure")
    path = box.root / ".gdkreg" / name
    text = path.read_text().replace("/etc/hosts", "/run/victim").replace('"172.16.123.1"', '"0.0.0.0"')
    path.write_text(text)
    for command in (["undo", "--yes"], ["start"], ["reconfigure"], ["status"]):
        result = box.gdkreg(*command)
        assert result.code == 1, (command, result)
        assert f"{name} is damaged" in result.err + result.out
        assert "gdkreg down" in result.err + result.out
    assert box.listeners(5000) == []
    box.ok("down", "--yes")
    assert machine(box) == before
    assert sorted(set(os.listdir(box.root)) - {"registry"}) == ["gdk.yml"]


def test_as_root_in_another_users_folder_no_link_is_followed(box: Box) -> None:
    for victim in VICTIMS:
        box.run("sh", "-c", f"echo theirs > {victim}")
    box.run("chown", "-R", "65534:65534", str(box.root))
    names = ("jwks.json", "registry_host.crt", "registry_host.key", "registry", ".gdkreg", "registry/config.yml")
    for name in names:
        link = box.root / name
        (box.root / "registry").mkdir() if name == "registry/config.yml" else None
        link.symlink_to("/run/victim" if "." in name and name != ".gdkreg" else "/etc/docker")
        result = box.gdkreg("reconfigure", "--yes")
        if name == ".gdkreg":  # the link itself is put aside
            assert (box.root / ".gdkreg.foreign").is_symlink()
            box.ok("down", "--yes")
            (box.root / ".gdkreg.foreign").unlink()
            continue
        assert result.code == 1, (name, result)
        assert "symlink" in result.err or "is not gdkreg's and does not serve" in result.err, (name, result)
        link.unlink()
        shutil.rmtree(box.root / "registry", ignore_errors=True)
        box.gdkreg("down", "--yes")
    for victim in VICTIMS:
        assert box.run("cat", victim).out == "theirs\n"
    assert box.run("ls", "/etc/docker").out == "victim\n"


def test_what_root_makes_in_another_users_folder_is_that_users(box: Box) -> None:
    box.run("chown", "-R", "65534:65534", str(box.root))
    box.ok("up", "--yes")
    owners = {path.lstat().st_uid for path in [box.root, *box.root.rglob("*")] if "storage" not in path.parts}
    assert owners == {65534}
    box.ok("down", "--yes")


@pytest.mark.parametrize("mode", ["0o777", "0o757"])
def test_a_folder_that_others_may_write_is_refused(box: Box, mode: str) -> None:
    box.ok("reconfigure")
    (box.root / ".gdkreg").chmod(int(mode, 8))
    result = box.gdkreg("start")
    assert result.code == 1
    assert "others may write it" in result.err
    (box.root / ".gdkreg").chmod(0o700)
    box.ok("down", "--yes")


def test_a_moved_root_goes_on_where_it_is(box: Box) -> None:
    before = machine(box)
    box.ok("up", "--yes")
    elsewhere = box.folder / "elsewhere"
    box.root.rename(elsewhere)

    def gdkreg(*arguments: str) -> Result:
        return box.run(sys.executable, "-m", "gdkreg", *arguments, cwd=elsewhere)

    assert f"moved here from {box.root}" in gdkreg("status").out
    assert gdkreg("up", "--yes").code == 0
    assert not box.root.exists(), "the old folder is not made again"
    assert box.hosts.read_text().count(">>> managed") == 1
    assert str(box.root) not in box.hosts.read_text()
    assert gdkreg("verify").code == 0
    assert gdkreg("down", "--yes").code == 0
    box.root.mkdir()
    assert machine(box) == before
    assert sorted(os.listdir(elsewhere)) == ["gdk.yml", "registry"]


def test_a_copied_root_starts_anew_and_takes_nothing_from_the_original(box: Box) -> None:
    box.ok("up", "--yes")
    copy = box.folder / "copy"
    subprocess.run(["cp", "-a", str(box.root), str(copy)], check=True)
    running = machine(box)
    for command in (["undo", "--yes"], ["stop"], ["down", "--yes"]):
        box.gdkreg(*command, "--root", str(copy))
        assert machine(box) == running, command
        assert box.listeners(5000) == ["172.16.123.1"]
    refused = box.gdkreg("up", "--yes", "--root", str(copy))
    assert refused.code == 1
    assert f"registry.test:5000 is the registry of {box.root}" in refused.err
    (copy / "gdk.yml").write_text(GDK_YML.replace("registry.test", "copy.test") + "  port: 5002\n")
    box.ok("up", "--yes", "--root", str(copy))
    assert (copy / "registry_host.key").read_bytes() != (box.root / "registry_host.key").read_bytes()
    assert box.gdkreg("verify").code == 0
    box.ok("down", "--yes", "--root", str(copy))
    assert box.gdkreg("verify").code == 0
    assert machine(box)["addresses"] == running["addresses"]
    box.ok("down", "--yes")


def test_the_last_of_two_roots_takes_the_address_away(box: Box) -> None:
    before = machine(box)
    other = box.folder / "other"
    other.mkdir()
    (other / "gdk.yml").write_text(GDK_YML.replace("registry.test", "other.test") + "  port: 5002\n")
    box.ok("up", "--yes")
    box.ok("up", "--yes", "--root", str(other))
    box.ok("down", "--yes")
    assert "172.16.123.1" in box.addresses()
    assert box.gdkreg("verify", "--root", str(other)).code == 0
    box.ok("down", "--yes", "--root", str(other))
    assert machine(box) == before


def test_a_second_root_on_the_same_name_or_port_is_refused_before_anything_is_touched(box: Box) -> None:
    other = box.folder / "other"
    other.mkdir()
    box.ok("up", "--yes")
    running = machine(box)
    for text, said in (
        (GDK_YML, f"registry.test:5000 is the registry of {box.root}"),
        (GDK_YML.replace("registry.test", "other.test"), f"is held by the registry of {box.root}"),
    ):
        (other / "gdk.yml").write_text(text)
        result = box.gdkreg("up", "--yes", "--root", str(other))
        assert result.code == 1
        assert said in result.err
        assert machine(box) == running
        found = json.loads(box.gdkreg("up", "--yes", "--json", "--root", str(other)).out)
        assert said in found["error"]["what"]
    assert os.listdir(other) == ["gdk.yml"]
    box.ok("down", "--yes")


@pytest.mark.parametrize("text", ["registry: [", None])
def test_down_works_where_gdk_yml_is_broken_or_gone(box: Box, text: str | None) -> None:
    before = machine(box)
    box.ok("up", "--yes")
    (box.root / "gdk.yml").write_text(text) if text else (box.root / "gdk.yml").unlink()
    box.ok("down", "--yes", "--root", str(box.root))
    assert machine(box) == before
    assert box.listeners(5000) == []


def test_down_without_the_state_folder(box: Box) -> None:
    before = machine(box)
    box.ok("reconfigure")
    box.ok("trust-docker-registry")
    shutil.rmtree(box.root / ".gdkreg")
    box.ok("down", "--yes")
    now = machine(box)
    assert (now["hosts"], now["addresses"]) == (before["hosts"], before["addresses"])
    assert "ca.crt" not in now["files"]
    assert sorted(os.listdir(box.root)) in (["gdk.yml"], ["gdk.yml", "registry"])
