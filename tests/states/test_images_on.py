"""What is in a registry, where names and numbers are large."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.e2e.box import Box
from tests.e2e.test_images import data, push
from tests.e2e.test_images import images as images
from tests.e2e.test_images import up as up

LONG = "/".join(["a" * 40] * 6)  # 245 characters; from 246 on Distribution 2.8 answers 500


def test_names_at_the_grammars_limits(box: Box) -> None:
    names = [LONG, "a-b_c.d__e---f/0", "x"]
    tags = ["_", "A" * 128, "v1.0-rc.1_x", "0"]
    push(box, f"for name in {names}: pushed.image(images, name, *{tags})")
    for name in names:
        assert sorted(box.ok("tags", name).out.splitlines()) == sorted(tags)
        for tag in tags:
            assert data(box, "inspect", f"{name}:{tag}")["tag"] == tag
    for bad in ("A", "a//b", "a:" + "A" * 129, "a:-x", "a" * 256, "a@sha256:1", "../x"):
        assert box.gdkreg("inspect", bad).code == 2, bad


def test_two_pages_and_thousands_of_tags(box: Box, images: dict[str, Any]) -> None:
    """1,500 repositories and one with 5,000 tags, as they lie in the storage."""
    tree = box.root / "registry/storage/docker/registry/v2/repositories"
    digest = images["index"]["digest"]

    def link(path: Path) -> None:
        path.parent.mkdir(parents=True)
        path.write_text(digest)

    for number in range(1500):
        (tree / f"many/r{number:04}/_layers").mkdir(parents=True)
        link(tree / f"many/r{number:04}/_manifests/tags/v1/current/link")
    for number in range(5000):
        link(tree / f"group/app/_manifests/tags/t{number:04}/current/link")
    names = box.ok("catalog").out.splitlines()
    assert len(names) == len(set(names))
    assert [name for name in names if name.startswith("many/")] == [f"many/r{number:04}" for number in range(1500)]
    assert len([row for row in box.ok("catalog", "--tags").out.splitlines() if row.startswith("many/")]) == 1500
    tags = box.ok("tags", "group/app").out.splitlines()
    assert len([tag for tag in tags if tag.startswith("t")]) == 5000
    found = data(box, "tags", "group/app", "--sort", "name")["tags"]
    assert {item["digest"] for item in found if item["tag"].startswith("t")} == {digest}
    assert len(box.ok("tags", "group/app", "--limit", "7").out.splitlines()) == 7
    summary = data(box, "inspect", "group/app")
    assert (summary["tags"], summary["partly"]) == (5005, True)
    begin = time.monotonic()
    shared = data(box, "inspect", "group/app:1")
    assert shared["shares_partly"] is True, time.monotonic() - begin
