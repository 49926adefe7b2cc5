"""insecure: engines that take the registry without TLS."""

from __future__ import annotations

import typer

from gdkreg.cli import session
from gdkreg.cli.options import DryRun, Json, RootDir, Yes

group = typer.Typer(no_args_is_help=True, help="Have engines take this registry without TLS, or ask for it again.")


@group.command()
def on(root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, json: Json = False) -> None:
    """Add the registry to the engine's insecure-registries. Only for plain HTTP (registry.self_signed: false).

    Example: gdkreg insecure on
    """
    from gdkreg.verbs import insecure

    outcome = insecure.on(session.open_root(root_dir), session.Terminal(yes=yes, quiet=json), dry_run=dry_run)
    session.told(outcome, json=json, nothing="Nothing to do: the engine takes the registry as it is.")


@group.command()
def off(root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, json: Json = False) -> None:
    """Take the registry out of the lists again; the files get back what stood there before.

    Example: gdkreg insecure off
    """
    from gdkreg.verbs import insecure

    outcome = insecure.off(session.open_root(root_dir), session.Terminal(yes=yes, quiet=json), dry_run=dry_run)
    session.told(outcome, json=json, nothing="Nothing to do: gdkreg put the registry into no list.")


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="insecure")
