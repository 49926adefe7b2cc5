"""What keeps a service from starting, or its storage from being touched: somebody else is at the same place."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from gdkreg.config.effective import Settings
from gdkreg.errors import GdkregError
from gdkreg.host import network
from gdkreg.host.base import HostReader, digest
from gdkreg.plan import ledger, roots
from gdkreg.plan.journal import Journal
from gdkreg.services import place
from gdkreg.services.registry import PORT


def refuse_rival(runtime: Any, settings: Settings) -> None:
    """Another container serves at our place, or from our folder. Raises `GdkregError`."""
    if runtime.name != "docker":
        return
    port = settings.registry.port
    name, root = runtime.rival(settings.address, port)
    if root:
        raise GdkregError(
            f"port {port} of {settings.address} is held by the registry of {root}",
            why=f"container {name}",
            fix=f"gdkreg stop --root {root}, or {place.move(port, PORT)}",
        )
    if name:
        raise GdkregError(
            f"port {port} is held by GDK's own registry, container {name}",
            why="both would serve the same storage",
            fix="gdk stop registry; gdkreg gdk on has gdk start start this one",
        )


def refuse_holder(settings: Settings, host: HostReader) -> None:
    """Somebody holds our address and port, where ours does not run. Raises `GdkregError`."""
    address, port = settings.address, settings.registry.port
    found = network.can_bind(address, port)
    if found is not None and found.errno == errno.EADDRINUSE:
        raise place.taken(address, port, PORT, roots.others(settings.root, host))


def refuse_shared_storage(settings: Settings, host: HostReader) -> None:
    """Another root may have its storage at the same place, by a symlink: its registry would write meanwhile."""
    own = (settings.root / "registry/storage").resolve()
    for claim in roots.others(settings.root, host):
        if (Path(claim.path) / "registry/storage").resolve() == own and network.can_bind(claim.address, claim.port):
            raise GdkregError(
                f"the registry of {claim.path} has the same storage, and runs",
                why="what it takes in meanwhile could be collected",
                fix=f"gdkreg stop --root {claim.path}",
            )


def refuse_foreign_configuration(journal: Journal, host: HostReader) -> None:
    """What was applied last is started, and nothing that somebody else put in its place. Raises `GdkregError`."""
    path = ledger.place(journal.root, "@/registry/config.yml")
    owned = journal.owned().get(path)
    if owned is not None and digest(host.read(path)) != owned.written:
        raise GdkregError(
            f"{path} is not as gdkreg wrote it",
            why="somebody else wrote over it, perhaps gdk reconfigure",
            fix="gdkreg reconfigure",
        )
