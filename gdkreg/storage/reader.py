"""Reading the whole tree: every manifest once, and what is damaged on the way."""

from __future__ import annotations

import hashlib
import os
from sys import intern

from gdkreg.registry import manifests
from gdkreg.registry.manifests import ManifestError
from gdkreg.storage import damage, repositories
from gdkreg.storage.graph import Graph, Node
from gdkreg.storage.layout import Holds, Problem, Tree

_PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def read(tree: Tree, *, verify: bool = False, progress: damage.Progress | None = None) -> Graph:
    """The whole tree. Manifests are always hashed; with `verify` config and layers too.

    What is damaged is told in `problems`, and never raised.
    """
    graph = Graph(tree)
    try:
        os.lstat(tree.path)
    except FileNotFoundError:
        return graph  # nothing was pushed yet
    except OSError as error:  # what nobody may look into is not empty
        graph.problems.append(Problem("", f"cannot be read: {os.strerror(error.errno or 0)}", tree.path, "everything"))
        return graph
    _Reader(graph).read()
    graph.problems.sort(key=lambda problem: (problem.repository, problem.path, problem.what))
    if verify:
        damage.verify(graph, progress)
    return graph


class _Reader:
    def __init__(self, graph: Graph) -> None:
        self._graph, self._tree = graph, graph.tree
        self._unreadable: dict[str, str] = {}

    def _tell(self, what: str, path: str, holds: Holds) -> None:
        self._graph.problems.append(Problem("", what, path, holds))

    def read(self) -> None:
        graph = self._graph
        top = self._tree.folders(".", self._tell, "everything") or []
        if "blobs" in top:
            graph.blobs = self._tree.blobs(self._tell)
        if "repositories" not in top:
            if graph.blobs:
                self._tell("there are blobs and no folder of repositories", "repositories", "everything")
            return
        for repository in repositories.read(self._tree, graph.problems):
            graph.repositories[repository.name] = repository
            damage.Check(graph, repository, self).run()
            if repository.held:
                for digest in repository.unlinked | repository.doubtful:
                    self._keep_whole(digest)

    def _keep_whole(self, digest: str) -> None:
        """What a damaged place may have meant is read like a manifest that is in use; here nothing more is told."""
        waiting = [digest]
        while waiting:
            if (item := waiting.pop()) not in self._graph.manifests and (node := self.node(item)) is not None:
                waiting += node.children

    def node(self, digest: str) -> Node | None:
        """A manifest, read once; None where it cannot be read."""
        found = self._graph.manifests.get(digest)
        if found is None and digest not in self._unreadable:
            try:
                found = self._graph.manifests[digest] = self._read(digest)
            except ManifestError as error:
                self._unreadable[digest] = error.why or error.what
            except OSError as error:
                self._unreadable[digest] = os.strerror(error.errno or 0)
        return found

    def why(self, digest: str) -> str:
        return self._unreadable[digest]

    def _read(self, digest: str) -> Node:
        size = self._graph.blobs.get(digest)
        if size is None:
            raise ManifestError("", why="its data is missing")
        if size > manifests.LONGEST:
            raise ManifestError("", why=f"it has {size} bytes, more than a manifest may have")
        fd = os.open(self._tree.at(f"{self._tree.blob(digest)}/data"), _PLAIN)
        try:
            content = os.read(fd, size + 1)
        finally:
            os.close(fd)
        algorithm, _, digits = digest.partition(":")
        if hashlib.new(algorithm, content).hexdigest() != digits:
            raise ManifestError("", why="its bytes are not those of its digest")
        return _node(manifests.parse(content))


def _node(manifest: manifests.Manifest) -> Node:
    named = (manifest.config, *manifest.layers) if manifest.config else manifest.layers
    children = [item for item in manifest.manifests if not item.media_type or item.media_type in manifests.KINDS]
    others = [item for item in manifest.manifests if item.media_type and item.media_type not in manifests.KINDS]
    return Node(
        manifest.kind,
        tuple([intern(item.digest) for item in (*named, *others)]),
        tuple([intern(item.digest) for item in children]),
        intern(manifest.subject.digest) if manifest.subject else "",
        tuple([intern(item.digest) for item in named if item.foreign]),
    )
