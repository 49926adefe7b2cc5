"""What keeps an engine from serving the registry's container, told before anything is changed."""

from __future__ import annotations

from gdkreg.config.effective import Settings
from gdkreg.engines import machine
from gdkreg.engines.detect import Engine
from gdkreg.errors import GdkregError
from gdkreg.host.base import HostReader


def refuse_engine(engine: Engine, settings: Settings, host: HostReader) -> None:
    """Raises `GdkregError`."""
    uid, gid = settings.registry.uid, settings.registry.gid
    if engine.rootless and not {str(uid), str(gid)} <= {"", "0"}:
        raise GdkregError(
            f"a rootless engine cannot run the registry as {uid}:{gid}",
            why="inside it root is you, and any other user is nobody that owns your files",
            fix="gdkreg config set registry.uid ''; gdkreg config set registry.gid ''",
        )
    if engine.kind == "machine":
        machine.refuse_moved(host)
        machine.refuse_unshared(host, settings.root)
