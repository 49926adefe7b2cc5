"""What every verb that changes something goes through: lock, plan, tell, ask, carry out, look again."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.errors import GdkregError
from gdkreg.plan import reconcile, state
from gdkreg.plan.actions import (
    Action,
    Control,
    ForgetFile,
    Leave,
    RemoveFile,
    RemoveFolder,
    RunCommand,
    SetAside,
    Step,
    WriteFile,
)
from gdkreg.plan.executor import Executor
from gdkreg.plan.journal import Journal, Torn
from gdkreg.plan.outcome import Item, Listener, Outcome, Silent, planned
from gdkreg.plan.preview import Preview
from gdkreg.plan.reconcile import Resource
from gdkreg.verbs import interrupted
from gdkreg.verbs.root import Root

if TYPE_CHECKING:
    from gdkreg.services.services import Services

SILENT = Silent()


class DeclinedError(GdkregError):
    """The listener did not agree; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("not agreed to; nothing was changed")


class Work:
    """One run of one verb. `settings` are those that services are to run with; `keep_going` leaves what fails and goes on.

    `bare`: only a file of the user's is edited, so a root that is not set up stays so. `writes`: the registry has to take
    changes, so what a killed run left of it is put right first; else at the end, where it keeps nobody from anything.
    """

    def __init__(
        self,
        root: Root,
        command: str,
        listener: Listener = SILENT,
        *,
        keep_going: bool = False,
        bare: bool = False,
        writes: bool = False,
    ) -> None:
        self.root = root
        self.command = command
        self.listener = listener
        self.settings: Settings | None = None
        self.controls: dict[str, Callable[[Control], str]] = interrupted.controls(root)
        self._keep_going = keep_going
        self._bare = bare
        self._writes = writes
        self._afterwards: list[Step] = []
        self._services: Services | None = None

    def carry_out(
        self,
        plan: Callable[[Preview], list[Step]],
        *,
        dry_run: bool = False,
        check: Callable[[], Sequence[Resource]] = tuple,
        present: bool = True,
        finish: Callable[[Executor], None] = lambda _: None,
        claim: bool = False,
        needed: Callable[[], bool] = lambda: False,
    ) -> Outcome:
        """The list that `plan` makes, told and (unless `dry_run`) done. `check` gives the resources to look at again,
        `finish` is told of the executor at the end, also of an empty list where that is `needed`.

        Raises `GdkregError` with the outcome so far; before the first change where `plan` raises it.
        """
        if dry_run:
            steps = self._steps(plan)
            return Outcome(command=self.command, root=str(self.root.path), dry_run=True, items=planned(steps))
        with self.root.host.lock(self.root.path, self.listener.waiting):
            self.root.read_again()
            steps = self._steps(plan)
            outcome = Outcome(command=self.command, root=str(self.root.path), items=planned(steps))
            if steps or self.root.journal.unsettled or needed():
                self._run(steps, outcome, check, present=present, finish=finish, claim=claim)
            self.root.read_again()
        return outcome

    def _steps(self, plan: Callable[[Preview], list[Step]]) -> list[Step]:
        """What has to be put right first, then the plan on the machine as it is then."""
        preview = Preview(self.root.host)
        if self.root.identity.foreign:
            preview.hide(self.root.path / state.FOLDER)
        for path in self.root.journal.litter():
            preview.hide(path)
        repairs = [Step("repair", repair(torn, self.root)) for torn in self.root.journal.torn]
        afterwards: list[Step] = []
        if not self._bare:
            repairs += interrupted.roll_back(self.root)
            afterwards = interrupted.as_before(self.root) if not self._keep_going else []
        if self._writes:
            repairs, afterwards = [*repairs, *afterwards], []
        for step in repairs:
            preview.take(step.action)
        steps = [*repairs, *map(self._helped, plan(preview))]
        self._afterwards = interrupted.still_to_do(afterwards, steps)
        steps += self._afterwards
        return [*self._aside(), *steps] if steps else []

    def _helped(self, step: Step) -> Step:
        """What keeps `down` from an edited file would take everything else down, where `down` was not asked for."""
        action = step.action
        if self._keep_going or not isinstance(action, Leave) or not action.fix.startswith("gdkreg down --keep-edits"):
            return step
        sudo = "" if self.root.host.may_write(Path(action.target)) else "sudo "
        fix = f"look at it, then: {sudo}rm {shlex.quote(action.target)}, and the same command again"
        return msgspec.structs.replace(step, action=msgspec.structs.replace(action, fix=fix))

    def _aside(self) -> list[Step]:
        """A `.gdkreg/` that is another root's goes out of the way of whoever sets this root up."""
        folder, foreign = self.root.path / state.FOLDER, self.root.identity.foreign
        if not foreign or self._keep_going or self._bare:
            return []
        names = (Path(f"{folder}.foreign{number or ''}") for number in range(1000))
        to = next(path for path in names if self.root.host.info(path) is None)
        return [Step("gdkreg", SetAside(path=folder, to=to, reason=foreign))]

    def _run(
        self,
        steps: Sequence[Step],
        outcome: Outcome,
        check: Callable[[], Sequence[Resource]],
        *,
        present: bool,
        finish: Callable[[Executor], None],
        claim: bool,
    ) -> None:
        root = self.root
        if not self.listener.agree(outcome.items, ask=needs_asking([item.action for item in outcome.items])):
            raise DeclinedError
        # Without a root that is written down there is nothing to take back, and nothing to keep in mind for a later one.
        journal = None if (self._bare or self._keep_going) and not root.identity.known else root.journal
        executor = Executor(
            root.path, root.host, journal, self.command, self.listener, self._perform, keep_going=self._keep_going
        )
        try:
            aside = [step for step in steps if isinstance(step.action, SetAside)]
            executor.carry_out(aside)
            if journal is not None:
                self._begin(claim=claim)
                self._repair(executor, journal, steps)
            later = [step for step in steps if step.resource == "repair" or step in aside or step in self._afterwards]
            executor.carry_out([step for step in steps if step not in later])
            reconcile.check(check(), root.host, [item.step for item in executor.items], present=present)
            finish(executor)
            if claim:
                root.claim()
            self._put_right(executor, outcome)
        except GdkregError as error:
            outcome.items = self._all(executor.items, steps)
            error.outcome = outcome
            raise
        finally:
            with contextlib.suppress(GdkregError):
                if journal is not None and root.host.info(journal.folder) is not None:
                    journal.tidy()
        outcome.items = executor.items

    def _put_right(self, executor: Executor, outcome: Outcome) -> None:
        """What was left of a killed run, once the own work is done: what cannot be done of it waits for the next command."""
        for step in self._afterwards:
            try:
                executor.carry_out([step])
            except GdkregError as error:
                executor.items.append(Item(step=step, status="skipped", detail=error.what))
                outcome.notes.append(f"! {error.what}" + (f"\n    {error.fix}" if error.fix else ""))
        interrupted.settle(self.root, [item.step for item in executor.items if item.status == "done"])

    def _repair(self, executor: Executor, journal: Journal, steps: Sequence[Step]) -> None:
        """A torn file counts as torn until it is whole."""
        for torn in list(journal.torn):
            own = [step for step in steps if step.resource == "repair" and _path(step.action) == torn.path]
            executor.carry_out(own)
            if executor.items and executor.items[-1].status == "done":
                journal.repaired(torn)

    def _begin(self, *, claim: bool) -> None:
        try:
            self.root.begin()
            if claim:
                self.root.claim()
        except GdkregError:
            if not self._keep_going:
                raise

    def _all(self, done: list[Item], steps: Sequence[Step]) -> list[Item]:
        return [*done, *planned(steps[len(done) :])]

    def _perform(self, control: Control) -> str:
        if control.verb in self.controls:
            return self.controls[control.verb](control)
        settings = self.settings or self.root.applied_in(self.root.host) or self.root.settings
        if self._services is None or self._services.settings != settings:
            self._services = self.root.services(settings, self.root.host)
        return self._services.perform(control, self.root.host, self.listener.progress)


