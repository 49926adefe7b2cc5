"""What the commands share: the root they work on, and telling and asking while a verb is at work."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gdkreg.errors import FAILED
from gdkreg.host.machine import Machine
from gdkreg.report import out, work

if TYPE_CHECKING:
    from gdkreg.options import Options
    from gdkreg.plan.actions import Step
    from gdkreg.plan.outcome import Item, Outcome
    from gdkreg.verbs.root import Root


def open_root(given: Path | None, options: Options | None = None, *, lenient: bool = False) -> Root:
    from gdkreg.options import Options
    from gdkreg.verbs.root import find

    return find(Path.cwd(), given, Machine(), options or Options(), lenient=lenient)


class Terminal:
    """A `plan.outcome.Listener` that tells a person each step as it is done, and asks; with `quiet` it only asks."""

    current: Terminal | None = None  # the one at work, for Ctrl-C

    def __init__(self, *, yes: bool = False, quiet: bool = False) -> None:
        self._yes, self._quiet = yes, quiet
        self._shown = False
        self._progress: out.PullProgress | None = None
        self.items: list[Item] = []
        self.done: list[Item] = []
        Terminal.current = self

    def waiting(self) -> None:
        out.note("another gdkreg is at work in this root; waiting for it")

    def agree(self, items: Sequence[Item], *, ask: bool) -> bool:
        self.items = list(items)
        if self._yes or not ask or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return True
        for item in items:
            out.line(work.planned(item))
        self._shown = True
        return typer.confirm("Go on?", default=True)

    def doing(self, step: Step) -> None:
        out.passing(f"  {work.text_of(step)} …")

    def did(self, item: Item) -> None:
        out.passing("")
        self.done.append(item)
        if self._progress is not None:
            self._progress.close()
            self._progress = None
        if not self._quiet and (not self._shown or item.status != "done" or item.detail):
            try:
                for row in work.done(item):
                    out.line(row)
            except BrokenPipeError as error:  # nobody reads any more, which is no reason to leave the work half done
                out.lose(error)

    def note(self, text: str) -> None:
        out.note(text)

    def progress(self, event: dict[str, Any]) -> None:
        if self._progress is None:
            self._progress = out.PullProgress("the image")
        if not self._quiet:
            self._progress(event)

    def working(self, text: str) -> None:
        out.passing(f"  {text} …")

    def hop(self, client: str, hop: Any) -> None:
        if not self._quiet:
            out.passing("")
            work.show_hop(client, hop)


def told(outcome: Outcome, *, json: bool, nothing: str = "Nothing to do.", done: str = "") -> None:
    """Render an outcome; exits with 1 where something is left. `done` is said instead of the number of changes."""
    if json:
        out.as_json(outcome.as_data())
    else:
        work.show(outcome, nothing=nothing, done=done)
    if outcome.left and not outcome.dry_run:
        raise typer.Exit(FAILED)


def line_of_stdin() -> str:
    """A password as docker login reads one: without the end of the line, a Windows one too."""
    return sys.stdin.readline().rstrip("\r\n")


def interrupted() -> None:
    """What Ctrl-C leaves behind, in words."""
    listener = Terminal.current
    out.passing("")
    out.note("")
    if listener is None or not listener.done:
        out.note("interrupted; nothing was changed")
        return
    out.note(f"interrupted after: {listener.done[-1].text}")
    for item in listener.items[len(listener.done) :]:
        out.note(f"not done: {item.text}")
    out.note("run the same command again to finish, or gdkreg undo to take this run back")
