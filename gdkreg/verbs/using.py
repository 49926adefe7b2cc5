"""usage and gc why: who needs which bytes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from gdkreg.errors import ConfigError, GdkregError
from gdkreg.storage import trash, unused
from gdkreg.storage import usage as shares
from gdkreg.storage import why as chains
from gdkreg.storage.graph import Graph
from gdkreg.storage.layout import Problem
from gdkreg.storage.usage import LayerShare, Share, TagShare
from gdkreg.storage.why import Chain
from gdkreg.verbs import storing
from gdkreg.verbs.root import Root

By = Literal["repository", "tag", "layer"]


class Usage(msgspec.Struct, frozen=True):
    """All sizes in bytes. `gc` and `untagged` are what a collection would free now, `trash` what emptying it would."""

    by: By
    rows: Sequence[Share | TagShare | LayerShare]
    total: int
    gc: int
    untagged: int
    trash: int
    problems: list[Problem]


def usage(root: Root, by: By) -> Usage:
    """The largest first. Raises `GdkregError` where the images lie in no folder here."""
    graph, now = storing.graph(root), time.time()
    return Usage(
        by,
        _rows(graph, by),
        sum(graph.blobs.values()),
        unused.freed(graph, untagged=False, now=now),
        unused.freed(graph, untagged=True, now=now),
        sum(run.told.bytes for run in trash.runs(storing.trash(root))),
        graph.problems,
    )


def _rows(graph: Graph, by: By) -> Sequence[Share | TagShare | LayerShare]:
    if by == "repository":
        return sorted(shares.by_repository(graph), key=lambda item: (-item.total, item.repository))
    if by == "tag":
        return sorted(shares.by_tag(graph), key=lambda item: (-item.total, item.repository, item.tag))
    return shares.by_layer(graph)


def as_data(root: Root, found: Usage) -> dict[str, Any]:
    return {"command": "usage", "root": str(root.path), **msgspec.to_builtins(found)}


def why(root: Root, text: str) -> tuple[str, list[Chain]]:
    """The whole digest, and every way that leads to it. Raises `GdkregError` for a digest that is not there, or not clear."""
    graph = storing.graph(root)
    wanted = text if ":" in text else f"sha256:{text}"
    known = {*graph.blobs, *graph.manifests}
    found = [digest for digest in known if digest.startswith(wanted)]
    if len(wanted) < 12 or not wanted.partition(":")[2].isalnum():
        raise ConfigError(f"{text[:80]!r} is no digest", why="a digest is sha256: and at least five of its digits")
    if len(found) != 1:
        what = f"{text} is not in the storage" if not found else f"{text} is the beginning of {len(found)} digests"
        raise GdkregError(what, fix="gdkreg usage --by layer")
    return found[0], list(chains.why(graph, found[0]))
