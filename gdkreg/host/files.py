"""Writing a file so that a crash, a full disk or a second reader never meets half of it, and reading what is ours alone."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gdkreg.errors import DamagedError, GdkregError
from gdkreg.host.base import Kind

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
FULL = {errno.ENOSPC, errno.EDQUOT}


SUFFIX = ".gdkreg-new"


def temporary(target: Path) -> Path:
    """The name a file has while it is written; fixed, so that a killed run leaves at most one and the next one reuses it."""
    return target.with_name(f".{target.name}{SUFFIX}")


@contextlib.contextmanager
def folder_of(path: Path, below: Path | None) -> Iterator[tuple[int, str]]:
    """The open folder of a file, and the file's name in it.

    Without `below` symlinks are followed. With it, none from there on: nobody can turn the way while it is gone.
    """
    if below is None:
        target = Path(os.path.realpath(path))
        parts, name = [os.fspath(target.parent)], target.name
    else:
        *middle, name = path.relative_to(below).parts
        parts = [os.fspath(below), *middle]
    fd = os.open(parts[0], _FOLDER)
    try:
        for part in parts[1:]:
            deeper = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = deeper
        yield fd, name
    finally:
        os.close(fd)


def write_whole(
    path: Path, content: bytes, *, mode: int, owner: tuple[int, int] | None, below: Path | None = None, full: bool = False
) -> None:
    """Write beside the target, fsync, rename. Owner and attributes of a file that is there stay; `owner` None keeps the owner.

    A target that cannot be renamed over (EBUSY) is written in place; then what was meant has to stand in the journal before.
    With `full` that is done on a full disk too, with content that is no longer than the file is.
    """
    try:
        with folder_of(path, below) as (folder, name):
            if below is not None and _is_link(folder, name):
                raise GdkregError(f"{path} is a symlink", why="gdkreg writes through none here", fix=f"look at it: ls -l {path}")
            try:
                _write_beside(folder, name, content, mode, owner)
            except OSError as error:
                no_room = full and error.errno in FULL and _fits(folder, name, content)
                if error.errno != errno.EBUSY and not no_room:
                    raise
                _write_in_place(folder, name, content, path)
                with contextlib.suppress(FileNotFoundError):  # if it cannot be removed, the journal stays open for it
                    os.unlink(temporary(Path(name)).name, dir_fd=folder)
    except OSError as error:
        raise explain(error, path) from None


def open_beside(path: Path, *, mode: int) -> BinaryIO:
    """A new file beside the target, for what grows over a while; then `put_in_place`, and in any case `discard_beside`."""
    try:
        with folder_of(path, None) as (folder, name):
            fresh = temporary(Path(name)).name
            with contextlib.suppress(FileNotFoundError):
                os.unlink(fresh, dir_fd=folder)
            return os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode, dir_fd=folder), "wb")
    except OSError as error:
        raise explain(error, path) from None


def put_in_place(stream: BinaryIO, path: Path) -> None:
    """Rename what `open_beside` gave to the target, once it is on disk."""
    try:
        stream.flush()
        os.fsync(stream.fileno())
        stream.close()
        with folder_of(path, None) as (folder, name):
            os.replace(temporary(Path(name)).name, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        raise explain(error, path) from None


def discard_beside(stream: BinaryIO, path: Path) -> None:
    """Remove what `open_beside` gave, unless it was put in place."""
    if stream.closed:
        return
    with contextlib.suppress(OSError):
        stream.close()
    with contextlib.suppress(OSError), folder_of(path, None) as (folder, name):
        os.unlink(temporary(Path(name)).name, dir_fd=folder)


def _is_link(folder: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _fits(folder: int, name: str, content: bytes) -> bool:
    """On a full disk only what is no longer than before needs no new block."""
    try:
        return os.stat(name, dir_fd=folder).st_size >= len(content)
    except OSError:
        return False


def _write_beside(folder: int, name: str, content: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    fresh = temporary(Path(name)).name
    with contextlib.suppress(FileNotFoundError):
        os.unlink(fresh, dir_fd=folder)
    try:
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
        with os.fdopen(fd, "wb") as stream:
            kept = _keep_attributes(folder, name, fd)
            uid, gid = owner or kept or (-1, -1)
            if (uid, gid) != (-1, -1) and (uid, gid) != (os.geteuid(), os.getegid()):
                os.fchown(fd, uid, gid)
            os.fchmod(fd, mode)
            stream.write(content)
            stream.flush()
            os.fsync(fd)
        os.replace(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(fresh, dir_fd=folder)
    os.fsync(folder)


def _keep_attributes(folder: int, name: str, fresh: int) -> tuple[int, int] | None:
    """Copy the old file's extended attributes (an SELinux label); gives its owner, None where there is no old file."""
    try:
        old = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=folder)
    except OSError:
        return None
    try:
        if hasattr(os, "listxattr"):
            with contextlib.suppress(OSError):
                for attribute in os.listxattr(old):
                    os.setxattr(fresh, attribute, os.getxattr(old, attribute))
        found = os.fstat(old)
        return found.st_uid, found.st_gid
    finally:
        os.close(old)


