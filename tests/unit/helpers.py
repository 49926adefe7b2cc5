"""Running resources on a machine in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gdkreg.plan import reconcile, roots, state
from gdkreg.plan.actions import Action
from gdkreg.plan.executor import Executor
from gdkreg.plan.journal import Journal
from gdkreg.plan.outcome import Silent
from gdkreg.plan.preview import Preview
from gdkreg.resources.owned import OwnedFiles
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT


def journal(host: FakeHost, *, lenient: bool = False) -> Journal:
    """The journal of a root that is written down, as after its first run."""
    who = roots.identify(ROOT, host)
    if not who.known:
        roots.write(host, who.claim)
        state.write(host, ROOT, "id", who.id.encode())
        who = roots.identify(ROOT, host)
    found = Journal(ROOT, host, who, lenient=lenient)
    found.recover()
    return found


def executor(host: FakeHost, found: Journal, command: str = "reconfigure", **options: bool) -> Executor:
    return Executor(ROOT, host, found, command, Silent(), lambda control: control.verb, **options)


def files(host: FakeHost, resource: str, *, keep_edits: bool = False) -> OwnedFiles:
    return OwnedFiles(resource, journal(host), keep_edits, lambda _: True)


def apply(host: FakeHost, *resources: Any, present: bool = True, command: str = "reconfigure") -> list[Action]:
    """Apply resources with a journal of their own reading; the actions that were done."""
    shared = resources[0].files.journal if hasattr(resources[0], "files") else journal(host)
    at_work = executor(host, shared, command)
    steps = reconcile.plan(list(resources), Preview(host), present=present)
    at_work.carry_out(steps)
    reconcile.check(list(resources), host, steps, present=present)
    return [item.action for item in at_work.items if item.status == "done"]


def plan(host: FakeHost, resource: Any, *, present: bool = True) -> list[Action]:
    actions: Sequence[Action] = resource.plan(resource.inspect(host), present)
    return list(actions)


def levels(host: FakeHost, resource: Any) -> list[str]:
    return [note.level for note in resource.notes(resource.inspect(host))]
