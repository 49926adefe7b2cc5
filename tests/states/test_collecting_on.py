"""gc and rm in the states that take longer: killed, raced with, beside another registry, after days."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from tests.e2e.box import GDK_YML, Box
from tests.e2e.pushing import push
from tests.e2e.test_collecting import TREE, pulls, tags, tree
from tests.e2e.test_collecting import images as images
from tests.e2e.test_collecting import up as up


def test_a_killed_gc_is_put_right_by_the_next_command(up: Box, images: dict[str, str]) -> None:
    up.ok("rm", "other:a", "other:b", "--yes")
    before = tree(up)
    for delay in (0.3, 0.6, 0.9, 1.2, 1.5):
        running = up.popen("gdkreg", "gc", "--yes")
        time.sleep(delay)
        for child in Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        running.kill()
        running.wait()
        up.ok("start")
        push(up, {"name": "x", "repository": "group/app/nested", "tags": ["x"], "layers": ["base", "nested"]})
        assert pulls(up, "group/app:both"), delay
        up.gdkreg("gc", "restore", "--yes")
    assert {name for name in tree(up) if "/blobs/" in name} >= {name for name in before if "/blobs/" in name}
    assert images


def test_a_push_that_races_with_gc_is_whole_or_refused(up: Box, images: dict[str, str]) -> None:
    """The layers are ones that are just being collected: what a registry remembers of them must not count."""
    del images
    complete: list[str] = []
    ended = threading.Event()

    def pushing(worker: int) -> None:
        number = 0
        while not ended.is_set():
            number += 1
            name = f"race{worker}x{number}"
            with contextlib.suppress(AssertionError):  # refused
                push(up, {"name": name, "repository": "group/race", "tags": [name], "layers": ["base", f"shared {worker}"]})
                complete.append(name)
            up.gdkreg("rm", f"group/race:{name}", "--yes") if number % 2 else None

    workers = [threading.Thread(target=pushing, args=(worker,)) for worker in range(2)]
    for worker in workers:
        worker.start()
    for _ in range(4):
        up.gdkreg("gc", "--untagged", "--yes")
    ended.set()
    for worker in workers:
        worker.join()
    there = tags(up, "group/race") if "group/race" in up.ok("catalog").out.split() else set()
    assert complete
    for name in there:
        assert pulls(up, f"group/race:{name}"), name
    assert {name for name in complete if int(name.partition("x")[2]) % 2 == 0} <= there
    up.ok("rm", "group/race", "--yes")


def test_the_registrys_own_collection_runs_where_it_loses_nothing(up: Box, images: dict[str, str]) -> None:
    refused = up.gdkreg("gc", "--engine", "registry", "--untagged", "--yes")
    assert (refused.code, "would lose data" in refused.err) == (1, True)
    assert pulls(up, "group/app:both")
    up.ok("rm", "group/app:v2", "other:a", "other:b", "--yes")
    done = json.loads(up.ok("gc", "--engine", "registry", "--yes", "--json").out)
    assert done["deleted"] > 0
    assert pulls(up, "group/app:both")
    assert not (up.root / TREE / "blobs/sha256" / images["old"][7:9] / images["old"][7:]).exists()
    push(up, {"name": "after", "repository": "other", "tags": ["after"]})
    assert pulls(up, "other:after")


def test_a_trash_that_is_old_is_emptied_and_the_registry_runs_on(up: Box, images: dict[str, str]) -> None:
    del images
    up.ok("rm", "other:a", "other:b", "--yes")
    up.ok("gc", "--untagged", "--yes")
    (state,) = (up.root / "registry/trash").glob("*/run.json")
    told = json.loads(state.read_text())
    state.write_text(json.dumps({**told, "made": told["made"] - 8 * 86400}))
    up.ok("rm", "group/app:v2", "--yes")
    assert "emptied" in up.ok("gc", "--untagged", "--yes").out
    assert not state.exists()
    assert pulls(up, "group/app:v1")


def test_gc_with_stop_is_undone_with_the_registry_running(up: Box, images: dict[str, str]) -> None:
    up.ok("rm", "other:a", "other:b", "--yes")
    up.ok("gc", "--untagged", "--stop", "--yes")
    up.ok("undo", "--yes")
    assert pulls(up, "group/app:v1")
    assert (up.root / TREE / "blobs/sha256" / images["old"][7:9] / images["old"][7:]).exists()


def test_another_registry_on_the_same_storage_keeps_gc_out(up: Box, images: dict[str, str]) -> None:
    del images
    up.ok("rm", "group/app:v2", "--yes")
    up.ok("stop", "registry")
    theirs = "import socket, time; s = socket.create_server(('172.16.123.1', 5000)); time.sleep(30)"
    running = up.popen(sys.executable, "-c", theirs)
    time.sleep(0.5)
    for command in (("gc", "--untagged", "--yes"), ("gc", "--untagged", "--stop", "--yes"), ("rm", "other", "--yes")):
        refused = up.gdkreg(*command)
        assert (refused.code, "is held by" in refused.err) == (1, True), command
    for child in Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)
    running.kill()
    running.wait()
    up.ok("start")


def test_the_trash_outlives_down_and_is_told_of(up: Box, images: dict[str, str]) -> None:
    del images
    up.ok("rm", "other", "--yes")
    assert "registry/trash" in up.ok("down", "--yes").out
    up.ok("up", "--yes")
    up.ok("gc", "restore", "--yes")
    assert tags(up, "other") == {"a", "b"}


def test_the_policy_and_the_collection_are_told_as_they_are_done(up: Box, images: dict[str, str]) -> None:
    del images
    up.ok("config", "set", "registry.cleanup.remove", "a|b|feature-1")
    told = json.loads(up.ok("gc", "--cleanup", "--dry-run", "--json").out)
    done = json.loads(up.ok("gc", "--cleanup", "--yes", "--json").out)
    assert [item["text"] for item in told["actions"]] == [item["text"] for item in done["actions"]]
    assert told["places"] == done["places"]
    assert done["blobs"]
    assert {item["tag"] for item in done["cleanup"]["decisions"]["other"] if item["removed"]} == {"a", "b"}
    up.ok("stop", "registry")
    result = up.ok("gc", "--cleanup", "--yes")
    assert "no tag went" in result.out, "which keeps nobody from collecting"
    up.ok("start")
    (up.root / "gdk.yml").write_text(GDK_YML)


def test_what_was_half_moved_is_given_back_without_a_mark_too_and_never_emptied(up: Box, images: dict[str, str]) -> None:
    del images
    up.ok("rm", "other:a", "other:b", "--yes")
    before = tree(up)
    up.ok("gc", "--untagged", "--yes")
    (state,) = (up.root / "registry/trash").glob("*/run.json")
    state.write_text(json.dumps({**json.loads(state.read_text()), "state": "moving"}))
    up.ok("gc", "empty", "--yes")
    assert tree(up) == before


def test_a_damaged_mark_locks_nobody_out(up: Box, images: dict[str, str]) -> None:
    del images
    for name in ("collecting", "untagging"):
        for command in (("start",), ("down", "--yes")):
            (up.root / ".gdkreg" / name).write_bytes(b"\xff\xfe")
            (up.root / ".gdkreg" / name).chmod(0o600)
            up.ok(*command)
            assert name == "untagging" or not (up.root / ".gdkreg" / name).exists()
        up.ok("up", "--yes")
