"""What nothing refers to, as far as that is certain; and why something is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from gdkreg.storage.graph import Graph
from gdkreg.storage.layout import Problem, Repository, Tree, Upload

YOUNG = 2 * 3600  # seconds; an upload that was begun later may be at work


class Change(msgspec.Struct, frozen=True):
    """The bytes that a repository refers to or links, before and after. A blob of two repositories counts in both."""

    repository: str
    before: int
    after: int


class Collection(msgspec.Struct):
    """What to move away. `places`, relative to the tree, are in the order of moving: what points before what it points to."""

    untagged: bool
    blobs: dict[str, int] = {}  # with their bytes
    revisions: list[tuple[str, str]] = []  # repository, digest
    history: list[tuple[str, str, str]] = []  # repository, tag, digest: entries in a tag's index
    layers: list[tuple[str, str]] = []  # repository, digest
    uploads: list[tuple[str, Upload]] = []
    repositories: list[Change] = []
    problems: list[Problem] = []
    places: list[str] = []
    whole: str = ""  # the repository that goes, with its tags

    @property
    def held(self) -> list[Problem]:
        """Those because of which something may have been kept."""
        return [problem for problem in self.problems if problem.holds]

    @property
    def bytes(self) -> int:
        """What the disk gets back when the trash is emptied."""
        return sum(self.blobs.values()) + sum(upload.size for _, upload in self.uploads)


def roots(repository: Repository, *, untagged: bool) -> set[str]:
    """The manifests that are kept for their own sake; with `untagged` only those that a tag is on."""
    tagged = set(repository.tags.values())
    if repository.held:
        return tagged | repository.revisions | repository.unlinked | repository.doubtful
    return tagged if untagged else tagged | repository.revisions


def kept(graph: Graph, repository: Repository, *, untagged: bool) -> set[str]:
    """The manifests of a repository that stay."""
    return graph.closure(roots(repository, untagged=untagged), repository, referrers=untagged)


def used(graph: Graph, repositories: Iterable[Repository], *, untagged: bool) -> set[str]:
    """Every blob, manifests included, that these repositories keep."""
    found: set[str] = set()
    for repository in repositories:
        found |= graph.content(kept(graph, repository, untagged=untagged))
        if repository.held:
            found.update(repository.layers)
    return found


def freed(graph: Graph, *, untagged: bool, now: float) -> int:
    """The bytes of `collectable`, for who wants nothing else of it."""
    everyone = graph.repositories.values()
    stale = sum(item.size for found in everyone for item in found.uploads if now - item.started > YOUNG)
    if graph.held:
        return stale
    return stale + sum(graph.blobs[digest] for digest in graph.blobs.keys() - used(graph, everyone, untagged=untagged))


def collectable(graph: Graph, *, untagged: bool, now: float) -> Collection:
    """What a collection takes. With damage that nothing bounds, only stale uploads."""
    found = Collection(untagged, problems=graph.problems)
    everything = graph.held
    if not everything:
        needed = used(graph, graph.repositories.values(), untagged=untagged)
        found.blobs = {digest: graph.blobs[digest] for digest in sorted(graph.blobs.keys() - needed)}
    for repository in graph.repositories.values():
        stale = [item for item in repository.uploads if now - item.started > YOUNG]
        found.uploads += [(repository.name, item) for item in stale]
        gone: set[str] = set()
        if not everything:
            found.layers += [(repository.name, digest) for digest in sorted(found.blobs.keys() & repository.layers)]
            if untagged:
                gone = _manifests(graph, repository, found)
        found.repositories.append(_change(graph, repository, found.blobs, gone, stale))
    found.places = list(_places(graph, found))
    return found


def whole(graph: Graph, name: str) -> Collection:
    """All that makes a repository one: tags, manifests' and layers' links, uploads. Blobs are left to `collectable`."""
    repository, tree = graph.repositories[name], graph.tree
    links = [tree.revision(name, digest) for digest in sorted(repository.revisions | repository.unlinked)]
    links += [tree.layer(name, digest) for digest in repository.layers]
    uploads = [(name, upload) for upload in repository.uploads]
    tags = tree.folders(f"repositories/{name}/_manifests/tags", lambda *_: None, "")  # those too that lead nowhere
    return Collection(
        False,
        revisions=[(name, digest) for digest in sorted(repository.revisions)],
        uploads=uploads,
        places=[tree.tag(name, tag) for tag in tags or ()] + links + [tree.upload(name, item.id) for _, item in uploads],
        whole=name,
    )


def narrowed(found: Collection, told: Iterable[str], tree: Tree) -> Collection:
    """What was found of late, without all that was not told before; nor a blob that has such a link by now."""
    known = set(told)
    fresh = [pair for pair in found.layers if tree.layer(*pair) not in known]
    fresh += [pair for pair in found.revisions if tree.revision(*pair) not in known]
    linked = {digest for _, digest in fresh}
    blobs = {digest: size for digest, size in found.blobs.items() if tree.blob(digest) in known and digest not in linked}
    gone = {tree.blob(digest) for digest in found.blobs} - {tree.blob(digest) for digest in blobs}
    return msgspec.structs.replace(
        found, blobs=blobs, places=[item for item in found.places if item in known and item not in gone]
    )


def _manifests(graph: Graph, repository: Repository, found: Collection) -> set[str]:
    """Add the revisions that no tag reaches, which are given back, and where the history of a tag names them."""
    gone = repository.revisions - kept(graph, repository, untagged=True)
    found.revisions += [(repository.name, digest) for digest in sorted(gone)]
    for tag in repository.tags if gone else ():
        place = f"{graph.tree.tag(repository.name, tag)}/index"
        entries = graph.tree.digests(place, lambda *_: None, "") or ()  # only history: what is not seen may stay
        found.history += [(repository.name, tag, digest) for digest in sorted(gone.intersection(entries))]
    return gone


def held_by(graph: Graph, repository: Repository) -> set[str]:
    """Every blob that the repository refers to or links, used or not."""
    whole = graph.content(graph.closure(repository.revisions | set(repository.tags.values()), repository))
    return whole.union(repository.layers, repository.unlinked)


def _change(graph: Graph, repository: Repository, blobs: dict[str, int], revisions: set[str], uploads: list[Upload]) -> Change:
    sizes, whole = graph.blobs, held_by(graph, repository)
    before = sum(sizes.get(digest, 0) for digest in whole) + sum(item.size for item in repository.uploads)
    if revisions:  # what they led to may stay for another repository
        left = held_by(graph, msgspec.structs.replace(repository, revisions=repository.revisions - revisions))
        going = sum(sizes.get(digest, 0) for digest in whole if digest in blobs or digest not in left)
    else:
        going = sum(blobs.get(digest, 0) for digest in whole) if blobs else 0
    return Change(repository.name, before, before - going - sum(item.size for item in uploads))


def _places(graph: Graph, found: Collection) -> Iterator[str]:
    tree = graph.tree
    for repository, tag, digest in found.history:
        yield f"{tree.tag(repository, tag)}/index/{digest.replace(':', '/')}"
    for repository, digest in found.revisions:
        yield tree.revision(repository, digest)
    for repository, digest in found.layers:
        yield tree.layer(repository, digest)
    for repository, upload in found.uploads:
        yield tree.upload(repository, upload.id)
    for digest in found.blobs:
        yield tree.blob(digest)
