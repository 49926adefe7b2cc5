"""inspect → plan → execute → inspect again, one resource after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.host.base import HostReader
from gdkreg.plan.actions import Action
from gdkreg.plan.executor import Executor

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

    def notes(self, state: Any) -> list[Note]:
        """How it stands, in words; the first note is the summary."""


class Step(msgspec.Struct, frozen=True):
    """The planned actions of one resource."""

    resource: str
    actions: list[Action]


def plan(resources: Sequence[Resource], host: HostReader, *, present: bool) -> list[Step]:
    """What would be done, in order; conflicts are raised before anything is touched."""
    ordered = resources if present else list(reversed(resources))
    steps = [Step(item.name, item.plan(item.inspect(host), present)) for item in ordered]
    return [step for step in steps if step.actions]


def apply(resources: Sequence[Resource], host: HostReader, executor: Executor, *, present: bool) -> None:
    """Carry the plan out, and prove that nothing is left to do."""
    for item in resources if present else list(reversed(resources)):
        actions = item.plan(item.inspect(host), present)
        for action in actions:
            executor.execute(item.name, action)
        if actions and (left := item.plan(item.inspect(host), present)):
            raise GdkregError(
                f"{item.name} did not take the change",
                why=f"still to do: {left[0].reason}",
                fix="gdkreg doctor",
            )
