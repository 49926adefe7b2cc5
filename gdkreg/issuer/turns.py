"""Whose password is looked at next: bcrypt is slow on purpose, so that a flood of it has to be shared out."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

MOST_WAITING = 128


class CrowdedError(Exception):
    """Too many wait, and most of them for this name."""


class Turns:
    """`at_once` may work at a time. The names for which somebody waits take turns, so that a flood on one holds up no other;
    whether anybody has the name plays no part, or a flood would tell it. Where too many wait, the oldest of the most goes."""

    def __init__(self, at_once: int, most: int = MOST_WAITING) -> None:
        self._free = at_once
        self._most = most
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[None]:
        """Raises `CrowdedError`."""
        if self._free:
            self._free -= 1
        else:
            await self._queue(name)
        try:
            yield
        finally:
            self._pass_on()

    async def _queue(self, name: str) -> None:
        mine = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, deque()).append(mine)
        if sum(map(len, self._waiting.values())) > self._most:
            longest = max(self._waiting, key=lambda each: len(self._waiting[each]))
            self._take(longest).set_exception(CrowdedError())
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled() and mine.exception() is None:
                self._pass_on()  # it was its turn already
            raise

    def _take(self, name: str) -> asyncio.Future[None]:
        """The one that waits longest for this name; the name goes to the end."""
        queue = self._waiting.pop(name)
        first = queue.popleft()
        if queue:
            self._waiting[name] = queue
        return first

    def _pass_on(self) -> None:
        while self._waiting:
            following = self._take(next(iter(self._waiting)))
            if not following.done():
                following.set_result(None)
                return
        self._free += 1
