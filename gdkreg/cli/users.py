"""user add, remove, list."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from gdkreg.cli import session
from gdkreg.cli.options import DryRun, Json, RootDir, UserName, Yes
from gdkreg.errors import ConfigError, GdkregError
from gdkreg.report import out

Entries = list[dict[str, Any]]
Patterns = list[str] | None

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
def remove(name: UserName, root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, json: Json = False) -> None:
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
        secret = session.line_of_stdin()
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


def register(app: typer.Typer) -> None:
    app.add_typer(users, name="user")
