"""What is missing, torn or unreadable behind the links of a repository, and how much of it a collection then keeps."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Protocol

from gdkreg.storage.graph import Graph, Node
from gdkreg.storage.layout import Holds, Problem, Repository

Progress = Callable[[int, int], None]  # bytes hashed, bytes to hash
_PIECE = 1 << 20


class Manifests(Protocol):
    """Who reads manifests, each once."""

    def node(self, digest: str) -> Node | None: ...

    def why(self, digest: str) -> str:
        """Why `node` gave none."""


class Check:
    """Follows every link of a repository, and reads every manifest on the way."""

    def __init__(self, graph: Graph, repository: Repository, manifests: Manifests) -> None:
        self._graph, self._repository, self._manifests = graph, repository, manifests
        self._layers = set(repository.layers)
        self._needs_layers = False

    def _tell(self, what: str, place: str, holds: Holds) -> None:
        self._graph.problems.append(Problem(self._repository.name, what, place, holds))
        self._repository.held |= bool(holds)

    def run(self) -> None:
        repository, tree = self._repository, self._graph.tree
        for tag, digest in repository.tags.items():
            if digest not in repository.revisions:
                self._tell(f"tag {tag} is on {digest}, which has no link", tree.tag(repository.name, tag), "repository")
        waiting = [*repository.revisions, *(item for item in repository.tags.values() if item not in repository.revisions)]
        seen = set(waiting)
        while waiting:
            for child in self._manifest(waiting.pop()):
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)
        if self._needs_layers and not repository.linked:
            self._tell("it has manifests and no folder _layers", f"repositories/{repository.name}", "everything")

    def _manifest(self, digest: str) -> tuple[str, ...]:
        """Check one; gives the manifests that it leads to."""
        node = self._manifests.node(digest)
        if node is None:
            self._needs_layers = True
            place = f"{self._graph.tree.blob(digest)}/data"
            self._tell(f"manifest {digest} cannot be used: {self._manifests.why(digest)}", place, "repository")
            return ()
        self._blobs(digest, node)
        for child in node.children:
            if child not in self._repository.revisions and child in self._graph.blobs:
                place = self._graph.tree.revision(self._repository.name, child)
                self._tell(f"{child}, a child of index {digest}, has no link", place, "")
        if node.kind != "index":
            return node.children
        return (*node.children, *(item for item in node.blobs if item in self._repository.unlinked))

    def _blobs(self, digest: str, node: Node) -> None:
        repository, tree, blobs = self._repository, self._graph.tree, self._graph.blobs
        for blob in node.blobs:
            if blob in blobs and blob in self._layers:
                self._needs_layers = True
            elif blob in node.foreign:
                continue
            elif blob not in blobs:
                self._needs_layers = True
                self._tell(f"{blob} of manifest {digest} is missing", f"{tree.blob(blob)}/data", "")
            elif node.kind != "index":
                self._needs_layers = True
                if repository.linked:
                    self._tell(f"{blob} of manifest {digest} has no link", tree.layer(repository.name, blob), "")


def verify(graph: Graph, progress: Progress | None) -> None:
    """Hash config and layers of every manifest that could be read. What differs is told, and changes nothing else."""
    wanted = {blob for node in graph.manifests.values() for blob in node.blobs if blob in graph.blobs}
    wanted.difference_update(graph.manifests)  # hashed when they were read
    total, done = sum(graph.blobs[blob] for blob in wanted), 0
    for blob in sorted(wanted):
        place = f"{graph.tree.blob(blob)}/data"
        try:
            good = _hash(graph.tree.at(place), blob.partition(":")[0]) == blob.partition(":")[2]
            what = "" if good else f"the bytes of {blob} are not those of its digest"
        except OSError as error:
            what = f"{blob} cannot be read: {os.strerror(error.errno or 0)}"
        if what:
            graph.problems.append(Problem("", what, place))
        done += graph.blobs[blob]
        if progress is not None:
            progress(done, total)


def _hash(path: str, algorithm: str) -> str:
    found, piece = hashlib.new(algorithm), bytearray(_PIECE)
    view = memoryview(piece)
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(fd, "rb", buffering=0) as stream:
        while size := stream.readinto(piece):
            found.update(view[:size])
    return found.hexdigest()
