"""Random graphs of images: after a collection everything that is meant to stay is whole, and a restore gives the tree back."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gdkreg.storage import reader, trash, unused, usage
from gdkreg.storage.layout import Tree
from tests.unit.storage.trees import Registry, digest_of, remove, snapshot

NOW = time.time()
REPOSITORIES = ("a", "a/b", "c")
TAGS = st.sampled_from(["", "", "v1", "v2", "latest"])
LAYERS = st.lists(st.sampled_from("stuvwxyz"), max_size=4, unique=True)
NUMBER = st.integers(0, 7)

STEP = st.one_of(
    st.tuples(st.just("image"), LAYERS, TAGS),
    st.tuples(st.just("index"), st.lists(NUMBER, max_size=3, unique=True), TAGS),
    st.tuples(st.just("referrer"), NUMBER, LAYERS),
    st.tuples(st.just("fallback"), NUMBER, st.lists(NUMBER, max_size=2, unique=True)),
    st.tuples(st.just("retag"), NUMBER, TAGS),
    st.tuples(st.just("untag"), TAGS, st.none()),
    st.tuples(st.just("delete"), NUMBER, st.none()),
    st.tuples(st.just("blob"), st.sampled_from("loose"), st.none()),
)
STEPS = st.lists(st.tuples(st.sampled_from(REPOSITORIES), STEP), max_size=25)


def play(registry: Registry, steps: Any) -> None:
    pushed: dict[str, list[str]] = {name: [] for name in REPOSITORIES}
    for number, (repository, (kind, one, two)) in enumerate(steps):
        mine = pushed[repository]
        linked = [item for item in mine if (registry.path / Tree.revision(repository, item) / "link").exists()]
        pick = [linked[item] for item in (one if kind == "index" else two or ()) if isinstance(item, int) and item < len(linked)]
        at = linked[one % len(linked)] if isinstance(one, int) and linked else ""
        if kind == "image":
            mine.append(registry.image(repository, f"image {len(one)}", two, tuple(one)))
        elif kind == "index":
            mine.append(registry.index(repository, pick, two))
        elif kind == "referrer" and at:
            mine.append(registry.referrer(repository, f"referrer {number}", at, tuple(two)))
        elif kind == "fallback" and at:
            mine.append(registry.index(repository, pick, at.replace(":", "-")))
        elif kind == "retag" and at and two:
            registry.tag(repository, two, at)
        elif kind == "untag" and one and (registry.path / Tree.tag(repository, one)).exists():
            remove(registry.path / Tree.tag(repository, one))
        elif kind == "delete" and at:
            registry.delete(repository, at)
        elif kind == "blob":
            registry.blob(repository, one.encode())
        # Distribution never takes the folder of tags away.
        if (registry.path / f"repositories/{repository}/_manifests").exists():
            (registry.path / f"repositories/{repository}/_manifests/tags").mkdir(exist_ok=True)


def links(registry: Registry, repository: str) -> tuple[set[str], set[str]]:
    """The linked and the tagged digests of a repository, read the plain way."""
    top = registry.path / "repositories" / repository / "_manifests"
    linked = {path.read_text() for path in top.glob("revisions/*/*/link")}
    return linked, {path.read_text() for path in top.glob("tags/*/current/link")}


def named(registry: Registry, digest: str) -> tuple[set[str], set[str], str]:
    """What a manifest names: blobs, children, subject."""
    content = json.loads((registry.path / Tree.blob(digest) / "data").read_bytes())
    blobs = {item["digest"] for item in [content.get("config"), *content.get("layers", [])] if item}
    children = {item["digest"] for item in content.get("manifests", [])}
    return blobs, children, content.get("subject", {}).get("digest", "")


def staying(registry: Registry, repository: str, untagged: bool) -> set[str]:
    """The manifests that have to stay: again and again over all of them, until nothing is added."""
    linked, tagged = links(registry, repository)
    kept = set(tagged) if untagged else linked | tagged
    while True:
        children = {child for digest in kept for child in named(registry, digest)[1]}
        referrers = {digest for digest in linked if named(registry, digest)[2] in kept}
        if children | referrers <= kept:
            return kept
        kept |= children | referrers


def whole(registry: Registry, repository: str, digest: str) -> None:
    """As a client pulls it: every byte, and the links without which the registry answers 404."""
    blobs, children, _ = named(registry, digest)
    for blob in {digest, *blobs}:
        assert digest_of((registry.path / Tree.blob(blob) / "data").read_bytes()) == blob
    for blob in blobs:
        assert (registry.path / Tree.layer(repository, blob) / "link").read_text() == blob
    for child in children:
        whole(registry, repository, child)


@settings(max_examples=100)
@given(STEPS, st.booleans())
def test_what_has_to_stay_is_whole_and_a_restore_gives_the_tree_back(steps: Any, untagged: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        registry = Registry(Path(folder) / "storage")
        play(registry, steps)
        before = snapshot(registry.path)
        keep = {name: staying(registry, name, untagged) for name in REPOSITORIES}
        found = reader.read(registry.tree)
        assert not any(problem.holds for problem in found.problems)
        planned = unused.collectable(found, untagged=untagged, now=NOW)
        assert unused.freed(found, untagged=untagged, now=NOW) == planned.bytes
        blobs = {blob for digests in keep.values() for digest in digests for blob in {digest, *named(registry, digest)[0]}}
        assert set(planned.blobs) == set(found.blobs) - blobs
        run = trash.move(registry.tree, planned, Path(folder) / "trash/run", now=NOW)
        for name, digests in keep.items():
            for digest in digests:
                whole(registry, name, digest)
            assert (
                links(registry, name)[0] >= digests & found.repositories[name].revisions if name in found.repositories else True
            )
        again = unused.collectable(reader.read(registry.tree), untagged=untagged, now=NOW)
        assert again.places == []
        assert [change.before for change in again.repositories] == [change.after for change in planned.repositories]
        trash.restore(registry.tree, run)
        assert snapshot(registry.path) == before


@settings(max_examples=100)
@given(STEPS, st.sampled_from(REPOSITORIES), st.sets(st.sampled_from(["v1", "v2", "latest"])))
def test_what_is_told_to_be_freed_is_what_a_collection_takes_more(steps: Any, repository: str, tags: set[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        registry = Registry(Path(folder))
        play(registry, steps)
        found = reader.read(registry.tree)
        if repository not in found.repositories:
            return
        told = usage.freed_by(found, repository, tags)
        before = [unused.collectable(found, untagged=untagged, now=NOW).bytes for untagged in (False, True)]
        _, left = links(registry, repository)
        for tag in tags & found.repositories[repository].tags.keys():
            remove(registry.path / Tree.tag(repository, tag))
        _, stay = links(registry, repository)
        for digest in left - stay:
            if (link := registry.path / Tree.revision(repository, digest) / "link").exists():
                link.unlink()
        after = reader.read(registry.tree)
        freed = [unused.collectable(after, untagged=untagged, now=NOW).bytes for untagged in (False, True)]
        assert [told.plain, told.untagged] == [later - now for later, now in zip(freed, before, strict=True)]
