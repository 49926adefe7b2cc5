"""The machine as it will be once the actions planned so far are done: what a later plan is made on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gdkreg.host.base import Completed, FileInfo, HostReader, Interface
from gdkreg.plan.actions import (
    Action,
    Control,
    Fact,
    MakeFolder,
    RemoveFile,
    RemoveFolder,
    RunCommand,
    SetAside,
    WriteFile,
    pending,
)


class Preview:
    """Implements `base.HostReader` over another one; `take` adds an action's effect. Nothing is changed."""

    def __init__(self, host: HostReader) -> None:
        self.platform = host.platform
        self._host = host
        self._files: dict[Path, bytes | None] = {}
        self._infos: dict[Path, FileInfo | None] = {}
        self._net: list[Interface] | None = None
        self._gone: list[Path] = []

    def hide(self, folder: Path) -> None:
        """Show the machine without a folder, or a file."""
        self._gone.append(folder)

    def _is_gone(self, path: Path) -> bool:
        return any(path.is_relative_to(folder) for folder in self._gone)

    def read(self, path: Path, *, as_root: bool = False) -> bytes | None:
        if path in self._files:
            return self._files[path]
        return None if self._is_gone(path) else self._host.read(path, as_root=as_root)

    def read_own(self, path: Path, below: Path, limit: int) -> bytes | None:
        if path in self._files:
            return self._files[path]
        return None if self._is_gone(path) else self._host.read_own(path, below, limit)

    def info(self, path: Path) -> FileInfo | None:
        if path in self._infos:
            return self._infos[path]
        return None if self._is_gone(path) else self._host.info(path)

    def entries(self, folder: Path) -> list[str]:
        names = set() if self._is_gone(folder) else set(self._host.entries(folder))
        for path, info in self._infos.items():
            if path.parent == folder:
                (names.discard if info is None else names.add)(path.name)
        return sorted(name for name in names if not self._is_gone(folder / name))

    def changed(self, path: Path) -> float:
        return self._host.changed(path)

    def may_write(self, path: Path) -> bool:
        return self._host.may_write(path)

    def query(self, argv: Sequence[str], within: float | None = None) -> Completed:
        return self._host.query(argv, within)

    def interfaces(self) -> list[Interface]:
        if self._net is None:
            self._net = self._host.interfaces()
        return list(self._net)

    def is_neighbour(self, address: str) -> bool:
        return self._host.is_neighbour(address)

    def take(self, action: Action) -> None:
        if isinstance(action, WriteFile):
            content = action.content
            self._files[action.path] = pending(action.path) if callable(content) else content
            info = self.info(action.path)
            uid, gid = action.owner or ((info.uid, info.gid) if info else (self.platform.uid, self.platform.gid))
            if info is None or info.kind != "symlink":
                self._infos[action.path] = FileInfo("file", action.mode, uid, gid)
        elif isinstance(action, MakeFolder):
            uid, gid = action.owner or (self.platform.uid, self.platform.gid)
            self._infos[action.path] = FileInfo("folder", action.mode, uid, gid)
        elif isinstance(action, (RemoveFile, RemoveFolder, SetAside)):
            self._files[action.path] = self._infos[action.path] = None
            if not isinstance(action, RemoveFile):
                self._gone.append(action.path)
        elif isinstance(action, Control) and action.removes is not None:
            self._files[action.removes] = self._infos[action.removes] = None
        elif isinstance(action, RunCommand):
            self._fact(action.fact)

    def _fact(self, fact: Fact) -> None:
        path = Path(fact.target)
        if fact.kind == "address":
            rest = [item for item in self.interfaces() if item.address != fact.target]
            self._net = [*rest, Interface(fact.after, fact.target, 32)] if fact.after else rest
        elif fact.kind == "unit":
            self._infos[path] = FileInfo("symlink", 0o777, 0, 0) if fact.after else None
        elif fact.kind == "link":
            self._infos[path] = FileInfo("symlink", 0o777, 0, 0, fact.after) if fact.after else None
            self._gone += [] if fact.after else [path]  # what is seen below it is where it led, and is not moved
        elif fact.kind == "owner" and (info := self.info(path)) is not None:
            uid, gid = (int(part) for part in fact.after.split(":"))
            self._infos[path] = FileInfo(info.kind, info.mode, uid, gid, info.target)
