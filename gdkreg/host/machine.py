"""The real machine."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gdkreg.errors import GdkregError
from gdkreg.host import commands, files, plain
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
        register=_register(),
    )


def _register() -> Path:
    """In the home of whoever runs this: under sudo, HOME may still be another user's."""
    home = Path.home()
    with contextlib.suppress(OSError, KeyError):
        if os.geteuid() == 0 and home.stat().st_uid != 0:
            import pwd

            home = Path(pwd.getpwuid(0).pw_dir)
    return home / ".gdkreg-roots"


class Machine:
    """Implements `base.Host` on this machine."""

    def __init__(self, platform: Platform | None = None) -> None:
        self.platform = platform or this_platform()

    # reading

    def read(self, path: Path, *, as_root: bool = False) -> bytes | None:
        try:
            return plain.read(path)
        except FileNotFoundError:
            return None
        except PermissionError:
            if as_root and self.platform.uid != 0:
                return self._read_as_root(path)
            raise GdkregError(f"cannot read {path}", why="permission denied", fix=f"ls -ld {path} {path.parent}") from None
        except OSError as error:
            raise files.explain(error, path, "read") from None

    def _read_as_root(self, path: Path) -> bytes:
        try:
            return commands.read_as_root(str(path))
        except OSError as error:
            raise GdkregError(f"cannot read {path}", why=str(error)) from None

    def read_own(self, path: Path, below: Path, limit: int) -> bytes | None:
        return files.read_own(path, below, limit)

    def info(self, path: Path) -> FileInfo | None:
        try:
            found = path.lstat()
            kind = files.kind_of(found.st_mode)
            target = str(path.readlink()) if kind == "symlink" else ""
        except OSError as error:
            if not plain.unreachable(error):
                raise
            return None
        return FileInfo(kind, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, target)

    def entries(self, folder: Path) -> list[str]:
        try:
            return sorted(item.name for item in folder.iterdir())
        except OSError:
            return []

    def changed(self, path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    def may_write(self, path: Path) -> bool:
        for folder in path.parents:
            try:
                folder.stat()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:
                return False
            return os.access(folder, os.W_OK | os.X_OK)
        return False

    def query(self, argv: Sequence[str], within: float | None = None) -> Completed:
        return commands.run(argv, within=within)

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
        if self._elevate(as_root):
            from gdkreg.host import elevated

            elevated.write(path, content, mode=mode, owner=owner, full=full)
        else:
            files.write_whole(path, content, mode=mode, owner=owner, below=below, full=full)

    def remove(self, path: Path, *, as_root: bool = False, below: Path | None = None) -> None:
        if self._elevate(as_root):
            from gdkreg.host import elevated

            elevated.must(["rm", "-f", str(path)], path)
            return
        try:
            with files.folder_of(path.parent / "x", below) as (folder, _):
                os.unlink(path.name, dir_fd=folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise files.explain(error, path, "remove") from None

    def make_folder(
        self,
        path: Path,
        *,
        mode: int,
        owner: tuple[int, int] | None = None,
        as_root: bool = False,
        below: Path | None = None,
    ) -> None:
        if self._elevate(as_root):
            from gdkreg.host import elevated

            uid, gid = owner or (0, 0)
            elevated.must(["install", "-d", "-m", f"{mode:o}", "-o", str(uid), "-g", str(gid), str(path)], path)
            return
        try:
            with files.folder_of(path.parent / "x", below) as (parent, _):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(path.name, mode, dir_fd=parent)
                fd = os.open(path.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
                try:
                    os.fchmod(fd, mode)  # the umask is not asked
                    if owner is not None and owner != (self.platform.uid, self.platform.gid):
                        os.fchown(fd, *owner)
                finally:
                    os.close(fd)
        except OSError as error:
            raise files.explain(error, path) from None

    def remove_folder(self, path: Path, *, as_root: bool = False) -> bool:
        if self.info(path) is None:
            return True
        if self.entries(path):
            return False
        if self._elevate(as_root):
            from gdkreg.host import elevated

            elevated.must(["rmdir", str(path)], path)
            return True
        try:
            path.rmdir()
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EBUSY, errno.EEXIST}:
                return False
            raise files.explain(error, path, "remove") from None
        return True

    def remove_tree(self, path: Path) -> None:
        import shutil

        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise files.explain(error, Path(error.filename or path), "remove") from None

    def rename(self, path: Path, to: Path) -> None:
        try:
            path.rename(to)
        except OSError as error:
            raise files.explain(error, path, "rename") from None

    def append(self, path: Path, line: bytes, *, below: Path, sync: bool = True) -> None:
        files.append(path, line, below, sync=sync)

    @contextlib.contextmanager
    def lock(self, folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
        import fcntl

        # On the folder itself: there is no file to make, to forget, or to follow somewhere else.
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise files.explain(error, folder, "open") from None
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def run(self, argv: Sequence[str], *, stdin: str = "", as_root: bool = False) -> Completed:
        if as_root:
            return commands.run_as_root(argv, stdin=stdin.encode())
        return commands.run(argv, stdin=stdin.encode())
