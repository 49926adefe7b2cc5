"""`.gdkreg/` beside gdk.yml: what gdkreg keeps of one root. Nothing in it is believed because it lies there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gdkreg.errors import DamagedError
from gdkreg.host.base import Host, HostReader

FOLDER = ".gdkreg"
LIMIT = 256 * 1024  # bytes of one state file; the journal and the backups have limits of their own

Kind = TypeVar("Kind")
_DOWN = "gdkreg down takes back what it knows otherwise; gdkreg up then begins anew"


def damaged(path: Path, why: str) -> DamagedError:
    return DamagedError(f"{path} is damaged", why=why, fix=_DOWN)


def log_of(root: Path, service: str) -> Path:
    """Where a service that is a process of ours writes its log."""
    return root / FOLDER / "log" / f"{service}.log"


def read(host: HostReader, root: Path, name: str, limit: int = LIMIT) -> bytes | None:
    """A state file's bytes; None where there is none. Raises `DamagedError` where it is not ours alone."""
    try:
        return host.read_own(root / FOLDER / name, root, limit)
    except DamagedError as error:
        error.fix = error.fix or _DOWN
        raise


def read_as(
    host: HostReader, root: Path, name: str, kind: type[Kind], dec_hook: Callable[[type, Any], Any] | None = None
) -> Kind | None:
    """A state file as a value. Raises `DamagedError` where it is not what gdkreg writes."""
    raw = read(host, root, name)
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=kind, dec_hook=dec_hook)
    except (ValueError, RecursionError) as error:
        raise damaged(root / FOLDER / name, str(error)[:120]) from None


def owner_of(host: HostReader, root: Path) -> tuple[int, int] | None:
    """Whose the files beside gdk.yml are: where root is at work in another user's folder, that user's; else None."""
    info = host.info(root)
    foreign = info is not None and host.platform.uid == 0 and info.uid != 0
    return (info.uid, info.gid) if info is not None and foreign else None


def write(host: Host, root: Path, name: str, content: bytes) -> None:
    """Write a state file, for its owner only. The folder is made where it is missing."""
    prepare(host, root)
    host.write(root / FOLDER / name, content, mode=0o600, owner=owner_of(host, root), below=root)


def write_value(host: Host, root: Path, name: str, value: Any) -> None:
    write(host, root, name, msgspec.json.encode(value))


def prepare(host: Host, root: Path) -> None:
    """`.gdkreg/` itself: for its owner only, and ignored by git."""
    folder, owner = root / FOLDER, owner_of(host, root)
    for part in (folder, folder / "backups"):  # a `down` that was killed may have left some of it
        if host.info(part) is None:
            host.make_folder(part, mode=0o700, owner=owner, below=root)
    if host.info(folder / ".gitignore") is None:
        host.write(folder / ".gitignore", b"*\n", mode=0o600, owner=owner, below=root)
