"""The loopback alias, and networks that cover it."""

from __future__ import annotations

from gdkreg.config.values import is_loopback
from gdkreg.verbs.checks.seen import Finding, Seen


def check(seen: Seen) -> list[Finding]:
    address = seen.settings.address
    why = "the registry listens there"
    found = [
        item if item.level != "warning" else Finding(item.level, item.text, "", item.fix)
        for item in seen.problems("loopback", why)
    ]
    if is_loopback(address):
        return [Finding("ok", f"{address}, which no container reaches"), *found]
    note = next((note for note in seen.notes.get("loopback", []) if note.level == "ok"), None)
    return [Finding("ok", note.text), *found] if note is not None else found
