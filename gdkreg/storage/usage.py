"""Who uses how many bytes: a repository, a tag, a layer; and what a later collection would free. All sizes in bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

import msgspec

from gdkreg.storage import unused
from gdkreg.storage.graph import Graph
from gdkreg.storage.layout import Repository


class Share(msgspec.Struct, frozen=True):
    """What a repository refers to: `unique` is what no other one does, `unused` what it only links and no manifest uses."""

    repository: str
    total: int
    unique: int
    unused: int
    tags: int

    @property
    def shared(self) -> int:
        return self.total - self.unique


class TagShare(msgspec.Struct, frozen=True):
    """What a tag leads to: `unique` is what no other tag of the registry does."""

    repository: str
    tag: str
    digest: str
    total: int
    unique: int

    @property
    def shared(self) -> int:
        return self.total - self.unique


class LayerShare(msgspec.Struct, frozen=True, gc=False):
    """A config, layer or other blob of an image, with the repositories that use it, and how many manifests do."""

    digest: str
    size: int
    repositories: tuple[str, ...]
    manifests: int


class Freed(msgspec.Struct, frozen=True):
    """What a collection takes more than it would now: as it is, and with `untagged`."""

    plain: int
    untagged: int


def by_repository(graph: Graph) -> list[Share]:
    """In the graph's order."""
    whole = {item.name: unused.used(graph, [item], untagged=False) for item in graph.repositories.values()}
    users = Counter(digest for found in whole.values() for digest in found)
    shares = []
    for repository in graph.repositories.values():
        found = whole[repository.name]
        linked = {digest for digest in repository.layers if digest not in users}
        shares.append(
            Share(
                repository.name,
                _size(graph, found),
                _size(graph, (digest for digest in found if users[digest] == 1)),
                _size(graph, linked),
                len(repository.tags),
            )
        )
    return shares


def by_tag(graph: Graph) -> list[TagShare]:
    """In the graph's order."""
    reached = {}
    for repository in graph.repositories.values():
        for digest in set(repository.tags.values()):
            reached[repository.name, digest] = graph.content(graph.closure([digest], repository, referrers=True))
    users: Counter[str] = Counter()
    for repository in graph.repositories.values():
        for digest in repository.tags.values():
            users.update(reached[repository.name, digest])
    return [
        TagShare(
            repository.name,
            tag,
            digest,
            _size(graph, reached[repository.name, digest]),
            _size(graph, (item for item in reached[repository.name, digest] if users[item] == 1)),
        )
        for repository in graph.repositories.values()
        for tag, digest in repository.tags.items()
    ]


def by_layer(graph: Graph) -> list[LayerShare]:
    """The largest first."""
    manifests: Counter[str] = Counter()
    for node in graph.manifests.values():
        manifests.update(set(node.blobs))
    users: dict[str, list[str]] = {}
    for repository in graph.repositories.values():
        whole = graph.content(unused.kept(graph, repository, untagged=False))
        for digest in whole:
            if digest in manifests:
                users.setdefault(digest, []).append(repository.name)
    found = [
        LayerShare(digest, size, tuple(users[digest]), manifests[digest])
        for digest, size in graph.blobs.items()
        if digest in users
    ]
    return sorted(found, key=attrgetter("size"), reverse=True)


def freed_by(graph: Graph, repository: str, tags: Iterable[str] | None) -> Freed:
    """What goes when these tags do, or the whole repository (None). The digests that have no tag left lose their link too."""
    found = graph.repositories[repository]
    others = [item for item in graph.repositories.values() if item.name != repository]
    after = [] if tags is None else [_without(found, set(tags))]
    if graph.held or (tags is not None and found.held):
        return Freed(0, 0)
    freed = []
    for untagged in (False, True):
        elsewhere = unused.used(graph, others, untagged=untagged)
        before = unused.used(graph, [found], untagged=untagged) - elsewhere
        freed.append(_size(graph, before - unused.used(graph, after, untagged=untagged)))
    return Freed(*freed)


def without(graph: Graph, tags: Mapping[str, Sequence[str]]) -> Graph:
    """The graph as it is once these tags are removed."""
    if not any(tags.values()):
        return graph
    left = {
        name: _without(found, set(tags[name])) if tags.get(name) and not found.held else found
        for name, found in graph.repositories.items()
    }
    return msgspec.structs.replace(graph, repositories=left)


def _without(repository: Repository, tags: set[str]) -> Repository:
    left = {tag: digest for tag, digest in repository.tags.items() if tag not in tags}
    gone = {repository.tags[tag] for tag in tags if tag in repository.tags} - set(left.values())
    return msgspec.structs.replace(repository, tags=left, revisions=repository.revisions - gone)


def _size(graph: Graph, digests: Iterable[str]) -> int:
    sizes = graph.blobs
    return sum([sizes.get(digest, 0) for digest in digests])
