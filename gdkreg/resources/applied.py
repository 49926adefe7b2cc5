"""The settings as they were last applied: `start` starts these, whatever gdk.yml says by now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.config.settings import check, flatten
from gdkreg.errors import ConfigError
from gdkreg.host.base import HostReader
from gdkreg.plan import state as states
from gdkreg.plan.actions import Action
from gdkreg.plan.ledger import Entry
from gdkreg.plan.reconcile import Note
from gdkreg.plan.state import FOLDER
from gdkreg.resources.owned import FileState, OwnedFiles

_NAME = "applied.json"


def _decode_path(kind: type, value: Any) -> Any:
    return Path(value) if kind is Path else value


def read(root: Path, host: HostReader) -> Settings | None:
    """The settings of the last `reconfigure`; None before the first one.

    They are checked as those of gdk.yml are. Raises `DamagedError` where they could not have been applied.
    """
    found = states.read_as(host, root, _NAME, Settings, _decode_path)
    if found is None:
        return None
    found = msgspec.structs.replace(found, root=root)  # the root may have been moved
    try:
        check(found, root / FOLDER / _NAME)
    except ConfigError as error:
        raise states.damaged(root / FOLDER / _NAME, error.what.partition(": ")[2]) from None
    return found


def differences(applied: Settings, now: Settings) -> list[str]:
    """What gdk.yml says by now that was not applied, as "key: old → new"."""
    new = msgspec.json.decode(msgspec.json.encode(dict(flatten(now)), enc_hook=str))
    old = msgspec.json.decode(msgspec.json.encode(dict(flatten(applied)), enc_hook=str))
    # Users count at once: the issuer reads gdk.yml itself, and their hashes are nobody's business.
    keys = [key for key in old if key != "registry.users" and new.get(key) != old[key]]
    # Distribution's own settings may hold keys and passwords: only that they differ is said.
    return [key if key == "registry.config" else f"{key}: {_shown(old[key])} → {_shown(new.get(key))}" for key in keys]


def _shown(value: Any) -> str:
    """As gdk.yml writes it."""
    return value if isinstance(value, str) and value else msgspec.json.encode(value).decode()


class Applied(msgspec.Struct, frozen=True):
    settings: Settings
    files: OwnedFiles
    name: str = "applied"

    def inspect(self, host: HostReader) -> FileState:
        return self.files.inspect(host, self.settings.root / FOLDER / _NAME)

    def plan(self, state: FileState, present: bool) -> list[Action]:
        if not present:
            return self.files.release(state)
        # Where a value came from is no part of what was applied, nor are the users, who count at once.
        registry = msgspec.structs.replace(self.settings.registry, users=[])
        settings = msgspec.structs.replace(self.settings, origin={}, registry=registry)
        content = msgspec.json.encode(settings, enc_hook=str) + b"\n"
        return self.files.write(state, content, "what start starts", mode=0o600)

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        return self.files.back(entry, host)

    def notes(self, state: FileState) -> list[Note]:
        return (
            [Note("changed", "gdk.yml has changes", "gdkreg reconfigure")]
            if self.plan(state, True)
            else [Note("ok", "gdk.yml is applied")]
        )
