"""copy: an image, with all platforms of an index, inside one registry or between two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from gdkreg.errors import ConfigError, GdkregError
from gdkreg.plan.actions import Control, Step
from gdkreg.plan.outcome import Item, Listener, Outcome
from gdkreg.registry.images import Images, gather, push
from gdkreg.registry.manifests import Descriptor, Manifest
from gdkreg.registry.names import Reference
from gdkreg.registry.reading import Reading
from gdkreg.verbs.work import SILENT, DeclinedError

_DEEPEST = 4  # indexes in indexes


class End(msgspec.Struct, frozen=True):
    """One end of a copy. `authority` is the registry's HOST:PORT."""

    images: Images
    authority: str
    reference: Reference

    def __str__(self) -> str:
        return f"{self.authority}/{self.reference}"


class _Part(msgspec.Struct, frozen=True):
    """One thing to copy. `name` is what a manifest is put under: its digest, or the tag."""

    kind: Literal["blob", "manifest"]
    digest: str
    size: int
    name: str = ""
    manifest: Manifest | None = None
    reason: str = ""

    @property
    def step(self) -> Step:
        at = f" as {self.name}" if self.name and self.name != self.digest else ""
        return Step("images", Control(service=f"{self.kind} {self.digest}{at}", verb="copy", reason=self.reason))


def split(text: str, own: str) -> tuple[str, str]:
    """Registry and reference, by docker's rule: what stands before the first slash is a registry where it has a dot or a port,
    or is localhost; else it is our `own`."""
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return own, text


def copy(source: End, to: End, listener: Listener = SILENT, *, root: str = "", dry_run: bool = False) -> Outcome:
    """Copy what is not there yet; a tag that is there and leads elsewhere is put on the copy.

    Raises `GdkregError`; before the first change for whatever can be seen then.
    """
    to = _aimed(source, to)
    manifest = source.images.manifest(source.reference.repository, source.reference.name)
    parts, replaces = _plan(source, to, manifest)
    steps = [part.step for part in parts]
    outcome = Outcome(command="copy", root=root, dry_run=dry_run, items=[Item(step=step) for step in steps])
    outcome.data = {"source": str(source), "target": str(to), "digest": manifest.digest, "replaces": replaces}
    if dry_run or not parts:
        return outcome
    if not listener.agree(outcome.items, ask=bool(replaces)):
        raise DeclinedError
    for at, part in enumerate(parts):
        listener.doing(steps[at])
        try:
            _put(source, to, part)
        except GdkregError as error:
            error.outcome = outcome
            raise
        outcome.items[at] = Item(step=steps[at], status="done")
        listener.did(outcome.items[at])
    return outcome


def _aimed(source: End, to: End) -> End:
    """Without a tag of its own the copy gets that of its source."""
    wanted = to.reference
    if wanted.digest:
        raise ConfigError(
            f"{to} names a digest", why="what is copied keeps its own", fix="name a tag, or nothing but the repository"
        )
    tag = wanted.tag or ("" if source.reference.digest and not source.reference.tag else source.reference.tag)
    aimed = End(to.images, to.authority, Reference(wanted.repository, tag))
    if (source.authority, source.reference) == (aimed.authority, aimed.reference):
        raise ConfigError(f"{source} is copied onto itself")
    return aimed


def _plan(source: End, to: End, manifest: Manifest) -> tuple[list[_Part], str]:
    """What is not there yet, children before their index and blobs before their manifests; and the digest that the tag loses."""
    tree, repository, scope = list(_tree(source, manifest)), to.reference.repository, push(to.reference.repository)
    blobs = {item.digest: item for found in tree for item in _blobs(found)}
    there = gather(lambda item: to.images.size_of(repository, item.digest, scope), blobs.values())
    parts = [_blob(source, to, item) for item, size in zip(blobs.values(), there, strict=True) if size is None]
    name = to.reference.tag or manifest.digest
    known = gather(lambda found: to.images.head(repository, found.digest, scope), tree[:-1])
    for child, stands in zip(tree[:-1], known, strict=True):
        if stands is None:
            parts.append(_of(child, child.digest, "a part of the image"))
    stands = to.images.head(repository, name, scope)
    replaces = stands.digest if stands is not None and stands.digest != manifest.digest else ""
    if stands is None or replaces:
        parts.append(_of(manifest, name, f"{to}, which leads to {replaces} now" if replaces else str(to)))
    return parts, replaces


def _tree(source: End, manifest: Manifest, depth: int = 0) -> Iterator[Manifest]:
    """The manifests, each after its children."""
    if manifest.kind == "schema1":
        raise GdkregError(f"{source} is of schema 1", why="registries take it no more", fix="pull and push it with docker")
    if depth > _DEEPEST:
        raise GdkregError(f"{source} cannot be copied", why=f"its indexes lie more than {_DEEPEST} deep in each other")
    for child in {item.digest: item for item in manifest.manifests}.values():
        yield from _tree(source, source.images.child(source.reference.repository, child.digest), depth + 1)
    yield manifest


def _blobs(manifest: Manifest) -> list[Descriptor]:
    parts = [*([manifest.config] if manifest.config else []), *manifest.layers]
    return [part for part in parts if not part.foreign]


def _blob(source: End, to: End, item: Descriptor) -> _Part:
    same = source.authority == to.authority
    how = f"taken over from {source.reference.repository}" if same else f"{item.size} bytes from {source.authority}"
    return _Part("blob", item.digest, item.size, reason=how)


def _of(manifest: Manifest, name: str, reason: str) -> _Part:
    return _Part("manifest", manifest.digest, len(manifest.content), name, manifest, reason)


def _put(source: End, to: End, part: _Part) -> None:
    repository = to.reference.repository
    if part.manifest is not None:
        put = to.images.put_manifest(repository, part.name, part.manifest.content, part.manifest.media_type)
        if put != part.digest:
            raise GdkregError(f"{to} has the digest {put} now", why=f"the registry changed the manifest of {part.digest}")
        return
    begun = ""
    if source.authority == to.authority:
        begun = to.images.mount(repository, part.digest, source.reference.repository)
        if not begun:
            return
    pieces = Reading(source.images, source.reference.repository, part.digest)
    to.images.upload(repository, part.digest, part.size, pieces, begun)
