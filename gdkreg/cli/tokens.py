"""token, token inspect, login, user."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer

from gdkreg.cli import session
from gdkreg.cli.options import DryRun, Json, RootDir, Yes
from gdkreg.errors import FAILED, ConfigError, GdkregError
from gdkreg.report import out

if TYPE_CHECKING:
    from gdkreg.config.settings import Settings
    from gdkreg.registry.scopes import Scope
    from gdkreg.registry.tokens import TokenSource
    from gdkreg.verbs.root import Root

Entries = list[dict[str, Any]]
Patterns = list[str] | None


def token(
    scopes: Annotated[list[str] | None, typer.Argument(help="SCOPE…, or: inspect TOKEN|-", show_default=False)] = None,
    root_dir: RootDir = None,
    expires: Annotated[int, typer.Option("--expires", min=1, max=86_400, help="Seconds until it runs out.")] = 300,
    user: Annotated[str, typer.Option("--user", "-u", help="The subject.")] = "gdkreg",
    source: Annotated[Literal["key", "gitlab"], typer.Option("--from", help="Sign with localhost.key, or ask GitLab.")] = "key",
    curl: Annotated[bool, typer.Option("--curl", help="Print a whole curl command.")] = False,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="With inspect: a scope it has to grant.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Mint a token for scopes, printed alone on stdout; or say what this registry would say of one (inspect).

    Example: gdkreg token 'registry:catalog:*' 'repository:group/project:pull,push'
    """
    root = session.open_root(root_dir)
    settings = root.settings
    words = list(scopes or [])
    if words[:1] == ["inspect"]:
        _inspect(settings, words[1:], list(scope or []), json=json)
        return
    from gdkreg.registry.scopes import parse
    from gdkreg.registry.tokens import minter

    asked = [parse(word) for word in words]
    by = _from_gitlab(settings) if source == "gitlab" else minter(settings.root, subject=user, seconds=expires)
    text = by(asked)
    if json:
        out.as_json({"command": "token", "root": str(root.path), "token": text, "scopes": [str(item) for item in asked]})
    elif curl:
        out.line(_curl(settings, asked, text))
    else:
        out.line(text)


def _from_gitlab(settings: Settings) -> TokenSource:
    import os

    from gdkreg.registry.session import gitlab

    secret = os.environ.get("GITLAB_TOKEN")
    if not secret and sys.stdin.isatty():
        secret = str(typer.prompt("Personal access token", hide_input=True, err=True))
    if not secret:
        raise GdkregError("there is no access token", why="GITLAB_TOKEN is not set", fix="export GITLAB_TOKEN=…")
    return gitlab(settings).tokens("gitlab-token", secret)


def _curl(settings: Settings, asked: list[Scope], text: str) -> str:
    path = "/v2/"
    if asked:
        path = "/v2/_catalog" if asked[0].type == "registry" else f"/v2/{asked[0].name}/tags/list"
    argv = ["curl"]
    if settings.registry.self_signed:
        argv += ["--cacert", str(settings.root / "registry_host.crt")]
    argv += ["-H", f"Authorization: Bearer {text}", f"{settings.scheme}://{settings.host}:{settings.registry.port}{path}"]
    return shlex.join(argv)


def _inspect(settings: Settings, words: list[str], scopes: list[str], *, json: bool) -> None:
    from gdkreg.registry.inspection import inspect
    from gdkreg.registry.scopes import parse
    from gdkreg.registry.tokens import signer_of

    if len(words) != 1:
        raise ConfigError("token inspect takes one token, or - for stdin", fix="gdkreg token inspect -")
    text = sys.stdin.read().strip() if words[0] == "-" else words[0]
    found = inspect(text, signer_of(settings.root), [parse(word) for word in scopes])
    if json:
        out.as_json({"command": "token inspect", "root": str(settings.root), **msgspec.structs.asdict(found)})
    else:
        rows = [["header", ", ".join(f"{key}={value}" for key, value in found.header.items() if key != "x5c")]]
        rows += [[key, str(value)] for key, value in found.claims.items() if key != "access"]
        rows += [["access", item] for item in found.access] or [["access", "nothing"]]
        rows.append(["time left", f"{found.seconds_left} s"])
        out.table(rows)
        for reason in found.refusals:
            out.line(f"{out.colored('✗', 'red')} {reason}")
        if not found.refusals:
            out.line(f"{out.colored('✓', 'green')} this registry takes it")
    if found.refusals:
        raise typer.Exit(FAILED)


Client = Literal["docker", "podman", "skopeo"]


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
    if not settings.registry.auth_enabled:
        out.line("Authentication is off (registry.auth_enabled): there is nothing to log in to.")
        return
    name, secret = _who(root, user, password_stdin=password_stdin)
    outcome = logins.login(root, client, name, secret, config_dir, session.Terminal(quiet=True), dry_run=dry_run)
    if config_dir is not None and client == "docker":
        outcome.notes.append(f"Use it with: docker --config {config_dir} push {settings.authority}/NAME")
    said = outcome.items[0].detail if outcome.items else ""
    session.told(outcome, json=json, done=f"{said} ({settings.authority} as {name})")


