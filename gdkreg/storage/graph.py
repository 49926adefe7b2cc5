"""What the tree holds and what refers to what, with everything that is damaged."""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec

from gdkreg.registry.manifests import Kind
from gdkreg.storage.layout import Problem, Repository, Tree

_PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class Node(msgspec.Struct, frozen=True, gc=False):
    """What one manifest refers to, by digests."""

    kind: Kind
    blobs: tuple[str, ...]  # config and layers, and what an index names that is no manifest (a build cache's layers)
    children: tuple[str, ...]
    subject: str = ""
    foreign: tuple[str, ...] = ()  # those of `blobs` that may be elsewhere


class Graph(msgspec.Struct):
    """`blobs` with their bytes, `manifests` that could be read. Repositories stand in the order of their names' parts."""

    tree: Tree
    blobs: dict[str, int] = {}
    repositories: dict[str, Repository] = {}
    manifests: dict[str, Node] = {}
    problems: list[Problem] = []

    @property
    def held(self) -> bool:
        """Whether something is so damaged that nothing may be taken anywhere."""
        return any(problem.holds == "everything" for problem in self.problems)

    def closure(self, roots: Iterable[str], repository: Repository, referrers: bool = False) -> set[str]:
        """The manifests that `roots` lead to: themselves, children of indexes, and with `referrers` what has one as subject."""
        about = _referrers(self, repository) if referrers else {}
        found: set[str] = set()
        waiting = list(roots)
        while waiting:
            digest = waiting.pop()
            if digest in found:
                continue
            found.add(digest)
            node = self.manifests.get(digest)
            if node is not None and node.kind == "index":
                waiting += node.children
                waiting += [item for item in node.blobs if item in repository.revisions or item in repository.unlinked]
            if about:
                waiting += about.get(digest, ())
        return found

    def content(self, found: Iterable[str]) -> set[str]:
        """These manifests with their config and layers."""
        whole = set(found)
        for digest in tuple(whole):
            node = self.manifests.get(digest)
            if node is not None:
                whole.update(node.blobs)
        return whole


def _referrers(graph: Graph, repository: Repository) -> dict[str, list[str]]:
    about: dict[str, list[str]] = {}
    for digest in repository.revisions:
        node = graph.manifests.get(digest)
        if node is not None and node.subject:
            about.setdefault(node.subject, []).append(digest)
    return about
