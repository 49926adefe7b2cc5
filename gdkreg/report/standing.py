"""status and doctor as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gdkreg.report import out
from gdkreg.report.work import MARKS
from gdkreg.verbs import engine
from gdkreg.verbs.standing import note_of

if TYPE_CHECKING:
    from gdkreg.plan.reconcile import Note
    from gdkreg.verbs.root import Standing
    from gdkreg.verbs.standing import Status


def show(found: Status) -> None:
    if not found.enabled:
        out.line("registry.enabled is false in gdk.yml. To switch it on: gdkreg config set registry.enabled true")
    rows: list[list[str]] = []
    for standing in found.resources:
        for at, note in enumerate(standing.notes):
            rows.append([_mark(note), standing.name if at == 0 else "", _with_fix(note)])
    if found.engine is not None:
        note = engine.note(found.engine)
        rows.append([_mark(note), "engine", _with_fix(note)])
    if not found.services:
        rows.append(["-", "registry", "not set up  → gdkreg reconfigure" if found.enabled else "off"])
    for name, state in found.services.items():
        note = note_of(name, state)
        rows.append([_mark(note), name, f"{note.text}  → {note.fix}" if note.fix else note.text])
    if found.issuer is not None:
        who = "gdkreg's stand-in" if found.issuer == "local" else "GitLab"
        rows.append(["-", "tokens", f"from {who}, {found.realm}"])
    out.table(rows)
    if found.unapplied:
        out.line(f"gdk.yml has changes that were not applied ({', '.join(found.unapplied[:3])}): gdkreg reconfigure")


def _mark(note: Note) -> str:
    mark, color = MARKS[note.level]
    return out.colored(mark, color)


def _with_fix(note: Note) -> str:
    return f"{note.text}  → {note.fix}" if note.fix and note.level != "off" else note.text


def show_findings(findings: Sequence[Standing]) -> None:
    for standing in findings:
        for note in standing.notes:
            out.line(f"{_mark(note)} {standing.name}: {note.text}")
            if note.fix and note.level != "ok":
                out.line(f"    {note.fix}")
