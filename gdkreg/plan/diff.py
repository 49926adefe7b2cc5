"""Changes as a unified diff, with secrets masked (`plan/shown.py`)."""

from __future__ import annotations

import re
from pathlib import Path

from gdkreg.plan.actions import Action, Leave, RemoveFile, WriteFile

_TOO_LONG = 200


def unified(name: str, before: bytes | None, after: bytes | None) -> str:
    """A diff of two versions of a file; empty where they are alike. Long lines are cut.

    Lines are numbered where they are the file's own; else they are what is shown of its values.
    """
    if before == after:
        return ""
    from gdkreg.plan import shown

    try:
        sides = shown.sides(Path(name), before, after)
    except shown.HiddenError as why:
        return f"(it changes; contents not shown: {why})"
    if sides.before == sides.after:
        return "(only comments, order or layout change)"
    labels = ("/dev/null" if before is None else name, "/dev/null" if after is None else name)
    rows = _rows(_lines(sides.before), _lines(sides.after), labels)
    if not sides.whole:
        rows = ["@@ values @@" if row.startswith("@@") else row for row in rows]
    return "\n".join(row if len(row) <= _TOO_LONG else row[:_TOO_LONG] + "…" for row in rows)


def _rows(old: list[str], new: list[str], labels: tuple[str, str]) -> list[str]:
    import difflib

    # A file of many lines with one changed is the common case: compare only what differs.
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    start = max(0, head - 3)
    ends = [len(side) - max(0, tail - 3) for side in (old, new)]
    rows = list(difflib.unified_diff(old[start : ends[0]], new[start : ends[1]], *labels, lineterm=""))
    return [_shift(row, start) if row.startswith("@@") else row for row in rows]


def _lines(text: str | None) -> list[str]:
    if text is None:
        return []
    lines = [line.replace("\r", "␍") for line in text.split("\n")]
    if lines[-1] == "":
        return lines[:-1]
    return [*lines[:-1], lines[-1] + " (no newline at the end)"]


def _shift(row: str, by: int) -> str:
    return re.sub(r"(?<=[-+])(\d+)", lambda found: str(int(found[0]) + by), row)


def of(action: Action) -> str:
    """What an action would change, as a diff; empty where there is nothing to show."""
    if isinstance(action, Leave):
        return action.details
    if not isinstance(action, (WriteFile, RemoveFile)) or ".gdkreg" in action.path.parts:
        return ""
    if action.secret:
        return "(contents not shown: a secret)"
    if not isinstance(action, WriteFile):
        return unified(str(action.path), action.before, None)
    if action.preview is not None:
        return unified(str(action.path), action.before, action.preview)
    if callable(action.content):
        return "(contents made when it is written)"
    return unified(str(action.path), action.before, action.content)
