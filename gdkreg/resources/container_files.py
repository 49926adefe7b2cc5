"""Copies for the registry's own user, where `registry.uid` is not yours: readable by that user and by nobody else."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.host.base import HostReader, digest
from gdkreg.plan import ledger
from gdkreg.plan.actions import Action, Fact, MakeFolder, RunCommand, is_pending, pending
from gdkreg.plan.ledger import Entry
from gdkreg.plan.reconcile import Note, foreign
from gdkreg.resources.owned import FileState, OwnedFiles

UNREAD = b"(not readable)"


class CopiesState(msgspec.Struct, frozen=True):
    """Each copy with the bytes it has to have, and who owns the storage folder."""

    copies: list[tuple[FileState, bytes | None]]
    former: list[FileState]
    folder: bool
    storage_owner: tuple[int, int]
    linked: list[Path]


class ContainerFiles(msgspec.Struct, frozen=True):
    """`sources` are the secret files that the registry reads; `owner` is None where it runs as you. `foreign_root`: root is at
    work in another user's folder, who could lead a change of owner elsewhere."""

    folder: Path
    sources: tuple[Path, ...]
    storage: Path
    own: tuple[int, int]
    owner: tuple[int, int] | None
    files: OwnedFiles
    foreign_root: bool = False
    name: str = "container_files"

    def inspect(self, host: HostReader) -> CopiesState:
        wanted = {self.folder / source.name: host.read(source) for source in self.sources} if self.owner else {}
        storage = host.info(self.storage)
        if storage is not None and storage.kind == "symlink":
            storage = host.info(self.storage.parent / storage.target)
        return CopiesState(
            copies=[(self._look(host, path, content), content) for path, content in wanted.items()],
            former=[self._look(host, path, None) for path in self.files.ours() if path not in wanted],
            folder=host.info(self.folder) is not None,
            storage_owner=(storage.uid, storage.gid) if storage else (-1, -1),
            linked=[path for path in (self.storage.parent, self.storage) if (at := host.info(path)) and at.kind == "symlink"],
        )

    def _look(self, host: HostReader, path: Path, content: bytes | None) -> FileState:
        """The copy's state; where we may not read it, the journal tells whether it is the one that we wrote."""
        owned, info = self.files.journal.owned().get(path), host.info(path)
        try:
            now = host.read(path)
        except GdkregError:
            if content is None and owned is not None:  # to be removed, whatever is in it: nobody else writes there
                unread = pending(path)
                return FileState(path, unread, info, msgspec.structs.replace(owned, written=digest(unread)))
            known = owned is not None and content is not None and owned.written == digest(content)
            return FileState(path, content if known else UNREAD, info, owned)
        return FileState(path, now, info, owned)

    def plan(self, state: CopiesState, present: bool) -> list[Action]:
        wanted = present and self.owner is not None
        gone = state.former if wanted else [*state.former, *(file for file, _ in state.copies)]
        actions: list[Action] = [action for file in gone for action in self.files.release(file)]
        if wanted and not state.folder:
            actions.append(MakeFolder(path=self.folder, reason="holds the copies", mode=0o700))
        for (file, content), source in zip(state.copies, self.sources, strict=False) if wanted else ():
            known = content is not None and not is_pending(content)
            fresh = content if content is not None and known else (lambda host, path=source: host.read(path) or b"")
            actions += self.files.write(
                file,
                fresh,
                f"only user {self.owner[0] if self.owner else ''} may read it",
                mode=0o400,
                owner=self.owner,
                blind=file.content == UNREAD,
                as_root=True,
                secret=True,
            )
        target = self.owner if wanted else self.own
        if target is not None and state.storage_owner not in {(-1, -1), target} and (wanted or gone):
            if self.foreign_root and state.linked:
                raise GdkregError(
                    f"{state.linked[0]} is a symlink",
                    why="as root, gdkreg changes no owner behind a link of another user's",
                    fix=f"look at it: ls -l {state.linked[0]}",
                )
            actions.append(self._give(target, state.storage_owner))
        return actions

    def _give(self, to: tuple[int, int], back: tuple[int, int]) -> RunCommand:
        after, before = (f"{owner[0]}:{owner[1]}" for owner in (to, back))
        return RunCommand(
            argv=("chown", "-R", after, f"{self.storage}/."),
            fact=Fact(kind="owner", target=str(self.storage), before=before, after=after),
            reason="the registry writes there",
            as_root=True,
        )

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        if entry.kind != "owner":
            return self.files.back(entry, host)
        words = [word.split(":") for word in (entry.before, entry.after)]
        numbers = [tuple(int(part) for part in pair) for pair in words if len(pair) == 2 and all(part.isdigit() for part in pair)]
        if ledger.place(self.files.root, entry.target) != self.storage or len(numbers) != 2:
            raise foreign(entry)
        before, after = numbers
        return [self._give((before[0], before[1]), (after[0], after[1]))]

    def notes(self, state: CopiesState) -> list[Note]:
        if self.owner is None:
            return [Note("off", "the registry runs as you")]
        if self.plan(state, True):
            return [Note("changed", f"copies for user {self.owner[0]} are missing or old", "gdkreg reconfigure")]
        return [Note("ok", f"copies for user {self.owner[0]}:{self.owner[1]}")]
