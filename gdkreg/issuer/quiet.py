"""A log that no flood can fill: equal lines are counted, not repeated."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from pathlib import Path
from typing import TextIO

from gdkreg.host import processes
from gdkreg.plan.state import log_of

WINDOW = 10  # seconds; uvicorn calls `sweep` so often
REQUESTS = 100  # lines of one kind in a window, up to a warning; from a warning on it is one
_KINDS = 100
_LONGEST, _LONGEST_TRACEBACK = 500, 8000  # characters

Kind = tuple[str, int, str]


class QuietHandler(logging.Handler):
    """Writes to stderr, which is the issuer's log, or to `stream`. Lines are of one kind if what they are made
    from is equal: all requests, say, for each is one format with other values."""

    def __init__(self, root: Path, stream: TextIO | None = None) -> None:
        """The issuer's log in the root is rotated while this runs."""
        super().__init__()
        self._root = root
        self._stream = stream or sys.stderr
        self._seen = Counter[Kind]()
        self.setFormatter(logging.Formatter("[%(asctime)s] %(levelname)s: %(message)s", "%d/%b/%Y:%H:%M:%S %z"))

    def emit(self, record: logging.LogRecord) -> None:
        kind = (record.name, record.levelno, str(record.msg).partition("\n")[0])
        if kind not in self._seen and len(self._seen) >= _KINDS:
            kind = ("", record.levelno, "other lines")
        self._seen[kind] += 1
        if self._seen[kind] <= _allowed(kind):
            self._write(self.format(record)[: _LONGEST_TRACEBACK if record.exc_info else _LONGEST])

    async def sweep(self) -> None:
        """Tell what was left out, and rotate the log where it has grown."""
        self.acquire()
        try:
            for kind, count in self._seen.items():
                if count > _allowed(kind):
                    name, level, text = kind
                    more = logging.LogRecord(
                        name, level, "", 0, f"{count - _allowed(kind)} more in {WINDOW} s: {text}", None, None
                    )
                    self._write(self.format(more)[:_LONGEST])
            self._seen.clear()
        finally:
            self.release()
        processes.rotate(log_of(self._root, "auth"), self._root)

    def _write(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except OSError:  # a full disk is no reason to answer nobody
            return


def _allowed(kind: Kind) -> int:
    return 1 if kind[1] >= logging.WARNING else REQUESTS
