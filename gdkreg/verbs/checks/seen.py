"""What the checks share: what was found once of the machine, and what a finding is."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.errors import GdkregError
from gdkreg.host.base import HostReader, Interface
from gdkreg.plan.reconcile import Level, Note
from gdkreg.verbs.root import Root

if TYPE_CHECKING:
    from gdkreg.engines.detect import Engine
    from gdkreg.services.ready import Answer
    from gdkreg.services.registry import State
    from gdkreg.services.services import Services


class Finding(msgspec.Struct, frozen=True):
    """What was seen, why it matters, and the one command that helps. Level "off" is what does not apply, or cannot be seen."""

    level: Level
    text: str
    why: str = ""
    fix: str = ""


class Seen:
    """Each thing is looked at once, when the first check asks for it. Nothing here changes anything."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.settings: Settings = root.settings
        self.host: HostReader = root.reader

    @property
    def linux(self) -> bool:
        return self.host.platform.system == "linux"

    # the engine

    @property
    def engine(self) -> Engine:
        return self.root.engine

    @functools.cached_property
    def info(self) -> dict[str, Any]:
        """What the engine says of itself; empty where none answers."""
        api = self.root.found_engine[1]
        return api.info if api is not None else {}

    @functools.cached_property
    def container(self) -> dict[str, Any]:
        """What the engine tells of the registry's container; empty where none runs."""
        if self.services is None or not self.runs or self.states["registry"].runtime != "docker":
            return {}
        try:
            runtime: Any = self.services.registry.current()
            return dict(runtime.details())
        except GdkregError:
            return {}

    # services

    @functools.cached_property
    def services(self) -> Services | None:
        return self.root.services(self.root.applied) if self.root.applied is not None else None

    @functools.cached_property
    def states(self) -> dict[str, State]:
        return dict(self.services.states()) if self.services is not None else {}

    @property
    def runs(self) -> bool:
        return "registry" in self.states and self.states["registry"].running

    @functools.cached_property
    def answer(self) -> Answer | None:
        """What the registry answers to /v2/; None where it does not run."""
        if self.services is None or not self.runs:
            return None
        try:
            return self.services.registry.ask()
        except GdkregError:
            return None

    # the machine

    @functools.cached_property
    def interfaces(self) -> list[Interface]:
        return self.host.interfaces()

    @functools.cached_property
    def notes(self) -> dict[str, list[Note]]:
        """How each thing that gdkreg manages stands, as `status` tells it."""
        found: dict[str, list[Note]] = {}
        try:
            standings = self.root.standings()
        except GdkregError as error:
            return {"resources": [Note("error", error.what, error.fix)]}
        for standing in standings:
            found.setdefault(standing.name, []).extend(standing.notes)
        return found

    def problems(self, name: str, why: str) -> list[Finding]:
        """What is not as it should be with a thing that gdkreg manages."""
        return [
            Finding(note.level, _named(name, note.text), why, note.fix)
            for note in self.notes.get(name, [])
            if note.level not in {"ok", "off"} and not self._told_by_root(note)
        ]

    def _told_by_root(self, note: Note) -> bool:
        """Before the first reconfigure everything is missing, which is said once."""
        return self.root.applied is None and note.fix == "gdkreg reconfigure"

    def is_fine(self, name: str) -> bool:
        return name in self.notes and not any(note.level in {"error", "changed"} for note in self.notes[name])

    def shown(self, path: Path) -> str:
        """A path as a person writes it: below the home with a tilde, below the root as it is named there."""
        for folder, sign in ((self.root.path, ""), (self.host.platform.home, "~/")):
            if path.is_relative_to(folder):
                return f"{sign}{path.relative_to(folder)}"
        return str(path)


def _named(name: str, text: str) -> str:
    """A finding of a file begins with its name where nothing else tells it."""
    return text if name in text or "/" in text.split(" ")[0] or "." not in name else f"{name}: {text}"


def text_of(host: HostReader, path: Path) -> str | None:
    """A file's text, whatever bytes are in it; None where there is none. Raises `GdkregError` where it may not be read."""
    raw = host.read(path)
    return None if raw is None else raw.decode("utf-8", "replace")


def unread(error: GdkregError, what: str, command: str = "") -> Finding:
    """A file that could not be read: closed to this user, or something else than a file."""
    if "permission denied" in error.why:
        return unseen(what, command)
    return Finding("error", error.what, error.why, error.fix or f"ls -ld {what}")


def unseen(what: str, command: str = "") -> Finding:
    """What this user may not look at is not guessed."""
    return Finding("off", f"{what} cannot be seen without root", fix=command)
