"""A file that `ci -o` or `export -o` wrote where it was told to: the user's from then on. Only `undo` takes it back."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.host.base import HostReader
from gdkreg.plan.actions import Action, WriteFile
from gdkreg.plan.ledger import Entry
from gdkreg.plan.reconcile import Note, foreign
from gdkreg.plan.shown import EXPORTED
from gdkreg.plan.state import FOLDER
from gdkreg.resources.owned import FileState, OwnedFiles

_MARKS = tuple(mark.encode() for mark in EXPORTED)


class ExportFile(msgspec.Struct, frozen=True):
    """`content` is None where nothing is to be written, as for `undo`."""

    path: Path
    content: bytes | None
    files: OwnedFiles
    name: str = "export"

    def inspect(self, host: HostReader) -> FileState:
        info = host.info(self.path)
        if info is not None and info.kind != "file":  # reading a pipe would wait for ever
            return FileState(self.path, None, info, None)
        return self.files.inspect(host, self.path)

    def plan(self, state: FileState, present: bool) -> list[Action]:
        if not present or self.content is None or state.content == self.content:
            return []
        self._refuse_what_is_managed(state)
        mode = state.info.mode if state.info is not None else 0o644
        reason = "from the settings of this registry"
        return [
            WriteFile(path=self.path, content=self.content, reason=reason, before=state.content, mode=mode, release=True),
        ]

    def _refuse_what_is_managed(self, state: FileState) -> None:
        root = self.files.root
        own = (root / FOLDER, root / "registry")
        managed = state.owned is not None or self.path == root / "gdk.yml" or any(self.path.is_relative_to(path) for path in own)
        if managed or (self.path.parent == root and self.path.suffix in {".crt", ".key"}):
            raise GdkregError(f"{self.path} is gdkreg's own, or what it reads", fix="give -o another file")
        if state.info is not None and state.info.kind != "file":
            raise GdkregError(f"{self.path} is no plain file", fix="give -o another file")

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        """Only what carries the mark of such a file is taken away or replaced, and never as root."""
        if entry.as_root or entry.kind != "file":
            raise foreign(entry)
        actions = self.files.back(entry, host)
        now = self.inspect(host).content
        if actions and not (now or b"").startswith(_MARKS):
            raise foreign(entry)
        # What stood there was the user's before, and is again: nothing of it is kept in mind as ours.
        return [msgspec.structs.replace(item, release=True) if isinstance(item, WriteFile) else item for item in actions]

    def notes(self, state: FileState) -> list[Note]:  # noqa: ARG002
        return []
