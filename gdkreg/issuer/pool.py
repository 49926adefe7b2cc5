"""Who waits at the door: so many, of one address so many, and none for longer than a while."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Pool(Generic[T]):
    """At most `most` in all and `each` of one address. Who comes is always let in: the oldest of the address with most gives way,
    for a flood and a good client may come from the same address, and only a good one is done soon. `patience` is in seconds; so
    is `grace`, the time that `room` leaves to whoever is in."""

    def __init__(self, most: int, each: int, patience: float, grace: float = 0.0) -> None:
        self.most = most
        self.each = each
        self.patience = patience
        self.grace = grace
        self._count = 0
        self._of: dict[str, dict[T, float]] = {}  # by address, oldest first, with the moment that each came

    def __len__(self) -> int:
        return self._count

    def add(self, item: T, address: str, now: float) -> T | None:
        """Gives who has to go for it, where there are too many now. Who is in already keeps its place."""
        here = self._of.setdefault(address, {})
        if item in here:
            return None
        out = self._in_the_way(address)
        here[item] = now
        self._count += 1
        return out[0] if out else None

    def room(self, address: str, now: float) -> bool:
        """Whether one may come without another's going before its time."""
        out = self._in_the_way(address)
        return out is None or now - out[1] >= self.grace

    def oldest(self) -> T | None:
        """The oldest of the address that has most here."""
        here = max(self._of.values(), key=len, default=None)
        return next(iter(here)) if here else None

    def _in_the_way(self, address: str) -> tuple[T, float] | None:
        """Who would have to go for one more of this address, and since when it is here."""
        here = self._of.get(address, {})
        if len(here) < self.each:
            if self._count < self.most:
                return None
            here = max(self._of.values(), key=len)
        return next(iter(here.items()))

    def remove(self, item: T, address: str) -> None:
        here = self._of.get(address, {})
        if here.pop(item, None) is not None:
            self._count -= 1
        if not here:
            self._of.pop(address, None)

    def expired(self, now: float) -> list[T]:
        """Who has waited too long."""
        found = []
        for here in self._of.values():
            for item, since in here.items():
                if now - since < self.patience:
                    break
                found.append(item)
        return found
