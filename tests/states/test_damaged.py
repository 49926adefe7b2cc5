"""Each state file damaged in each way: one sentence, and a way back."""

from __future__ import annotations

import os

import pytest

from tests.e2e.box import Box
from tests.e2e.test_strangers import GDK_YML, settled


@pytest.fixture
def box(lone_box: Box) -> Box:
    lone_box.configure(GDK_YML)
    return lone_box


def _damages() -> list[tuple[str, bytes]]:
    contents = [b"", b"\xff\xfe\x00", b'{"pid": -1, "started": 1}', b'"' + b"a" * 9_000_000]
    names = [
        "id",
        "journal.jsonl",
        "applied.json",
        "registry.pid",
        "auth.pid",
        "runtime",
        "http_secret",
        "first_user",
        "trace",
        "collecting",
        "untagging",
    ]
    return [(name, content) for name in names for content in contents]


def test_every_state_file_damaged_in_every_way_is_one_sentence_and_down_works(box: Box) -> None:
    box.configure(GDK_YML.replace("auth_enabled: false", "auth_enabled: true"))
    settled_before = settled(box)
    for name, content in _damages():
        box.ok(*(["up", "--yes"] if name in {"registry.pid", "auth.pid", "runtime"} else ["reconfigure", "--yes"]))
        (box.root / ".gdkreg" / name).write_bytes(content)
        (box.root / ".gdkreg" / name).chmod(0o600)
        for command in (["status"], ["reconfigure", "--yes"]):
            result = box.gdkreg(*command)
            said = result.err + result.out
            assert "Traceback" not in said, (name, content[:20], result)
            assert "bug in gdkreg" not in said, (name, content[:20], result)
            assert result.err.count("gdkreg:") <= 1
        result = box.gdkreg("down", "--yes")
        assert result.code == 0, (name, content[:20], result)
        assert settled(box) == settled_before, (name, content[:20], result)
        assert box.listeners(5000) == box.listeners(5001) == [], (name, content[:20], result)
        assert sorted(set(os.listdir(box.root)) - {"registry"}) == ["gdk.yml"], (name, content[:20])
