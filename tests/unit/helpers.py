"""Running resources on a machine in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gdkreg.plan import reconcile
from gdkreg.plan.actions import Action
from gdkreg.plan.executor import Executor
from gdkreg.plan.journal import Journal
from gdkreg.resources.owned import OwnedFiles
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT


def journal(host: FakeHost) -> Journal:
    found = Journal(ROOT, host)
    found.recover()
    return found


def files(host: FakeHost, resource: str, *, keep_edits: bool = False) -> OwnedFiles:
    return OwnedFiles(resource, journal(host), keep_edits)


def apply(host: FakeHost, *resources: Any, present: bool = True, command: str = "reconfigure") -> list[Action]:
    """Apply resources with a journal of their own reading; the actions that were done."""
    shared = resources[0].files.journal if hasattr(resources[0], "files") else journal(host)
    executor = Executor(host, shared, command, lambda _: None)
    reconcile.apply(list(resources), host, executor, present=present)
    return executor.done


def plan(host: FakeHost, resource: Any, *, present: bool = True) -> list[Action]:
    actions: Sequence[Action] = resource.plan(resource.inspect(host), present)
    return list(actions)


def levels(host: FakeHost, resource: Any) -> list[str]:
    return [note.level for note in resource.notes(resource.inspect(host))]
