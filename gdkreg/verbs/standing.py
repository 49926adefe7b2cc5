"""status: how every managed thing and service stands."""

from __future__ import annotations

from typing import Any

import msgspec

from gdkreg.plan.reconcile import Note
from gdkreg.services import holding
from gdkreg.services.registry import UNKNOWN, State
from gdkreg.verbs import engine
from gdkreg.verbs.root import Root, Standing


class Status(msgspec.Struct, frozen=True):
    """`unapplied`: what gdk.yml says by now that is not applied; `issuer` who gives out the tokens, None where nobody asks."""

    root: str
    enabled: bool
    address: str
    unapplied: list[str]
    resources: list[Standing]
    issuer: str | None
    realm: str
    services: dict[str, State]
    engine: engine.Shown | None


def status(root: Root) -> Status:
    applied = root.applied
    asks = applied is not None and applied.registry.auth_enabled
    standings = [*status_of_root(root), *(root.standings() if root.enabled else [])]
    return Status(
        root=str(root.path),
        enabled=root.enabled,
        address=root.settings.authority,
        unapplied=root.unapplied(),
        resources=standings,
        issuer=applied.issuer if applied is not None and asks else None,
        realm=applied.realm if applied is not None and asks else "",
        services=states(root),
        engine=engine.shown(root) if root.enabled else None,
    )


def states(root: Root) -> dict[str, State]:
    """Each enabled service of what was applied last; before the first reconfigure the registry alone, not there."""
    return root.services(root.applied).states() if root.applied is not None else {}


def status_of_root(root: Root) -> list[Standing]:
    """What a killed run left half done, and a `.gdkreg/` that is not this root's."""
    notes = [
        Note("error", f"{torn.path} is written in part only: {torn.entry.command} broke off", "gdkreg reconfigure")
        for torn in root.journal.torn
    ]
    if root.identity.foreign:
        notes.append(Note("warning", f".gdkreg is not used: {root.identity.foreign}", "gdkreg reconfigure sets it aside"))
    if root.identity.moved:
        notes.append(Note("changed", f"this root was moved here from {root.identity.former[-1]}", "gdkreg reconfigure"))
    if (mark := holding.found(root.path, root.reader)) is not None:
        text = f"{mark.command} broke off: things are half moved, and the registry may take no writes"
        notes.append(Note("error", text, "gdkreg start"))
    if root.applied is not None and root.applied.registry.read_only_maintenance_enabled:
        notes.append(Note("warning", "the registry is read-only: every push is refused with 405", "gdkreg readonly off"))
    return [Standing("root", notes)] if notes else []


def note_of(name: str, state: State) -> Note:
    """A service's state as a finding. One that was started, and does not run, is broken; one that was stopped is off."""
    if state.detail.startswith(UNKNOWN):
        said = f"nobody can tell whether it runs: {state.detail.removeprefix(UNKNOWN)}"
        fix = "gdkreg doctor" if state.runtime == "docker" else "gdkreg down; gdkreg up"  # the engine, or what we wrote down
        return Note("error" if state.wanted else "off", said, fix)
    if not state.running:
        detail = f"; {state.detail}" if state.detail else ""
        if state.wanted:
            return Note("error", f"it was started and does not run{detail}", f"gdkreg start {name}")
        return Note("off", f"{state.verdict}{detail}", f"gdkreg start {name}")
    where = f"{state.url} ({state.runtime}: {state.detail})"
    if state.verdict != "ready":
        fix = "gdkreg reconfigure" if state.verdict == "no route" else f"gdkreg tail {name} --no-follow"
        return Note("error", f"{where}; it gives: {state.verdict}", fix if state.current else "gdkreg start")
    if not state.current:
        return Note("warning", f"{where}; it runs with older settings", "gdkreg start")
    return Note("ok", where)


def as_data(found: Status) -> dict[str, Any]:
    return {"command": "status", **msgspec.to_builtins(found)}
