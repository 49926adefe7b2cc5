"""What a run that broke off left in the registry or its storage, and what puts it right: the tree before anything else is done,
the registry with the command's own work, or after it where that does not touch it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gdkreg.plan.actions import Control, Step
from gdkreg.services import holding
from gdkreg.verbs import untagged

if TYPE_CHECKING:
    from gdkreg.storage.trash import Run
    from gdkreg.verbs.root import Root

_RUNS_ANEW = {"start", "recreate", "release"}
_ENDS = {"stop", "remove"}


def roll_back(root: Root) -> list[Step]:
    """What was half moved goes back, or is emptied."""
    mark = holding.found(root.path, root.reader)
    if root.applied is None or (mark is None and not _broken(root)):
        return []
    reason = f"{mark.command if mark else 'a collection'} broke off"
    return [Step("storage", Control(service="storage", verb="roll back", reason=reason))]


def _broken(root: Root) -> list[Run]:
    """Runs in the trash that are neither whole nor given back."""
    from gdkreg.verbs import storing

    place = storing.trash(root)
    if not root.host.entries(place):
        return []
    from gdkreg.storage import trash

    return [run for run in trash.runs(place) if run.told.state != "done"]


def as_before(root: Root) -> list[Step]:
    """The registry takes writes again, and a tag that was half removed goes."""
    mark = holding.found(root.path, root.reader)
    steps = []
    if mark is not None and mark.ran and root.applied is not None:
        steps += root.services(root.applied).release(f"it runs as before; {mark.command} broke off")
    if untagged.stands(root):
        steps.append(Step("tags", Control(service="tags", verb="untag", reason="a run broke off between its two steps")))
    return steps


def still_to_do(afterwards: Sequence[Step], steps: Sequence[Step]) -> list[Step]:
    """Without what the command does anyway, or what it takes away the ground for."""
    verbs = _of_registry(steps)
    if verbs and verbs[-1] in _ENDS:
        return []
    return [step for step in afterwards if not (verbs and _of_registry([step]))]


def settle(root: Root, done: Sequence[Step]) -> None:
    """A registry that was started anew, or stopped, is none that is held."""
    if set(_of_registry(done)) & (_RUNS_ANEW | _ENDS):
        holding.end(root.path, root.host)


def _of_registry(steps: Sequence[Step]) -> list[str]:
    """What is done with the registry itself, in order."""
    actions = [step.action for step in steps if isinstance(step.action, Control)]
    return [action.verb for action in actions if action.service == "registry"]


def controls(root: Root) -> dict[str, Callable[[Control], str]]:
    """What carries them out."""
    return {
        "roll back": lambda _: _roll_back(root),
        "release": lambda control: _release(root, control),
        "untag": lambda _: untagged.finish(root),
        "reload": lambda control: _reload(root, control),
    }


def _roll_back(root: Root) -> str:
    from gdkreg.storage import trash
    from gdkreg.verbs import storing

    place = storing.tree_of(root.set_up())
    broken = _broken(root)
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


def _reload(root: Root, control: Control) -> str:
    """Have the engine read its list of insecure registries again."""
    from gdkreg.engines.insecure import reload

    _, seen = root.insecure_list()
    gives_up = tuple(name for name in control.before.split(",") if name)
    return reload(root.found_engine[1], seen, root.host, takes=control.after, gives_up=gives_up)
