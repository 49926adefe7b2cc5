"""What the rest of the program may ask of a machine. `machine.Machine` is the real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, Protocol

import msgspec

System = Literal["linux", "darwin"]
Kind = Literal["file", "folder", "symlink", "other"]


class Platform(msgspec.Struct, frozen=True):
    """Chosen once, at the start. Nothing else asks which system this is."""

    system: System
    uid: int
    gid: int
    home: Path
    env: Mapping[str, str]
    register: Path | None = None

    @property
    def roots(self) -> Path:
        """The folder in which the roots of this user are written down (`plan/roots.py`)."""
        return self.register or self.home / ".gdkreg-roots"


class FileInfo(msgspec.Struct, frozen=True):
    """What `lstat` tells of a path. `target` is where a symlink points to, else empty."""

    kind: Kind
    mode: int
    uid: int
    gid: int
    target: str = ""


class Completed(msgspec.Struct, frozen=True):
    """A command that ended. Code 127 means that there is no such command."""

    code: int
    out: str = ""
    err: str = ""


class Interface(msgspec.Struct, frozen=True):
    """One IPv4 address of one interface, e.g. ("lo", "127.0.0.1", 8)."""

    name: str
    address: str
    prefix: int


class HostReader(Protocol):
    """Reading. Every method raises `GdkregError` where the machine refuses."""

    platform: Platform

    def read(self, path: Path, *, as_root: bool = False) -> bytes | None:
        """The file's bytes (a symlink is followed); None where there is none."""

    def read_own(self, path: Path, below: Path, limit: int) -> bytes | None:
        """A file that only gdkreg writes; None where there is none. Raises `DamagedError` where it is not ours alone, leads
        over a symlink from `below` on, or is longer than `limit` bytes."""

    def info(self, path: Path) -> FileInfo | None:
        """What stands at the path itself (a symlink is not followed); None where nothing does."""

    def entries(self, folder: Path) -> list[str]:
        """The names in a folder, sorted; empty where there is no such folder."""

    def changed(self, path: Path) -> float:
        """When what stands at the path was last written, in seconds since the epoch; 0 where nothing does."""

    def may_write(self, path: Path) -> bool:
        """Whether this user, without root, may make or replace a file there, and the folders that lead to it."""

    def query(self, argv: Sequence[str], within: float | None = None) -> Completed:
        """Run a command that changes nothing; code 124 where it takes longer than so many seconds."""

    def interfaces(self) -> list[Interface]:
        """The machine's IPv4 addresses."""

    def is_neighbour(self, address: str) -> bool:
        """Whether another machine on the network answers for this address."""


class Host(HostReader, Protocol):
    """Changing. Only `plan.executor` and the services hold one. `below`: no symlink is followed from that folder on."""

    def write(
        self,
        path: Path,
        content: bytes,
        *,
        mode: int,
        owner: tuple[int, int] | None = None,
        as_root: bool = False,
        below: Path | None = None,
        full: bool = False,
    ) -> None:
        """Replace or make a file whole: a reader sees the old bytes or the new ones, never a part.

        A file that cannot be renamed over (a bind mount) is written in place; with `full` also one that grows no longer, where
        the disk has no room for a second one.
        """

    def remove(self, path: Path, *, as_root: bool = False, below: Path | None = None) -> None: ...

    def make_folder(
        self,
        path: Path,
        *,
        mode: int,
        owner: tuple[int, int] | None = None,
        as_root: bool = False,
        below: Path | None = None,
    ) -> None: ...

    def remove_folder(self, path: Path, *, as_root: bool = False) -> bool:
        """Remove a folder if it is empty; False for one that is not: it stays."""

    def remove_tree(self, path: Path) -> None:
        """Remove a folder of ours with all that is in it; symlinks in it are removed, not followed."""

    def rename(self, path: Path, to: Path) -> None: ...

    def append(self, path: Path, line: bytes, *, below: Path, sync: bool = True) -> None:
        """Add a line to a file of ours (0600); with `sync` it is on disk before this returns."""

    def lock(self, folder: Path, waiting: Callable[[], None]) -> AbstractContextManager[None]:
        """Hold the lock on a folder; `waiting` is called once where another run holds it. Nothing is written for it."""

    def run(self, argv: Sequence[str], *, stdin: str = "", as_root: bool = False) -> Completed:
        """Run a command that changes the machine."""


def digest(content: bytes | None) -> str:
    """The SHA-256 of a file's bytes in hex; empty for a file that is not there."""
    import hashlib

    return "" if content is None else hashlib.sha256(content).hexdigest()
