"""Keeping Ctrl-C and its like out while something must not stay half done."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


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
