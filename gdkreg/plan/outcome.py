"""What a verb tells while it is at work, and what it leaves: the same values for a person, for `--json`, for a program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from gdkreg.plan import diff
from gdkreg.plan.actions import Action, Leave, Step, sentence, target

Status = Literal["planned", "done", "skipped", "left"]


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One action of the list. `status`: planned (and not done), done, skipped (there was nothing to do any more), left (it
    could not be done now; `detail` says why and `fix` what helps)."""

    step: Step
    status: Status = "planned"
    detail: str = ""
    fix: str = ""

    @property
    def action(self) -> Action:
        return self.step.action

    @property
    def text(self) -> str:
        return sentence(self.step.action)

    def as_data(self) -> dict[str, Any]:
        """One entry of `actions` in the JSON of every command that changes something."""
        action = self.step.action
        return {
            "resource": self.step.resource,
            "action": action.verb if hasattr(action, "verb") else type(action).__name__,
            "target": target(action),
            "reason": action.reason,
            "as_root": action.as_root,
            "text": sentence(action),
            "diff": diff.of(action),
            "status": self.status,
            "detail": self.detail,
            "fix": self.fix,
        }


class Outcome(msgspec.Struct, kw_only=True):
    """What a verb did, or with `dry_run` would do. `items` is the whole list, in order; `data` what is the command's own, and
    `looked_up` the part of it that has to be asked of the machine, when somebody wants it."""

    command: str
    root: str
    dry_run: bool = False
    items: list[Item] = []
    notes: list[str] = []
    next: str = ""
    data: dict[str, Any] = {}
    looked_up: Callable[[], dict[str, Any]] = dict

    @property
    def changes(self) -> int:
        """How many actions were done, or would be."""
        wanted = "planned" if self.dry_run else "done"
        return sum(item.status == wanted for item in self.items)

    @property
    def left(self) -> list[Item]:
        return [item for item in self.items if item.status == "left"]

    def as_data(self) -> dict[str, Any]:
        return {
            "command": self.command,
            "root": self.root,
            "dry_run": self.dry_run,
            "actions": [item.as_data() for item in self.items],
            "changes": self.changes,
            "left": sum(item.status == "left" for item in self.items),
            "notes": self.notes,
            "next": self.next,
            **self.data,
            **self.looked_up(),
        }


def planned(steps: Sequence[Step]) -> list[Item]:
    return [_planned(step) for step in steps]


def _planned(step: Step) -> Item:
    action = step.action
    return Item(step=step, status="left", detail=action.reason, fix=action.fix) if isinstance(action, Leave) else Item(step=step)


class Listener(Protocol):
    """Whoever watches a verb at work. Every method may do nothing."""

    def waiting(self) -> None:
        """Another run holds the lock."""

    def agree(self, items: Sequence[Item], *, ask: bool) -> bool:
        """The list as it will be done; False stops it before the first change. `ask`: it touches more than the root, or takes
        something away."""

    def publish(self, told: Sequence[str]) -> bool | None:
        """Whether a person agrees to what lets others reach this machine; None where nobody can be asked."""

    def doing(self, step: Step) -> None: ...

    def did(self, item: Item) -> None: ...

    def note(self, text: str) -> None:
        """Something worth knowing that is no action."""

    def progress(self, event: dict[str, Any]) -> None:
        """One event of the engine's, while an image is pulled."""

    def working(self, text: str) -> None:
        """How far something is that takes a while."""

    def hop(self, client: str, hop: Any) -> None:
        """One hop of the proof (`proof.chain.Hop`)."""


class Silent:
    """A `Listener` that agrees to all but publishing, and says nothing."""

    def waiting(self) -> None: ...

    def agree(self, items: Sequence[Item], *, ask: bool) -> bool:
        del items, ask
        return True

    def publish(self, told: Sequence[str]) -> bool | None:
        del told
        return None

    def doing(self, step: Step) -> None: ...

    def did(self, item: Item) -> None: ...

    def note(self, text: str) -> None: ...

    def progress(self, event: dict[str, Any]) -> None: ...

    def working(self, text: str) -> None: ...

    def hop(self, client: str, hop: Any) -> None: ...
