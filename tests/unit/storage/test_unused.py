"""What a collection takes from trees without damage."""

from __future__ import annotations

import json
import time

import pytest

from gdkreg.registry import manifests
from gdkreg.storage import reader, unused
from gdkreg.storage.layout import Tree
from tests.unit.storage.trees import LAYER, Registry, digest_of, snapshot

NOW = time.time()


def collect(registry: Registry, *, untagged: bool = False) -> unused.Collection:
    found = reader.read(registry.tree)
    assert found.problems == []
    return unused.collectable(found, untagged=untagged, now=NOW)


def layer(name: str) -> str:
    return digest_of(f"layer {name}".encode())


def test_a_tree_that_is_not_there_yet_is_empty() -> None:
    found = reader.read(Tree("/nonexistent/docker/registry/v2"))
    assert (found.blobs, found.repositories, found.problems) == ({}, {}, [])


def test_what_is_tagged_stays_and_what_nothing_names_goes(registry: Registry) -> None:
    registry.image("group/app", "one", "v1", ("base", "one"))
    loose = registry.blob("group/app", b"of a push that broke off")
    before = snapshot(registry.path)
    found = collect(registry)
    assert list(found.blobs) == [loose]
    assert found.layers == [("group/app", loose)]
    assert found.places == [Tree.layer("group/app", loose), Tree.blob(loose)]
    assert [change.before - change.after for change in found.repositories] == [registry.sizes[loose]] == [found.bytes]
    assert snapshot(registry.path) == before


def test_a_layer_is_not_taken_while_another_repository_uses_it(registry: Registry) -> None:
    old = registry.image("a", "old", layers=("base", "old"))
    registry.image("b", "new", "v1", ("base",))
    registry.delete("a", old)
    found = collect(registry)
    assert layer("base") not in found.blobs
    assert {old, layer("old")} <= set(found.blobs)
    assert ("a", layer("base")) not in found.layers


def test_untagged_manifests_go_only_when_asked(registry: Registry) -> None:
    old = registry.image("app", "old", "v1", ("base", "old"))
    registry.image("app", "new", "v1", ("base", "new"))
    assert not collect(registry).blobs
    found = collect(registry, untagged=True)
    assert {old, layer("old")} <= set(found.blobs)
    assert layer("base") not in found.blobs
    assert found.revisions == [("app", old)]
    assert found.history == [("app", "v1", old)]


def test_children_of_indexes_in_indexes_stay(registry: Registry) -> None:
    children = [registry.image("app", name, layers=(name,)) for name in ("amd64", "arm64")]
    inner = registry.index("app", children)
    registry.index("app", [inner], "v1")
    assert not collect(registry, untagged=True).blobs


def test_referrers_stay_with_their_subject_and_go_with_it(registry: Registry) -> None:
    image = registry.image("app", "one", "v1")
    signature = registry.referrer("app", "signature", image, layers=("signature",))
    about = registry.referrer("app", "about the signature", signature)
    untagged = registry.image("app", "two")
    gone = registry.referrer("app", "about two", untagged)
    found = collect(registry, untagged=True)
    assert {digest for _, digest in found.revisions} == {untagged, gone}
    assert not {image, signature, about, layer("signature")} & set(found.blobs)


def test_referrers_of_the_fallback_tag_stay(registry: Registry) -> None:
    image = registry.image("app", "one", "v1")
    plain = registry.image("app", "no subject", layers=("sbom",))
    registry.index("app", [plain], image.replace(":", "-"))
    assert not collect(registry, untagged=True).blobs


def test_an_untagged_digest_of_one_repository_stays_for_the_tag_of_another(registry: Registry) -> None:
    registry.image("a", "other", "v1")
    digest = registry.image("a", "one")
    assert registry.image("b", "one", "v1") == digest
    found = collect(registry, untagged=True)
    assert not found.blobs
    assert found.revisions == [("a", digest)]


def test_foreign_layers_need_not_be_there(registry: Registry) -> None:
    config = registry.blob("app", b"{}")
    foreign = registry.descriptor(digest_of(b"windows"), LAYER, urls=["https://elsewhere.example/x"])
    content = {"schemaVersion": 2, "config": registry.descriptor(config, "x"), "layers": [foreign]}
    registry.manifest("app", json.dumps(content).encode(), manifests.OCI_MANIFEST, "v1")
    assert not collect(registry, untagged=True).blobs


def test_an_index_may_name_layers_as_build_caches_do(registry: Registry) -> None:
    cached = registry.blob("app", b"cached")
    registry.index("app", [cached], "cache")
    assert not collect(registry, untagged=True).blobs


def test_a_child_is_a_manifest_where_its_link_is_whatever_its_index_calls_it(registry: Registry) -> None:
    child = registry.image("app", "one", layers=("one",))
    registry.types[child] = "application/json"
    registry.index("app", [child], "v1")
    assert not collect(registry, untagged=True).blobs


def test_an_empty_index_needs_no_folder_of_layers(registry: Registry) -> None:
    registry.index("app", [], "marker")
    found = reader.read(registry.tree)
    assert found.problems == []


def test_repositories_may_lie_in_each_others_names(registry: Registry) -> None:
    for name in ("a", "a/b", "a/b/c", "b"):
        registry.image(name, name, "v1", (name,))
    found = reader.read(registry.tree)
    assert list(found.repositories) == ["a", "a/b", "a/b/c", "b"]
    assert not unused.collectable(found, untagged=True, now=NOW).blobs


def test_sha512_is_a_digest_too(registry: Registry) -> None:
    import hashlib

    digest = f"sha512:{hashlib.sha512(b'x').hexdigest()}"
    registry.file(f"{Tree.blob(digest)}/data", b"x")
    registry.image("app", "one", "v1")
    assert list(collect(registry).blobs) == [digest]


@pytest.mark.parametrize("untagged", [False, True])
def test_uploads_are_judged_by_when_they_began(registry: Registry, untagged: bool) -> None:
    registry.image("app", "one", "v1")

    def at(seconds: float) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW - seconds))

    registry.upload("app", "old", at(7300))
    registry.upload("app", "young", at(7000))
    registry.upload("app", "cancelled")
    registry.upload("app", "unreadable", "yesterday")
    found = collect(registry, untagged=untagged)
    assert [upload.id for _, upload in found.uploads] == ["old"]
    later = unused.collectable(reader.read(registry.tree), untagged=untagged, now=time.time() + 7300)
    assert {upload.id for _, upload in later.uploads} == {"old", "young", "cancelled", "unreadable"}
