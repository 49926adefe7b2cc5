"""A program that never outlives us, however we end: on every system, without a signal of the kernel's for it."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

# The shell's stdin is a pipe of ours that nobody writes to: its end is ours, whatever killed us. A shell that is killed itself
# leaves the reader, which sees the same end once we close the pipe.
_TETHER = """
exec 3<&0
"$@" </dev/null 3<&- & program=$!
(read -r _ <&3; kill "$program") >/dev/null 2>&1 & reader=$!
exec 3<&- </dev/null
wait "$program"; code=$?
kill "$reader" 2>/dev/null
exit "$code"
"""
_LINE = 1 << 16  # bytes of a line without an end that are kept
_PATIENCE = 3.0  # seconds in which a program that was told to end does


class Tethered:
    """`argv` runs until it ends, `end` is called, or we die. What it says on stderr is read line by line."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        import subprocess

        self._shell: subprocess.Popen[bytes] = subprocess.Popen(
            ["/bin/sh", "-c", _TETHER, "gdkreg", *argv],
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
        )
        assert self._shell.stderr is not None
        self._said = self._shell.stderr.fileno()
        os.set_blocking(self._said, False)
        self._rest = b""
        self._open = True

    def lines(self, timeout: float) -> list[str]:
        """What it said since, waiting for it at most so long; the end of a line that is not whole yet comes later."""
        if not self._open:
            time.sleep(min(timeout, 0.05))
            return []
        if not select.select([self._said], [], [], timeout)[0]:
            return []
        try:
            block = os.read(self._said, 1 << 16)
        except BlockingIOError:
            return []
        self._open = bool(block)
        *whole, rest = (self._rest + (block or b"\n")).split(b"\n")
        self._rest = rest[-_LINE:]
        return [line.decode(errors="replace").rstrip("\r") for line in whole if line.strip()]

    def ended(self) -> int | None:
        """Its exit code; None while it runs, or while there is something of it to read."""
        code = self._shell.poll()
        return code if code is not None and (not self._open or code < 0) else None

    def end(self) -> None:
        """Returns once it is gone."""
        import subprocess

        assert self._shell.stdin is not None
        assert self._shell.stderr is not None
        with contextlib.suppress(OSError):
            self._shell.stdin.close()
        try:
            self._shell.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._shell.kill()
            self._shell.wait()
        self._shell.stderr.close()
        self._open = False
