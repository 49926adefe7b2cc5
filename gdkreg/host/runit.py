"""runit's service directories: whether one is looked after, and how it stands. Read from its files: `sv` only prints it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

_LENGTH = 20  # bytes of supervise/status: when, pid, paused, wanted, told to end, state


class Seen(msgspec.Struct, frozen=True):
    """`wanted` is up or down, `state` down, run or finish."""

    wanted: str
    state: str
    pid: int


def is_watched(folder: Path) -> bool:
    """Whether a runsv of this user's looks after a service directory."""
    try:
        os.close(os.open(folder / "supervise" / "ok", os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def look(folder: Path) -> Seen | None:
    """How the service stands; None where nobody looks after it."""
    if not is_watched(folder):
        return None
    try:
        raw = (folder / "supervise" / "status").read_bytes()
    except OSError:
        return None
    if len(raw) != _LENGTH:
        return None
    state = {0: "down", 1: "run", 2: "finish"}.get(raw[19], "")
    return Seen("up" if raw[17:18] == b"u" else "down", state, int.from_bytes(raw[12:16], "little"))


def program() -> str | None:
    """The `sv` that came with the runsv that this user, or root, runs now: a shell without GDK's PATH may not find it."""
    import psutil

    for process in psutil.process_iter(["name", "exe", "uids"]):
        told = process.info
        if told["name"] in {"runsvdir", "runsv"} and told["exe"] and told["uids"] and told["uids"].real in {0, os.geteuid()}:
            found = Path(told["exe"]).with_name("sv")
            if os.access(found, os.X_OK):
                return str(found)
    return None


def runs(services: Path) -> bool:
    """Whether a runsvdir looks through this folder of service directories."""
    import psutil

    for process in psutil.process_iter(["name", "cmdline"]):
        told = process.info
        if told["name"] == "runsvdir" and str(services) in (told["cmdline"] or []):
            return True
    return False
