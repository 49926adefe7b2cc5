"""A HAR file that grows as the exchanges pass: no more than one of them is in memory, and the file is whole after each."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from gdkreg.errors import GdkregError
from gdkreg.host import files
from gdkreg.proof.har import Exchange, entry

_HEAD = b'{"log": {"version": "1.2", "creator": {"name": "gdkreg", "version": "0.1"}, "entries": ['
_TAIL = b"\n]}}\n"


class Recording:
    """A context manager. It is written beside its place, and put there by `finish`; without that, what stood there stays.

    Raises `GdkregError` where it cannot be written.
    """

    def __init__(self, path: Path, base: str, *, show_secrets: bool) -> None:
        self._path = path
        self._base = base
        self._show_secrets = show_secrets
        self._lock = threading.Lock()
        self._problem: GdkregError | None = None

    def __enter__(self) -> Recording:
        self._stream = files.open_beside(self._path, mode=0o600)
        self._end = self._stream.write(_HEAD)
        self._first = True
        return self

    def add(self, exchange: Exchange) -> None:
        """What cannot be written any more is told at the end: the dialog goes on."""
        text = json.dumps(entry(exchange, self._base, self._show_secrets)).encode()
        with self._lock:
            if self._stream.closed or self._problem is not None:
                return
            try:
                self._stream.seek(self._end)
                self._stream.write((b"\n" if self._first else b",\n") + text)
                self._end, self._first = self._stream.tell(), False
                self._stream.write(_TAIL)
                self._stream.flush()
            except OSError as error:
                self._problem = files.explain(error, self._path)

    def finish(self) -> None:
        with self._lock:
            if self._first:
                self._stream.write(_TAIL)
            if self._problem is not None:
                raise self._problem
            files.put_in_place(self._stream, self._path)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            files.discard_beside(self._stream, self._path)
