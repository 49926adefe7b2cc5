"""start, stop, restart, tail."""

from __future__ import annotations

import gc
import re
import time
from typing import Annotated, Literal

import typer

from gdkreg.cli import session
from gdkreg.cli.options import DryRun, Json, RootDir, Yes
from gdkreg.errors import ConfigError
from gdkreg.report import out

Service = Annotated[
    Literal["registry", "auth", "tunnel"] | None,
    typer.Argument(help="registry, auth or tunnel; without it, every enabled one.", show_default=False),
]


def start(
    service: Service = None,
    root_dir: RootDir = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
    again: Annotated[bool, typer.Option("--again", hidden=True, help="What ran last: for registry.persist at boot.")] = False,
) -> None:
    """Start the registry (and the token issuer) and wait until it answers; what changed since is started anew.

    The tunnel publishes the registry (auto_devops in gdk.yml): that is asked first, and from then on it is started with the rest.

    Example: gdkreg start registry
    """
    from gdkreg import verbs

    root = session.open_root(root_dir)
    outcome = verbs.start(root, service, session.Terminal(yes=yes, quiet=json), dry_run=dry_run, again=again)
    running = service or ", ".join(root.services(root.set_up()).enabled())
    nothing = "Nothing to do: what ran last runs." if again else f"Nothing to do: {running} already running."
    session.told(outcome, json=json, nothing=nothing)


def stop(
    service: Service = None, root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, json: Json = False
) -> None:
    """Stop the registry (and the token issuer). One that does not run is fine.

    Example: gdkreg stop registry
    """
    from gdkreg import verbs

    root = session.open_root(root_dir)
    outcome = verbs.stop(root, service, session.Terminal(yes=yes, quiet=json), dry_run=dry_run)
    session.told(outcome, json=json, nothing=f"Nothing to do: {service or 'the registry'} was not running.")


def restart(
    service: Service = None, root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, json: Json = False
) -> None:
    """Stop the registry (and the token issuer) and start it.

    Example: gdkreg restart registry
    """
    from gdkreg import verbs

    root = session.open_root(root_dir)
    session.told(verbs.restart(root, service, session.Terminal(yes=yes, quiet=json), dry_run=dry_run), json=json)


def tail(
    service: Service = None,
    root_dir: RootDir = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines to show first.")] = 50,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on with what comes.")] = True,
    since: Annotated[
        str | None, typer.Option("--since", help="Only lines from 30s, 5m, 2h or 1d ago on.", show_default=False)
    ] = None,
) -> None:
    """Follow the log of the registry, of auth or of the tunnel.

    Example: gdkreg tail registry --since 5m --no-follow
    """
    gc.enable()
    moment = time.time() - _seconds(since) if since else None
    root = session.open_root(root_dir)
    services = root.services(root.set_up())
    source = services.auth if service == "auth" else services.tunnel if service == "tunnel" else services.registry
    try:
        for text in source.lines(None if since else lines, follow=follow, since=moment):
            out.raw(text)
    except KeyboardInterrupt:
        return


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if found is None:
        raise ConfigError(f"--since {text}: expected a number with s, m, h or d", fix="gdkreg tail registry --since 5m")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


def register(app: typer.Typer) -> None:
    for command in (start, stop, restart, tail):
        app.command()(command)
