"""Taking tags away, and those tags only: which of three ways each registry and each tag needs, and the doing of it.

Distribution 3 and GitLab's registry untag by name. Distribution 2.8 deletes digests only, with every tag on them: there a tag is
put on a manifest of its own first, and that is deleted.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.registry.answers import AnswerError
from gdkreg.registry.images import Images, gather
from gdkreg.registry.manifests import OCI_INDEX, Manifest, ManifestError

_MARK = "dev.gdkreg.untagged"  # an annotation of the manifest that a tag is put on
_NOT_BY_NAME = {400, 405}  # DIGEST_INVALID of 2.8, and UNSUPPORTED


class Tagged(msgspec.Struct, frozen=True):
    """One repository: the digest of every tag, the manifests of those, and the indexes that are known by a child's digest."""

    repository: str
    tags: Mapping[str, str]
    manifests: Mapping[str, Manifest]
    parents: Mapping[str, frozenset[str]] = {}
    unread: Mapping[str, str] = {}  # tags of which nobody can tell what they need, and why
    certain: bool = True  # whether `parents` are all that may be there


class Removal(msgspec.Struct, frozen=True):
    """One step: `by` digest, with all of its tags; or `by` tag, which leaves the manifest to `others` or to an index."""

    repository: str
    tags: tuple[str, ...]
    digest: str
    by: Literal["tag", "digest"]
    others: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        listed = ", ".join(self.tags[:3]) + (f" and {len(self.tags) - 3} more" if len(self.tags) > 3 else "")
        return f"{self.repository}:{listed}" if self.tags else f"{self.repository}@{self.digest}"

    @property
    def reason(self) -> str:
        short = self.digest[:19]
        if self.others:
            more = f" and {len(self.others) - 3} more" if len(self.others) > 3 else ""
            return f"{short}… stays: {', '.join(self.others[:3])}{more} {'has' if len(self.others) == 1 else 'have'} it too"
        if self.parents:
            return f"{short}… stays: it is part of {self.parents[0][:19]}…"
        if self.by == "tag":
            return f"{short}… stays: something here cannot be read, and may need it"
        return f"{short}…, {'its only tag' if len(self.tags) == 1 else f'all {len(self.tags)} tags of it'}"


def look(images: Images, repository: str, parents: Mapping[str, frozenset[str]] | None = None) -> Tagged:
    """Reads every tag's manifest. `parents`: what the storage tells of indexes besides, by the digest of a child."""

    unread: dict[str, str] = {}

    def read(tag: str) -> tuple[str, str, Manifest] | None:
        try:
            manifest = images.manifest(repository, tag)
            signed = manifest.kind == "schema1"  # the registry's digest leaves the signatures out
            told = images.head(repository, tag) if signed else None
        except AnswerError as error:
            if error.status == 404:  # gone meanwhile, or a tag without its manifest, which holds nothing back
                return None
            if error.status < 500:
                raise
            unread[tag] = error.what
            return None
        except ManifestError as error:
            unread[tag] = error.why or error.what
            return None
        return tag, told.digest if told else manifest.digest, manifest

    tags, found = {}, {}
    for item in gather(read, images.tags(repository)):
        if item is not None:
            tags[item[0]] = item[1]
            found[item[1]] = item[2]
    return Tagged(repository, tags, found, parents or {}, unread)


def removals(tagged: Tagged, tags: Iterable[str]) -> list[Removal]:
    """How these tags go, and no other: a digest goes where all of its tags do, unless a manifest that stays names it."""
    going: dict[str, list[str]] = {}
    for tag in dict.fromkeys(tags):
        going.setdefault(tagged.tags[tag], []).append(tag)
    standing: dict[str, set[str]] = {}
    for tag, digest in tagged.tags.items():
        standing.setdefault(digest, set()).add(tag)
    by_child = parents(tagged)
    gone = {digest for digest, names in going.items() if standing[digest] == set(names)}
    if tagged.unread or not tagged.certain:
        gone.clear()  # what cannot be read may need any of them
    while staying := {digest for digest in gone if by_child.get(digest, frozenset()) - gone}:
        gone -= staying  # and with them what they name in turn
    found = []
    for digest, names in going.items():
        if digest in gone:
            found.append(Removal(tagged.repository, tuple(names), digest, "digest"))
            continue
        needed = tuple(sorted(by_child.get(digest, frozenset()) - gone))
        others = tuple(sorted(standing[digest] - set(names)))
        found += [Removal(tagged.repository, (name,), digest, "tag", others, needed) for name in names]
    return found


def parents(tagged: Tagged) -> dict[str, frozenset[str]]:
    """By the digest of a child, the indexes that name it."""
    found = dict(tagged.parents)
    for digest, manifest in tagged.manifests.items():
        for child in manifest.manifests:
            found[child.digest] = found.get(child.digest, frozenset()) | {digest}
    return found


def standing(images: Images, repository: str) -> dict[str, str]:
    """The digest of every tag as it is now."""
    found = gather(lambda tag: (tag, images.head(repository, tag)), images.tags(repository))
    return {tag: item.digest for tag, item in found if item is not None}


def again(removal: Removal, now: Mapping[str, str]) -> list[Removal]:
    """The same on tags as they are now: a digest that somebody tagged since the plan loses only the tags that were told."""
    others = tuple(sorted(tag for tag, digest in now.items() if digest == removal.digest and tag not in removal.tags))
    if removal.by == "tag" or not others:
        return [removal]
    return [Removal(removal.repository, (tag,), removal.digest, "tag", others) for tag in removal.tags]


def remove(images: Images, removal: Removal) -> str:
    """One step; a word on it. Raises `GdkregError`."""
    if removal.by == "digest":
        return "" if images.delete(removal.repository, removal.digest) else "it was gone already"
    (tag,) = removal.tags
    now = images.head(removal.repository, tag)
    if now is None:
        return "it was gone already"
    if now.digest != removal.digest:
        raise GdkregError(f"{removal.name} is another image by now", why=f"it is {now.digest}", fix="look again: --dry-run")
    try:
        images.delete(removal.repository, tag)
    except AnswerError as error:
        if error.status not in _NOT_BY_NAME or error.code == "UNSUPPORTED":
            raise
        over_a_marker(images, removal.repository, tag)
    return _left_alone(images, removal)


def over_a_marker(images: Images, repository: str, tag: str) -> None:
    """Where only digests can be deleted: an empty index that no other tag is on takes the tag with it."""
    content = json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": {_MARK: secrets.token_hex(16)}}
    ).encode()
    images.delete(repository, images.put_manifest(repository, tag, content, OCI_INDEX))


def finish(images: Images, repository: str, tag: str) -> bool:
    """What a killed run left between its two steps: a tag on a marker goes. Any other is left as it is; False then."""
    now = images.head(repository, tag)
    return now is not None and half_gone(images, repository, now.digest) and images.delete(repository, now.digest)


def half_gone(images: Images, repository: str, digest: str) -> bool:
    """Whether this is the marker of a removal that broke off."""
    return is_marker(images.manifest(repository, digest))


def is_marker(manifest: Manifest) -> bool:
    return not manifest.manifests and _MARK in manifest.annotations


def _left_alone(images: Images, removal: Removal) -> str:
    """A registry that takes the manifest with the tag is found out at once."""
    if images.head(removal.repository, removal.digest) is None:
        kept = ", ".join(removal.others) or removal.digest
        raise GdkregError(f"the registry deleted more than {removal.name}", why=f"{kept} is gone too", fix="push it again")
    return ""
