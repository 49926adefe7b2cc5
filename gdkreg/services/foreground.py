"""The mark of the process that runs the services in the foreground: there is one at most."""

from __future__ import annotations

from pathlib import Path

from gdkreg.errors import GdkregError
from gdkreg.host import processes
from gdkreg.host.base import Host, HostReader
from gdkreg.plan import state
from gdkreg.plan.state import FOLDER

_MARK = "foreground"


def found(root: Path, host: HostReader) -> processes.Running | None:
    """Who does, where somebody does."""
    running = state.read_as(host, root, _MARK, processes.Running)
    return running if running is not None and processes.is_alive(running) else None


def begin(root: Path, host: Host) -> None:
    """Raises `GdkregError` where another one does: both would stop the registry at their end."""
    running = found(root, host)
    if running is not None:
        raise GdkregError(
            "this registry runs in the foreground already", why=f"pid {running.pid}", fix=f"kill {running.pid} ends it"
        )
    state.write_value(host, root, _MARK, processes.me())


def end(root: Path, host: Host) -> None:
    if host.info(root / FOLDER / _MARK) is not None:
        host.remove(root / FOLDER / _MARK, below=root)
