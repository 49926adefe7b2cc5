"""A verb's list, its outcome and the proof's hops as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gdkreg.plan import diff
from gdkreg.plan.actions import Control, Leave, Step, sentence
from gdkreg.report import out

if TYPE_CHECKING:
    from gdkreg.plan.outcome import Item, Outcome

MARKS = {
    "ok": ("✓", "green"),
    "changed": ("~", "yellow"),
    "warning": ("!", "yellow"),
    "error": ("✗", "red"),
    "off": ("-", "dim"),
}
_PAST = {
    "pull": "pulled:",
    "start": "started",
    "recreate": "recreated",
    "resume": "started",
    "stop": "stopped",
    "remove": "removed",
    "prove": "proven:",
    "login": "logged in:",
    "logout": "logged out",
    "hold": "read-only meanwhile",
    "watch": "is watched by GDK's supervisor",
    "let go": "stopped by GDK's supervisor",
    "reload": "reloaded:",
    "untag": "untagged",
    "tag": "tagged again",
    "collect": "collected:",
    "restore": "restored:",
    "roll back": "rolled back:",
    "empty": "emptied",
    "copy": "copied",
}
_HOPS = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "broken": ("✗", "red"),
    "skipped": ("-", "dim"),
    "absent": ("-", "yellow"),
}


def text_of(step: Step) -> str:
    return sentence(step.action)


def planned(item: Item) -> str:
    return f"  {item.text}{'  [as root]' if item.action.as_root else ''}"


def done(item: Item) -> list[str]:
    """An action that was tried, as rows: what came of it only where that is more than «done»."""
    if item.status == "left":
        return _left(item)
    if item.status == "skipped":
        return [f"  {item.text}: skipped{', ' + item.detail if item.detail else ''}"]
    if isinstance(item.action, Control):
        action = item.action
        if action.verb == "release":
            return [f"{action.service}: {action.reason} {item.detail}".rstrip()]
        why = f": {action.reason}" if action.verb in {"stop", "remove"} and action.reason != "asked for" else ""
        return [f"{action.service} {_PAST[action.verb]}{why} {item.detail}".rstrip()]
    return [planned(item)]


def _left(item: Item) -> list[str]:
    """What could not be taken back now: why, what stands in the way, and what helps."""
    action = item.action
    what = action.target if isinstance(action, Leave) else item.text
    rows = [f"{out.colored('✗', 'red')} left: {what}", f"    why: {item.detail}"]
    rows += [f"    {row}" for row in diff.of(action).splitlines()] if isinstance(action, Leave) else []
    return rows + ([f"    fix: {item.fix}"] if item.fix else [])


def show(outcome: Outcome, *, nothing: str, done: str) -> None:
    """The outcome of a verb whose steps were told while they were done; of a dry run the whole list."""
    if outcome.dry_run:
        _show_list(outcome, nothing)
        return
    if not outcome.items:
        out.line(nothing)
    elif done:
        out.line(done)
    elif outcome.changes or outcome.left:
        left = f"; {len(outcome.left)} left" if outcome.left else ""
        out.line(f"Done: {outcome.changes} {'change' if outcome.changes == 1 else 'changes'}{left}.")
    for note in outcome.notes:
        out.line(note)
    if outcome.next:
        out.line(f"Next: {outcome.next}")


def _show_list(outcome: Outcome, nothing: str) -> None:
    resource = ""
    for item in outcome.items:
        if item.step.resource != resource:
            resource = item.step.resource
            out.line(out.colored(resource, "bold"))
        out.line(planned(item))
        if text := diff.of(item.action):
            out.diff(text)
        if item.status == "left" and item.fix:
            out.line(f"    {item.fix}")
    if not outcome.items:
        out.line(nothing)
    for note in outcome.notes:
        out.line(note)


def show_hop(client: str, hop: Any) -> None:
    mark, color = _HOPS[hop.verdict]
    out.line(f"{out.colored(mark, color)} {client}  {hop.name:<9} {hop.detail}  {out.colored(f'{hop.ms:.0f} ms', 'dim')}")
    if hop.remedy:
        out.line(f"    {hop.remedy}")
