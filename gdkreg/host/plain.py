"""Reading what somebody else keeps."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from gdkreg.errors import GdkregError


def read(path: Path) -> bytes:
    """A plain file, or /dev/null: who reads a pipe or a device, which somebody's folder may lead to, may wait for ever.

    Raises `GdkregError` for such, and `OSError`.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with os.fdopen(fd, "rb", closefd=False) as stream:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) and found.st_rdev != os.stat(os.devnull).st_rdev:
                raise GdkregError(f"cannot read {path}", why="it is no plain file", fix=f"ls -lL {path}")
            return stream.read()
    finally:
        os.close(fd)


def unreachable(error: OSError) -> bool:
    """Whether nothing can be there: no such place, or a loop of symlinks, or no way there for this user."""
    return error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM}
