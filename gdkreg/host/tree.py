"""Moving and removing folders of a tree, thousands at a time. No symlink is followed below a tree's top."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from gdkreg.host.files import explain

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class Mover:
    """Renames folders from one tree to the same places of another, on one file system. Both tops have to be there.

    Parents are made where they are missing, with their parent's owner where root does it. Raises `OSError`.
    """

    def __init__(self, source: Path, target: Path) -> None:
        self._tops = (os.fspath(source), os.fspath(target))
        self._parent = ""
        self._open: tuple[int, int] | None = None

    def __enter__(self) -> Mover:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        for fd in self._open or ():
            os.close(fd)
        self._open, self._parent = None, ""

    def move(self, place: str) -> None:
        """Rename one folder. An empty folder that is at the target gives way; one with anything in it is an `OSError`."""
        try:
            parent, _, name = place.rpartition("/")
            source, target = self._folders(parent)
            os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
        except OSError as error:
            error.filename, error.filename2 = place, None
            raise

    def _folders(self, parent: str) -> tuple[int, int]:
        if self._open is None or parent != self._parent:
            self._close()
            source = _descend(self._tops[0], parent, make=False)
            try:
                self._open = (source, _descend(self._tops[1], parent, make=True))
            except BaseException:
                os.close(source)
                raise
            self._parent = parent
        return self._open


def _descend(top: str, place: str, *, make: bool) -> int:
    """The open folder `place` below `top`."""
    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    for part in place.split("/"):
        try:
            deeper = _enter(part, fd, make)
        finally:
            os.close(fd)
        fd = deeper
    return fd


def _enter(name: str, parent: int, make: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=parent)
    fd = os.open(name, _FOLDER, dir_fd=parent)
    if os.geteuid() == 0:
        above = os.fstat(parent)
        os.fchown(fd, above.st_uid, above.st_gid)
    return fd


def same_file_system(one: Path, other: Path) -> bool:
    """By the device's number; a bind mount of the same one is met when something is renamed over it (EXDEV)."""
    return os.stat(one).st_dev == os.stat(other).st_dev


def make(folder: Path) -> None:
    """A new folder that only its owner may enter, with its parents. Raises `GdkregError`."""
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise explain(error, folder) from None


def remove(path: Path) -> None:
    """Remove a folder of ours with all that is in it; symlinks in it are removed, not followed. Raises `GdkregError`."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise explain(error, Path(error.filename or path), "remove") from None


def remove_empty(folder: Path) -> bool:
    """Remove a folder in which nothing but folders is; False, and the rest stays, where something is. Raises `GdkregError`."""
    try:
        for place, _, _ in os.walk(folder, topdown=False):
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(place)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            return False
        raise explain(error, Path(error.filename or folder), "remove") from None
    return True


def unlink(path: Path) -> None:
    """Remove a file that may be gone. Raises `GdkregError`."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise explain(error, path, "remove") from None


def files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Every file below it, by its place in it. Raises `OSError`."""
    waiting = [""]
    while waiting:
        place = waiting.pop()
        with os.scandir(f"{folder}/{place}") as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{place}{entry.name}/")
                else:
                    yield f"{place}{entry.name}", entry.stat(follow_symlinks=False)


def same_content(one: str, other: str, small: int) -> bool:
    """Whether two folders hold files of the same names and sizes; those of at most `small` bytes have to be equal."""
    found, beside = dict(files(one)), dict(files(other))
    if found.keys() != beside.keys():
        return False
    for name, info in found.items():
        if not stat.S_ISREG(info.st_mode) or not stat.S_ISREG(beside[name].st_mode) or info.st_size != beside[name].st_size:
            return False
        if info.st_size <= small and _read(f"{one}/{name}") != _read(f"{other}/{name}"):
            return False
    return True


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with open(fd, "rb") as stream:
        return stream.read()
