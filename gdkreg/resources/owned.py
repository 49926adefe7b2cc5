"""Files that are ours whole: how one is kept at its content, and how what stood there before comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.host.base import FileInfo, HostReader, digest
from gdkreg.plan import ledger
from gdkreg.plan.actions import (
    Action,
    Content,
    ForgetFile,
    MakeFolder,
    RemoveFile,
    RemoveFolder,
    WriteFile,
    is_pending,
    left,
)
from gdkreg.plan.journal import Journal
from gdkreg.plan.ledger import Entry, Owned
from gdkreg.plan.reconcile import foreign
from gdkreg.plan.state import FOLDER, LIMIT


class FileState(msgspec.Struct, frozen=True):
    """A file as it is, and what is known of it: by the journal, or by the mark that it carries."""

    path: Path
    content: bytes | None
    info: FileInfo | None
    owned: Owned | None

    @property
    def ours(self) -> bool:
        """We wrote exactly what stands there."""
        return self.owned is not None and digest(self.content) == self.owned.written

    @property
    def overwritten(self) -> bool:
        """We wrote it, and then somebody else did."""
        return self.owned is not None and self.content is not None and not self.ours


class OwnedFiles(msgspec.Struct, frozen=True):
    """The files of one resource, seen through the journal.

    `mine` tells which paths the resource can have written at all, `marked` whether a file that the journal does not know
    (it is damaged, or gone) carries our mark.
    """

    resource: str
    journal: Journal
    keep_edits: bool
    mine: Callable[[Path], bool]
    marked: Callable[[bytes], bool] = lambda _: False

    @property
    def root(self) -> Path:
        return self.journal.root

    def inspect(self, host: HostReader, path: Path, *, as_root: bool = False) -> FileState:
        own = path.is_relative_to(self.root / FOLDER)
        content = host.read_own(path, self.root, LIMIT) if own else host.read(path, as_root=as_root)
        return FileState(path, content, host.info(path), self.known(path, content))

    def known(self, path: Path, content: bytes | None) -> Owned | None:
        found = self.journal.owned().get(path)
        if found is None and content is not None and not is_pending(content) and self.marked(content):
            return Owned(path=path, resource=self.resource, original="", written=digest(content))
        return found

    def ours(self) -> list[Path]:
        """Every path that this resource has written and not given back."""
        return [path for path, owned in self.journal.owned().items() if owned.resource == self.resource]

    def write(
        self,
        state: FileState,
        content: Content,
        reason: str,
        *,
        mode: int,
        owner: tuple[int, int] | None = None,
        as_root: bool = False,
        secret: bool = False,
        preview: bytes | None = None,
        blind: bool = False,
    ) -> list[Action]:
        """The write that brings a file to its content and mode; none where it has them. Raises `GdkregError` for a symlink."""
        if state.content is not None and state.content == content and state.info is not None:
            mode_right = state.info.kind == "symlink" or state.info.mode == mode
            if mode_right and (owner is None or owner == (state.info.uid, state.info.gid)):
                return []
        if state.info is not None and state.info.kind == "symlink" and state.path.is_relative_to(self.root):
            raise GdkregError(
                f"{state.path} is a symlink to {state.info.target}",
                why="gdkreg writes through none beside gdk.yml",
                fix=f"look at it, then: rm {state.path}",
            )
        return [
            WriteFile(
                path=state.path,
                content=content,
                reason=reason,
                before=state.content,
                mode=mode,
                owner=owner,
                as_root=as_root,
                secret=secret,
                preview=preview,
                blind=blind,
            )
        ]

    def release(self, state: FileState, reason: str = "no longer wanted") -> list[Action]:
        """The action that gives back what stood there before us. A file that was edited since is left, and told."""
        owned = state.owned
        if owned is None:
            return []
        if state.content is None and not owned.original:
            return [ForgetFile(path=state.path, reason="it is gone already")]
        if state.content is not None and not state.ours:
            if digest(state.content) == owned.original:
                return [ForgetFile(path=state.path, reason="it is as it was before gdkreg")]
            if self.keep_edits:
                return []
            return [left(self.journal.edited(state.path, owned.written, state.content, owned.secret, "down"), str(state.path))]
        if not owned.original:
            return [RemoveFile(path=state.path, reason=reason, before=state.content, as_root=owned.as_root, secret=owned.secret)]
        try:
            original = self.journal.backup(owned.original)
        except GdkregError as error:
            return [left(error, str(state.path))]
        return [
            WriteFile(
                path=state.path,
                content=original,
                reason="as it was before gdkreg",
                before=state.content,
                mode=owned.mode,
                owner=owned.owner if owned.owner != (-1, -1) else None,
                as_root=owned.as_root,
                secret=owned.secret,
            )
        ]

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        """What takes a change of a file or folder back. Raises `GdkregError` where somebody edited it since."""
        path = ledger.place(self.root, entry.target)
        if not self.mine(path) or entry.kind not in {"file", "folder", "forget"}:
            raise foreign(entry)
        if entry.kind == "folder":
            return self._folder_back(path, entry, host)
        now = self.inspect(host, path, as_root=entry.as_root).content
        if entry.kind == "forget" or digest(now) == entry.before:
            return []
        if digest(now) != entry.after:
            if self.keep_edits:
                return []
            raise self.journal.edited(path, entry.after, now, entry.secret, "undo")
        if not entry.before:
            return [RemoveFile(path=path, reason="undo", before=now, as_root=entry.as_root, secret=entry.secret)]
        return [
            WriteFile(
                path=path,
                content=self.journal.backup(entry.before),
                reason="undo",
                before=now,
                mode=entry.mode,
                owner=entry.owner if entry.owner != (-1, -1) else None,
                as_root=entry.as_root,
                secret=entry.secret,
            )
        ]

    def _folder_back(self, path: Path, entry: Entry, host: HostReader) -> list[Action]:
        stands = host.info(path) is not None
        if entry.after and stands and not entry.before and not host.entries(path):
            return [RemoveFolder(path=path, reason="undo", as_root=entry.as_root)]
        if not entry.after and not stands:
            return [MakeFolder(path=path, reason="undo", mode=entry.mode, owner=entry.owner, as_root=entry.as_root)]
        return []
