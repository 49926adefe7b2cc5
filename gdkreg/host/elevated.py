"""Files that only root may change, through sudo: one fixed argv each, the content on stdin."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from gdkreg.errors import GdkregError
from gdkreg.host import commands, files
from gdkreg.host.base import Completed
from gdkreg.host.signals import uninterrupted


def write(path: Path, content: bytes, *, mode: int, owner: tuple[int, int] | None, full: bool = False) -> None:
    """As `files.write_whole`: beside the target and renamed; in place where it is a mount point, or with `full` the disk is."""
    target = Path(os.path.realpath(path))
    fresh = str(files.temporary(target))
    # Whatever lies at this name is not ours: a link there would be followed by root.
    must(["rm", "-f", fresh], path)
    try:
        try:
            _beside(target, fresh, content, mode, owner)
            moved = commands.run_as_root(["mv", "-f", fresh, str(target)])
        except GdkregError as error:
            old = _read(target) if full and _is_full(error) else b""
            if len(old) < len(content) or not old:
                raise
            moved = Completed(1, "", "busy")
            must(["rm", "-f", fresh], path)
        if moved.code != 0:
            if "busy" not in moved.err:
                raise _refused(moved.err, path)
            with uninterrupted():
                _in_place(target, content)
            must(["rm", "-f", fresh], path)  # if it cannot be removed, the journal stays open for it
    finally:
        commands.run_as_root(["rm", "-f", fresh])


def _is_full(error: GdkregError) -> bool:
    return any(files.explain(OSError(number, ""), Path("/")).why == error.why for number in files.FULL)


def _beside(target: Path, fresh: str, content: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    uid, gid = owner or (0, 0)
    if commands.run_as_root(["test", "-e", str(target)]).code == 0:
        must(["cp", "-p", str(target), fresh], target)  # owner, mode and attributes come along
    else:
        must(["install", "-m", "600", "-o", str(uid), "-g", str(gid), "/dev/null", fresh], target)
    if owner is not None:
        must(["chown", f"{uid}:{gid}", fresh], target)
    must(["chmod", f"{mode:o}", fresh], target)
    must(["dd", f"of={fresh}", "conv=fsync", "status=none"], target, stdin=content)


def _in_place(target: Path, content: bytes) -> None:
    """Never truncated first: the old bytes keep their blocks until the new ones are there."""
    old = _read(target)
    try:
        _overwrite(target, content)
    except GdkregError:
        try:
            _overwrite(target, old)
        except GdkregError as again:
            raise files.torn(target, OSError(errno.EIO, again.why)) from None
        raise


def _overwrite(target: Path, content: bytes) -> None:
    must(["dd", f"of={target}", "conv=notrunc,fsync", "status=none"], target, stdin=content)
    # As POSIX says of seek without notrunc: macOS 12 has no truncate.
    must(["dd", "if=/dev/null", f"of={target}", "bs=1", f"seek={len(content)}", "status=none"], target)


def _read(target: Path) -> bytes:
    try:
        return commands.read_as_root(str(target))
    except OSError as error:
        raise GdkregError(f"cannot read {target}", why=str(error)) from None


def must(argv: list[str], path: Path, stdin: bytes = b"") -> None:
    """Raises `GdkregError` where the command fails, `NeedsRootError` where sudo says no."""
    done = commands.run_as_root(argv, stdin=stdin)
    if done.code != 0:
        raise _refused(done.err or f"{argv[0]} exited with {done.code}", path)


def _refused(said: str, path: Path) -> GdkregError:
    """What a command of root's said, as the sentence that our own system call would have given."""
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EPERM):
        if os.strerror(number) in said:
            return files.explain(OSError(number, said), path)
    return GdkregError(f"cannot write {path}", why=said.strip().splitlines()[-1] if said.strip() else "it was refused")
