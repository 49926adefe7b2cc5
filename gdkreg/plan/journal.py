"""What gdkreg did to this machine, in `.gdkreg/` beside gdk.yml.

`journal.jsonl` holds one line before each change and one after it, each sealed with the root's key: a line that somebody
else wrote is not believed. The bytes themselves lie in `backups/` under their digest, 0600. So a run that was killed
between the two lines is understood by the next one, and `undo` and `down` can give every byte back.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gdkreg.errors import DamagedError, GdkregError
from gdkreg.host.base import Host, digest
from gdkreg.host.files import SUFFIX, temporary
from gdkreg.plan import diff, ledger, state
from gdkreg.plan.ledger import Entry, Owned
from gdkreg.plan.roots import Identity
from gdkreg.plan.state import FOLDER

_NAME = "journal.jsonl"
_LIMIT = 2 * 1024 * 1024  # bytes: some 5,000 lines; a run that ends makes it shorter long before
_BACKUP_LIMIT = 64 * 1024 * 1024
_COMPACT_AT, _KEEP_RUNS = 300, 20  # entries, runs
_SEAL = 32  # hex digits


class _Mark(msgspec.Struct, frozen=True, kw_only=True):
    """The second line of a change: whether it took place."""

    mark: str
    done: bool = True


class Torn(msgspec.Struct, frozen=True):
    """A file of which a broken-off write left a part; `whole` is what stood there before, as far as it is known."""

    entry: Entry
    path: Path
    now: bytes | None
    whole: bytes


class Journal:
    """Reads and extends the journal of one root. `believed` is False where it is damaged or another root's: it is empty then.

    Raises `DamagedError` from the start, unless `lenient`.
    """

    def __init__(self, root: Path, host: Host, identity: Identity, *, lenient: bool = False) -> None:
        self.root = root
        self.folder = root / FOLDER
        self.identity = identity
        self.problem: DamagedError | None = None
        self.torn: list[Torn] = []
        self._host = host
        self._open: list[Entry] = []  # begun by a run that was killed
        self.entries: list[Entry] = []
        self._lines = 0
        try:
            if identity.known:
                self.entries = list(self._read())
        except DamagedError as error:
            if not lenient:
                raise
            self.problem, self.entries, self._open = error, [], []
        self._settle()

    # reading

    def _seal(self, body: bytes) -> bytes:
        return hmac.digest(self.identity.key, body, "sha256").hex()[:_SEAL].encode()

    def _read(self) -> Iterator[Entry]:
        """The changes that took place, in order."""
        raw = state.read(self._host, self.root, _NAME, _LIMIT)
        if raw is None:
            return
        begun: dict[str, Entry] = {}
        for line in raw.split(b"\n"):
            body = self._body(line)
            if body is None:
                continue
            self._lines += 1
            try:
                if body.startswith(b'{"mark"'):
                    mark = msgspec.json.decode(body, type=_Mark)
                    entry = begun.pop(mark.mark, None)
                    if entry is not None and mark.done:
                        yield entry
                else:
                    entry = msgspec.json.decode(body, type=Entry)
                    begun[entry.key] = entry
            except ValueError as error:
                raise state.damaged(self.folder / _NAME, str(error)[:120]) from None
        if not self._lines:
            raise state.damaged(self.folder / _NAME, "there is not one line of gdkreg's in it")
        self._open = list(begun.values())

    def _body(self, line: bytes) -> bytes | None:
        """What a line says; None for an empty one and for one that a crash cut off. Raises `DamagedError` for a forged one."""
        if not line:
            return None
        body = line[_SEAL + 1 :]
        if hmac.compare_digest(line[:_SEAL], self._seal(body)) and body:
            return body
        cut_off = line.isascii() and b"\0" not in line and not line.endswith(b"}")
        if cut_off:
            return None
        raise state.damaged(self.folder / _NAME, "a line in it was not written by gdkreg")

    def _settle(self) -> None:
        """What a killed run began: done is what is seen to be done. A file that is neither old nor new is torn, or edited."""
        for entry in self._open:
            if self.seen(entry):
                self.entries.append(entry)
            elif entry.kind in {"file", "edit", "repair"} and (found := self._torn(entry)):
                self.torn.append(found)

    def seen(self, entry: Entry) -> bool:
        """Whether the machine is as it is after this change."""
        host, path = self._host, ledger.place(self.root, entry.target)
        if entry.kind in {"file", "edit", "repair"}:
            with contextlib.suppress(GdkregError):
                return digest(host.read(path, as_root=entry.as_root)) == entry.after
            return False
        if entry.kind == "address":
            return any(item.address == entry.target for item in host.interfaces()) == bool(entry.after)
        info = host.info(path) if entry.kind in {"folder", "unit", "owner", "trash"} else None
        if entry.kind == "owner":
            return info is not None and f"{info.uid}:{info.gid}" == entry.after
        if entry.kind == "link":
            there = self._host.info(path)
            return (there is not None and there.kind == "symlink") == bool(entry.after)
        if entry.kind == "store":
            return bool(entry.after)  # what may be there is taken back; what may still be there is not forgotten
        if entry.kind in {"folder", "unit", "trash"}:
            return (info is not None) == bool(entry.after)
        return True  # services tell themselves how they stand

    def _torn(self, entry: Entry) -> Torn | None:
        """A write in place that broke off leaves the new bytes up to some place and old ones, or none, from there on."""
        path = ledger.place(self.root, entry.target)
        try:
            now = self._host.read(path, as_root=entry.as_root)
            old = self.backup(entry.before) if entry.before else b""
            new = self.backup(entry.after) if entry.after and not entry.secret else b""
        except GdkregError:
            return None
        if now is None or digest(now) in {entry.before, entry.after}:
            return None
        # The new bytes up to some place, and the old ones or none behind it; or the same while the old were written back.
        ahead, back = _alike(now, new), _alike(now, old)
        middle = back + _alike(now[back:], new[back:])
        written_back = middle > back and now[middle:] in {b"", old[middle:]}
        is_torn = now[ahead:] in {b"", old[ahead:]} or written_back
        return Torn(entry, path, now, old) if is_torn else None

    @property
    def unsettled(self) -> bool:
        """Whether a killed run left something open."""
        return bool(self._open)

    def litter(self) -> dict[Path, bool]:
        """The half-written new files that a killed run left beside the old ones, each with whether only root can remove it."""
        found = {}
        for entry in self._open:
            if entry.kind in {"file", "edit", "repair"}:
                left = temporary(Path(os.path.realpath(ledger.place(self.root, entry.target))))
                if self._host.info(left) is not None:
                    found[left] = entry.as_root
        return found

    # what is ours

    def owned(self) -> dict[Path, Owned]:
        return ledger.owned(self.entries, self.root)

    def facts(self, kind: str) -> dict[str, Entry]:
        return ledger.facts(self.entries, kind)

    def folders(self) -> list[Path]:
        return list(dict.fromkeys([*map(Path, self.identity.claim.made), *ledger.folders(self.entries, self.root)]))

    def last_run(self) -> list[Entry]:
        return ledger.last_run(self.entries)

    def backup(self, wanted: str) -> bytes:
        """The bytes of a digest. Raises `GdkregError` where the backup is gone or spoilt."""
        content = state.read(self._host, self.root, f"backups/{wanted}", _BACKUP_LIMIT) if wanted.isalnum() else None
        if content is None or digest(content) != wanted:
            raise state.damaged(self.folder / "backups" / wanted, "it is missing, or not the bytes that were put there")
        return content

    def edited(self, path: Path, written: str, now: bytes | None, secret: bool, command: str) -> GdkregError:
        """The error for a file that somebody changed after us: with the difference, and the way out."""
        before = None
        with contextlib.suppress(GdkregError):
            before = self.backup(written)
        details = "(contents not shown: a secret)" if secret else diff.unified(str(path), before, now)
        return GdkregError(
            f"{path} was edited after gdkreg wrote it",
            why="giving back what stood there before would lose the edit",
            fix=f"gdkreg {command} --keep-edits leaves it as it is",
            details=details,
        )

    # writing

    def keep(self, content: bytes) -> None:
        """Put bytes into the backups, under their digest."""
        name = f"backups/{digest(content)}"
        if self._host.info(self.folder / name) is None:
            state.write(self._host, self.root, name, content)

    def begin(self, entry: Entry) -> None:
        self._append(msgspec.json.encode(entry))

    def finish(self, entry: Entry, *, done: bool = True) -> None:
        # A mark that is lost is no loss: the next run looks at the machine itself.
        self._append(msgspec.json.encode(_Mark(mark=entry.key, done=done)), sync=False)
        if done:
            self.entries.append(entry)

    def note(self, entry: Entry) -> None:
        """Write down what needs nothing done."""
        self.begin(entry)
        self.finish(entry)

    def recover(self) -> None:
        """Settle what a killed run left open, so that later runs read it as this one does. Torn files stay open."""
        torn = {item.entry.key for item in self.torn}
        done = {entry.key for entry in self.entries}
        for entry in self._open:
            if entry.key not in torn:
                self._append(msgspec.json.encode(_Mark(mark=entry.key, done=entry.key in done)))
        for left, as_root in self.litter().items():
            self._host.remove(left, as_root=as_root)
        for folder in (self.folder, self.folder / "backups"):
            for name in self._host.entries(folder):
                if name.endswith(SUFFIX):
                    self._host.remove(folder / name, below=self.root)
        self._open = [entry for entry in self._open if entry.key in torn]

    def repaired(self, torn: Torn) -> None:
        self._append(msgspec.json.encode(_Mark(mark=torn.entry.key, done=False)))
        self._open = [entry for entry in self._open if entry.key != torn.entry.key]
        self.torn = [item for item in self.torn if item.entry.key != torn.entry.key]

    def tidy(self) -> None:
        """Keep the journal short: what is known stays, what old runs did in between goes, with backups that nobody needs."""
        if len(self.entries) < _COMPACT_AT and self._lines < 4 * _COMPACT_AT:
            return
        self.entries = ledger.compact(self.entries, self.root, _KEEP_RUNS)
        lines = [msgspec.json.encode(entry) for entry in [*self.entries, *self._open]]
        marks = [msgspec.json.encode(_Mark(mark=entry.key)) for entry in self.entries]
        text = b"".join(self._seal(body) + b" " + body + b"\n" for body in [*lines, *marks])
        state.write(self._host, self.root, _NAME, text)
        self._lines = len(lines) + len(marks)
        needed = {name for entry in [*self.entries, *self._open] for name in (entry.before, entry.after)}
        for name in self._host.entries(self.folder / "backups"):
            if name not in needed:
                self._host.remove(self.folder / "backups" / name, below=self.root)

    def _append(self, body: bytes, *, sync: bool = True) -> None:
        line = self._seal(body) + b" " + body
        self._lines += 1
        if self._host.info(self.folder / _NAME) is None:  # made whole: an empty journal would be a damaged one
            state.write(self._host, self.root, _NAME, line + b"\n")
        else:
            # A crash may have left a torn line; a new line ends it.
            self._host.append(self.folder / _NAME, b"\n" + line, below=self.root, sync=sync)


def _alike(one: bytes, other: bytes) -> int:
    """How many bytes two texts begin with alike."""
    return next(
        (at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right), min(len(one), len(other))
    )


def new_run() -> str:
    """A name for a run. Two runs of one process within a second need two names, too: the Python API."""
    return f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}-{time.monotonic_ns()}"
