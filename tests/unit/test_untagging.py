"""Which way each tag goes, and that no other one does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdkreg.errors import GdkregError
from gdkreg.registry import manifests, untagging
from gdkreg.registry.answers import AnswerError
from gdkreg.registry.manifests import OCI_INDEX, OCI_MANIFEST, Descriptor, Manifest
from gdkreg.registry.untagging import Removal, Tagged


def image(name: str) -> Manifest:
    body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [], "annotations": {"name": name}}
    body["config"] = {"mediaType": "x/y", "digest": manifests.digest_of(b"{}"), "size": 2}
    return manifests.parse(json.dumps(body).encode())


def index(*children: Manifest) -> Manifest:
    listed = [{"mediaType": item.media_type, "digest": item.digest, "size": len(item.content)} for item in children]
    return manifests.parse(json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode())


class Registry:
    """Tags and manifests of one repository. `by_name`: it untags by name, as Distribution 3; else digests only, as 2.8."""

    def __init__(self, tags: Mapping[str, Manifest], *, by_name: bool, greedy: bool = False) -> None:
        self.tags = {name: manifest.digest for name, manifest in tags.items()}
        self.kept = {manifest.digest: manifest for manifest in tags.values()}
        self.by_name, self.greedy = by_name, greedy

    def tags_of(self, _: str) -> list[str]:
        return list(self.tags)

    def manifest(self, _: str, reference: str) -> Manifest:
        digest = self.tags.get(reference, reference)
        if digest not in self.kept:
            raise AnswerError("no such manifest", 404)
        return self.kept[digest]

    def head(self, repository: str, reference: str) -> Descriptor | None:
        try:
            found = self.manifest(repository, reference)
        except AnswerError:
            return None
        return Descriptor(found.digest, found.media_type, len(found.content))

    def put_manifest(self, _: str, reference: str, content: bytes, media_type: str) -> str:
        manifest = manifests.parse(content, media_type)
        self.kept[manifest.digest] = manifest
        self.tags[reference] = manifest.digest
        return manifest.digest

    def delete(self, _: str, reference: str) -> bool:
        if ":" not in reference and not self.by_name:
            raise AnswerError("DELETE answered 400", 400, "DIGEST_INVALID")
        if ":" not in reference:
            digest = self.tags.pop(reference, "")
            if self.greedy:
                self.kept.pop(digest, None)
            return bool(digest)
        self.tags = {name: digest for name, digest in self.tags.items() if digest != reference}
        return self.kept.pop(reference, None) is not None


def tagged(tags: Mapping[str, Manifest], parents: Mapping[str, frozenset[str]] | None = None) -> Tagged:
    digests = {name: manifest.digest for name, manifest in tags.items()}
    return Tagged("a", digests, {manifest.digest: manifest for manifest in tags.values()}, parents or {})


def ways(found: Sequence[Removal]) -> list[tuple[tuple[str, ...], str]]:
    return [(item.tags, item.by) for item in found]


ONE, TWO, THREE = image("one"), image("two"), image("three")


def test_a_digest_goes_with_the_last_of_its_tags_only() -> None:
    tags = {"v1": ONE, "v1.0": ONE, "v2": TWO}
    assert ways(untagging.removals(tagged(tags), ["v1"])) == [(("v1",), "tag")]
    assert ways(untagging.removals(tagged(tags), ["v1.0", "v1", "v1"])) == [(("v1.0", "v1"), "digest")]
    assert ways(untagging.removals(tagged(tags), ["v2"])) == [(("v2",), "digest")]


def test_what_an_index_that_stays_names_stays() -> None:
    tags = {"amd": ONE, "both": index(ONE, TWO)}
    (removal,) = untagging.removals(tagged(tags), ["amd"])
    assert (removal.by, removal.parents) == ("tag", (tags["both"].digest,))
    assert "is part of" in removal.reason
    assert {item.by for item in untagging.removals(tagged(tags), ["amd", "both"])} == {"digest"}, "its index goes too"


def test_an_index_without_a_tag_counts_where_the_storage_tells_of_it() -> None:
    found = tagged({"amd": ONE}, {ONE.digest: frozenset(["sha256:" + "a" * 64])})
    assert ways(untagging.removals(found, ["amd"])) == [(("amd",), "tag")]


def test_the_reason_says_who_else_has_it() -> None:
    tags = dict.fromkeys("abcdef", ONE)
    (removal,) = untagging.removals(tagged(tags), ["a"])
    assert removal.reason.endswith("stays: b, c, d and 2 more have it too")
    (removal,) = untagging.removals(tagged({"a": ONE, "b": ONE}), ["a"])
    assert removal.reason.endswith("stays: b has it too")
    (removal,) = untagging.removals(tagged(tags), "abcdef")
    assert removal.name == "a:a, b, c and 3 more"
    assert "all 6 tags" in removal.reason


def registry(found: Registry) -> Any:
    found.tags_by_name = found.tags  # type: ignore[attr-defined]
    return found


KINDS = [ONE, TWO, THREE, index(ONE), index(ONE, TWO), index(index(ONE), THREE)]


@given(
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=8),
    st.sets(st.integers(0, 7)),
    st.booleans(),
)
def test_no_other_tag_is_touched(of: list[Manifest], going: set[int], by_name: bool) -> None:
    tags = {f"t{number}": manifest for number, manifest in enumerate(of)}
    names = [f"t{number}" for number in going if number < len(of)]
    place = Registry(tags, by_name=by_name)
    for removal in untagging.removals(tagged(tags), names):
        untagging.remove(registry(place), removal)
    assert place.tags == {name: manifest.digest for name, manifest in tags.items() if name not in names}
    waiting, given_ = [place.kept[digest] for digest in place.tags.values()], {item.digest for item in of}
    while waiting:
        for child in waiting.pop().manifests:
            assert child.digest in place.kept or child.digest not in given_
            waiting += [place.kept[child.digest]] if child.digest in place.kept else []


def test_a_marker_is_told_from_an_image() -> None:
    place = Registry({"v1": ONE, "v2": ONE, "empty": index()}, by_name=False)
    assert not untagging.finish(registry(place), "a", "v1")
    assert not untagging.finish(registry(place), "a", "empty"), "an index of nothing, but not ours"
    assert not untagging.finish(registry(place), "a", "gone")
    kept = place.delete

    def killed(_: str, reference: str) -> bool:
        if ":" in reference:
            raise KeyboardInterrupt
        return kept(_, reference)

    place.delete = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        untagging.remove(registry(place), untagging.removals(tagged({"v1": ONE, "v2": ONE}), ["v1"])[0])
    place.delete = kept  # type: ignore[method-assign]
    assert "v1" in place.tags
    assert untagging.finish(registry(place), "a", "v1")
    assert sorted(place.tags) == ["empty", "v2"]


def test_a_tag_that_moved_is_left() -> None:
    removal = untagging.removals(tagged({"v1": ONE, "v2": ONE}), ["v1"])[0]
    place = Registry({"v1": TWO, "v2": ONE}, by_name=True)
    with pytest.raises(GdkregError, match="another image by now"):
        untagging.remove(registry(place), removal)
    assert untagging.remove(registry(Registry({"v2": ONE}, by_name=True)), removal) == "it was gone already"


def test_a_registry_that_takes_the_manifest_with_its_tag_is_found_out() -> None:
    removal = untagging.removals(tagged({"v1": ONE, "v2": ONE}), ["v1"])[0]
    with pytest.raises(GdkregError, match="more than a:v1"):
        untagging.remove(registry(Registry({"v1": ONE, "v2": ONE}, by_name=True, greedy=True)), removal)


def test_an_index_that_stays_for_another_ones_sake_keeps_its_images() -> None:
    inner = index(ONE)
    tags = {"outer": index(inner), "inner": inner, "one": ONE}
    assert ways(untagging.removals(tagged(tags), ["inner", "one"])) == [(("inner",), "tag"), (("one",), "tag")]
    assert {item.by for item in untagging.removals(tagged(tags), list(tags))} == {"digest"}


def test_a_tag_put_on_the_digest_since_the_plan_stays() -> None:
    (removal,) = untagging.removals(tagged({"old": ONE}), ["old"])
    assert removal.by == "digest"
    now = {"old": ONE.digest, "release": ONE.digest}
    place = Registry({"old": ONE, "release": ONE}, by_name=False)
    for item in untagging.again(removal, now):
        untagging.remove(registry(place), item)
    assert place.tags == {"release": ONE.digest}
    assert untagging.again(removal, {"old": ONE.digest}) == [removal]


def test_what_cannot_be_read_may_need_every_digest() -> None:
    found = tagged({"v1": ONE})
    for doubtful in (msgspec.structs.replace(found, unread={"x": "500"}), msgspec.structs.replace(found, certain=False)):
        (removal,) = untagging.removals(doubtful, ["v1"])
        assert (removal.by, "may need it" in removal.reason) == ("tag", True)
