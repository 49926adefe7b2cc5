"""What is at work in the registry's storage writes that down here, so that the next command puts right what a killed one left."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gdkreg.errors import DamagedError
from gdkreg.host.base import Host, HostReader
from gdkreg.plan import state
from gdkreg.plan.state import FOLDER

_MARK = "collecting"


class Mark(msgspec.Struct, frozen=True):
    """`run` is the folder in the trash that things are moved to; `ran`: the registry has to run again afterwards."""

    command: str
    run: str
    ran: bool


def begin(root: Path, host: Host, mark: Mark) -> None:
    state.write_value(host, root, _MARK, mark)


def found(root: Path, host: HostReader) -> Mark | None:
    """A damaged one says only that something broke off: then all is put right that can be."""
    try:
        return state.read_as(host, root, _MARK, Mark)
    except DamagedError:
        return Mark("gc", "", ran=True)


def end(root: Path, host: Host) -> None:
    if host.info(root / FOLDER / _MARK) is not None:
        host.remove(root / FOLDER / _MARK, below=root)
