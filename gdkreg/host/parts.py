"""A file that arrives in parts, over several runs if need be: it gets its name only once it is whole."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import BinaryIO

from gdkreg.errors import GdkregError
from gdkreg.host.files import explain


def open_part(path: Path) -> BinaryIO:
    """A file for what arrives in parts, to read and to add to; at its end. `keep_part` or `drop_part` end it.

    Raises `GdkregError` also where another run is at work on it.
    """
    import fcntl

    try:
        stream = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666), "r+b", buffering=0)
    except OSError as error:
        raise explain(error, path) from None
    try:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise GdkregError(f"{path} is being written", why="another gdkreg is at work on it", fix="wait for it") from None
    stream.seek(0, os.SEEK_END)
    return stream


def keep_part(stream: BinaryIO, path: Path, to: Path) -> None:
    """What arrived whole gets its name, once it is on disk."""
    try:
        os.fsync(stream.fileno())
        os.replace(path, to)
    except OSError as error:
        raise explain(error, to) from None


def drop_part(path: Path) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
