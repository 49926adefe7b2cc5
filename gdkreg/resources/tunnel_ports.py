"""The ports at the tunnel's far end, kept in GDK's own files beside gdk.yml, so that GDK and gdkreg go by the same ones."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.host.base import HostReader
from gdkreg.plan.actions import Action
from gdkreg.plan.ledger import Entry
from gdkreg.plan.reconcile import Note
from gdkreg.resources.owned import FileState, OwnedFiles

FILES = ("auto_devops_gitlab_port", "auto_devops_registry_port")


class TunnelPorts(msgspec.Struct, frozen=True):
    """A port that gdk.yml names needs no file, and a file that is there already is somebody else's."""

    settings: Settings
    files: OwnedFiles
    name: str = "tunnel_ports"

    def _wanted(self) -> dict[Path, bytes]:
        auto, origin = self.settings.auto_devops, self.settings.origin
        ports = {"gitlab": auto.gitlab.port, "registry": auto.registry.port}
        return {
            self.settings.root / f"auto_devops_{name}_port": f"{port}\n".encode()
            for name, port in ports.items()
            if not origin.get(f"auto_devops.{name}.port", "").startswith("gdk.yml")
        }

    def inspect(self, host: HostReader) -> list[FileState]:
        return [self.files.inspect(host, self.settings.root / name) for name in FILES]

    def plan(self, state: list[FileState], present: bool) -> list[Action]:
        if present and not self.settings.auto_devops.enabled:
            return []  # kept for the next time
        wanted, actions = self._wanted() if present else {}, list[Action]()
        for file in state:
            content = wanted.get(file.path)
            if content is None:
                actions += self.files.release(file)
            elif file.content is None or (file.owned is not None and file.content.strip() != content.strip()):
                actions += self.files.write(file, content, "the tunnel's port, for GDK too", mode=0o644)
        return actions

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        return self.files.back(entry, host)

    def notes(self, state: list[FileState]) -> list[Note]:
        auto = self.settings.auto_devops
        if not auto.enabled:
            return [Note("off", "auto_devops.enabled is false")]
        if self.plan(state, True):
            return [Note("changed", "not kept yet", "gdkreg reconfigure")]
        return [Note("ok", f"{auto.gitlab.port} for GitLab, {auto.registry.port} for the registry")]
