"""The settings as they were last applied: `start` starts these, whatever gdk.yml says by now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from gdkreg.config.settings import Settings, flatten
from gdkreg.host.base import HostReader
from gdkreg.plan.actions import Action
from gdkreg.plan.journal import FOLDER
from gdkreg.plan.reconcile import Note
from gdkreg.resources.owned import FileState, OwnedFiles


def _decode_path(kind: type, value: Any) -> Any:
    return Path(value) if kind is Path else value


def read(root: Path, host: HostReader) -> Settings | None:
    """The settings of the last `reconfigure`; None before the first one."""
    content = host.read(root / FOLDER / "applied.json")
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=Settings, dec_hook=_decode_path)
    except msgspec.DecodeError:
        return None  # written by another version; reconfigure writes it anew


def differences(applied: Settings, now: Settings) -> list[str]:
    """What gdk.yml says by now that was not applied, as "key: old → new"."""
    new = msgspec.json.decode(msgspec.json.encode(dict(flatten(now)), enc_hook=str))
    old = msgspec.json.decode(msgspec.json.encode(dict(flatten(applied)), enc_hook=str))
    # Users count at once: the issuer reads gdk.yml itself, and their hashes are nobody's business.
    keys = [key for key in old if key != "registry.users" and new.get(key) != old[key]]
    # Distribution's own settings may hold keys and passwords: only that they differ is said.
    return [key if key == "registry.config" else f"{key}: {old[key]!r} → {new.get(key)!r}" for key in keys]


class Applied(msgspec.Struct, frozen=True):
    settings: Settings
    files: OwnedFiles
    name: str = "applied"

    def inspect(self, host: HostReader) -> FileState:
        return self.files.inspect(host, self.settings.root / FOLDER / "applied.json")

    def plan(self, state: FileState, present: bool) -> list[Action]:
        if not present:
            return self.files.release(state)
        # Where a value came from is no part of what was applied.
        settings = msgspec.structs.replace(self.settings, origin={})
        content = msgspec.json.encode(settings, enc_hook=str) + b"\n"
        return self.files.write(state, content, "what start starts", mode=0o600)

    def notes(self, state: FileState) -> list[Note]:
        return (
            [Note("changed", "gdk.yml has changes", "gdkreg reconfigure")]
            if self.plan(state, True)
            else [Note("ok", "gdk.yml is applied")]
        )
