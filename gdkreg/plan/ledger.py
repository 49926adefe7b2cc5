"""What follows from the changes that took place: what is ours now, and what the last run was. Pure functions over entries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

BASE = "base"  # the run that stands for all the runs that were forgotten


Kind = Literal[
    "file",
    "folder",
    "address",
    "unit",
    "owner",
    "link",
    "store",
    "service",
    "login",
    "forget",
    "skip",
    "edit",
    "repair",
    "tags",
    "trash",
]


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change, as a fact: never a command.

    `before` and `after` are digests for files ("" for none), "" and "made" for folders, the words of `actions.Fact` and
    `actions.Control` for the rest. `mode` and `owner` are those of what stood there before. `target` is a path, below the
    root as "@/…" so that it holds where the root is moved; or an address, a unit's link, a service. `final`: of a `down`, that
    nobody takes back.
    """

    run: str
    seq: int
    command: str
    resource: str
    kind: Kind
    target: str
    before: str = ""
    after: str = ""
    mode: int = 0o644
    owner: tuple[int, int] = (-1, -1)
    as_root: bool = False
    secret: bool = False
    undoes: str = ""
    release: bool = False
    final: bool = False

    @property
    def key(self) -> str:
        """Names one change; `undoes` of another change refers to it."""
        return f"{self.run}/{self.seq}"


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """A file that we wrote: what stood there before (digest, "" for nothing) and what we left."""

    path: Path
    resource: str
    original: str
    written: str
    mode: int = 0o644
    owner: tuple[int, int] = (-1, -1)
    as_root: bool = False
    secret: bool = False


def place(root: Path, target: str) -> Path:
    return root / target[2:] if target.startswith("@/") else Path(target)


def written(root: Path, path: Path) -> str:
    """A path as an entry names it."""
    return f"@/{path.relative_to(root)}" if path.is_relative_to(root) else str(path)


def owned(entries: Iterable[Entry], root: Path) -> dict[Path, Owned]:
    """Every file that we wrote and did not give back, by its path."""
    found: dict[Path, Owned] = {}
    for entry in entries:
        path = place(root, entry.target)
        if entry.kind == "forget":
            found.pop(path, None)
        if entry.kind != "file":
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


def facts(entries: Iterable[Entry], kind: str) -> dict[str, Entry]:
    """What stands changed of a kind, by its target: the first `before` with the last `after`."""
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry.kind != kind:
            continue
        first = found.pop(entry.target, entry)
        if entry.after != first.before:
            found[entry.target] = msgspec.structs.replace(entry, before=first.before)
    return found


def folders(entries: Iterable[Entry], root: Path) -> list[Path]:
    """Folders that we made and did not remove."""
    return [place(root, target) for target, entry in facts(entries, "folder").items() if entry.after]


def last_run(entries: Sequence[Entry]) -> list[Entry]:
    """The entries of the newest run that can be taken back and was not; an undo that broke off goes on.

    A run that only started a service anew changed nothing that has a way back of its own.
    """
    undone = {entry.undoes for entry in entries if entry.undoes}
    silent = {"edit", "repair", "skip", "login"}
    left = [
        entry
        for entry in entries
        if not entry.final
        and entry.command != "undo"
        and not entry.undoes
        and entry.key not in undone
        and entry.run != BASE
        and entry.kind not in silent
    ]
    changing = [entry for entry in left if not (entry.kind == "service" and entry.before == entry.after)]
    return [entry for entry in left if entry.run == changing[-1].run] if changing else []


def compact(entries: Sequence[Entry], root: Path, keep: int) -> list[Entry]:
    """The same knowledge in fewer entries: the last `keep` runs as they are, all before as one that cannot be undone."""
    runs = list(dict.fromkeys(entry.run for entry in entries))
    recent = set(runs[-keep:])
    old = [entry for entry in entries if entry.run not in recent]
    base: list[Entry] = []
    for number, item in enumerate(owned(old, root).values()):
        base.append(
            Entry(
                run=BASE,
                seq=number,
                command=BASE,
                resource=item.resource,
                kind="file",
                target=written(root, item.path),
                before=item.original,
                after=item.written,
                mode=item.mode,
                owner=item.owner,
                as_root=item.as_root,
                secret=item.secret,
            )
        )
    for kind in ("folder", "address", "unit", "owner", "link", "store", "service", "login"):
        for entry in facts(old, kind).values():
            base.append(msgspec.structs.replace(entry, run=BASE, seq=len(base), undoes=""))
    return [*base, *(entry for entry in entries if entry.run in recent)]
