"""What each command does: a plan of actions, its carrying out, one outcome. The command line only renders them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gdkreg.verbs.cleaning import cleanup
    from gdkreg.verbs.collecting import gc
    from gdkreg.verbs.deleting import rm
    from gdkreg.verbs.machine import down, reconfigure, undo, up
    from gdkreg.verbs.root import open_root
    from gdkreg.verbs.running import restart, start, stop

_PLACES = {
    "collecting": ("gc",),
    "cleaning": ("cleanup",),
    "deleting": ("rm",),
    "machine": ("reconfigure", "up", "down", "undo"),
    "root": ("open_root",),
    "running": ("start", "restart", "stop"),
}
__all__ = ["cleanup", "down", "gc", "open_root", "reconfigure", "restart", "rm", "start", "stop", "undo", "up"]


def __getattr__(name: str) -> Any:
    """Each is loaded when it is asked for: a short command must not pay for all of them."""
    import importlib

    for module, names in _PLACES.items():
        if name in names:
            return getattr(importlib.import_module(f"gdkreg.verbs.{module}"), name)
    raise AttributeError(name)
