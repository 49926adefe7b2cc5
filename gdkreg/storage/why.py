"""Why something is kept: from a tag over indexes and manifests down to a blob."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gdkreg.storage.graph import Graph
from gdkreg.storage.layout import Repository


class Step(msgspec.Struct, frozen=True):
    """`kind` is index, image, artifact, schema1 or blob; `referrer` where it is there because its subject is."""

    kind: str
    digest: str
    referrer: bool = False


class Chain(msgspec.Struct, frozen=True):
    """One way that leads to a digest. Without a tag it begins at a manifest that only its own link keeps, which a
    collection with `untagged` takes; with `problem` at damage because of which everything near it is kept."""

    repository: str
    tag: str
    steps: tuple[Step, ...]
    problem: str = ""


def why(graph: Graph, digest: str) -> Iterator[Chain]:
    """For every tag that leads to the digest one chain, the shortest; none where a collection would take it."""
    below = _leading_to(graph, digest)
    for problem in graph.problems:
        if problem.holds == "everything":
            yield Chain(problem.repository, "", (_step(graph, digest),), problem.what)
            break
    for repository in graph.repositories.values():
        yield from _in_repository(graph, repository, digest, below)


def _in_repository(graph: Graph, repository: Repository, digest: str, below: dict[str, str]) -> Iterator[Chain]:
    tagged = False
    for tag, target in repository.tags.items():
        if target in below and (steps := _steps(graph, repository, target, below)):
            tagged = True
            yield Chain(repository.name, tag, steps)
    if not tagged:
        starts = {item for item in repository.revisions if item in below}
        led = {below[item] for item in starts if below[item] != item}
        for start in sorted(starts - led):
            if steps := _steps(graph, repository, start, below):
                yield Chain(repository.name, "", steps)
    if repository.held and (digest in repository.layers or digest in repository.unlinked | repository.doubtful):
        told = [item.what for item in graph.problems if item.repository == repository.name and item.holds]
        yield Chain(repository.name, "", (_step(graph, digest),), told[0] if told else "")


def _leading_to(graph: Graph, digest: str) -> dict[str, str]:
    """Every digest that leads to this one, with the next on its way; the digest itself with itself."""
    above: dict[str, list[str]] = {}
    for name, node in graph.manifests.items():
        for child in node.children:
            above.setdefault(child, []).append(name)
        if node.subject:
            above.setdefault(name, []).append(node.subject)
        if digest in node.blobs:
            above.setdefault(digest, []).append(name)
    below, waiting = {digest: digest}, [digest]
    for item in waiting:  # grows meanwhile: nearest first
        for parent in above.get(item, ()):
            if parent not in below:
                below[parent] = item
                waiting.append(parent)
    return below


def _steps(graph: Graph, repository: Repository, start: str, below: dict[str, str]) -> tuple[Step, ...]:
    """From `start` to the digest; nothing where the way leads over a referrer that is not in this repository."""
    steps, at = [_step(graph, start)], start
    while below[at] != at:
        above, at = at, below[at]
        referrer = _refers(graph, at, above)
        if referrer and at not in repository.revisions:
            return ()
        steps.append(_step(graph, at, referrer))
    return tuple(steps)


def _refers(graph: Graph, digest: str, subject: str) -> bool:
    """Whether one is there because of the other as its subject, and not as its child."""
    node, parent = graph.manifests.get(digest), graph.manifests.get(subject)
    child = parent is not None and digest in (*parent.children, *parent.blobs)
    return node is not None and node.subject == subject and not child


def _step(graph: Graph, digest: str, referrer: bool = False) -> Step:
    node = graph.manifests.get(digest)
    return Step(node.kind if node else "blob", digest, referrer)
