"""systemd units and launchd plists: `registry.persist` brings back what ran at boot, `registry.gc_schedule` collects."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Literal

import msgspec

from gdkreg.host import support
from gdkreg.host.base import HostReader, Platform
from gdkreg.plan.actions import Action, Fact, MakeFolder, RunCommand
from gdkreg.plan.ledger import Entry
from gdkreg.plan.reconcile import Note, foreign
from gdkreg.resources.owned import FileState, OwnedFiles

SYSTEMD = Path("/etc/systemd/system")
_BOOTED = Path("/run/systemd/system")  # as sd_booted(3) tells
LAUNCHD = Path("/Library/LaunchDaemons")
MARK = b"Written by gdkreg"


class Unit(msgspec.Struct, frozen=True):
    """One unit or plist. `link` is what `systemctl enable` makes; launchd needs none, it reads the folder."""

    path: Path
    content: bytes
    link: Path | None
    as_root: bool
    reason: str

    def systemctl(self, verb: str) -> RunCommand:
        assert self.link is not None
        words = [*(("systemctl",) if self.as_root else ("systemctl", "--user")), verb]
        words += ["--now"] if self.path.suffix == ".timer" else []  # what it runs has to run only then
        on = verb == "enable"
        return RunCommand(
            argv=(*words, self.path.name),
            fact=Fact(kind="unit", target=str(self.link), before="" if on else "enabled", after="enabled" if on else ""),
            reason=self.reason if on else "no longer wanted",
            as_root=self.as_root,
            may_fail=not on,
        )


def alias_unit(address: str, platform: Platform) -> Unit:
    """What adds the alias at boot; it needs root on both systems."""
    if platform.system == "darwin":
        text = support.text("dev.gdkreg.loopback.plist").replace("@ADDRESS@", address)
        return Unit(LAUNCHD / f"dev.gdkreg.loopback.{address}.plist", text.encode(), None, True, "the alias comes back at boot")
    text = support.text("gdkreg-loopback.service").replace("@ADDRESS@", address)
    name = f"gdkreg-loopback-{address}.service"
    link = SYSTEMD / "multi-user.target.wants" / name
    return Unit(SYSTEMD / name, text.encode(), link, True, "the alias comes back at boot")


def services_unit(
    root: Path, id_: str, address: str, command: Sequence[str], platform: Platform, user: str, *, system: bool
) -> Unit:
    """What starts at boot what ran before: of the system where the alias is the system's too, else of the user."""
    reason = "registry and issuer come back at boot"
    if platform.system == "darwin":
        words = "\n".join(f"    <string>{escape(word)}</string>" for word in command)
        text = support.text("dev.gdkreg.services.plist").replace("@ID@", id_).replace("@ARGUMENTS@", words)
        path = platform.home / "Library/LaunchAgents" / f"dev.gdkreg.{id_}.plist"
        return Unit(path, text.encode(), None, False, reason)
    name, folder = f"gdkreg-{id_}.service", SYSTEMD if system else platform.home / ".config/systemd/user"
    target = "multi-user.target" if system else "default.target"
    values = {
        "@ROOT@": _escaped(str(root)),
        "@ADDRESS@": address,
        "@USER@": f"User={user}\n" if system and platform.uid != 0 else "",
        "@ENVIRONMENT@": f'"HOME={_escaped(str(platform.home))}"',
        "@COMMAND@": _escaped(shlex.join(command)),
        "@TARGET@": target,
    }
    text = support.text("gdkreg-services.service")
    for word, value in values.items():
        text = text.replace(word, value)
    return Unit(folder / name, text.encode(), folder / f"{target}.wants" / name, system, reason)


def collection_units(
    root: Path, id_: str, command: Sequence[str], platform: Platform, often: Literal["daily", "weekly"]
) -> tuple[Unit, ...]:
    """What cleans up and collects by itself, at 04:05, weekly on Sundays; of the user, for root of the system."""
    reason = f"cleans up and collects {often}"
    if platform.system == "darwin":
        words = "\n".join(f"    <string>{escape(word)}</string>" for word in command)
        day = "    <key>Weekday</key>\n    <integer>0</integer>\n" if often == "weekly" else ""
        text = support.text("dev.gdkreg.gc.plist").replace("@ID@", id_).replace("@ARGUMENTS@", words).replace("@DAY@", day)
        return (Unit(platform.home / "Library/LaunchAgents" / f"dev.gdkreg.gc.{id_}.plist", text.encode(), None, False, reason),)
    system = platform.uid == 0
    folder, name = SYSTEMD if system else platform.home / ".config/systemd/user", f"gdkreg-gc-{id_}"
    service = support.text("gdkreg-gc.service").replace("@ROOT@", _escaped(str(root)))
    service = service.replace("@ENVIRONMENT@", f'"HOME={_escaped(str(platform.home))}"')
    service = service.replace("@COMMAND@", _escaped(shlex.join(command)))
    timer = support.text("gdkreg-gc.timer").replace("@ROOT@", _escaped(str(root)))
    timer = timer.replace("@WHEN@", "*-*-* 04:05" if often == "daily" else "Sun *-*-* 04:05")
    link = folder / "timers.target.wants" / f"{name}.timer"
    return (
        Unit(folder / f"{name}.service", service.encode(), None, system, reason),
        Unit(folder / f"{name}.timer", timer.encode(), link, system, reason),
    )


