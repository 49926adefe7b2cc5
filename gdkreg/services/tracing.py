"""The mark that a trace leaves while it stands in the registry's place."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.host import processes
from gdkreg.host.base import Host
from gdkreg.plan.journal import FOLDER


def _mark(root: Path) -> Path:
    return root / FOLDER / "trace"


def begin(root: Path, host: Host) -> None:
    host.write(_mark(root), msgspec.json.encode(processes.me()), mode=0o600)


def end(root: Path, host: Host) -> None:
    host.remove(_mark(root))


def refuse_while_traced(root: Path) -> None:
    """Raises `GdkregError` while a trace runs: the registry is not where it belongs, and the trace puts it back at its end."""
    try:
        running = msgspec.json.decode(_mark(root).read_bytes(), type=processes.Running)
    except (OSError, msgspec.DecodeError):
        return
    if processes.is_alive(running):
        raise GdkregError(
            "a trace of this registry is running", why=f"pid {running.pid}", fix=f"end it with Ctrl-C, or kill {running.pid}"
        )
