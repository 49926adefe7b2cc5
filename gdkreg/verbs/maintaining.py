"""gc as it is typed, and as the timer runs it: the policy first where that is asked for, then the collection, as one outcome."""

from __future__ import annotations

import msgspec

from gdkreg.errors import ConfigError, GdkregError
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.verbs import cleaning, collecting, delegating
from gdkreg.verbs.root import Root
from gdkreg.verbs.work import SILENT, DeclinedError


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """`by_registry`: by its own garbage-collect; `cleanup`: first what registry.cleanup says. The rest as in `collecting.gc`."""

    untagged: bool = False
    verify: bool = False
    stop: bool = False
    by_registry: bool = False
    cleanup: bool = False


def gc(root: Root, wanted: Wanted, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """A policy that cannot be carried out now is told, and keeps nobody from collecting. Raises `GdkregError`."""
    if wanted.by_registry and (wanted.verify or wanted.stop):
        raise ConfigError("--verify and --stop are for gdkreg's own collection", fix="gdkreg gc --engine registry")
    told = _told_before(root, wanted) if wanted.cleanup and not dry_run else None
    cleaned, notes = _cleaned(root, listener, dry_run=dry_run) if wanted.cleanup else (None, [])
    without = cleaning.planned(cleaned) if cleaned is not None else {}
    if wanted.by_registry:
        outcome = delegating.gc(root, listener, untagged=wanted.untagged, dry_run=dry_run)
    else:
        outcome = collecting.gc(
            root,
            listener,
            untagged=wanted.untagged,
            verify=wanted.verify,
            stop=wanted.stop,
            dry_run=dry_run,
            without=without,
            only=told,
        )
    if cleaned is not None:
        outcome.items = [*cleaned.items, *outcome.items]
        outcome.data["cleanup"] = cleaned.data
    outcome.notes[:0] = notes
    return outcome


def _told_before(root: Root, wanted: Wanted) -> list[str] | None:
    """What a dry run lists: on Distribution 2.8 untagging itself leaves a few bytes, which the next collection takes."""
    try:
        return gc(root, wanted, dry_run=True).data.get("places")
    except GdkregError:
        return None


def _cleaned(root: Root, listener: Listener, *, dry_run: bool) -> tuple[Outcome | None, list[str]]:
    """What the policy did, and what is to be said of it."""
    if not cleaning.has_policy(root):
        return None, ["registry.cleanup.remove is not set in gdk.yml, so no tag goes"]
    try:
        return cleaning.cleanup(root, [], None, listener, dry_run=dry_run), []
    except (DeclinedError, ConfigError):
        raise
    except GdkregError as error:
        return None, [f"! no tag went: {error.what}" + (f"\n    {error.fix}" if error.fix else "")]
