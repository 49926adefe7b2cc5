"""status and doctor: how everything stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from gdkreg.cli import session
from gdkreg.cli.options import Json, RootDir
from gdkreg.errors import FAILED
from gdkreg.report import out

if TYPE_CHECKING:
    from gdkreg.plan.reconcile import Note
    from gdkreg.root import Root
    from gdkreg.services.registry import State

MARKS = {
    "ok": ("✓", "green"),
    "changed": ("~", "yellow"),
    "warning": ("!", "yellow"),
    "error": ("✗", "red"),
    "off": ("-", "dim"),
}


def status(root_dir: RootDir = None, json: Json = False) -> None:
    """Show every managed thing and service: state, address, health, the certificates' end.

    Example: gdkreg status --json
    """
    from gdkreg.services.registry import State

    root = session.open_root(root_dir)
    services = states(root)
    standings = root.standings() if root.enabled else []
    unapplied = root.unapplied()
    if json:
        out.as_json(
            {
                "root": str(root.path),
                "enabled": root.enabled,
                "address": root.settings.authority,
                "unapplied": unapplied,
                "resources": standings,
                "issuer": (root.applied or root.settings).issuer if root.settings.registry.auth_enabled else None,
                "services": services or {"registry": State(False)},
            }
        )
        return
    if not root.enabled:
        out.line("registry.enabled is false in gdk.yml. To switch it on: gdkreg config set registry.enabled true")
    rows: list[list[str]] = []
    for standing in standings:
        for at, note in enumerate(standing.notes):
            mark, color = MARKS[note.level]
            rows.append([out.colored(mark, color), standing.name if at == 0 else "", _with_fix(note)])
    if not services:
        rows.append(["-", "registry", "not set up  → gdkreg reconfigure" if root.enabled else "off"])
    rows += [_state_row(name, state) for name, state in services.items()]
    if services and root.enabled and root.settings.registry.auth_enabled:
        assert root.applied is not None
        who = "gdkreg's stand-in" if root.applied.issuer == "local" else "GitLab"
        rows.append(["-", "tokens", f"from {who}, {root.applied.realm} (token_issuer: {root.settings.registry.token_issuer})"])
    out.table(rows)
    if unapplied:
        out.line(f"gdk.yml has changes that were not applied ({', '.join(unapplied[:3])}): gdkreg reconfigure")


def _with_fix(note: Note) -> str:
    return f"{note.text}  → {note.fix}" if note.fix and note.level != "off" else note.text


def _state_row(name: str, state: State) -> list[str]:
    from gdkreg.services.registry import NOT_RUNNING

    if not state.running:
        return [
            out.colored("-", "dim"),
            name,
            f"{NOT_RUNNING}{'; ' + state.detail if state.detail else ''}  → gdkreg start {name}",
        ]
    good = state.verdict == "ready"
    mark = out.colored("✓", "green") if good else out.colored("✗", "red")
    old = "" if state.current else "; it runs with older settings  → gdkreg start"
    trouble = "" if good else f"; {state.verdict}  → gdkreg doctor"
    return [mark, name, f"{state.url} ({state.runtime}: {state.detail}){trouble}{old}"]


def states(root: Root) -> dict[str, State]:
    """Each enabled service of what was applied last; empty before the first reconfigure."""
    from gdkreg.services.auth import Auth
    from gdkreg.services.registry import Registry

    if root.applied is None:
        return {}
    auth = Auth(root.applied, root.host)
    states = {"registry": Registry(root.applied, root.host).state()}
    return {**states, "auth": auth.state()} if auth.wanted or auth.runs else states


def doctor(root_dir: RootDir = None, json: Json = False) -> None:
    """Check the machine read-only, each finding with its way out. Exits with 1 where something is broken.

    Example: gdkreg doctor
    """
    from gdkreg.doctor import examine

    root = session.open_root(root_dir)
    findings = examine(root)
    if json:
        out.as_json(findings)
    else:
        for standing in findings:
            for note in standing.notes:
                mark, color = MARKS[note.level]
                out.line(f"{out.colored(mark, color)} {standing.name}: {note.text}")
                if note.fix and note.level != "ok":
                    out.line(f"    {note.fix}")
    if any(note.level in {"error", "changed"} for standing in findings for note in standing.notes):
        raise typer.Exit(FAILED)


def register(app: typer.Typer) -> None:
    for command in (status, doctor):
        app.command()(command)
