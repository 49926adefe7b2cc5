"""The mark that a trace leaves while it stands in the registry's place."""

from __future__ import annotations

from pathlib import Path

from gdkreg.errors import GdkregError
from gdkreg.host import processes
from gdkreg.host.base import Host, HostReader
from gdkreg.plan import state
from gdkreg.plan.state import FOLDER

_MARK = "trace"


def begin(root: Path, host: Host) -> None:
    state.write_value(host, root, _MARK, processes.me())


def end(root: Path, host: Host) -> None:
    host.remove(root / FOLDER / _MARK, below=root)


def refuse_while_traced(root: Path, host: HostReader) -> None:
    """Raises `GdkregError` while a trace runs: the registry is not where it belongs, and the trace puts it back at its end."""
    running = state.read_as(host, root, _MARK, processes.Running)
    if running is not None and processes.is_alive(running):
        raise GdkregError(
            "a trace of this registry is running", why=f"pid {running.pid}", fix=f"end it with Ctrl-C, or kill {running.pid}"
        )
