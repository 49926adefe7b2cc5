"""Who uses how much, and why something is kept."""

from __future__ import annotations

import os
from pathlib import Path

from gdkreg.storage import reader, usage
from gdkreg.storage.layout import Tree
from gdkreg.storage.why import why
from tests.unit.storage.trees import Registry, digest_of


def layer(name: str) -> str:
    return digest_of(f"layer {name}".encode())


def test_a_repository_is_charged_for_what_is_its_own(registry: Registry) -> None:
    one = registry.image("a", "one", "v1", ("base", "one"))
    registry.image("b", "two", "v1", ("base", "two"))
    loose = registry.blob("a", b"loose")
    first, second = usage.by_repository(reader.read(registry.tree))
    size = registry.sizes
    config = digest_of(b'{"name": "one"}')
    assert first.repository == "a"
    assert first.total == size[one] + size[config] + size[layer("base")] + size[layer("one")]
    assert (first.shared, first.unused, first.tags) == (size[layer("base")], size[loose], 1)
    assert second.shared == first.shared


def test_two_tags_on_one_digest_share_all_of_it(registry: Registry) -> None:
    one = registry.image("a", "one", "v1", ("base", "one"))
    registry.tag("a", "latest", one)
    registry.image("a", "two", "v2", ("base", "two"))
    found = {share.tag: share for share in usage.by_tag(reader.read(registry.tree))}
    assert found["v1"].unique == found["latest"].unique == 0
    assert found["v2"].shared == registry.sizes[layer("base")]


def test_layers_are_told_with_who_shares_them(registry: Registry) -> None:
    registry.image("a", "one", "v1", ("base", "a much longer layer"))
    registry.image("b", "two", "v1", ("base",))
    found = usage.by_layer(reader.read(registry.tree))
    assert found[0].digest == layer("a much longer layer")
    (base,) = [share for share in found if share.digest == layer("base")]
    assert (base.repositories, base.manifests) == (("a", "b"), 2)


def test_what_the_removal_of_a_repository_frees(registry: Registry) -> None:
    registry.image("a", "one", "v1", ("base", "one"))
    registry.image("a", "two", "v2", ("base", "two"))
    registry.image("b", "three", "v1", ("base",))
    found = reader.read(registry.tree)
    (share, _) = usage.by_repository(found)
    assert usage.freed_by(found, "a", None) == usage.Freed(share.unique, share.unique)
    assert usage.freed_by(found, "a", ["v1", "v2"]).plain == share.unique


def test_why_goes_from_a_tag_over_an_index_to_a_layer(registry: Registry) -> None:
    image = registry.image("a", "one", layers=("x",))
    index = registry.index("a", [image], "v1")
    registry.tag("a", "v2", image)
    chains = list(why(reader.read(registry.tree), layer("x")))
    assert [(chain.tag, [(step.kind, step.digest) for step in chain.steps]) for chain in chains] == [
        ("v1", [("index", index), ("image", image), ("blob", layer("x"))]),
        ("v2", [("image", image), ("blob", layer("x"))]),
    ]


def test_why_tells_what_only_its_link_keeps_and_nothing_of_what_goes(registry: Registry) -> None:
    image = registry.image("a", "one", layers=("x",))
    registry.image("a", "two", "v1")
    loose = registry.blob("a", b"loose")
    found = reader.read(registry.tree)
    assert [(chain.tag, chain.steps[0].digest) for chain in why(found, layer("x"))] == [("", image)]
    assert list(why(found, loose)) == []


def test_why_tells_of_a_subject(registry: Registry) -> None:
    image = registry.image("a", "one", "v1")
    signature = registry.referrer("a", "signature", image, layers=("s",))
    (chain,) = why(reader.read(registry.tree), layer("s"))
    assert [(step.digest, step.referrer) for step in chain.steps] == [(image, False), (signature, True), (layer("s"), False)]


def test_why_knows_a_referrer_only_in_its_own_repository(registry: Registry) -> None:
    image = registry.image("a", "one", "v1")
    registry.image("b", "one")
    registry.referrer("b", "signature", image, layers=("s",))
    found = reader.read(registry.tree)
    assert {chain.repository for chain in why(found, layer("s"))} == {"b"}


def test_why_tells_of_the_damage_that_keeps_everything(registry: Registry, tmp_path: Path) -> None:
    image = registry.image("a", "one", "v1")
    loose = registry.blob("a", b"loose")
    os.unlink(registry.path / Tree.blob(image) / "data")
    (chain,) = why(reader.read(registry.tree), loose)
    assert chain.problem == f"manifest {image} cannot be used: its data is missing"