def repair(torn: Torn, root: Root) -> WriteFile:
    """What puts a torn file right: the bytes of before the write that broke off."""
    info = root.host.info(torn.path)
    return WriteFile(
        path=torn.path,
        content=torn.whole,
        reason=f"{torn.entry.command} broke off while it wrote this file; it gets back what stood there before",
        before=torn.now,
        mode=info.mode if info else torn.entry.mode,
        as_root=torn.entry.as_root,
    )


def _path(action: Action) -> Path | None:
    return action.path if isinstance(action, WriteFile) else None


def needs_asking(actions: Sequence[Action]) -> bool:
    """Whether a person wants to be asked: it needs root, or takes something away."""
    away = (RemoveFile, RemoveFolder, ForgetFile, Leave)
    verbs = {"remove", "untag", "collect", "empty"}
    return any(
        action.as_root or isinstance(action, away) or getattr(action, "verb", "") in verbs or _of_others(action)
        for action in actions
    )


def _of_others(action: Action) -> bool:
    """Whether it changes what another program keeps."""
    return isinstance(action, RunCommand) and action.fact.kind == "store"


def pulls_first(steps: Sequence[Step]) -> tuple[list[Step], list[Step]]:
    """What is pulled comes before the first change: it is what most often fails."""
    pulls = [step for step in steps if isinstance(step.action, Control) and step.action.verb == "pull"]
    return pulls, [step for step in steps if step not in pulls]
