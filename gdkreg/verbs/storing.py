"""The registry's own folder: reading it, and what stands in the way of that."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gdkreg.config.effective import Settings
from gdkreg.errors import GdkregError
from gdkreg.services import storage
from gdkreg.units import size

if TYPE_CHECKING:
    from gdkreg.plan.outcome import Listener
    from gdkreg.storage.graph import Graph
    from gdkreg.storage.layout import Tree
    from gdkreg.verbs.root import Root


def trash(root: Root) -> Path:
    """`registry/trash`; in the storage itself where that is elsewhere, for what is moved is renamed."""
    registry = root.path / "registry"
    storage = Path(os.path.realpath(registry / "storage"))
    with contextlib.suppress(OSError):
        if storage.parent == registry.resolve() and os.stat(storage).st_dev == os.stat(registry).st_dev:
            return registry / "trash"
    return storage / ".gdkreg-trash"


def new_run(root: Root) -> str:
    """A name for what is moved now, that no run in the trash has."""
    name = time.strftime("%Y%m%dT%H%M%S")
    taken = root.host.entries(trash(root))
    return next(item for number in range(1000) if (item := f"{name}{f'.{number}' if number else ''}") not in taken)


def tree_of(settings: Settings) -> Tree | None:
    """The tree of a root; None where its images lie in no folder here."""
    from gdkreg.storage.layout import Tree

    place = storage.tree(settings)
    return Tree(str(place)) if place is not None else None


def tree(root: Root) -> Tree:
    """Raises `GdkregError` where the images lie in no folder here."""
    found = tree_of(root.set_up())
    if found is None:
        raise GdkregError(
            "the images of this registry lie in no folder here",
            why="registry.config.storage in gdk.yml names another driver",
            fix="gdkreg gc --engine registry",
        )
    return found


def graph_of(root: Root) -> Graph | None:
    """What the folder holds; None where the images lie elsewhere."""
    from gdkreg.storage import reader

    found = tree_of(root.set_up())
    return reader.read(found) if found is not None else None


def graph(root: Root) -> Graph:
    """Raises `GdkregError` where the images lie in no folder here."""
    from gdkreg.storage import reader

    return reader.read(tree(root))


def hashed(listener: Listener) -> Callable[[int, int], None]:
    """How many bytes of all that are to be read were read."""
    return lambda done, whole: listener.working(f"{size(done)} of {size(whole)} read")
