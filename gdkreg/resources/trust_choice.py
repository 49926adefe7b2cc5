"""Whose trust was asked for by name, in `.gdkreg/`: without such a file the usual clients are kept as their files tell."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gdkreg.host.base import HostReader
from gdkreg.options import Choice
from gdkreg.plan import state
from gdkreg.plan.actions import Action
from gdkreg.plan.ledger import Entry
from gdkreg.plan.reconcile import Note
from gdkreg.resources.owned import FileState, OwnedFiles

NAME = "trust.json"


def read(root: Path, host: HostReader) -> Choice | None:
    """None where nobody was named. Raises `DamagedError` where the file is not what gdkreg writes."""
    return state.read_as(host, root, NAME, Choice)


class TrustChoice(msgspec.Struct, frozen=True):
    path: Path
    choice: Choice
    files: OwnedFiles
    name: str = "trust_choice"

    def inspect(self, host: HostReader) -> FileState:
        return self.files.inspect(host, self.path)

    def plan(self, state: FileState, present: bool) -> list[Action]:
        if not (present and (self.choice.more or (self.choice.usual and self.choice.less))):
            return self.files.release(state)
        return self.files.write(state, msgspec.json.encode(self.choice) + b"\n", "whose trust is kept", mode=0o600)

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        return self.files.back(entry, host)

    def notes(self, state: FileState) -> list[Note]:
        del state
        usual = ["the usual ones"] if self.choice.usual else []
        text = ", ".join([*usual, *self.choice.more])
        return [Note("ok", text + (f"; without {', '.join(self.choice.less)}" if self.choice.less else ""))]
