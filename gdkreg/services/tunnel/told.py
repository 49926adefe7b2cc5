"""What the tunnel's keeper tells of itself: one small file for the commands, one line in the log for each change."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from gdkreg.errors import DamagedError
from gdkreg.host.base import Host, HostReader
from gdkreg.plan import state
from gdkreg.plan.state import FOLDER

_NAME = "tunnel.state"
_LONGEST = 300  # characters


class Told(msgspec.Struct, frozen=True):
    """`pid` is the keeper's; `url` is where everybody reaches the registry, empty where nobody does; `why` and `fix` belong to
    what is not as it should be. `kind` is the failure's."""

    pid: int
    state: Literal["connecting", "connected", "waiting", "failed"]
    since: str = ""
    url: str = ""
    kind: str = ""
    what: str = ""
    why: str = ""
    fix: str = ""


def one_line(said: str) -> str:
    """What another machine said, as a log and a terminal can take it."""
    return "".join(char if char.isprintable() and char != '"' else "?" for char in said.strip())[:_LONGEST]


def sentence(now: Told) -> str:
    """What came of it, for a person."""
    if now.state != "connected":
        return f"{now.what}: {now.why}; {'given up' if now.state == 'failed' else 'tried again'}"
    if not now.url:
        return f"connected, but nobody outside reaches it. {now.why}"
    return f"{now.url} is public" + (f", but {now.why}" if now.why else "")


def read(root: Path, host: HostReader) -> Told | None:
    """A damaged one tells nothing."""
    try:
        return state.read_as(host, root, _NAME, Told)
    except DamagedError:
        return None


def write(root: Path, host: Host, told: Told) -> None:
    state.write_value(host, root, _NAME, told)


def forget(root: Path, host: Host) -> None:
    if host.info(root / FOLDER / _NAME) is not None:
        host.remove(root / FOLDER / _NAME, below=root)
