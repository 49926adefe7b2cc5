"""Long-lived processes: started in a session of their own, found again by pid and start time, stopped by pid."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

Child = subprocess.Popen[bytes]
KEEP_LOGS = 3
ROTATE_AT = 10 * 1024 * 1024  # bytes


class Running(msgspec.Struct, frozen=True):
    """A process as the pid file records it. The start time tells it from a later one with the same pid."""

    pid: int
    started: float
    digest: str = ""


def spawn(argv: Sequence[str], *, env: Mapping[str, str], log: Path, digest: str) -> tuple[Running, Child]:
    """Start a process that outlives us; its output is appended to the log. Raises `OSError`."""
    rotate(log)
    fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        process = subprocess.Popen(
            list(argv), env=dict(env), stdin=subprocess.DEVNULL, stdout=fd, stderr=fd, start_new_session=True, cwd="/"
        )
    finally:
        os.close(fd)
    return Running(process.pid, start_time(process.pid), digest), process


def start_time(pid: int) -> float:
    """When the process started, in seconds since the epoch; 0 where there is none, or only its corpse."""
    import psutil

    try:
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return 0.0


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Nothing that would end us is heard meanwhile: for putting right what must not stay half done."""
    ways = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {way: signal.signal(way, signal.SIG_IGN) for way in ways}
    try:
        yield
    finally:
        for way, handler in before.items():
            signal.signal(way, handler)


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


def rotate(log: Path) -> None:
    """Copy a log that grew too large aside and empty it in place: its writer appends and needs no signal."""
    try:
        if log.stat().st_size < ROTATE_AT:
            return
    except FileNotFoundError:
        return
    for number in range(KEEP_LOGS - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    fd = os.open(log.with_name(f"{log.name}.1"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with log.open("rb") as source, os.fdopen(fd, "wb") as target:
        while block := source.read(1 << 20):
            target.write(block)
    os.truncate(log, 0)
