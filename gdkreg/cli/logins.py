"""login, logout."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gdkreg.cli import session
from gdkreg.cli.options import DryRun, Json, RootDir, Yes
from gdkreg.errors import ConfigError, GdkregError

if TYPE_CHECKING:
    from gdkreg.verbs.root import Root

Client = Literal["docker", "nerdctl", "podman", "buildah", "skopeo", "helm", "oras", "regctl", "crane"]


def login(
    root_dir: RootDir = None,
    user: Annotated[
        str | None, typer.Option("--user", "-u", help="The name (else the first user, or gitlab-token).", show_default=False)
    ] = None,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")] = False,
    client: Annotated[Client, typer.Option("--client", help="Which client to log in.")] = "docker",
    config_dir: Annotated[
        Path | None, typer.Option("--config-dir", help="A client configuration of its own.", show_default=False)
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Log a container client in to this registry; the password goes over stdin, and what fails is named.

    Example: gdkreg login --client podman
    """
    from gdkreg.verbs import logins

    root = session.open_root(root_dir)
    settings = root.set_up()
    asked = settings.registry.auth_enabled
    name, secret = _who(root, user, password_stdin=password_stdin) if asked else ("", "")
    outcome = logins.login(root, client, name, secret, config_dir, session.Terminal(quiet=True), dry_run=dry_run)
    if config_dir is not None and client == "docker" and asked:
        outcome.notes.append(f"Use it with: docker --config {config_dir} push {settings.authority}/NAME")
    said = outcome.items[0].detail if outcome.items else ""
    nothing = "Authentication is off (registry.auth_enabled): there is nothing to log in to."
    session.told(outcome, json=json, nothing=nothing, done=f"{said} ({settings.authority} as {name})")


def _who(root: Root, user: str | None, *, password_stdin: bool) -> tuple[str, str]:
    """The name and the password: known here, of stdin, or typed."""
    from gdkreg.registry.login import credentials

    settings = root.in_force
    known = credentials(settings, root.host) if settings is not None else None
    name = user or (known[0] if known else None)
    if password_stdin:
        secret = session.line_of_stdin()
    elif known is not None and name == known[0]:
        secret = known[1]
    elif sys.stdin.isatty():
        name = name or str(typer.prompt("User"))
        secret = str(typer.prompt("Password", hide_input=True))
    else:
        raise GdkregError("there is no password", why="no terminal to ask on", fix="gdkreg login -u NAME --password-stdin < FILE")
    if not name:
        raise ConfigError("there is no user's name", fix="gdkreg login -u NAME --password-stdin")
    return name, secret


def logout(
    root_dir: RootDir = None,
    client: Annotated[
        Client | None, typer.Option("--client", help="Which client (else all that gdkreg logged in).", show_default=False)
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Log container clients out of this registry: those that gdkreg login logged in, or one.

    Example: gdkreg logout
    """
    from gdkreg.verbs import logins

    root = session.open_root(root_dir, lenient=True)
    outcome = logins.logout(root, client, session.Terminal(yes=yes, quiet=json), dry_run=dry_run)
    session.told(outcome, json=json, nothing="Nothing to do: no client is logged in by gdkreg.")


def register(app: typer.Typer) -> None:
    app.command()(login)
    app.command()(logout)
