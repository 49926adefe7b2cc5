"""What the commands share: the root they work on, asking, and telling what is done."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gdkreg.host.machine import Machine
from gdkreg.plan import diff
from gdkreg.plan.actions import Action, sentence
from gdkreg.plan.journal import FOLDER
from gdkreg.report import out

if TYPE_CHECKING:
    from gdkreg.host.base import Host
    from gdkreg.options import Options
    from gdkreg.plan.reconcile import Step
    from gdkreg.root import Root, Run

_told: list[str] = []
_pending: list[str] = []


def open_root(given: Path | None, options: Options | None = None) -> Root:
    from gdkreg.options import Options
    from gdkreg.root import find

    return find(Path.cwd(), given, Machine(), options or Options())


def start_run(root: Root, command: str, *, json: bool = False) -> Run:
    """A run that tells each action as it is done; with `json` they are told at the end."""

    def announce(action: Action) -> None:
        _told.append(sentence(action))
        if not json:
            as_root = "  [as root]" if action.as_root and root.host.platform.uid != 0 else ""
            out.line(f"  {sentence(action)}{as_root}")

    return root.run(command, announce, _waiting)


def locked(root: Path, host: Host) -> AbstractContextManager[object]:
    """Hold the root's lock, as every run does: two starts at once would take each other's registry for a stranger's, and of
    two edits of gdk.yml one would be lost. Before the first reconfigure there is nothing to hold."""
    if host.info(root / FOLDER) is None:
        return nullcontext()
    return host.lock(root / FOLDER / "lock", _waiting)


def _waiting() -> None:
    out.note("another gdkreg is at work in this root; waiting for it")


def interrupted() -> None:
    """What Ctrl-C leaves behind, in words."""
    out.note("")
    if not _told:
        out.note("interrupted; nothing was changed")
        return
    out.note(f"interrupted after: {_told[-1]}")
    done = set(_told)
    for text in _pending:
        if text not in done:
            out.note(f"not done: {text}")
    out.note("every file is whole; run the same command again to finish, or gdkreg undo to take this run back")


def confirm(steps: Sequence[Step], root: Root, *, yes: bool, always: bool = False) -> None:
    """Ask before what needs root, or always; only on a terminal. What is to be done is shown first."""
    _pending.extend(sentence(action) for step in steps for action in step.actions)
    as_root = [action for step in steps for action in step.actions if action.as_root and root.host.platform.uid != 0]
    if yes or not (as_root or always) or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    for action in [action for step in steps for action in step.actions] if always else as_root:
        out.line(f"  {sentence(action)}{'  [as root]' if action in as_root else ''}")
    question = "These steps need root. Go on?" if as_root else "Go on?"
    typer.confirm(question, default=True, abort=True)


def show_steps(steps: Sequence[Step], *, with_diff: bool) -> None:
    for step in steps:
        out.line(out.colored(step.resource, "bold"))
        for action in step.actions:
            out.line(f"  {sentence(action)}{'  [as root]' if action.as_root else ''}")
            if with_diff and (text := diff.of(action)):
                out.diff(text)


def steps_as_data(steps: Sequence[Step]) -> list[dict[str, object]]:
    from gdkreg.plan.actions import target

    return [
        {
            "resource": step.resource,
            "action": type(action).__name__,
            "target": target(action),
            "reason": action.reason,
            "as_root": action.as_root,
            "text": sentence(action),
            "diff": diff.of(action),
        }
        for step in steps
        for action in step.actions
    ]
