"""What a collection took, until it is given back or emptied. A run is a folder `trash/RUN`.

`RUN/tree` mirrors the registry's tree, and holds just the folders that were moved there; no list of them is kept, so none can
differ from what happened. `RUN/run.json` tells how far it is. Every step is one rename: whoever is killed between two of them
leaves a run that `finish` brings to an end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from gdkreg.errors import DamagedError, GdkregError
from gdkreg.host import files, tree
from gdkreg.storage.layout import Tree
from gdkreg.storage.unused import Collection

State = Literal["moving", "done", "restoring", "emptying"]
Progress = Callable[[int, int], None]  # folders moved, folders to move
_STATE, _TREE = "run.json", "tree"
_LONGEST = 1 << 16
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}
_SMALL = 4096  # bytes up to which files of the same size are compared: all but data
# What is moved as a whole. No part of a repository's name begins with _.
_UNIT = re.compile(
    r"blobs/[^/]+/[^/]+/[^/]+|repositories(?:/[^_/][^/]*)+/"
    r"(?:_layers/[^/]+/[^/]+|_manifests/revisions/[^/]+/[^/]+|_manifests/tags/[^/]+/index/[^/]+/[^/]+|_uploads/[^/]+)"
)
# The same where a repository goes whole: its tags too.
_WHOLE = re.compile(_UNIT.pattern.replace("/index/[^/]+/[^/]+", ""))


class Told(msgspec.Struct, frozen=True):
    """What `run.json` tells. `made` in seconds since 1970; anything but `done` was interrupted."""

    state: State
    made: float = 0.0
    untagged: bool = False
    blobs: int = 0
    manifests: int = 0
    bytes: int = 0
    whole: str = ""  # the repository that went, with its tags


class Run(msgspec.Struct, frozen=True):
    """A run and where it is."""

    folder: Path
    told: Told

    @property
    def name(self) -> str:
        return self.folder.name


class Restored(msgspec.Struct):
    """Folders that are back, that were there again (pushed since), and that stay in the trash: others are at their places."""

    back: int = 0
    there: int = 0
    left: list[str] = []


def move(place: Tree, collection: Collection, folder: Path, *, now: float, progress: Progress | None = None) -> Run:
    """Move what was collected into the new run `folder`. What cannot be moved undoes the whole run.

    Raises `GdkregError`; the tree is as before then, or `finish` makes it so.
    """
    tree.make(folder)
    counts = (len(collection.blobs), len(collection.revisions), collection.bytes, collection.whole)
    run = Run(folder, Told("moving", now, collection.untagged, *counts))
    try:
        if not tree.same_file_system(Path(place.path), folder):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        _mark(run, "moving")
        tree.make(folder / _TREE)
        _move_all(place, collection.places, folder / _TREE, progress)
        return _mark(run, "done")
    except OSError as error:
        restore(place, run)
        raise _refused(error, place, folder) from None
    except GdkregError:
        restore(place, run)
        raise


def _move_all(place: Tree, names: list[str], target: Path, progress: Progress | None) -> None:
    with tree.Mover(Path(place.path), target) as mover:
        for number, name in enumerate(names, 1):
            try:
                mover.move(name)
            except FileNotFoundError:
                continue  # the registry purges uploads itself
            if progress is not None and number % 256 == 0:
                progress(number, len(names))


def _refused(error: OSError, place: Tree, folder: Path) -> GdkregError:
    if error.errno == errno.EXDEV:
        return GdkregError(
            f"cannot move anything from {place.path} to {folder.parent}",
            why="they are on two file systems, and only a rename is safe at every moment",
            fix="gdkreg gc --engine registry",
        )
    return files.explain(error, Path(place.path, error.filename or ""), "move what is unused out of")


def restore(place: Tree, run: Run) -> Restored:
    """Put everything back to where it was. What was pushed since stays; it is the same where it has the same digest.

    The run is gone then, unless something had to be left in it. To be called again where it was interrupted.
    Raises `GdkregError`, for a run that is being emptied too.
    """
    if run.told.state == "emptying":
        raise GdkregError(f"run {run.name} is partly emptied", why="what is left of it is not whole", fix="gdkreg gc empty")
    if run.told.state == "done":
        run = _mark(run, "restoring")
    found, source = Restored(), run.folder / _TREE
    try:
        if source.is_dir():
            with tree.Mover(source, Path(place.path)) as mover:
                for name in _units(source, _WHOLE if run.told.whole else _UNIT):
                    _put_back(mover, name, place, source, found)
    except OSError as error:
        raise files.explain(error, Path(place.path, error.filename or ""), "give back") from None
    if found.left or not tree.remove_empty(source):
        _mark(run, "done")
    else:
        _forget(run)
    return found


def _forget(run: Run) -> None:
    """Our own state goes last; what somebody else put beside it stays."""
    tree.unlink(run.folder / _STATE)
    tree.remove_empty(run.folder)


def _put_back(mover: tree.Mover, name: str, place: Tree, source: Path, found: Restored) -> None:
    try:
        mover.move(name)
        found.back += 1
        return
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
    ours, theirs = f"{source}/{name}", place.at(name)
    if os.path.isdir(theirs) and not os.path.islink(theirs) and (_same(ours, theirs) or not any(tree.files(ours))):
        tree.remove(Path(ours))
        found.there += 1
    else:
        found.left.append(name)


def _same(ours: str, theirs: str) -> bool:
    return tree.same_content(ours, theirs, _SMALL)


def _units(top: Path, unit: re.Pattern[str]) -> Iterator[str]:
    """The folders that were moved, blobs before what points to them."""
    waiting = ["repositories", "blobs"]
    while waiting:
        place = waiting.pop()
        if unit.fullmatch(place):
            yield place
            continue
        with contextlib.suppress(FileNotFoundError), os.scandir(top / place) as entries:
            names = sorted((entry.name for entry in entries if entry.is_dir(follow_symlinks=False)), reverse=True)
            waiting += [f"{place}/{name}" for name in names]


def empty(run: Run) -> None:
    """Delete a run for good. Raises `GdkregError`; to be called again then."""
    _mark(run, "emptying")
    tree.remove(run.folder / _TREE)  # before the state: without one a run would be given back
    _forget(run)


def finish(place: Tree, run: Run) -> None:
    """Bring an interrupted run to an end: what was being emptied is emptied, anything else is given back."""
    if run.told.state == "emptying":
        empty(run)
    elif run.told.state != "done":
        restore(place, run)


def runs(folder: Path) -> list[Run]:
    """Every run in the trash `folder`, oldest first; what is no run, or a damaged one, is left alone: see `strange`."""
    found = []
    for name in _folders(folder):
        with contextlib.suppress(DamagedError):
            run = _load(folder / name)
            found += [run] if run is not None else []
    return sorted(found, key=lambda run: (run.told.made, run.name))


def strange(folder: Path) -> list[DamagedError]:
    """What stands in the way of reading a run."""
    found = []
    for name in _folders(folder):
        try:
            _load(folder / name)
        except DamagedError as error:
            found.append(error)
    return found


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise files.explain(error, folder, "read") from None


def expired(folder: Path, days: float, now: float) -> list[Run]:
    """Whole runs that are older than so many days."""
    return [run for run in runs(folder) if run.told.state == "done" and now - run.told.made > days * 86400]


def _load(folder: Path) -> Run | None:
    """None for a folder that is no run: only one that has our state, or nothing at all as yet, is one."""
    content = files.read_own(folder / _STATE, folder.parent, _LONGEST)
    if content is None:
        return None if any(tree.files(str(folder))) else Run(folder, Told("moving"))  # killed before its first step
    try:
        return Run(folder, msgspec.json.decode(content, type=Told))
    except msgspec.MsgspecError as error:
        raise DamagedError(f"{folder / _STATE} is damaged", why=str(error), fix=f"look at it: ls -l {folder}") from None


def _mark(run: Run, state: State) -> Run:
    told = msgspec.structs.replace(run.told, state=state)
    files.write_whole(run.folder / _STATE, msgspec.json.encode(told), mode=0o600, owner=None, below=run.folder.parent)
    return Run(run.folder, told)