def _write_in_place(folder: int, name: str, content: bytes, path: Path) -> None:
    """No truncation first: at every moment the file is the new bytes up to some place and the old ones from there on."""
    fd = os.open(name, os.O_RDWR | os.O_NOFOLLOW, dir_fd=folder)
    try:
        old = _read_all(fd)
        try:
            _write_all(fd, content)
            os.ftruncate(fd, len(content))
            os.fsync(fd)
        except OSError as error:
            try:
                _write_all(fd, old)  # the old bytes still own their blocks, so they fit again even on a full disk
                os.ftruncate(fd, len(old))
                os.fsync(fd)
            except OSError:
                raise torn(path, error) from None
            raise
    finally:
        os.close(fd)


def torn(path: Path, error: OSError) -> GdkregError:
    """The error for a file of which only a part could be written, and that could not be put right at once."""
    return GdkregError(
        f"{path} is written in part only",
        why=os.strerror(error.errno) if error.errno else str(error),
        fix="any gdkreg command that changes something puts it right from its backup, once that can be done",
    )


def _read_all(fd: int) -> bytes:
    pieces = []
    while piece := os.read(fd, 1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


def _write_all(fd: int, content: bytes) -> None:
    at = 0
    while at < len(content):
        at += os.pwrite(fd, content[at:], at)


def open_own(path: Path, below: Path, flags: int) -> int:
    """Open a file of ours, over no symlink from `below` on. Raises `OSError`."""
    with folder_of(path, below) as (folder, name):
        return os.open(name, flags | os.O_NOFOLLOW, 0o600, dir_fd=folder)


def append(path: Path, line: bytes, below: Path, *, sync: bool) -> None:
    """Add a line to a file of ours; with `sync` it is on disk before this returns."""
    try:
        fd = open_own(path, below, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            left = line + b"\n"
            while left:
                left = left[os.write(fd, left) :]
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise explain(error, path) from None


def read_own(path: Path, below: Path, limit: int) -> bytes | None:
    """A file that only gdkreg writes, with every folder from `below` on: whoever runs this owns it (or the owner of `below`,
    where that is root at work in it), nobody else can write it, no symlink leads there, and it is no longer than `limit`.

    Raises `DamagedError` with what is wrong.
    """
    try:
        mine = {os.geteuid(), os.stat(below).st_uid} if os.geteuid() == 0 else {os.geteuid()}
        with folder_of(path, below) as (folder, name):
            if path.parent != below:
                _check_own(os.fstat(folder), path.parent, mine)
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            try:
                found = os.fstat(fd)
                _check_own(found, path, mine)
                if not stat.S_ISREG(found.st_mode):
                    raise DamagedError(f"{path} is damaged", why="it is no plain file")
                if found.st_size > limit:
                    raise DamagedError(f"{path} is damaged", why=f"it has {found.st_size} bytes; gdkreg writes {limit} at most")
                return _read_all(fd)
            finally:
                os.close(fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        link = error.errno in {errno.ELOOP, errno.ENOTDIR}
        why = "a symlink, or something that is no folder, stands on the way to it" if link else os.strerror(error.errno or 0)
        raise DamagedError(f"{path} is not used", why=why, fix=f"look at it: ls -ld {path.parent} {path}") from None


def _check_own(found: os.stat_result, path: Path, mine: set[int]) -> None:
    if found.st_uid not in mine:
        who = "sudo gdkreg, if root set this up" if found.st_uid == 0 else f"sudo chown -R {os.geteuid()} {path}, if it is yours"
        raise DamagedError(f"{path} is not used", why=f"it belongs to user {found.st_uid}, not to {os.geteuid()}", fix=who)
    if found.st_mode & 0o022 and not stat.S_ISLNK(found.st_mode):
        raise DamagedError(f"{path} is not used", why="others may write it", fix=f"look at it, then: chmod go-w {path}")


def explain(error: OSError, path: Path, verb: str = "write") -> GdkregError:
    """The machine's refusal as a sentence with a way out."""
    code = error.errno or 0
    mac = sys.platform == "darwin"
    flag, off = ("ls -lO", "chflags nouchg,noschg") if mac else ("lsattr", "chattr -i")
    immutable = f"look for an immutable flag: {flag} {path}; take it off with: sudo {off} {path}"
    link = f"look at it: ls -ld {path.parent} {path}"
    sentence, fix = {
        errno.ENOSPC: ("the disk is full; the old file is whole", f"free some space: df -h {path.parent}"),
        errno.EDQUOT: ("your disk quota is used up; the old file is whole", f"free some space: df -h {path.parent}"),
        errno.EROFS: ("it is on a read-only file system", f"see how it is mounted: {'df' if mac else 'findmnt -T'} {path}"),
        errno.EPERM: ("the operation is not permitted", immutable),
        errno.EACCES: ("permission denied", f"see who owns it: ls -ld {path} {path.parent}"),
        errno.ENOENT: ("there is no such folder", f"make it: mkdir -p {path.parent}"),
        errno.ENOTDIR: ("something on the way to it is a file or a symlink, not a folder", link),
        errno.ELOOP: ("a symlink stands on the way to it", link),
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
