"""What a run that broke off left in the registry or its storage, and what brings it to its end before anything else is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gdkreg.plan.actions import Control, Step
from gdkreg.services import holding
from gdkreg.verbs import untagged

if TYPE_CHECKING:
    from gdkreg.verbs.root import Root


def leftover(root: Root, *, down: bool) -> list[Step]:
    """The repairs; for `down` nothing is started any more."""
    steps = []
    mark = holding.found(root.path, root.reader)
    if mark is not None and root.applied is not None:
        reason = f"{mark.command} broke off"
        steps.append(Step("storage", Control(service="storage", verb="roll back", reason=reason)))
        steps += root.services(root.applied).release(reason) if mark.ran and not down else []
    if not down and untagged.stands(root):
        steps.append(Step("tags", Control(service="tags", verb="untag", reason="a run broke off between its two steps")))
    return steps


def controls(root: Root) -> dict[str, Callable[[Control], str]]:
    """What carries them out."""
    return {
        "roll back": lambda _: _roll_back(root),
        "release": lambda control: _release(root, control),
        "untag": lambda _: untagged.finish(root),
    }


def _roll_back(root: Root) -> str:
    from gdkreg.storage import trash
    from gdkreg.verbs import storing

    place = storing.tree_of(root.set_up())
    broken = [run for run in trash.runs(storing.trash(root)) if run.told.state != "done"]
    if place is not None:
        for run in broken:
            trash.finish(place, run)
    mark = holding.found(root.path, root.host)
    if mark is not None and not mark.ran:
        holding.end(root.path, root.host)
    return ", ".join(run.name for run in broken)


def _release(root: Root, control: Control) -> str:
    """The registry as it is to run."""
    word = root.services(root.set_up()).perform(control, root.host, lambda _: None)
    holding.end(root.path, root.host)
    return word