def _who(root: Root, user: str | None, *, password_stdin: bool) -> tuple[str, str]:
    """The name and the password: known here, of stdin, or typed."""
    from gdkreg.registry.login import credentials

    settings = root.in_force
    known = credentials(settings, root.host) if settings is not None else None
    name = user or (known[0] if known else None)
    if password_stdin:
        secret = _line_of_stdin()
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


users = typer.Typer(no_args_is_help=True, help="The users of the stand-in token issuer, in gdk.yml.")


@users.command()
def add(
    name: str,
    root_dir: RootDir = None,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")] = False,
    pull: Annotated[
        Patterns, typer.Option("--pull", help="Repositories to pull from, * and ** allowed.", show_default=False)
    ] = None,
    push: Annotated[Patterns, typer.Option("--push", help="Repositories to push to.", show_default=False)] = None,
    delete: Annotated[Patterns, typer.Option("--delete", help="Repositories to delete from.", show_default=False)] = None,
    admin: Annotated[bool, typer.Option("--admin", help="Everything, and the catalog.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Add a user to gdk.yml, with a bcrypt hash of the password. The running issuer takes it at once.

    Example: gdkreg user add ci --pull 'group/**' --push 'group/app/*' --password-stdin < password
    """
    from gdkreg.config.values import pattern_problem, user_name_problem

    patterns = [*(pull or []), *(push or []), *(delete or [])]
    problem = user_name_problem(name) or next(filter(None, map(pattern_problem, patterns)), "")
    if problem:
        raise ConfigError(f"{name} cannot be added", why=problem)
    hashed = _hash_of_new_password(name, from_stdin=password_stdin)
    entry: dict[str, object] = {"name": name, "password": hashed}
    entry |= {key: value for key, value in (("pull", pull), ("push", push), ("delete", delete)) if value}
    if admin:
        entry["admin"] = True
    from gdkreg.verbs import editing

    outcome = editing.user_add(session.open_root(root_dir), entry, session.Terminal(yes=yes, quiet=True), dry_run=dry_run)
    said = f"{name} is {'replaced' if outcome.data['replaced'] else 'added'} in gdk.yml"
    session.told(outcome, json=json, done=said)


@users.command()
def remove(name: str, root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, json: Json = False) -> None:
    """Remove a user from gdk.yml. Tokens that it has run out within 5 minutes.

    Example: gdkreg user remove ci
    """
    from gdkreg.verbs import editing

    outcome = editing.user_remove(session.open_root(root_dir), name, session.Terminal(yes=yes, quiet=True), dry_run=dry_run)
    session.told(outcome, json=json, done=f"{name} is gone from gdk.yml")


@users.command("list")
def list_(root_dir: RootDir = None, json: Json = False) -> None:
    """List the users and what they may.

    Example: gdkreg user list
    """
    from gdkreg.resources.first_user import read_first

    root = session.open_root(root_dir)
    settings = root.settings
    rows: Entries = [
        {"name": user.name, "pull": user.pull, "push": user.push, "delete": user.delete, "admin": user.admin}
        for user in settings.registry.users
    ]
    first = read_first(root.path, root.host) if root.identity.known else None
    if not rows and first is not None:
        rows = [{"name": first.name, "pull": ["**"], "push": ["**"], "delete": ["**"], "admin": True}]
    if json:
        out.as_json({"command": "user list", "root": str(root.path), "users": rows})
        return
    if not rows:
        out.line("There are no users: gdkreg user add NAME")
    for row in rows:
        may = (
            "everything"
            if row["admin"]
            else "; ".join(f"{key} {' '.join(row[key])}" for key in ("pull", "push", "delete") if row[key])
        )
        out.line(f"{row['name']}  {may or 'nothing'}")


def _hash_of_new_password(name: str, *, from_stdin: bool) -> str:
    from gdkreg.issuer.users import hash_password

    if from_stdin:
        secret = _line_of_stdin()
    elif sys.stdin.isatty():
        secret = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    else:
        raise GdkregError(
            "there is no password", why="no terminal to ask on", fix=f"gdkreg user add {name} --password-stdin < FILE"
        )
    if not secret:
        raise ConfigError("the password is empty")
    try:
        return hash_password(secret)
    except UnicodeError:
        raise ConfigError("the password is not UTF-8") from None
    except ValueError as error:
        raise ConfigError("the password is too long", why=str(error)) from None


def _line_of_stdin() -> str:
    """A password as docker login reads one: without the end of the line, a Windows one too."""
    return sys.stdin.readline().rstrip("\r\n")


def register(app: typer.Typer) -> None:
    app.command()(token)
    app.command()(login)
    app.command()(logout)
    app.add_typer(users, name="user")
