"""What gdkreg did to this machine, in `.gdkreg/` beside gdk.yml.

`journal.jsonl` holds one line before each change and one after it, with digests; the bytes themselves
lie in `backups/` under their digest, 0600. So a run that was killed between the two is understood
by the next one, and `undo` and `down` can give every byte back.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.host.base import Host, digest
from gdkreg.host.files import temporary
from gdkreg.plan import diff

FOLDER = ".gdkreg"


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change. `before` and `after` are digests; "" means that there was or is no file."""

    run: str
    seq: int
    command: str
    resource: str
    kind: str
    target: str
    before: str = ""
    after: str = ""
    mode: int = 0o644
    owner: tuple[int, int] = (-1, -1)
    undo: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()
    as_root: bool = False
    secret: bool = False
    time: float = 0.0
    undoes: str = ""
    release: bool = False


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """The second line of a change: that it took place, or (after a crash) that it did not."""

    mark: str
    done: bool = True


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """A file that we wrote: what stood there before (digest, "" for nothing) and what we left."""

    path: Path
    resource: str
    original: str
    written: str
    mode: int
    owner: tuple[int, int]
    as_root: bool
    secret: bool


class Journal:
    """Reads and extends the journal of one root."""

    def __init__(self, root: Path, host: Host) -> None:
        self.folder = root / FOLDER
        self._file = self.folder / "journal.jsonl"
        self._host = host
        self._open: list[tuple[Entry, bool]] = []  # begun by a run that was killed, and whether it took place
        self._entries = list(self._read())

    def _read(self) -> Iterator[Entry]:
        """The changes that took place, in order."""
        pending: dict[str, Entry] = {}
        for line in (self._host.read(self._file) or b"").splitlines():
            try:
                if line.startswith(b'{"mark"'):
                    mark = msgspec.json.decode(line, type=Mark)
                    entry = pending.pop(mark.mark, None)
                    if entry is not None and mark.done:
                        yield entry
                elif line:
                    entry = msgspec.json.decode(line, type=Entry)
                    pending[key(entry)] = entry
            except msgspec.DecodeError:
                continue  # a line that a crash tore: its change had not begun
        self._open = [(entry, self._took_place(entry)) for entry in pending.values()]
        yield from (entry for entry, done in self._open if done)

    def _took_place(self, entry: Entry) -> bool:
        if entry.kind in {"write", "remove"}:
            try:
                return digest(self._host.read(Path(entry.target))) == entry.after
            except GdkregError:
                return False
        return True  # commands and folders are idempotent; to take one back twice does no harm

    @property
    def unsettled(self) -> bool:
        """Whether a killed run left something open."""
        return bool(self._open)

    # what is ours

    def owned(self) -> dict[Path, Owned]:
        """Every file that we wrote and did not give back, by its path."""
        found: dict[Path, Owned] = {}
        for entry in self._entries:
            path = Path(entry.target)
            if entry.kind == "forget":
                found.pop(path, None)
            if entry.kind not in {"write", "remove"}:
                continue
            old = found.get(path)
            # Somebody wrote over our file in between: theirs is what to give back.
            kept = old if old and entry.before in {old.written, ""} else None
            original = kept.original if kept else entry.before
            if entry.after == original or not entry.after or entry.release:
                found.pop(path, None)
            else:
                found[path] = Owned(
                    path=path,
                    resource=entry.resource,
                    original=original,
                    written=entry.after,
                    mode=kept.mode if kept else entry.mode,
                    owner=kept.owner if kept else entry.owner,
                    as_root=entry.as_root,
                    secret=entry.secret,
                )
        return found

    def commands(self, resource: str) -> list[Entry]:
        """The commands of a resource that were run and not taken back."""
        active: dict[str, Entry] = {}
        for entry in self._entries:
            if entry.kind in {"run", "unrun"} and entry.resource == resource:
                active.pop(entry.target, None)
                if entry.undo and entry.kind == "run":
                    active[entry.target] = entry
        return list(active.values())

    def folders(self) -> list[Path]:
        """Folders that we made and that still stand."""
        made: dict[Path, None] = {}
        for entry in self._entries:
            if entry.kind == "folder":
                made[Path(entry.target)] = None
            elif entry.kind == "unfolder":
                made.pop(Path(entry.target), None)
        return list(made)

    def last_run(self) -> list[Entry]:
        """The entries of the newest run that changed something and was not taken back; an undo that broke off goes on."""
        undone = {entry.undoes for entry in self._entries if entry.undoes}
        runs = [entry for entry in self._entries if not entry.undoes and key(entry) not in undone]
        return [entry for entry in runs if entry.run == runs[-1].run] if runs else []

    def backup(self, wanted: str) -> bytes:
        """The bytes of a digest. Raises `GdkregError` where the backup is gone or spoilt."""
        content = self._host.read(self.folder / "backups" / wanted)
        if content is None or digest(content) != wanted:
            raise GdkregError(f"the backup {self.folder}/backups/{wanted} is missing or damaged")
        return content

    def edited(self, path: Path, written: str, now: bytes | None, secret: bool, command: str) -> GdkregError:
        """The error for a file that somebody changed after us: with the difference, and the way out."""
        before = self.backup(written) if written and not secret else None
        details = "(contents not shown: a secret)" if secret else diff.unified(str(path), before, now)
        return GdkregError(
            f"{path} was edited after gdkreg wrote it",
            why="giving back what stood there before would lose the edit",
            fix=f"gdkreg {command} --keep-edits leaves it as it is",
            details=details,
        )

    # writing

    def keep(self, content: bytes) -> str:
        """Put bytes into the backups; gives their digest."""
        name = digest(content)
        path = self.folder / "backups" / name
        if self._host.info(path) is None:
            self._prepare()
            self._host.write(path, content, mode=0o600)
        return name

    def begin(self, entry: Entry) -> None:
        self._append(msgspec.json.encode(entry))

    def finish(self, entry: Entry, *, done: bool = True) -> None:
        self._append(msgspec.json.encode(Mark(mark=key(entry), done=done)))
        if done:
            self._entries.append(entry)

    def recover(self) -> None:
        """Settle what a killed run left open, so that later runs read it as this one does."""
        for entry, done in self._open:
            self._append(msgspec.json.encode(Mark(mark=key(entry), done=done)))
            if entry.kind == "write":
                left = temporary(Path(os.path.realpath(entry.target)))
                if self._host.info(left) is not None:
                    self._host.remove(left, as_root=entry.as_root)
        self._open = []

    def _append(self, line: bytes) -> None:
        self._prepare()
        # A crash may have left a torn line; a new line ends it.
        self._host.append(self._file, b"\n" + line)

    def _prepare(self) -> None:
        """`.gdkreg/` itself: for its owner only, and ignored by git."""
        ignore = self.folder / ".gitignore"
        if self._host.info(ignore) is None:
            self._host.make_folder(self.folder, mode=0o700)
            self._host.make_folder(self.folder / "backups", mode=0o700)
            self._host.write(ignore, b"*\n", mode=0o644)


def key(entry: Entry) -> str:
    """Names one change; `undoes` of another change refers to it."""
    return f"{entry.run}/{entry.seq}"


def new_run() -> str:
    return f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
