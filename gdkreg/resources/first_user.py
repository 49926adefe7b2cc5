"""The stand-in issuer's first user: made where gdk.yml names none, kept 0600, told once."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from gdkreg.host.base import HostReader
from gdkreg.plan import state
from gdkreg.plan.actions import Action
from gdkreg.plan.ledger import Entry
from gdkreg.plan.reconcile import Note
from gdkreg.resources.owned import FileState, OwnedFiles


class FirstUser(msgspec.Struct, frozen=True):
    """What the file holds."""

    name: str
    password: str


def new_first_user() -> FirstUser:
    return FirstUser("developer", secrets.token_urlsafe(15))


def read_first(root: Path, host: HostReader) -> FirstUser | None:
    """The first user of a root; None where there is none. Raises `DamagedError` where the file is not what gdkreg writes."""
    return state.read_as(host, root, "first_user", FirstUser)


class FirstUserFile(msgspec.Struct, frozen=True):
    """`wanted`: the issuer is ours and gdk.yml names no users. `kept`: it may be ours again, so a user that there is stays."""

    path: Path
    wanted: bool
    kept: bool
    files: OwnedFiles
    name: str = "first_user"

    def inspect(self, host: HostReader) -> FileState:
        return self.files.inspect(host, self.path)

    def plan(self, state: FileState, present: bool) -> list[Action]:
        if present and self.kept and state.content:
            return []
        if not (present and self.wanted):
            return self.files.release(state)
        return [] if state.content else self.files.write(state, _made, "docker login needs a user", mode=0o600, secret=True)

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        return self.files.back(entry, host)

    def notes(self, state: FileState) -> list[Note]:
        if not self.wanted:
            return [Note("off", "not needed")]
        return [Note("ok", str(self.path))] if state.content else [Note("changed", "missing", "gdkreg reconfigure")]


def _made(_: HostReader) -> bytes:
    return msgspec.json.encode(new_first_user())
