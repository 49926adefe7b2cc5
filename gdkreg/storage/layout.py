"""Where Distribution keeps what, below `docker/registry/v2`. Nothing is followed through a symlink."""

from __future__ import annotations

import contextlib
import datetime
import os
import stat
from collections.abc import Callable
from sys import intern
from typing import Literal

import msgspec

from gdkreg.registry.names import ALGORITHMS, is_digest

Holds = Literal["", "repository", "everything"]
_HEX = "0123456789abcdef"
_PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class Problem(msgspec.Struct, frozen=True):
    """What is not as it should be. `path` is relative to the tree, `repository` empty where it is nobody's alone.

    `holds` is what a collection keeps because of it: all that the repository could refer to, or everything.
    """

    repository: str
    what: str
    path: str
    holds: Holds = ""


Tell = Callable[[str, str, Holds], None]  # what, path, holds


class Upload(msgspec.Struct, frozen=True):
    """An upload that was begun: when (seconds since 1970), and the bytes that came."""

    id: str
    started: float
    size: int


class Repository(msgspec.Struct):
    """What its folder tells. Digests are whole, with their algorithm."""

    name: str
    tags: dict[str, str] = {}  # to the digest that `current` tells
    revisions: set[str] = set()  # with a link
    unlinked: set[str] = set()  # folders of revisions without one: deleted, or damaged
    doubtful: set[str] = set()  # digests that a damaged place tells of
    layers: list[str] = []  # links to config and layers
    uploads: list[Upload] = []
    linked: bool = True  # whether `_layers` is there
    held: bool = False


class Tree(msgspec.Struct, frozen=True):
    """`path` is the folder `docker/registry/v2`. What its methods give is relative to it."""

    path: str

    def at(self, place: str) -> str:
        return f"{self.path}/{place}"

    @staticmethod
    def blob(digest: str) -> str:
        algorithm, _, digits = digest.partition(":")
        return f"blobs/{algorithm}/{digits[:2]}/{digits}"

    @staticmethod
    def layer(repository: str, digest: str) -> str:
        return f"repositories/{repository}/_layers/{digest.replace(':', '/')}"

    @staticmethod
    def revision(repository: str, digest: str) -> str:
        return f"repositories/{repository}/_manifests/revisions/{digest.replace(':', '/')}"

    @staticmethod
    def tag(repository: str, tag: str) -> str:
        return f"repositories/{repository}/_manifests/tags/{tag}"

    @staticmethod
    def upload(repository: str, upload: str) -> str:
        return f"repositories/{repository}/_uploads/{upload}"

    def folders(self, place: str, tell: Tell, holds: Holds) -> list[str] | None:
        """The names of the folders in it; None, and told, where it cannot be listed. Files are nobody's (.DS_Store)."""
        try:
            found = []
            with os.scandir(f"{self.path}/{place}") as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        found.append(entry.name)
                    elif entry.is_symlink():
                        tell("a symlink stands where Distribution makes none", f"{place}/{entry.name}", holds)
        except OSError as error:
            tell(f"cannot be listed: {os.strerror(error.errno or 0)}", place, holds)
            return None
        return found

    def digests(self, place: str, tell: Tell, holds: Holds) -> list[str] | None:
        """The digests of `place/sha256/HEX`, by the folders' names; None where one cannot be listed."""
        algorithms = self.folders(place, tell, holds)
        found: list[str] | None = None if algorithms is None else []
        for algorithm in algorithms or ():
            names = self.folders(f"{place}/{algorithm}", tell, holds)
            if names is None:
                found = None
                continue
            digits = ALGORITHMS.get(algorithm, 0)
            good = [intern(f"{algorithm}:{name}") for name in names if len(name) == digits and not name.strip(_HEX)]
            if len(good) != len(names):
                tell("there are folders in it whose names are no digests", f"{place}/{algorithm}", holds)
            if found is not None:
                found += good
        return found

    def link(self, place: str) -> str:
        """What a link tells; empty where it is no digest. Raises `OSError`."""
        fd = os.open(f"{self.path}/{place}", _PLAIN)
        try:
            text = os.read(fd, 256).decode("ascii", "replace")
        finally:
            os.close(fd)
        return intern(text) if is_digest(text) else ""

    def blobs(self, tell: Tell) -> dict[str, int]:
        """Every blob that has data, with its bytes."""
        found: dict[str, int] = {}
        for algorithm in self.folders("blobs", tell, "") or ():
            if algorithm in ALGORITHMS:
                for first in self.folders(f"blobs/{algorithm}", tell, "") or ():
                    self._some_blobs(algorithm, first, found, tell)
        return found

    def _some_blobs(self, algorithm: str, first: str, found: dict[str, int], tell: Tell) -> None:
        place, digits = f"blobs/{algorithm}/{first}", ALGORITHMS[algorithm]
        names = self.folders(place, tell, "")
        if not names:
            return
        fd = os.open(self.at(place), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)  # a fifth faster than whole paths
        try:
            for name in names:
                if len(name) != digits or name.strip(_HEX) or name[:2] != first:
                    continue
                try:
                    info = os.stat(f"{name}/data", dir_fd=fd, follow_symlinks=False)
                except FileNotFoundError:
                    continue  # told where something refers to it
                except OSError as error:
                    tell(f"cannot be read: {os.strerror(error.errno or 0)}", f"{place}/{name}/data", "")
                    continue
                if stat.S_ISREG(info.st_mode):
                    found[intern(f"{algorithm}:{name}")] = info.st_size
                else:
                    tell("the data of a blob is no plain file", f"{place}/{name}/data", "")
        finally:
            os.close(fd)

    def uploads(self, repository: str, tell: Tell) -> list[Upload]:
        place = f"repositories/{repository}/_uploads"
        return [self._upload(place, name) for name in self.folders(place, tell, "") or ()]

    def _upload(self, place: str, name: str) -> Upload:
        newest, size = 0.0, 0
        for folder, _, files in os.walk(self.at(f"{place}/{name}")):
            for path in (folder, *(f"{folder}/{file}" for file in files)):
                with contextlib.suppress(FileNotFoundError):  # it goes on while we look
                    info = os.lstat(path)
                    newest = max(newest, info.st_mtime)
                    size += info.st_size if stat.S_ISREG(info.st_mode) else 0
        return Upload(name, self._started(f"{place}/{name}/startedat") or newest, size)

    def _started(self, place: str) -> float:
        try:
            fd = os.open(self.at(place), _PLAIN)
            try:
                text = os.read(fd, 64).decode("ascii", "replace").strip()
            finally:
                os.close(fd)
            told = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
            return told.timestamp() if told.tzinfo else 0.0
        except (OSError, ValueError, OverflowError):
            return 0.0
