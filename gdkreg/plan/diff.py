"""Changes as a unified diff, with secrets masked."""

from __future__ import annotations

import re

from gdkreg.plan.actions import Action, Leave, RemoveFile, WriteFile

_NAMES = r"token|secret|password|accesskey|secretkey|accountkey|privatekey|private_key|authorization"
_SECRET = re.compile(rf"(?im)^([ +-]*[\w.-]*(?:{_NAMES})[\w-]*[\"']?[ \t]*[:=][ \t]*)[^\s/|>].*$")
_BEARER = re.compile(r"(?i)\b(bearer|basic)[ \t]+[\w+/=.~-]{6,}")
_IN_URL = re.compile(r"(://[^/\s:@]+:)[^@\s]+(?=@)")
_TOO_LONG = 200


def mask(text: str) -> str:
    """The text with the values of keys that hold secrets (token, secret, password…) blotted out."""
    text = _BEARER.sub(r"\1 ********", _IN_URL.sub(r"\1********", text))
    return _SECRET.sub(r"\1********", text)


def unified(name: str, before: bytes | None, after: bytes | None) -> str:
    """A diff of two versions of a file; empty where they are alike. Long lines are cut."""
    if before == after:
        return ""
    import difflib

    old, new = (_lines(side) for side in (before, after))
    labels = ("/dev/null" if before is None else name, "/dev/null" if after is None else name)
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
    rows = [_shift(row, start) if row.startswith("@@") else row for row in rows]
    return mask("\n".join(row if len(row) <= _TOO_LONG else row[:_TOO_LONG] + "…" for row in rows))


def _lines(content: bytes | None) -> list[str]:
    if content is None:
        return []
    text = content.decode("utf-8", "replace")
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
