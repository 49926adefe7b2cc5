"""The one place where actions are carried out, journalled, and taken back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gdkreg.errors import GdkregError, NeedsRootError
from gdkreg.host.base import Host, digest
from gdkreg.plan.actions import (
    Action,
    ForgetFile,
    MakeFolder,
    RemoveFile,
    RemoveFolder,
    RunCommand,
    WriteFile,
    by_hand,
    shown,
    target,
)
from gdkreg.plan.journal import Entry, Journal, key, new_run

_KINDS = {
    WriteFile: "write",
    RemoveFile: "remove",
    MakeFolder: "folder",
    RemoveFolder: "unfolder",
    RunCommand: "run",
    ForgetFile: "forget",
}


class Executor:
    """Carries out actions of one run. `announce` is told of each action before it is done."""

    def __init__(self, host: Host, journal: Journal, command: str, announce: Callable[[Action], None]) -> None:
        self._host = host
        self._journal = journal
        self._command = command
        self._announce = announce
        self._run = new_run()
        self._seq = 0
        self.done: list[Action] = []

    def execute(self, resource: str, action: Action, undoes: str = "") -> None:
        """Raises `GdkregError` where the machine refuses or a file changed since it was planned."""
        self._announce(action)
        after = self._content(action)
        entry = self._entry(resource, action, after, undoes)
        self._journal.begin(entry)
        try:
            self._act(action, after)
        except NeedsRootError as error:
            raise self._refused(error, action, after) from None
        except GdkregError:
            if isinstance(action, RunCommand) and action.otherwise is not None:
                self._journal.finish(entry, done=False)
                self.execute(resource, action.otherwise, undoes)
                return
            raise
        self._journal.finish(entry)
        self.done.append(action)

    def skip(self, entry: Entry) -> None:
        """Note that undoing a change needs nothing done, so that the next undo goes on to the run before."""
        mark = Entry(
            run=self._run,
            seq=self._count(),
            command=self._command,
            resource=entry.resource,
            kind="skip",
            target=entry.target,
            undoes=key(entry),
        )
        self._journal.begin(mark)
        self._journal.finish(mark)

    def _count(self) -> int:
        self._seq += 1
        return self._seq

    def _content(self, action: Action) -> bytes | None:
        if not isinstance(action, (WriteFile, RemoveFile)):
            return None
        now = self._host.read(action.path, as_root=action.as_root)
        if now != action.before and not (isinstance(action, WriteFile) and action.blind):
            raise GdkregError(f"{action.path} changed while gdkreg was at work", fix=f"gdkreg {self._command}")
        if isinstance(action, RemoveFile):
            return None
        return action.content(self._host) if callable(action.content) else action.content

    def _entry(self, resource: str, action: Action, after: bytes | None, undoes: str) -> Entry:
        before = action.before if isinstance(action, (WriteFile, RemoveFile)) else None
        secret = isinstance(action, (WriteFile, RemoveFile)) and action.secret
        if before is not None:
            self._journal.keep(before)
        if after is not None and not secret:
            self._journal.keep(after)  # for the diff, where somebody edits it later
        info = None if isinstance(action, RunCommand) else self._host.info(action.path)
        return Entry(
            run=self._run,
            seq=self._count(),
            command=self._command,
            resource=resource,
            kind="unrun" if isinstance(action, RunCommand) and action.removes else _KINDS[type(action)],
            target=target(action),
            before=digest(before),
            after=digest(after),
            mode=info.mode if info and info.kind in {"file", "folder"} else 0o644,
            owner=(info.uid, info.gid) if info else (-1, -1),
            undo=action.undo if isinstance(action, RunCommand) else (),
            argv=action.argv if isinstance(action, RunCommand) and not action.stdin else (),
            as_root=action.as_root,
            secret=secret,
            undoes=undoes,
            release=isinstance(action, WriteFile) and action.release,
        )

    def _act(self, action: Action, after: bytes | None) -> None:
        host = self._host
        if isinstance(action, WriteFile):
            owner = action.owner if action.owner != (-1, -1) else None
            host.write(action.path, after or b"", mode=action.mode, owner=owner, as_root=action.as_root)
        elif isinstance(action, RemoveFile):
            host.remove(action.path, as_root=action.as_root)
        elif isinstance(action, MakeFolder):
            host.make_folder(action.path, mode=action.mode, owner=action.owner, as_root=action.as_root)
        elif isinstance(action, RemoveFolder):
            host.remove_folder(action.path, as_root=action.as_root)
        elif isinstance(action, RunCommand):
            self._command_line(action)

    def _command_line(self, action: RunCommand) -> None:
        done = self._host.run(action.argv, stdin=action.stdin, as_root=action.as_root)
        if done.code != 0 and not action.may_fail:
            why = (done.err or done.out).strip() or f"exit code {done.code}"
            raise GdkregError(f"{shown(action)} failed", why=why, fix=f"gdkreg {self._command}")

    def _refused(self, error: NeedsRootError, action: Action, after: bytes | None) -> NeedsRootError:
        """The refusal with the commands that a person can run; content to write is laid ready in `.gdkreg/pending`."""
        pending = self._journal.folder / "pending" / target(action).strip("/").replace("/", "-")
        if isinstance(action, WriteFile):
            self._host.make_folder(pending.parent, mode=0o700)
            self._host.write(pending, after or b"", mode=0o600)
        return NeedsRootError(
            error.what, why=error.why, fix=f"run this, then gdkreg {self._command} again", details=by_hand(action, pending)
        )


def undo(journal: Journal, host: Host, keep_edits: bool) -> list[tuple[Entry, Action]]:
    """The actions that take the last run back, newest change first, each with the change that it undoes.

    Raises `GdkregError` with a diff where somebody edited a file since; with `keep_edits` such a file stays as it is.
    """
    plan: list[tuple[Entry, Action]] = []
    expected: dict[Path, bytes | None] = {}
    for entry in reversed(journal.last_run()):
        path = Path(entry.target)
        if entry.kind in {"write", "remove"}:
            now = expected[path] if path in expected else host.read(path, as_root=entry.as_root)
            if digest(now) != entry.after:
                if keep_edits or digest(now) == entry.before:
                    continue
                raise journal.edited(path, entry.after, now, entry.secret, "undo")
            back = journal.backup(entry.before) if entry.before else None
            expected[path] = back
            plan.append((entry, restore(entry, now, back)))
        elif entry.kind == "folder":
            plan.append((entry, RemoveFolder(path=path, reason="undo", as_root=entry.as_root)))
        elif entry.kind == "unfolder" and host.info(path) is None:
            plan.append((entry, MakeFolder(path=path, reason="undo", mode=entry.mode, owner=entry.owner, as_root=entry.as_root)))
        elif entry.kind in {"run", "unrun"} and entry.undo:
            plan.append(
                (
                    entry,
                    RunCommand(
                        argv=entry.undo,
                        undo=entry.argv if entry.kind == "unrun" else (),
                        target=entry.target,
                        reason="undo",
                        as_root=entry.as_root,
                        may_fail=True,
                    ),
                )
            )
    return plan


def restore(entry: Entry, now: bytes | None, back: bytes | None) -> Action:
    path = Path(entry.target)
    if back is None:
        return RemoveFile(path=path, reason="undo", before=now, as_root=entry.as_root, secret=entry.secret)
    return WriteFile(
        path=path,
        content=back,
        reason="undo",
        before=now,
        mode=entry.mode,
        owner=entry.owner if entry.before else None,
        as_root=entry.as_root,
        secret=entry.secret,
    )
