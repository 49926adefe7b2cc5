"""`registry.persist_alias`: the systemd unit or launchd plist that brings the alias back at boot."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gdkreg.host import support
from gdkreg.host.base import HostReader, System
from gdkreg.plan.actions import Action, RunCommand
from gdkreg.plan.reconcile import Note
from gdkreg.resources.owned import FileState, OwnedFiles

_SYSTEMD = Path("/etc/systemd/system")
_BOOTED = Path("/run/systemd/system")  # as sd_booted(3) tells
_LAUNCHD = Path("/Library/LaunchDaemons")


class PersistState(msgspec.Struct, frozen=True):
    """The unit's file, files of former addresses, whether it is enabled, and whether this machine could."""

    unit: FileState
    former: list[FileState]
    enabled: bool
    possible: bool


class PersistAlias(msgspec.Struct, frozen=True):
    """`wanted`: persist_alias is set and the address needs an alias."""

    address: str
    system: System
    wanted: bool
    files: OwnedFiles
    name: str = "persist_alias"

    @property
    def _path(self) -> Path:
        if self.system == "darwin":
            return _LAUNCHD / f"dev.gdkreg.loopback.{self.address}.plist"
        return _SYSTEMD / f"gdkreg-loopback-{self.address}.service"

    def inspect(self, host: HostReader) -> PersistState:
        path = self._path
        link = _SYSTEMD / "multi-user.target.wants" / path.name
        return PersistState(
            unit=self.files.inspect(host, path),
            former=[self.files.inspect(host, other) for other in self.files.ours() if other != path],
            enabled=self.system == "darwin" or host.info(link) is not None,
            possible=self.system == "darwin" or host.info(_BOOTED) is not None,
        )

    def _content(self) -> bytes:
        name = "dev.gdkreg.loopback.plist" if self.system == "darwin" else "gdkreg-loopback.service"
        return support.text(name).replace("@ADDRESS@", self.address).encode()

    def plan(self, state: PersistState, present: bool) -> list[Action]:
        actions: list[Action] = []
        gone = state.former if present and self.wanted else [state.unit, *state.former]
        for item in gone:
            removal = self.files.release(item)
            if removal and self.system == "linux":
                actions.append(self._systemctl("disable", item.path.name))
            actions += removal
        if not (present and self.wanted and state.possible):
            return actions
        actions += self.files.write(state.unit, self._content(), "the alias comes back at boot", mode=0o644, as_root=True)
        if not state.enabled:
            actions.append(self._systemctl("enable", self._path.name))
        return actions

    def _systemctl(self, verb: str, unit: str) -> RunCommand:
        undo = () if verb == "disable" else ("systemctl", "disable", unit)
        return RunCommand(
            argv=("systemctl", verb, unit),
            undo=undo,
            target=f"unit {unit}",
            reason="the alias comes back at boot" if verb == "enable" else "no longer wanted",
            as_root=True,
            may_fail=verb == "disable",
        )

    def notes(self, state: PersistState) -> list[Note]:
        if not self.wanted:
            return [Note("off", "the alias is not brought back at boot")]
        if not state.possible:
            return [
                Note("warning", "no systemd here, so nothing brings the alias back at boot", "gdkreg reconfigure after a reboot")
            ]
        if state.unit.content != self._content() or not state.enabled:
            return [Note("changed", f"{self._path} is not as it should be", "gdkreg reconfigure")]
        return [Note("ok", f"{self._path}")]
