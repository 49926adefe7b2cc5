"""The registry's storage: whether its user may write there, and the room that is left."""

from __future__ import annotations

from gdkreg.services import storage
from gdkreg.units import size
from gdkreg.verbs.checks.seen import Finding, Seen

LITTLE, NONE = 2_000_000_000, 200_000_000  # bytes: told, and broken
_FEW = 1000  # files that can still be made


def check(seen: Seen) -> list[Finding]:
    if storage.tree(seen.settings) is None:
        return []
    problem = storage.problem(seen.settings, seen.host) if seen.root.applied is not None else None
    if problem is not None:
        return [Finding("error", problem.what, problem.why or "every push would fail", problem.fix)]
    room = storage.room(seen.settings)
    if room is None:
        return []
    free, files = room
    clean = "gdkreg gc --cleanup"
    if files is not None and files < _FEW:
        return [
            Finding("error", f"{files} files can still be made on the disk of the storage", "a push needs some dozens", clean)
        ]
    if free < NONE:
        return [Finding("error", f"{size(free)} are free for the storage", "a push breaks off when the disk is full", clean)]
    if free < LITTLE:
        return [Finding("warning", f"{size(free)} are free for the storage", "a few images fill it", clean)]
    return [Finding("ok", f"{size(free)} free")]
