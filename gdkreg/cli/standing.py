"""status and doctor: how everything stands."""

from __future__ import annotations

import typer

from gdkreg.cli import session
from gdkreg.cli.options import Json, RootDir
from gdkreg.errors import FAILED
from gdkreg.report import out, standing


def status(root_dir: RootDir = None, json: Json = False) -> None:
    """Show every managed thing and service: state, address, health, the certificates' end.

    Example: gdkreg status --json
    """
    from gdkreg.verbs import standing as verb

    found = verb.status(session.open_root(root_dir))
    if json:
        out.as_json(verb.as_data(found))
    else:
        standing.show(found)


def doctor(root_dir: RootDir = None, json: Json = False) -> None:
    """Check the machine read-only, each finding with its way out. Exits with 1 where something is broken.

    Example: gdkreg doctor
    """
    from gdkreg.verbs.doctor import as_data, examine, is_broken

    root = session.open_root(root_dir)
    findings = examine(root)
    if json:
        out.as_json(as_data(root, findings))
    else:
        standing.show_checks(findings)
    if is_broken(findings):
        raise typer.Exit(FAILED)


def register(app: typer.Typer) -> None:
    for command in (status, doctor):
        app.command()(command)
