"""Where something is missing or unreadable it is told, and nothing that it could make look unused is taken."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gdkreg.storage import reader, unused
from gdkreg.storage.graph import Graph
from gdkreg.storage.layout import Tree
from tests.unit.storage.trees import Registry, digest_of, remove

NOW = time.time()


class Damaged:
    """Repository `app`: an index `v1` of two images, an image `v2`, an untagged one, a deleted one. `other` has its own."""

    def __init__(self, registry: Registry) -> None:
        self.registry, self.path = registry, registry.path
        self.amd64 = registry.image("app", "amd64", layers=("base", "amd64"))
        self.arm64 = registry.image("app", "arm64", layers=("base", "arm64"))
        self.index = registry.index("app", [self.amd64, self.arm64], "v1")
        self.image = registry.image("app", "two", "v2", ("base", "two"))
        self.untagged = registry.image("app", "untagged", layers=("untagged",))
        deleted = registry.image("app", "deleted", layers=("deleted",))
        registry.delete("app", deleted)
        registry.image("other", "kept", "v1", ("kept",))
        self.orphan = registry.data(b"nobody's")
        self.app = {digest for digest in registry.sizes if digest != self.orphan} - {deleted}

    def data(self, digest: str) -> Path:
        return self.path / Tree.blob(digest) / "data"

    def link(self, digest: str) -> Path:
        return self.path / Tree.revision("app", digest) / "link"


@pytest.fixture
def damaged(registry: Registry) -> Damaged:
    return Damaged(registry)


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def unlistable(path: Path) -> None:
    """As root permissions do not count: a loop of symlinks cannot be listed by anybody."""
    remove(path)
    path.symlink_to(path.name)


def turned(path: Path) -> None:
    """The same bytes, elsewhere."""
    path.rename(path.parent / "moved")
    path.symlink_to("moved")


OF_REPOSITORY: dict[str, Callable[[Damaged], None]] = {
    "a tag's link is missing": lambda at: os.unlink(at.path / Tree.tag("app", "v2") / "current/link"),
    "a tag's current is missing": lambda at: remove(at.path / Tree.tag("app", "v1") / "current"),
    "a tag's link has a newline": lambda at: write(at.path / Tree.tag("app", "v1") / "current/link", f"{at.index}\n".encode()),
    "a tag's link is empty": lambda at: write(at.path / Tree.tag("app", "v2") / "current/link", b""),
    "a tag's link is a symlink": lambda at: turned(at.path / Tree.tag("app", "v2") / "current/link"),
    "a tagged manifest has no link": lambda at: os.unlink(at.link(at.image)),
    "a tagged index has no link": lambda at: os.unlink(at.link(at.index)),
    "a manifest's link tells another digest": lambda at: write(at.link(at.untagged), at.orphan.encode()),
    "a manifest's link is no digest": lambda at: write(at.link(at.untagged), b"x"),
    "a tagged manifest has no data": lambda at: os.unlink(at.data(at.image)),
    "a tagged index has no data": lambda at: os.unlink(at.data(at.index)),
    "an untagged manifest has no data": lambda at: os.unlink(at.data(at.untagged)),
    "a child has no data": lambda at: remove(at.data(at.arm64).parent),
    "a manifest is no JSON": lambda at: write(at.data(at.image), b"\x00" * 10),
    "a manifest is cut": lambda at: write(at.data(at.index), at.data(at.index).read_bytes()[:-5]),
    "a manifest has a flipped bit": lambda at: write(
        at.data(at.image), at.data(at.image).read_bytes().replace(b"tar", b"tas", 1)
    ),
    "a manifest is another one": lambda at: write(at.data(at.index), b'{"schemaVersion":2,"manifests":[]}'),
    "a manifest's data is a symlink": lambda at: turned(at.data(at.image)),
    "the folder of tags is missing": lambda at: remove(at.path / "repositories/app/_manifests/tags"),
    "a tag is a symlink": lambda at: unlistable(at.path / Tree.tag("app", "v1")),
}
UNBOUNDED: dict[str, Callable[[Damaged], None]] = {
    "the folder of tags is a symlink": lambda at: unlistable(at.path / "repositories/app/_manifests/tags"),
    "_layers is missing": lambda at: remove(at.path / "repositories/app/_layers"),
    "_layers is a symlink": lambda at: unlistable(at.path / "repositories/app/_layers"),
    "revisions is missing": lambda at: remove(at.path / "repositories/app/_manifests/revisions"),
    "revisions is a symlink": lambda at: unlistable(at.path / "repositories/app/_manifests/revisions"),
    "revisions/sha256 is a symlink": lambda at: unlistable(at.path / "repositories/app/_manifests/revisions/sha256"),
    "a revision's folder is no digest": lambda at: os.rename(at.link(at.image).parent, at.link(at.image).parents[1] / "x"),
    "a revision has another algorithm": lambda at: os.rename(at.link(at.image).parents[1], at.link(at.image).parents[2] / "md5"),
    "repositories is missing": lambda at: remove(at.path / "repositories"),
    "a repository is a symlink": lambda at: unlistable(at.path / "repositories/app"),
    "_manifests is a symlink": lambda at: unlistable(at.path / "repositories/app/_manifests"),
}


@pytest.mark.parametrize("untagged", [False, True])
@pytest.mark.parametrize("damage", OF_REPOSITORY)
def test_damage_in_a_repository_keeps_all_that_it_could_refer_to(damaged: Damaged, damage: str, untagged: bool) -> None:
    OF_REPOSITORY[damage](damaged)
    found = reader.read(damaged.registry.tree)
    assert [problem.holds for problem in found.problems if problem.repository == "app"].count("repository") >= 1, found.problems
    taken = unused.collectable(found, untagged=untagged, now=NOW)
    assert not set(taken.blobs) & damaged.app
    assert not [item for item in (*taken.revisions, *taken.layers) if item[0] == "app"]
    assert taken.held


@pytest.mark.parametrize("damage", OF_REPOSITORY)
def test_what_no_repository_knows_is_taken_all_the_same(damaged: Damaged, damage: str) -> None:
    OF_REPOSITORY[damage](damaged)
    taken = unused.collectable(reader.read(damaged.registry.tree), untagged=False, now=NOW)
    assert (damaged.orphan in taken.blobs) == (damage != "a manifest's link tells another digest")


@pytest.mark.parametrize("untagged", [False, True])
@pytest.mark.parametrize("damage", UNBOUNDED)
def test_damage_without_bounds_keeps_everything(damaged: Damaged, damage: str, untagged: bool) -> None:
    damaged.registry.upload("other", "stale", "2020-01-01T00:00:00Z")
    UNBOUNDED[damage](damaged)
    found = reader.read(damaged.registry.tree)
    assert found.held
    taken = unused.collectable(found, untagged=untagged, now=NOW)
    uploads = damage != "repositories is missing"
    assert (taken.blobs, taken.layers, taken.revisions, len(taken.uploads)) == ({}, [], [], uploads)


@pytest.mark.parametrize("untagged", [False, True])
def test_what_a_broken_tag_has_been_on_stays_by_its_manifest(damaged: Damaged, untagged: bool) -> None:
    layer = digest_of(b"layer two")
    os.unlink(damaged.path / Tree.tag("app", "v2") / "current/link")
    remove(damaged.path / Tree.revision("app", damaged.image))
    remove(damaged.path / Tree.layer("app", layer))
    taken = unused.collectable(reader.read(damaged.registry.tree), untagged=untagged, now=NOW)
    assert not set(taken.blobs) & {damaged.image, layer}


def test_what_is_told_names_repository_place_and_cause(damaged: Damaged) -> None:
    os.unlink(damaged.data(damaged.image))
    (problem,) = reader.read(damaged.registry.tree).problems
    assert (problem.repository, problem.path) == ("app", f"{Tree.blob(damaged.image)}/data")
    assert problem.what == f"manifest {damaged.image} cannot be used: its data is missing"


def test_a_deleted_manifest_is_no_damage(damaged: Damaged) -> None:
    assert reader.read(damaged.registry.tree).problems == []


def told(found: Graph) -> list[str]:
    assert not any(problem.holds for problem in found.problems), found.problems
    return [problem.what for problem in found.problems]


def test_a_missing_layer_is_told_and_bounds_nothing(damaged: Damaged) -> None:
    layer = digest_of(b"layer two")
    os.unlink(damaged.data(layer))
    found = reader.read(damaged.registry.tree)
    assert told(found) == [f"{layer} of manifest {damaged.image} is missing"]
    assert damaged.orphan in unused.collectable(found, untagged=False, now=NOW).blobs


def test_a_missing_link_of_a_layer_is_told_and_the_layer_stays(damaged: Damaged) -> None:
    layer = digest_of(b"layer two")
    remove(damaged.path / Tree.layer("app", layer))
    found = reader.read(damaged.registry.tree)
    assert told(found) == [f"{layer} of manifest {damaged.image} has no link"]
    assert layer not in unused.collectable(found, untagged=True, now=NOW).blobs


def test_a_child_without_a_link_is_told_and_stays(damaged: Damaged) -> None:
    os.unlink(damaged.link(damaged.arm64))
    found = reader.read(damaged.registry.tree)
    assert told(found) == [f"{damaged.arm64}, a child of index {damaged.index}, has no link"]
    taken = unused.collectable(found, untagged=True, now=NOW)
    assert not set(taken.blobs) & {damaged.arm64, digest_of(b"layer arm64")}


def test_a_flipped_bit_in_a_layer_is_seen_with_verify(damaged: Damaged) -> None:
    layer = digest_of(b"layer two")
    write(damaged.data(layer), b"layer twO")
    assert reader.read(damaged.registry.tree).problems == []
    seen: list[tuple[int, int]] = []
    found = reader.read(damaged.registry.tree, verify=True, progress=lambda done, total: seen.append((done, total)))
    assert told(found) == [f"the bytes of {layer} are not those of its digest"]
    assert layer not in unused.collectable(found, untagged=True, now=NOW).blobs
    assert seen[-1][0] == seen[-1][1] > 0


def test_a_symlink_is_told_and_what_it_leads_to_is_not_moved(damaged: Damaged, tmp_path: Path) -> None:
    folder = damaged.data(damaged.orphan).parent
    os.rename(folder, tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    found = reader.read(damaged.registry.tree)
    assert told(found) == ["a symlink stands where Distribution makes none"]
    assert damaged.orphan not in unused.collectable(found, untagged=False, now=NOW).blobs
