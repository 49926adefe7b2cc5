"""Writing a file so that a crash, a full disk or a second reader never meets half of it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from gdkreg.errors import GdkregError
from gdkreg.host.base import Kind


def temporary(target: Path) -> Path:
    """The name a file has while it is written; fixed, so that a killed run leaves at most one and the next one reuses it."""
    return target.with_name(f".{target.name}.gdkreg-new")


def write_whole(path: Path, content: bytes, *, mode: int, owner: tuple[int, int] | None) -> None:
    """Write beside the target, fsync, rename. Symlinks are kept and written through; owner and attributes stay.

    A bind-mounted target cannot be renamed over (EBUSY): it is written in place. `owner` None keeps
    the owner of a file that is there.
    """
    target = Path(os.path.realpath(path))
    try:
        _write_beside(target, content, mode, owner)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise explain(error, target) from None
        try:
            _write_in_place(target, content)
        except OSError as in_place:
            raise explain(in_place, target) from None
    finally:
        with contextlib.suppress(OSError):
            temporary(target).unlink(missing_ok=True)


def _write_beside(target: Path, content: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    fresh = temporary(target)
    fresh.unlink(missing_ok=True)
    old = target.stat() if target.exists() else None
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as stream:
        if old is not None:
            import shutil

            shutil.copystat(target, fresh)  # extended attributes, SELinux label
        uid, gid = owner or ((old.st_uid, old.st_gid) if old else (-1, -1))
        if (uid, gid) != (-1, -1) and (uid, gid) != (os.geteuid(), os.getegid()):
            os.fchown(fd, uid, gid)
        os.fchmod(fd, mode)
        stream.write(content)
        stream.flush()
        os.fsync(fd)
    os.utime(fresh)
    os.replace(fresh, target)
    _sync_folder(target.parent)


def _write_in_place(target: Path, content: bytes) -> None:
    old = target.read_bytes()
    fd = os.open(target, os.O_WRONLY)  # no buffer of Python's, which would try a failed write again
    try:
        try:
            _write_all(fd, content)
        except OSError:
            # The old bytes still own their blocks, so they fit again even on a full disk.
            _write_all(fd, old)
            os.truncate(fd, len(old))
            raise
        os.truncate(fd, len(content))
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_all(fd: int, content: bytes) -> None:
    at = 0
    while at < len(content):
        at += os.pwrite(fd, content[at:], at)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def explain(error: OSError, path: Path, verb: str = "write") -> GdkregError:
    """The machine's refusal as a sentence with a way out."""
    code = error.errno or 0
    immutable = f"look for an immutable flag: lsattr {path}; take it off with: sudo chattr -i {path}"
    sentence, fix = {
        errno.ENOSPC: ("the disk is full; the old file is whole", f"free some space: df -h {path.parent}"),
        errno.EDQUOT: ("your disk quota is used up; the old file is whole", f"free some space: df -h {path.parent}"),
        errno.EROFS: ("it is on a read-only file system", f"see how it is mounted: findmnt -T {path}"),
        errno.EPERM: ("the operation is not permitted", immutable),
        errno.EACCES: ("permission denied", f"see who owns it: ls -ld {path} {path.parent}"),
        errno.ENOENT: ("there is no such folder", f"make it: mkdir -p {path.parent}"),
        errno.ENOTDIR: ("something on the way to it is a file, not a folder", f"look at it: ls -ld {path.parent}"),
        errno.EISDIR: ("it is a folder", f"move it away: mv {path} {path}.old"),
    }.get(code, (os.strerror(code) if code else str(error), ""))
    return GdkregError(f"cannot {verb} {path}", why=sentence, fix=fix)


def kind_of(mode: int) -> Kind:
    """What an `st_mode` says stands there."""
    if stat.S_ISLNK(mode):
        return "symlink"
    if stat.S_ISREG(mode):
        return "file"
    return "folder" if stat.S_ISDIR(mode) else "other"
