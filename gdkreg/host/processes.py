"""Long-lived processes: started in a session of their own, found again by pid and start time, stopped by pid."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from gdkreg.host import files

if TYPE_CHECKING:
    import subprocess

    Child = subprocess.Popen[bytes]

KEEP_LOGS = 3
ROTATE_AT = 10 * 1024 * 1024  # bytes


class Running(msgspec.Struct, frozen=True):
    """A process as the pid file records it. The start time tells it from a later one with the same pid."""

    pid: Annotated[int, msgspec.Meta(gt=1, lt=2**31)]  # to signal 0, 1 or -1 would be to signal everybody
    started: Annotated[float, msgspec.Meta(gt=0)]
    digest: str = ""


# Waits for a word on stdin before it becomes the program: whoever dies before saying it leaves nothing running.
_WHEN_TOLD = ("/bin/sh", "-c", 'read -r go && exec "$@" </dev/null', "gdkreg")


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    below: Path,
    digest: str,
    owner: tuple[int, int] | None,
    record: Callable[[Running], None],
) -> Child:
    """Start a process that outlives us; its output is appended to the log. It begins once `record` has written it down.

    Raises `OSError` where it cannot be run.
    """
    import subprocess

    if not os.access(argv[0], os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), argv[0])
    rotate(log, below)
    fd = files.open_own(log, below, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        if owner is not None:
            os.fchown(fd, *owner)
        process = subprocess.Popen(
            [*_WHEN_TOLD, *argv], env=dict(env), stdin=subprocess.PIPE, stdout=fd, stderr=fd, start_new_session=True, cwd="/"
        )
    finally:
        os.close(fd)
    assert process.stdin is not None
    try:
        began = start_time(process.pid)
        if not began:
            raise OSError(errno.ESRCH, "it cannot be seen; is /proc mounted?")
        record(Running(process.pid, began, digest))
        process.stdin.write(b"go\n")
    finally:
        process.stdin.close()
    return process


def start_time(pid: int) -> float:
    """When the process started, in seconds since the epoch; 0 where there is none, or only its corpse."""
    import psutil

    try:
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return 0.0


def ending_with(last_word: str) -> list[Running]:
    """This user's processes whose command line ends with this word."""
    import psutil

    found = []
    for process in psutil.process_iter(["pid", "uids", "cmdline", "create_time"]):
        told = process.info
        if told["cmdline"] and told["cmdline"][-1] == last_word and told["uids"] and told["uids"].real == os.getuid():
            found.append(Running(told["pid"], told["create_time"]))
    return found


def is_ours(running: Running, sign: str) -> bool:
    """Whether it lives, is this user's, and a word of its command line ends with the sign: a pid file alone proves nothing."""
    import psutil

    if not is_alive(running):
        return False
    try:
        process = psutil.Process(running.pid)
        return process.uids().real == os.getuid() and any(word.endswith(sign) for word in process.cmdline())
    except psutil.Error:
        return False


def me() -> Running:
    """This very process."""
    return Running(os.getpid(), start_time(os.getpid()))


def is_alive(running: Running) -> bool:
    return running.started > 0 and abs(start_time(running.pid) - running.started) < 0.02


def stop(running: Running, grace: float = 5.0) -> bool:
    """Ask it to end, then make it; False where it was gone already."""
    if not is_alive(running):
        return False
    for sign, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 2.0)):
        try:
            os.kill(running.pid, sign)
        except ProcessLookupError:
            return True
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            _reap(running.pid)
            if not is_alive(running):
                return True
            time.sleep(0.01)
    return True


def _reap(pid: int) -> None:
    """A child of this very run has to be waited for, or it stays as a zombie."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def rotate(log: Path, below: Path) -> None:
    """Copy a log that grew too large aside and empty it in place: its writer appends and needs no signal."""
    try:
        if log.lstat().st_size < ROTATE_AT:
            return
        with files.folder_of(log, below) as (folder, name):
            for number in range(KEEP_LOGS - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{name}.{number}", f"{name}.{number + 1}", src_dir_fd=folder, dst_dir_fd=folder)
        source = files.open_own(log, below, os.O_RDWR)
        target = files.open_own(log.with_name(f"{log.name}.1"), below, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(target, "wb") as stream, os.fdopen(source, "rb+") as whole:
            while block := whole.read(1 << 20):
                stream.write(block)
            whole.truncate(0)
    except OSError:  # a full disk, or a log that another run rotates: it is tried again at the next look
        return
