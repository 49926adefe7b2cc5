"""Files that are ours whole: how one is kept at its content, and how what stood there before comes back."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gdkreg.host.base import FileInfo, HostReader, digest
from gdkreg.plan.actions import Action, Content, ForgetFile, RemoveFile, WriteFile
from gdkreg.plan.journal import Journal, Owned


class FileState(msgspec.Struct, frozen=True):
    """A file as it is, and what the journal knows of it."""

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
    """The files of one resource, seen through the journal."""

    resource: str
    journal: Journal
    keep_edits: bool = False

    def inspect(self, host: HostReader, path: Path) -> FileState:
        return FileState(path, host.read(path), host.info(path), self.journal.owned().get(path))

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
        """The write that brings a file to its content and mode; none where it has them."""
        if state.content is not None and state.content == content and state.info is not None:
            mode_right = state.info.kind == "symlink" or state.info.mode == mode
            if mode_right and (owner is None or owner == (state.info.uid, state.info.gid)):
                return []
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
        """The action that gives back what stood there before us. Raises `GdkregError` where it was edited since."""
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
            raise self.journal.edited(state.path, owned.written, state.content, owned.secret, "down")
        if not owned.original:
            return [RemoveFile(path=state.path, reason=reason, before=state.content, as_root=owned.as_root, secret=owned.secret)]
        return [
            WriteFile(
                path=state.path,
                content=self.journal.backup(owned.original),
                reason="as it was before gdkreg",
                before=state.content,
                mode=owned.mode,
                owner=owned.owner if owned.owner != (-1, -1) else None,
                as_root=owned.as_root,
                secret=owned.secret,
            )
        ]
