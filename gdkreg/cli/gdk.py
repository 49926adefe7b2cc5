"""gdk and run: this registry as a service of the GDK's own supervisor, or of another one."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gdkreg.cli import session
from gdkreg.cli.options import DryRun, Json, RootDir, Yes
from gdkreg.report import out

group = typer.Typer(no_args_is_help=True, help="This registry as GDK's own service: gdk start drives it.")


@group.command()
def on(root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, json: Json = False) -> None:
    """Put this registry in the place of GDK's own, so that gdk start, stop, restart, status and tail drive it.

    Example: gdkreg gdk on
    """
    from gdkreg.verbs import gdk

    outcome = gdk.on(session.open_root(root_dir), session.Terminal(yes=yes, quiet=json), dry_run=dry_run)
    session.told(outcome, json=json, nothing="Nothing to do: gdk start drives this registry already.")


@group.command()
def off(root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, json: Json = False) -> None:
    """Stop this registry and give GDK its own back.

    Example: gdkreg gdk off
    """
    from gdkreg.verbs import gdk

    outcome = gdk.off(session.open_root(root_dir), session.Terminal(yes=yes, quiet=json), dry_run=dry_run)
    session.told(outcome, json=json, nothing="Nothing to do: gdk start runs GDK's own registry.")


@group.command()
def status(root_dir: RootDir = None, json: Json = False) -> None:
    """Tell whether this is a GDK, whose registry its service is, whether its supervisor runs, and who holds the port.

    Example: gdkreg gdk status
    """
    from gdkreg.report.standing import show_findings
    from gdkreg.verbs import gdk

    root = session.open_root(root_dir)
    found = gdk.status(root)
    if json:
        out.as_json({"command": "gdk status", "root": str(root.path), **gdk.as_data(found)})
    else:
        show_findings(gdk.told(found))


def run(
    service: Annotated[Literal["registry"], typer.Argument(help="registry; the token issuer runs with it.")],
    root_dir: RootDir = None,
    finish: Annotated[bool, typer.Option("--finish", hidden=True, help="Stop what a killed run left behind.")] = False,
) -> None:
    """Run the registry (and the token issuer) in the foreground, with its log on stdout: for runit, systemd, a terminal.

    Example: gdkreg run registry
    """
    from gdkreg.verbs import foreground

    del service
    listener = session.Terminal(yes=True, quiet=True)
    if finish:
        foreground.finish(lambda: session.open_root(root_dir), out.raw)
        return
    try:
        foreground.run(lambda: session.open_root(root_dir), out.raw, listener)
    except KeyboardInterrupt:
        out.note("gdkreg: stopped")


def register(app: typer.Typer) -> None:
    app.command()(run)
    app.add_typer(group, name="gdk")
