"""That a developer agreed to publish the registry: what exactly, and where. Another way out is asked for anew."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.errors import DamagedError
from gdkreg.host.base import HostReader
from gdkreg.plan import state
from gdkreg.plan.actions import Action
from gdkreg.plan.ledger import Entry
from gdkreg.plan.reconcile import Note
from gdkreg.plan.state import FOLDER
from gdkreg.resources.owned import FileState, OwnedFiles

NAME = "published"


def _content(settings: Settings) -> bytes:
    tunnel, registry = settings.auto_devops.tunnel, settings.registry
    said = {
        "registry": settings.authority,
        "at": f"{tunnel.host}:{tunnel.port}",
        "port": settings.auto_devops.registry.port,
        "of": f"{registry.tunnel_host}:{registry.tunnel_port}",
    }
    return msgspec.json.encode(said) + b"\n"


def is_agreed(settings: Settings, host: HostReader) -> bool:
    """Whether this way out was agreed to; what cannot be read counts as no."""
    try:
        return state.read(host, settings.root, NAME) == _content(settings)
    except DamagedError:
        return False


class Published(msgspec.Struct, frozen=True):
    """Written when a person, or --yes, agreed; it goes with `.gdkreg`."""

    settings: Settings
    files: OwnedFiles
    name: str = NAME

    @property
    def path(self) -> Path:
        return self.settings.root / FOLDER / NAME

    def inspect(self, host: HostReader) -> FileState:
        return self.files.inspect(host, self.path)

    def plan(self, state: FileState, present: bool) -> list[Action]:
        if not present:
            return self.files.release(state)
        return self.files.write(state, _content(self.settings), "agreed to, so it is not asked again", mode=0o600)

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        return self.files.back(entry, host)

    def notes(self, state: FileState) -> list[Note]:
        agreed = state.content == _content(self.settings)
        return [Note("ok" if agreed else "off", "agreed to" if agreed else "not agreed to")]
