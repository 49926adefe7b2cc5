"""The real machine."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gdkreg.errors import GdkregError
from gdkreg.host import commands, files
from gdkreg.host.base import Completed, FileInfo, Interface, Platform


def this_platform() -> Platform:
    system = os.uname().sysname
    if system not in {"Linux", "Darwin"}:
        raise GdkregError(f"gdkreg runs on Linux and macOS, not on {system}", fix="on Windows run it inside WSL")
    return Platform(
        system="darwin" if system == "Darwin" else "linux",
        uid=os.geteuid(),
        gid=os.getegid(),
        home=Path.home(),
        env=dict(os.environ),
    )


class Machine:
    """Implements `base.Host` on this machine."""

    def __init__(self, platform: Platform | None = None) -> None:
        self.platform = platform or this_platform()

    # reading

    def read(self, path: Path, *, as_root: bool = False) -> bytes | None:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except (IsADirectoryError, NotADirectoryError) as error:
            raise files.explain(error, path, "read") from None
        except PermissionError:
            if as_root and self.platform.uid != 0:
                return self._read_as_root(path)
            raise GdkregError(f"cannot read {path}", why="permission denied", fix=f"ls -ld {path} {path.parent}") from None

    def _read_as_root(self, path: Path) -> bytes:
        try:
            return commands.read_as_root(str(path))
        except OSError as error:
            raise GdkregError(f"cannot read {path}", why=str(error)) from None

    def info(self, path: Path) -> FileInfo | None:
        try:
            found = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError:
            return None
        kind = files.kind_of(found.st_mode)
        target = str(path.readlink()) if kind == "symlink" else ""
        return FileInfo(kind, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, target)

    def entries(self, folder: Path) -> list[str]:
        try:
            return sorted(item.name for item in folder.iterdir())
        except OSError:
            return []

    def query(self, argv: Sequence[str]) -> Completed:
        return commands.run(argv)

    def interfaces(self) -> list[Interface]:
        from gdkreg.host import network

        return network.interfaces()

    def is_neighbour(self, address: str) -> bool:
        from gdkreg.host import network

        return network.is_neighbour(address, self.platform.system)

    # changing

    def _elevate(self, as_root: bool) -> bool:
        return as_root and self.platform.uid != 0

    def write(
        self, path: Path, content: bytes, *, mode: int, owner: tuple[int, int] | None = None, as_root: bool = False
    ) -> None:
        if not self._elevate(as_root):
            files.write_whole(path, content, mode=mode, owner=owner)
            return
        target = Path(os.path.realpath(path))
        fresh = str(files.temporary(target))
        uid, gid = owner or (0, 0)
        # Whatever lies at this name is not ours: a link there would be followed by root.
        self._must(["rm", "-f", fresh], path)
        if commands.run_as_root(["test", "-e", str(target)]).code == 0:
            self._must(["cp", "-p", str(target), fresh], path)  # owner, mode and attributes come along
        else:
            self._must(["install", "-m", "600", "-o", str(uid), "-g", str(gid), "/dev/null", fresh], path)
        if owner is not None:
            self._must(["chown", f"{uid}:{gid}", fresh], path)
        self._must(["chmod", f"{mode:o}", fresh], path)
        self._must(["tee", fresh], path, stdin=content)
        if commands.run_as_root(["mv", "-f", fresh, str(target)]).code != 0:  # a bind mount: busy
            self._must(["tee", str(target)], path, stdin=content)
            self._must(["rm", "-f", fresh], path)

    def remove(self, path: Path, *, as_root: bool = False) -> None:
        if self._elevate(as_root):
            self._must(["rm", "-f", str(path)], path)
            return
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise files.explain(error, path) from None

    def make_folder(self, path: Path, *, mode: int, owner: tuple[int, int] | None = None, as_root: bool = False) -> None:
        if self._elevate(as_root):
            uid, gid = owner or (0, 0)
            self._must(["install", "-d", "-m", f"{mode:o}", "-o", str(uid), "-g", str(gid), str(path)], path)
            return
        try:
            path.mkdir(mode=mode, exist_ok=True)
            path.chmod(mode)  # the umask is not asked
            if owner is not None and owner != (self.platform.uid, self.platform.gid):
                os.chown(path, *owner)
        except OSError as error:
            raise files.explain(error, path) from None

    def remove_folder(self, path: Path, *, as_root: bool = False) -> None:
        if self.entries(path) or self.info(path) is None:
            return
        if self._elevate(as_root):
            self._must(["rmdir", str(path)], path)
            return
        try:
            path.rmdir()
        except OSError as error:
            raise files.explain(error, path) from None

    def append(self, path: Path, line: bytes) -> None:
        try:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                os.write(fd, line + b"\n")
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise files.explain(error, path) from None

    @contextlib.contextmanager
    def lock(self, path: Path, waiting: Callable[[], None]) -> Iterator[None]:
        from filelock import FileLock, Timeout

        lock = FileLock(path, mode=0o600)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting()
            lock.acquire()
        except OSError as error:
            raise files.explain(error, path) from None
        try:
            yield
        finally:
            lock.release()

    def run(self, argv: Sequence[str], *, stdin: str = "", as_root: bool = False) -> Completed:
        if as_root:
            return commands.run_as_root(argv, stdin=stdin.encode())
        return commands.run(argv, stdin=stdin.encode())

    def _must(self, argv: list[str], path: Path, stdin: bytes = b"") -> None:
        done = commands.run_as_root(argv, stdin=stdin)
        if done.code != 0:
            raise GdkregError(f"cannot write {path}", why=done.err.strip() or f"{argv[0]} exited with {done.code}")
