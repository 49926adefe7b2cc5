"""doctor: every check of the machine, read-only, grouped by subject."""

from __future__ import annotations

from typing import Any

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.verbs.checks import CHECKS, Check
from gdkreg.verbs.checks.seen import Finding, Seen
from gdkreg.verbs.root import Root


class Subject(msgspec.Struct, frozen=True):
    """What the checks of one subject found, the worst not first: in the order of the checks."""

    name: str
    notes: list[Finding]


def examine(root: Root) -> list[Subject]:
    """Only levels "error" and "changed" mean that something is broken."""
    if not root.enabled:
        fix = "gdkreg config set registry.enabled true"
        return [Subject("registry", [Finding("off", "registry.enabled is false in gdk.yml", fix=fix)])]
    seen = Seen(root)
    found = [Subject(name, _once([item for check in checks for item in _run(check, seen)])) for name, checks in CHECKS.items()]
    return [subject for subject in found if subject.notes]


def _run(check: Check, seen: Seen) -> list[Finding]:
    """What cannot be looked at must not hide the rest."""
    try:
        return [_masked(item) for item in check(seen)]
    except GdkregError as error:
        return [Finding("error", error.what, error.why, error.fix)]
    except OSError as error:
        return [Finding("error", f"cannot be looked at: {error}")]


def _masked(item: Finding) -> Finding:
    """It may quote other people's files."""
    from gdkreg.masking.text import known_free, prose

    return item if item.level == "ok" else Finding(item.level, prose(item.text), prose(item.why), known_free(item.fix))


def _once(found: list[Finding]) -> list[Finding]:
    """Two checks may see the same."""
    return list(dict.fromkeys(found))


def is_broken(found: list[Subject]) -> bool:
    return any(note.level in {"error", "changed"} for subject in found for note in subject.notes)


def as_data(root: Root, found: list[Subject]) -> dict[str, Any]:
    return {"command": "doctor", "root": str(root.path), "findings": found}