def _is_started(path: Path) -> bool:
    """Whether a timer starts it, so that it is enabled by nothing itself."""
    return path.suffix == ".service" and path.name.startswith("gdkreg-gc-")


def _escaped(text: str) -> str:
    """systemd.unit(5): % begins a specifier."""
    return text.replace("%", "%%")


class UnitsState(msgspec.Struct, frozen=True):
    """Each unit's file and whether it is enabled, files of former units, folders that are there, and whether this machine
    could start any."""

    files: list[FileState]
    enabled: list[bool]
    former: list[FileState]
    missing: list[Path]
    possible: bool


class Units(msgspec.Struct, frozen=True):
    """`units` are wanted while `wanted`; another root wants those of `shared` too. `off` is said where they are not wanted,
    `otherwise` is what does the same by hand."""

    units: tuple[Unit, ...]
    platform: Platform
    wanted: bool
    files: OwnedFiles
    shared: frozenset[Path] = frozenset()
    name: str = "persist"
    off: str = "nothing is brought back at boot"
    otherwise: str = "gdkreg reconfigure and gdkreg start after a reboot"

    def inspect(self, host: HostReader) -> UnitsState:
        paths = {unit.path for unit in self.units}
        files = [self.files.inspect(host, unit.path) for unit in self.units]
        return UnitsState(
            files=files,
            enabled=[unit.link is None or host.info(unit.link) is not None for unit in self.units],
            former=[self.files.inspect(host, path) for path in self.files.ours() if path not in paths],
            missing=[folder for unit in self.units for folder in self._folders(unit) if host.info(folder) is None],
            possible=self.platform.system == "darwin" or host.info(_BOOTED) is not None,
        )

    def _folders(self, unit: Unit) -> list[Path]:
        """Those in the user's home may not be there yet."""
        home = self.platform.home
        return [folder for folder in reversed(unit.path.parents) if folder.is_relative_to(home) and folder != home]

    def plan(self, state: UnitsState, present: bool) -> list[Action]:
        wanted = present and self.wanted
        actions: list[Action] = []
        for unit, file, enabled in zip(self.units, state.files, state.enabled, strict=True):
            if wanted or unit.path in self.shared:
                continue
            removal = self.files.release(file)
            if unit.link is not None and enabled and file.owned is not None:
                actions.append(unit.systemctl("disable"))
            actions += removal
        for file in state.former:
            if self.platform.system == "linux" and not _is_started(file.path):
                actions.append(self._unit_of(file.path).systemctl("disable"))
            actions += self.files.release(file)
        if not (wanted and state.possible):
            return actions
        actions += [MakeFolder(path=folder, reason="holds the unit") for folder in dict.fromkeys(state.missing)]
        for unit, file, enabled in zip(self.units, state.files, state.enabled, strict=True):
            actions += self.files.write(file, unit.content, unit.reason, mode=0o644, as_root=unit.as_root)
            if not enabled:
                actions.append(unit.systemctl("enable"))
        return actions

    def _unit_of(self, path: Path) -> Unit:
        """A unit of ours, by its file's place."""
        target = "multi-user.target" if path.parent == SYSTEMD else "default.target"
        target = "timers.target" if path.suffix == ".timer" else target
        return Unit(path, b"", path.parent / f"{target}.wants" / path.name, path.parent == SYSTEMD, "no longer wanted")

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        if entry.kind != "unit":
            return self.files.back(entry, host)
        link = Path(entry.target)
        unit = self._unit_of(link.parent.parent / link.name)
        if unit.link != link or not self.files.mine(unit.path):
            raise foreign(entry)
        stands = host.info(link) is not None
        if stands == bool(entry.after):
            return [unit.systemctl("disable" if entry.after else "enable")]
        return []

    def notes(self, state: UnitsState) -> list[Note]:
        if not self.wanted:
            return [Note("off", self.off)]
        if not state.possible:
            return [Note("warning", f"no systemd here, so {self.off}", self.otherwise)]
        wrong = [
            str(unit.path)
            for unit, file, enabled in zip(self.units, state.files, state.enabled, strict=True)
            if file.content != unit.content or not enabled
        ]
        if wrong:
            half = " (only half would come back)" if len(wrong) < len(self.units) and self.name == "persist" else ""
            return [Note("changed", f"{', '.join(wrong)} is not as it should be{half}", "gdkreg reconfigure")]
        notes = [Note("ok", ", ".join(unit.path.name for unit in self.units))]
        if any(unit.link is not None and not unit.as_root for unit in self.units):
            notes.append(Note("off", "a user's units start with the first login", "loginctl enable-linger: at boot"))
        return notes
