"""A file that cannot be renamed over, and a disk that is full: nothing of the user's is lost at any moment, and it is told."""

from __future__ import annotations

import os
import shutil
import sys

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


@pytest.fixture
def box(lone_box: Box) -> Box:
    """Its /etc/hosts is a bind mount, as in every container."""
    lone_box.configure(GDK_YML)
    return lone_box


def killed_at(box: Box, call: str, number: int, *command: str) -> Result:
    assert shutil.which("strace"), "support/bootstrap test installs it"
    strace = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"]
    return box.run(*strace, sys.executable, "-B", "-m", "gdkreg", *command, env={"PYTHONDONTWRITEBYTECODE": "1"})


@pytest.mark.parametrize("command", ["reconfigure", "down", "undo"])
def test_a_write_in_place_that_was_killed_is_told_and_put_right(box: Box, command: str) -> None:
    """`down` writes less than stands there: killed before the end is cut off, the block's last bytes are a wrong mapping."""
    before = box.hosts.read_bytes() + b"9.9.9.9 mine\n"
    box.ok("reconfigure")
    box.hosts.write_bytes(box.hosts.read_bytes() + b"9.9.9.9 mine\n")  # below the block
    whole = box.hosts.read_bytes()
    killed_at(box, "ftruncate", 1, "down", "--yes")
    torn = box.hosts.read_bytes()
    assert torn not in {before, whole, b""}
    assert torn.startswith(before)
    assert "gdkreg" in torn[len(before) :].decode(), "a part of our block is left"
    status = box.gdkreg("status")
    assert "/etc/hosts is written in part only: down broke off" in status.out
    assert "down broke off while it wrote this file" in box.gdkreg("plan").out
    assert box.hosts.read_bytes() == torn, "to look at it changes nothing"
    text = box.ok(command, "--yes").out
    assert "replace /etc/hosts  (down broke off while it wrote this file; it gets back what stood there before)" in text
    assert "written in part" not in box.gdkreg("status").out
    box.ok("down", "--yes")
    assert box.hosts.read_bytes() == before
    assert sorted(os.listdir(box.root)) == ["gdk.yml"]


def test_a_write_in_place_that_was_killed_before_its_first_byte(box: Box) -> None:
    before = box.hosts.read_bytes()
    killed_at(box, "pwrite64", 1, "reconfigure")
    assert box.hosts.read_bytes() in {before, box.hosts.read_bytes()}
    box.ok("reconfigure")
    box.ok("down", "--yes")
    assert box.hosts.read_bytes() == before


def test_what_somebody_wrote_after_the_kill_is_theirs(box: Box) -> None:
    box.ok("reconfigure")
    box.hosts.write_bytes(box.hosts.read_bytes() + b"9.9.9.9 mine\n")
    killed_at(box, "ftruncate", 1, "down", "--yes")
    theirs = b"127.0.0.1 localhost\n9.9.9.9 mine\n"
    box.hosts.write_bytes(theirs)
    assert "written in part" not in box.gdkreg("status").out
    box.ok("reconfigure")
    box.ok("down", "--yes")
    assert box.hosts.read_bytes() == theirs


def test_down_needs_no_free_space(box: Box) -> None:
    before = box.hosts.read_bytes()
    small = box.root
    assert box.run("mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small), cwd=box.folder).code == 0
    box.run("sh", "-c", f"cat > {small}/gdk.yml", stdin=GDK_YML, cwd=box.folder)
    box.ok("up", "--yes")
    box.run("sh", "-c", "cat /dev/zero > filler 2>/dev/null; cat /dev/zero >> gdk.filler 2>/dev/null")
    assert box.run("sh", "-c", "echo x > more").code != 0, "the disk is full"
    result = box.gdkreg("down", "--yes")
    assert result.code == 0, result
    assert box.hosts.read_bytes() == before
    assert "172.16.123.1" not in box.addresses()
    assert box.listeners(5000) == []
    assert box.run("ls", "-A").out.split() == ["filler", "gdk.filler", "gdk.yml", "more", "registry"]


def test_down_with_a_hosts_file_on_a_full_disk(box: Box) -> None:
    script = (
        "mkdir /run/s; mount -t tmpfs -o size=8k tmpfs /run/s; cp /etc/hosts /run/s/hosts; mount --bind /run/s/hosts /etc/hosts"
    )
    assert box.run("sh", "-c", script).code == 0
    before = box.run("cat", "/etc/hosts").out
    box.ok("reconfigure")
    box.run("sh", "-c", "cat /dev/zero > /run/s/filler 2>/dev/null")
    box.ok("down", "--yes")
    assert box.run("cat", "/etc/hosts").out == before


def test_down_where_the_roots_disk_became_read_only(box: Box) -> None:
    """What lies there is left and named; the rest of the machine is given back."""
    before = box.hosts.read_bytes()
    box.run("mount", "-t", "tmpfs", "tmpfs", str(box.root), cwd=box.folder)
    box.run("sh", "-c", f"cat > {box.root}/gdk.yml", stdin=GDK_YML, cwd=box.folder)
    box.ok("up", "--yes")
    box.ok("stop")
    box.run("mount", "-o", "remount,ro", str(box.root), cwd=box.folder)
    result = box.gdkreg("down", "--yes")
    assert result.code == 1
    assert "read-only file system" in result.out
    assert "left:" in result.out
    assert box.hosts.read_bytes() == before
    assert "172.16.123.1" not in box.addresses()
    box.run("mount", "-o", "remount,rw", str(box.root), cwd=box.folder)
    box.ok("down", "--yes")
    assert "gdkreg" not in box.run("ls", "-A").out
