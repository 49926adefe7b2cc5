"""GDK's supervisor, where it looks after our registry: it is told of every start and stop, so that it never disagrees."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from gdkreg.errors import GdkregError
from gdkreg.host import runit
from gdkreg.host.base import Host, HostReader
from gdkreg.resources.gdk_service import is_driven, place

_PATIENCE = 30  # seconds in which `run registry` ends: two services of at most 7 seconds each, and a busy machine
_SCAN = 12.0  # seconds in which runsvdir, which looks every 5, has found a new folder


class Supervisor:
    """runit's service directory of the registry of one root, whoever's it is now."""

    def __init__(self, root: Path, host: HostReader) -> None:
        self.folder = place(root)
        self._root = root
        self._host = host

    @property
    def drives(self) -> bool:
        """Whether it looks after our registry now."""
        return runit.is_watched(self.folder) and is_driven(self._root, self._host)

    @property
    def wants(self) -> bool:
        """Whether it is to run, as `gdk start` said last."""
        seen = runit.look(self.folder)
        return seen is not None and seen.wanted == "up"

    def can_drive(self) -> bool:
        """Whether it looks after our registry, or will once it has found the folder."""
        return is_driven(self._root, self._host) and (runit.is_watched(self.folder) or runit.runs(self.folder.parent))

    def up(self, host: Host) -> None:
        """Have it run from now on; what runs already is taken over as it is. Raises `GdkregError`."""
        deadline = time.monotonic() + _SCAN
        while not runit.is_watched(self.folder) and time.monotonic() < deadline:
            time.sleep(0.1)
        self._sv(host, "up")

    def down(self, host: Host) -> None:
        """Returns once it has ended, with all that it started. Raises `GdkregError`."""
        if runit.is_watched(self.folder):
            self._sv(host, "-w", str(_PATIENCE), "stop")

    def _sv(self, host: Host, *words: str) -> None:
        program = shutil.which("sv", path=host.platform.env.get("PATH")) or runit.program()
        if program is None:
            raise GdkregError("GDK's supervisor cannot be told", why="there is no sv on PATH", fix="gdk stop registry")
        # By its whole path: sv takes a name for one below /etc/service.
        done = host.run([program, *words, str(self.folder)])
        if done.code != 0:
            why = (done.out or done.err).strip()
            raise GdkregError("GDK's supervisor does not do what it should", why=why, fix=f"sv status {self.folder}")
