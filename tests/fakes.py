"""A machine in memory. It passes the same contract as the real one (unit/test_host_contract.py)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gdkreg.errors import DamagedError, GdkregError, NeedsRootError
from gdkreg.host.base import Completed, FileInfo, Interface, Platform, System


class FakeHost:
    """`answers` maps an argv (or its first words) to what a query gives; `refuse_root` stands for a missing sudo."""

    def __init__(self, system: System = "linux", uid: int = 0, home: str = "/root", env: dict[str, str] | None = None) -> None:
        self.platform = Platform(system, uid, uid, Path(home), env or {})
        self.files: dict[Path, bytes] = {}
        self.infos: dict[Path, FileInfo] = {Path("/"): FileInfo("folder", 0o755, 0, 0)}
        for folder in (*reversed(Path(home).parents), Path(home)):
            self.infos.setdefault(folder, FileInfo("folder", 0o755, uid, uid))
        self.answers: dict[tuple[str, ...], Completed] = {}
        self.times: dict[Path, float] = {}
        self.net = [Interface("lo" if system == "linux" else "lo0", "127.0.0.1", 8)]
        self.neighbours: set[str] = set()
        self.ran: list[tuple[tuple[str, ...], str]] = []
        self.fail: set[str] = set()
        self.refuse_root = False
        self.unreadable: set[Path] = set()
        self.closed: set[Path] = set()  # folders in which nobody may write

    # for tests

    def put(self, path: str | Path, content: bytes | str, mode: int = 0o644) -> None:
        path = Path(path)
        for folder in reversed(path.parents):
            self.infos.setdefault(folder, FileInfo("folder", 0o755, 0, 0))
        self.files[path] = content.encode() if isinstance(content, str) else content
        self.infos[path] = FileInfo("file", mode, self.platform.uid, self.platform.gid)

    def link(self, path: str, target: str) -> None:
        self.infos[Path(path)] = FileInfo("symlink", 0o777, 0, 0, target)

    def _real(self, path: Path) -> Path:
        info = self.infos.get(path)
        return Path(path.parent / info.target) if info and info.kind == "symlink" else path

    # reading

    def read(self, path: Path, *, as_root: bool = False) -> bytes | None:
        path = self._real(path)
        if path in self.unreadable and not as_root:
            raise GdkregError(f"cannot read {path}", why="permission denied")
        if (info := self.infos.get(path)) and info.kind == "folder":
            raise GdkregError(f"cannot read {path}", why="it is a folder")
        return self.files.get(path)

    def read_own(self, path: Path, below: Path, limit: int) -> bytes | None:
        for part in [path, *path.parents]:
            info = self.infos.get(part)
            if part == below:
                break
            if info is not None and (info.kind == "symlink" or info.uid != self.platform.uid or info.mode & 0o022):
                raise DamagedError(f"{path} is not used", why="it is not ours alone")
        found = self.files.get(path)
        if found is not None and len(found) > limit:
            raise DamagedError(f"{path} is damaged", why="it is too long")
        return found

    def info(self, path: Path) -> FileInfo | None:
        return self.infos.get(path)

    def entries(self, folder: Path) -> list[str]:
        return sorted(path.name for path in self.infos if path.parent == folder and path != folder)

    def changed(self, path: Path) -> float:
        return self.times.get(path, 1.0) if path in self.infos else 0.0

    def may_write(self, path: Path) -> bool:
        return not any(path.is_relative_to(folder) for folder in self.closed)

    def query(self, argv: Sequence[str], within: float | None = None) -> Completed:
        for length in range(len(argv), 0, -1):
            if tuple(argv[:length]) in self.answers:
                return self.answers[tuple(argv[:length])]
        return Completed(127, "", f"{argv[0]}: command not found")

    def interfaces(self) -> list[Interface]:
        return list(self.net)

    def is_neighbour(self, address: str) -> bool:
        return address in self.neighbours

    # changing

    def _may(self, as_root: bool) -> None:
        if as_root and self.platform.uid != 0 and self.refuse_root:
            raise NeedsRootError("this step needs root", why="there is no sudo on this machine")

    def _refuse_link(self, path: Path, below: Path | None) -> None:
        """As the real one refuses symlinks from `below` on."""
        for part in [path, *path.parents] if below is not None else ():
            if part == below:
                return
            if (info := self.infos.get(part)) is not None and info.kind == "symlink":
                raise GdkregError(f"cannot write {path}", why="a symlink stands on the way to it")

    def _refuse_closed(self, path: Path) -> None:
        if not self.may_write(path):
            raise GdkregError(f"cannot write {path}", why="the file system is read-only")

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
        self._may(as_root)
        self._refuse_link(path, below)
        path = self._real(path)
        self._refuse_closed(path)
        if path.parent not in self.infos:
            raise GdkregError(f"cannot write {path}", why="there is no such folder")
        old = self.infos.get(path)
        uid, gid = owner or ((old.uid, old.gid) if old else (0 if as_root else self.platform.uid,) * 2)
        self.files[path] = content
        self.infos[path] = FileInfo("file", mode, uid, gid)

    def remove(self, path: Path, *, as_root: bool = False, below: Path | None = None) -> None:
        self._may(as_root)
        self._refuse_link(path.parent, below)
        self.files.pop(path, None)
        self.infos.pop(path, None)

    def make_folder(
        self,
        path: Path,
        *,
        mode: int,
        owner: tuple[int, int] | None = None,
        as_root: bool = False,
        below: Path | None = None,
    ) -> None:
        self._may(as_root)
        self._refuse_link(path, below)
        self._refuse_closed(path)
        if path.parent not in self.infos:
            raise GdkregError(f"cannot write {path}", why="there is no such folder")
        uid, gid = owner or (self.platform.uid, self.platform.gid)
        self.infos[path] = FileInfo("folder", mode, uid, gid)

    def remove_folder(self, path: Path, *, as_root: bool = False) -> bool:
        self._may(as_root)
        if self.entries(path):
            return False
        self.infos.pop(path, None)
        return True

    def remove_tree(self, path: Path) -> None:
        for found in [item for item in self.infos if item == path or item.is_relative_to(path)]:
            self.infos.pop(found)
            self.files.pop(found, None)

    def rename(self, path: Path, to: Path) -> None:
        for found in [item for item in self.infos if item == path or item.is_relative_to(path)]:
            new = to / found.relative_to(path)
            self.infos[new] = self.infos.pop(found)
            if found in self.files:
                self.files[new] = self.files.pop(found)

    def append(self, path: Path, line: bytes, *, below: Path, sync: bool = True) -> None:
        self._refuse_link(path, below)
        self.put(path, self.files.get(path, b"") + line + b"\n", 0o600)

    @contextlib.contextmanager
    def lock(self, folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
        yield

    def run(self, argv: Sequence[str], *, stdin: str = "", as_root: bool = False) -> Completed:
        self._may(as_root)
        self.ran.append((tuple(argv), stdin))
        if " ".join(argv) in self.fail or argv[0] in self.fail:
            return Completed(1, "", f"{argv[0]}: refused")
        lines = stdin.splitlines() if stdin else [" ".join(argv[1:])]
        for line in lines:
            self._simulate(argv[0], line.split())
        return Completed(0)

    def _simulate(self, program: str, words: list[str]) -> None:
        """What `ip`, `ifconfig`, `systemctl`, `chown`, `rm` and `ln` do to addresses, links and owners."""
        if program == "ip" and words[:2] in (["address", "add"], ["address", "replace"]):
            name = words[words.index("label") + 1] if "label" in words else words[words.index("dev") + 1]
            self.net.append(Interface(name, words[2].split("/")[0], 32))
        elif program == "ip" and words[:2] == ["address", "del"]:
            self.net = [item for item in self.net if item.address != words[2].split("/")[0]]
        elif program == "ip" and words[:2] == ["link", "del"]:
            self.net = [item for item in self.net if item.name != words[2]]
        elif program == "ifconfig" and words[1] == "alias":
            self.net.append(Interface(words[0], words[2], 32))
        elif program == "ifconfig" and words[1] == "-alias":
            self.net = [item for item in self.net if item.address != words[2]]
        elif program == "systemctl":
            user, unit = words[0] == "--user", words[-1]
            folder = self.platform.home / ".config/systemd/user" if user else Path("/etc/systemd/system")
            target = "timers.target" if unit.endswith(".timer") else "default.target" if user else "multi-user.target"
            link = folder / f"{target}.wants" / unit
            if "enable" in words:
                self.infos[link] = FileInfo("symlink", 0o777, 0, 0, "../" + unit)
            else:
                self.infos.pop(link, None)
        elif program == "rm":
            self.infos.pop(Path(words[0]))
        elif program == "ln":
            self.link(words[2], words[1])
        elif program == "chown":
            uid, gid = (int(part) for part in words[1].split(":"))
            path = Path(words[2].removesuffix("/."))
            old = self.infos[path]
            self.infos[path] = FileInfo(old.kind, old.mode, uid, gid)
