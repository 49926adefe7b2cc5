"""The one place where actions are carried out and journalled."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from gdkreg.errors import GdkregError, NeedsRootError
from gdkreg.host.base import Host, digest
from gdkreg.host.signals import uninterrupted
from gdkreg.plan import ledger, state
from gdkreg.plan.actions import (
    Action,
    Control,
    ForgetFact,
    ForgetFile,
    Leave,
    MakeFolder,
    RemoveFile,
    RemoveFolder,
    RunCommand,
    SetAside,
    Step,
    WriteFile,
    by_hand,
    is_pending,
    shown,
    target,
)
from gdkreg.plan.journal import Journal, new_run
from gdkreg.plan.ledger import Entry
from gdkreg.plan.outcome import Item, Listener

_KINDS = {WriteFile: "file", RemoveFile: "file", MakeFolder: "folder", RemoveFolder: "folder", ForgetFile: "forget"}
# What gdkreg is told to do rather than what it keeps in shape: told of, but with nothing to take back.
_PASSING = {"pull", "prove", "hold", "release", "untag", "tag", "restore", "roll back", "empty", "watch", "let go", "reload"}
Perform = Callable[[Control], str]


class Executor:
    """Carries out the steps of one run. `perform` does what a `Control` says, and gives a word on it.

    With `keep_going` a step that fails is left and told, and what follows is done all the same; nor does it then need room
    for the journal. Without a journal (before any set-up) only files in the root are written.
    """

    def __init__(
        self,
        root: Path,
        host: Host,
        journal: Journal | None,
        command: str,
        listener: Listener,
        perform: Perform,
        *,
        keep_going: bool = False,
    ) -> None:
        self._root = root
        self._host = host
        self._journal = journal
        self._command = command
        self._listener = listener
        self._perform = perform
        self._keep_going = keep_going
        self._run = new_run()
        self._seq = 0
        self.items: list[Item] = []

    def carry_out(self, steps: Sequence[Step]) -> None:
        """Raises `GdkregError` where the machine refuses or a file changed since it was planned."""
        for step in steps:
            self._listener.doing(step)
            try:
                with self._alone(step.action):
                    item = self._execute(step)
            except GdkregError as error:
                if not self._keep_going:
                    raise
                help_ = error.details if isinstance(error, NeedsRootError) else error.fix
                why = f"{error.what}: {error.why}" if error.why else error.what
                item = Item(step=step, status="left", detail=why, fix=help_.splitlines()[0] if help_ else "gdkreg doctor")
            self.items.append(item)
            self._listener.did(item)

    def _alone(self, action: Action) -> AbstractContextManager[None]:
        """Another root may be at work on the same file, as /etc/hosts: two at once would each undo the other's."""
        outside = isinstance(action, (WriteFile, RemoveFile)) and not action.path.is_relative_to(self._root)
        folder = Path(os.path.realpath(Path(target(action)).parent)) if outside else None
        # What a symlink leads back into the root is below the lock that this run holds already.
        if folder is None or folder.is_relative_to(os.path.realpath(self._root)) or not self._host.entries(folder):
            return contextlib.nullcontext()
        return self._host.lock(folder, self._listener.waiting)

    def _execute(self, step: Step) -> Item:
        action = step.action
        if isinstance(action, Leave):
            return Item(step=step, status="left", detail=action.reason, fix=action.fix)
        if isinstance(action, SetAside):
            self._host.rename(action.path, action.to)
            return Item(step=step, status="done")
        after = self._content(action)
        entry = self._entry(step, after)
        if entry is not None:
            self._journalled(self._begin, entry, action, after)
        try:
            detail = self._act(action, after, through_links=step.resource == "gdk.yml")
        except NeedsRootError as error:
            self._close(entry)
            raise self._refused(error, action, after) from None
        except GdkregError:
            self._close(entry)
            if isinstance(action, RunCommand) and action.otherwise is not None:
                return self._execute(Step(step.resource, action.otherwise, step.undoes))
            raise
        if detail is None:
            self._close(entry)
            whole = isinstance(action, RemoveFolder) and action.whole
            return Item(step=step, status="skipped", detail="it knows what is left" if whole else "it is not empty")
        if entry is not None and self._journal is not None:
            self._journalled(self._journal.finish, entry)
        return Item(step=step, status="done", detail=detail)

    def skip(self, entry: Entry) -> None:
        """Note that undoing a change needs nothing done, so that the next undo goes on to the run before."""
        assert self._journal is not None
        self._journal.note(
            Entry(
                run=self._run,
                seq=self._count(),
                command=self._command,
                resource=entry.resource,
                kind="skip",
                target=entry.target,
                undoes=entry.key,
            )
        )

    def _count(self) -> int:
        self._seq += 1
        return self._seq

    # the journal

    def _journalled(self, write: Callable[..., None], *what: object) -> None:
        """`down` goes on where there is no room, or no disk, for its journal: its steps are seen on the machine itself."""
        with contextlib.suppress(GdkregError) if self._keep_going else contextlib.nullcontext():
            write(*what)

    def _begin(self, entry: Entry, action: Action, after: bytes | None) -> None:
        """What stood there and what is meant stand on disk before anything is touched."""
        assert self._journal is not None
        # What `down` removes is ours, and nobody wants it back.
        kept = (WriteFile,) if self._keep_going else (WriteFile, RemoveFile)
        before = action.before if isinstance(action, kept) else None
        if before is not None:
            self._journal.keep(before)
        if after is not None and not entry.secret:
            self._journal.keep(after)  # also for the diff, where somebody edits it later
        self._journal.begin(entry)

    def _close(self, entry: Entry | None) -> None:
        """A change that failed: what it left is what is seen of it. A file in between stays open, to be repaired."""
        journal = self._journal
        if entry is None or journal is None:
            return
        with contextlib.suppress(GdkregError):
            done = entry.kind not in {"service", "login", "store"} and journal.seen(entry)
            if entry.kind == "file" and not done:
                path = ledger.place(self._root, entry.target)
                if digest(self._host.read(path, as_root=entry.as_root)) != entry.before:
                    return
            journal.finish(entry, done=done)

    def _entry(self, step: Step, after: bytes | None) -> Entry | None:
        action = step.action
        passing = isinstance(action, Control) and (action.verb in _PASSING or (action.verb == "collect" and not action.after))
        if self._journal is None or passing:
            return None
        if isinstance(action, RemoveFolder) and action.whole:
            return None
        kind: str
        options: dict[str, object] = {}
        if isinstance(action, (RunCommand, ForgetFact)):
            fact = action.fact
            kind, name, options = fact.kind, fact.target, {"before": fact.before, "after": digest(after) or fact.after}
            if fact.kind in {"owner", "link"}:
                name = ledger.written(self._root, Path(fact.target))
        elif isinstance(action, Control):
            kind = {"login": "login", "logout": "login", "collect": "trash"}.get(action.verb, "service")
            name, options = action.service, {"before": action.before, "after": action.after}
            if kind == "trash":
                name, options = f"@/registry/trash/{action.after}", {"after": "made"}
        else:
            assert isinstance(action, (WriteFile, RemoveFile, MakeFolder, RemoveFolder, ForgetFile))
            kind = {"repair": "repair", "gdk.yml": "edit"}.get(step.resource) or _KINDS[type(action)]
            name, options = ledger.written(self._root, action.path), self._of_path(action, after)
        return msgspec_entry(
            run=self._run,
            seq=self._count(),
            command=self._command,
            resource=step.resource,
            kind=kind,
            target=name,
            as_root=action.as_root,
            undoes=step.undoes,
            final=self._keep_going,
            **options,
        )

    def _of_path(
        self, action: WriteFile | RemoveFile | MakeFolder | RemoveFolder | ForgetFile, after: bytes | None
    ) -> dict[str, object]:
        info = self._host.info(action.path)
        stood = info is not None and info.kind in {"file", "folder"}
        options: dict[str, object] = {
            "mode": info.mode if info is not None and stood else 0o644,
            "owner": (info.uid, info.gid) if info else (-1, -1),
        }
        if isinstance(action, (WriteFile, RemoveFile)):
            options |= {"before": digest(action.before), "after": digest(after), "secret": action.secret}
        if isinstance(action, WriteFile):
            options["release"] = action.release
        if isinstance(action, MakeFolder):
            options |= {"before": "made" if info else "", "after": "made"}
        if isinstance(action, RemoveFolder):
            options |= {"before": "made", "after": ""}
        return options

    # doing it

    def _content(self, action: Action) -> bytes | None:
        if isinstance(action, RunCommand) and action.feed is not None:
            if (fed := self._host.read(action.feed)) is None:
                raise GdkregError(f"there is no {action.feed}", fix="gdkreg reconfigure")
            return fed
        if not isinstance(action, (WriteFile, RemoveFile)):
            return None
        unknown = is_pending(action.before) or (isinstance(action, WriteFile) and action.blind)
        if not unknown and self._host.read(action.path, as_root=action.as_root) != action.before:
            raise GdkregError(f"{action.path} changed while gdkreg was at work", fix=f"gdkreg {self._command}")
        if isinstance(action, RemoveFile):
            return None
        return action.content(self._host) if callable(action.content) else action.content

    def _act(self, action: Action, after: bytes | None, *, through_links: bool) -> str | None:
        """A word on what was done; None where there was nothing to do. Only a gdk.yml of one's own may be a symlink."""
        host = self._host
        if isinstance(action, Control):
            return self._perform(action)
        if isinstance(action, RunCommand):
            self._command_line(action, after)
            return ""
        if isinstance(action, (Leave, SetAside, ForgetFile, ForgetFact)):
            return ""
        inside = action.path.is_relative_to(self._root)
        mine = state.owner_of(host, self._root) if inside else None
        below = self._root if inside and not (through_links and mine is None) else None
        if isinstance(action, WriteFile):
            owner = action.owner if action.owner not in {None, (-1, -1)} else (mine if action.before is None else None)
            with uninterrupted():
                host.write(
                    action.path,
                    after or b"",
                    mode=action.mode,
                    owner=owner,
                    as_root=action.as_root,
                    below=below,
                    full=self._keep_going,
                )
        elif isinstance(action, RemoveFile):
            host.remove(action.path, as_root=action.as_root, below=below)
        elif isinstance(action, MakeFolder):
            host.make_folder(action.path, mode=action.mode, owner=action.owner or mine, as_root=action.as_root, below=below)
        elif isinstance(action, RemoveFolder):
            if action.whole:
                if any(item.status == "left" for item in self.items):
                    return None
                host.remove_tree(action.path)
            elif not host.remove_folder(action.path, as_root=action.as_root):
                return None
        return ""

    def _command_line(self, action: RunCommand, fed: bytes | None) -> None:
        stdin = action.stdin if fed is None else fed.decode("ascii", "replace")
        done = self._host.run(action.argv, stdin=stdin, as_root=action.as_root)
        unit = Path(action.fact.target) if action.fact.kind == "unit" and not action.fact.after else None
        stands = unit is not None and self._host.info(unit) is not None
        if done.code != 0 and (stands or not action.may_fail):
            why = (done.err or done.out).strip() or f"exit code {done.code}"
            raise GdkregError(f"{shown(action)} failed", why=why, fix=f"gdkreg {self._command}")

    def _refused(self, error: NeedsRootError, action: Action, after: bytes | None) -> NeedsRootError:
        """The refusal with the commands that a person can run; content to write is laid ready in `.gdkreg/pending`."""
        folder = self._root / state.FOLDER / "pending"
        laid_ready = folder / target(action).strip("/").replace("/", "-")
        if isinstance(action, WriteFile):
            with contextlib.suppress(GdkregError):
                self._host.make_folder(folder, mode=0o700, below=self._root)
                self._host.write(laid_ready, after or b"", mode=0o600, below=self._root)
        return NeedsRootError(
            error.what,
            why=error.why,
            fix=f"run this, then gdkreg {self._command} again",
            details=error.details or by_hand(action, laid_ready),
        )


def msgspec_entry(**fields: object) -> Entry:
    """An entry from fields whose types depend on the kind; they are checked as those of a line that is read."""
    import msgspec

    return msgspec.convert(fields, Entry)
