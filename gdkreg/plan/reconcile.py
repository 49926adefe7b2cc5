"""inspect → plan, one resource after the other, each on the machine as it will be by then; and the proof that it took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.host.base import HostReader
from gdkreg.plan.actions import Action, Leave, Step, left
from gdkreg.plan.ledger import Entry
from gdkreg.plan.preview import Preview

Level = Literal["ok", "changed", "warning", "error", "off"]


class Note(msgspec.Struct, frozen=True):
    """One finding about a managed thing: for `status` and `doctor`. `fix` is the way out."""

    level: Level
    text: str
    fix: str = ""


class Resource(Protocol):
    """One thing that gdkreg keeps in shape. It changes nothing itself."""

    @property
    def name(self) -> str: ...

    def inspect(self, host: HostReader) -> Any:
        """What is there now."""

    def plan(self, state: Any, present: bool) -> list[Action]:
        """What makes it so, or takes it away. Pure; raises `GdkregError` for a conflict with the user's own."""

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        """What takes one of its own changes back. Raises `GdkregError` for one that it could not have made."""

    def notes(self, state: Any) -> list[Note]:
        """How it stands, in words; the first note is the summary."""


def plan(resources: Sequence[Resource], preview: Preview, *, present: bool, lenient: bool = False) -> list[Step]:
    """What would be done, in order; `preview` then shows the machine after it. Conflicts are raised, or with `lenient` left."""
    steps: list[Step] = []
    for item in resources if present else list(reversed(resources)):
        for action in _actions(item, preview, present=present, lenient=lenient):
            preview.take(action)
            steps.append(Step(item.name, action))
    return steps


def _actions(item: Resource, preview: Preview, *, present: bool, lenient: bool) -> list[Action]:
    try:
        return item.plan(item.inspect(preview), present)
    except GdkregError as error:
        if not lenient:
            raise
        return [left(error, item.name)]


def check(resources: Sequence[Resource], host: HostReader, steps: Sequence[Step], *, present: bool) -> None:
    """Inspect again what was acted on. Raises `GdkregError` where something is still to do; what was left was told already."""
    acted = {step.resource for step in steps}
    for item in resources:
        planned = item.plan(item.inspect(host), present) if item.name in acted else []
        if rest := [action for action in planned if not isinstance(action, Leave)]:
            raise GdkregError(f"{item.name} did not take the change", why=f"still to do: {rest[0].reason}", fix="gdkreg doctor")


Owner = Callable[[Entry], Resource | None]


def back(entries: Sequence[Entry], owner: Owner, preview: Preview) -> list[Step]:
    """What takes these changes back, newest first. Each is turned into actions by the resource that owns it."""
    steps: list[Step] = []
    for entry in reversed(entries):
        resource = owner(entry)
        if resource is None:
            raise foreign(entry)
        for action in resource.back(entry, preview):
            preview.take(action)
            steps.append(Step(entry.resource, action, undoes=entry.key))
    return steps


def foreign(entry: Entry) -> GdkregError:
    """The refusal of a fact that nothing here could have written."""
    return GdkregError(
        f"the journal tells of a change to {entry.target} that gdkreg does not make",
        why=f"{entry.resource} has no {entry.kind} of that name",
        fix="gdkreg down takes back what gdkreg knows otherwise",
    )
