"""What is in the storage as text: who takes how much, what was collected, why something stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gdkreg.masking.text import visible
from gdkreg.report import out
from gdkreg.units import counted, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdkreg.plan.outcome import Outcome
    from gdkreg.storage.why import Chain
    from gdkreg.verbs.using import Usage

_BAR = 24  # columns


def usage(found: Usage, limit: int | None) -> None:
    """A line each, with a bar of what it has alone and what it shares."""
    if found.by == "layer":
        _layers(found, limit)
    else:
        _shares(found, limit)
    out.line(f"{size(found.total)} in all; gdkreg gc would free {size(found.gc)}, with --untagged {size(found.untagged)}.")
    if found.trash:
        out.line(f"{size(found.trash)} in the trash: gdkreg gc empty")
    for problem in found.problems:
        out.line(visible(f"! {problem.repository or 'the storage'}: {problem.what} ({problem.path})"))


def _shares(found: Usage, limit: int | None) -> None:
    rows: list[Any] = list(found.rows)
    most = max((row.total for row in rows), default=0) or 1
    listed = []
    for row in rows[:limit]:
        name = row.repository if found.by == "repository" else f"{row.repository}:{row.tag}"
        listed.append([visible(name), size(row.total), f"{size(row.unique)} alone", _bar(row.unique, row.total, most)])
    out.table(listed)
    _rest(rows, limit)


def _bar(alone: int, whole: int, most: int) -> str:
    """Full blocks for what it has alone, light ones for what it shares."""
    if not out.on_terminal():
        return ""
    length = max(1, round(_BAR * whole / most)) if whole else 0
    full = round(length * alone / whole) if whole else 0
    return "█" * full + "░" * (length - full)


def _layers(found: Usage, limit: int | None) -> None:
    rows: list[Any] = list(found.rows)
    listed = []
    for row in rows[:limit]:
        where = ", ".join(row.repositories[:3]) + (f" and {len(row.repositories) - 3} more" if len(row.repositories) > 3 else "")
        listed.append([row.digest[:19], size(row.size), counted(row.manifests, "image"), visible(where)])
    out.table(listed)
    _rest(rows, limit)


def _rest(rows: Sequence[Any], limit: int | None) -> None:
    if limit is not None and len(rows) > limit:
        out.line(f"and {len(rows) - limit:,} more")


def collected(outcome: Outcome) -> None:
    """What each repository has before and after."""
    changed = outcome.data.get("repositories", ())
    rows = [[visible(item["repository"]), size(item["before"]), "→", size(item["after"])] for item in changed]
    out.table(rows)


def decisions(outcome: Outcome) -> None:
    """Of a dry run every tag with its reason; else the steps tell."""
    if not outcome.dry_run:
        return
    for repository, found in outcome.data["decisions"].items():
        out.line(out.colored(visible(repository), "bold"))
        out.table([["  " + ("- " if item["removed"] else "  ") + item["tag"], item["reason"]] for item in found])


def frees(outcome: Outcome) -> None:
    """What is to be done for the bytes themselves."""
    freed = outcome.data.get("frees", 0)
    if outcome.items and freed:
        outcome.next = f"gdkreg gc frees {size(freed)}"


def chains(digest: str, found: Sequence[Chain]) -> None:
    if not found:
        out.line(f"Nothing needs {digest}: gdkreg gc takes it.")
    for chain in found:
        head = f"{chain.repository}:{chain.tag}" if chain.tag else f"{chain.repository} (no tag; gdkreg gc --untagged takes it)"
        out.line(visible(f"{head}{f': {chain.problem}' if chain.problem else ''}"))
        for depth, step in enumerate(chain.steps, 1):
            out.line(f"{'  ' * depth}{step.kind} {step.digest}{' (refers to the one above)' if step.referrer else ''}")
