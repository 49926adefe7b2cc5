"""Who answers at a local socket: the process itself, as the kernel tells it, and not as a pid file does."""

from __future__ import annotations

import os
import socket
import struct

import msgspec

_ASK_WITHIN = 2.0  # seconds


class Daemon(msgspec.Struct, frozen=True):
    """A process and how it was started."""

    pid: int
    uid: int
    argv: tuple[str, ...]

    @property
    def program(self) -> str:
        return os.path.basename(self.argv[0]) if self.argv else ""


def behind(path: str) -> int:
    """The pid of whoever listens at a unix socket; 0 where that cannot be told. systemd listens for those it starts."""
    asks = getattr(socket, "SO_PEERCRED", None)
    if asks is None:
        return 0
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ASK_WITHIN)
            connection.connect(path)
            pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, asks, struct.calcsize("3i")))
    except OSError:
        return 0
    return int(pid)


def look(pid: int) -> Daemon | None:
    """None where there is no such process, or it may not be seen."""
    import psutil

    if pid < 1:
        return None
    try:
        process = psutil.Process(pid)
        return Daemon(pid, process.uids().real, tuple(process.cmdline()))
    except psutil.Error:
        return None
