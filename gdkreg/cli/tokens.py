"""token, token inspect, login, user."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gdkreg.cli import session
from gdkreg.cli.options import DryRun, Json, RootDir, Yes
from gdkreg.errors import FAILED, ConfigError, GdkregError
from gdkreg.report import out

if TYPE_CHECKING:
    from gdkreg.config.settings import Settings
    from gdkreg.registry.scopes import Scope
    from gdkreg.registry.tokens import TokenSource
    from gdkreg.root import Root

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
    settings = session.open_root(root_dir).settings
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
        out.as_json({"token": text, "scopes": [str(item) for item in asked]})
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
        out.as_json(found)
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


def login(
    root_dir: RootDir = None,
    user: Annotated[
        str | None, typer.Option("--user", "-u", help="The name (else the first user, or gitlab-token).", show_default=False)
    ] = None,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")] = False,
    client: Annotated[Literal["docker", "podman", "skopeo"], typer.Option("--client", help="Which client to log in.")] = "docker",
    config_dir: Annotated[
        Path | None, typer.Option("--config-dir", help="A client configuration of its own.", show_default=False)
    ] = None,
) -> None:
    """Log a container client in to this registry; the password goes over stdin, and what fails is named.

    Example: gdkreg login --client podman
    """
    import os

    from gdkreg.registry.login import credentials
    from gdkreg.registry.login import login as log_in

    root = session.open_root(root_dir)
    settings = root.in_force
    if settings is None:
        raise GdkregError("this machine is not set up yet", why="there was no reconfigure", fix="gdkreg up")
    if not settings.registry.auth_enabled:
        out.line("Authentication is off (registry.auth_enabled): there is nothing to log in to.")
        return
    known = credentials(settings, os.environ)
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
    out.line(f"{log_in(settings, root.host, client, name, secret, config_dir)} ({settings.authority} as {name})")
    if config_dir is not None and client == "docker":
        out.line(f"Use it with: docker --config {config_dir} push {settings.authority}/NAME")


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
    _yes: Yes = False,
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
    before = _edit_users(root_dir, lambda given: [*[item for item in given if item.get("name") != name], entry], dry_run=dry_run)
    if dry_run:
        return
    replaced = any(item.get("name") == name for item in before)
    out.line(f"{name} is {'replaced' if replaced else 'added'} in gdk.yml. Next: gdkreg login -u {name}")
    if not before:
        out.line("! gdk.yml names users now, so the first user counts no longer: gdkreg user add developer --admin")


@users.command()
def remove(name: str, root_dir: RootDir = None, dry_run: DryRun = False, _yes: Yes = False) -> None:
    """Remove a user from gdk.yml. Tokens that it has run out within 5 minutes.

    Example: gdkreg user remove ci
    """

    def without(given: Entries) -> Entries:
        kept = [item for item in given if item.get("name") != name]
        if len(kept) == len(given):
            raise ConfigError(f"there is no user {name}", fix="gdkreg user list")
        return kept

    _edit_users(root_dir, without, dry_run=dry_run)
    if dry_run:
        return
    out.line(f"{name} is gone from gdk.yml")


@users.command("list")
def list_(root_dir: RootDir = None, json: Json = False) -> None:
    """List the users and what they may.

    Example: gdkreg user list
    """
    from gdkreg.plan.journal import FOLDER
    from gdkreg.resources.first_user import read_first

    settings = session.open_root(root_dir).settings
    rows: Entries = [
        {"name": user.name, "pull": user.pull, "push": user.push, "delete": user.delete, "admin": user.admin}
        for user in settings.registry.users
    ]
    first = read_first(settings.root / FOLDER)
    if not rows and first is not None:
        rows = [{"name": first.name, "pull": ["**"], "push": ["**"], "delete": ["**"], "admin": True}]
    if json:
        out.as_json(rows)
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


def _edit_users(root_dir: Path | None, change: Callable[[Entries], Entries], *, dry_run: bool) -> Entries:
    """Rewrite registry.users in gdk.yml; everything else in the file stays. Gives the users of before."""
    root = session.open_root(root_dir)
    if dry_run:
        return _rewrite_users(root, change, dry_run=True)
    with session.locked(root.path, root.host):  # two at once would each write what the other has not read
        return _rewrite_users(root, change, dry_run=False)


def _rewrite_users(root: Root, change: Callable[[Entries], Entries], *, dry_run: bool) -> Entries:
    from gdkreg.config import edit, settings
    from gdkreg.config.source import parse

    path = root.path / "gdk.yml"
    before = root.host.read(path) or b""
    source = parse(path, before)
    given = list((source.values.get("registry") or {}).get("users") or [])
    text = edit.set_list(path, before.decode("utf-8-sig"), ("registry", "users"), change(given))
    after = (b"\xef\xbb\xbf" if before.startswith(b"\xef\xbb\xbf") else b"") + text.encode()
    settings.resolve(root.path, *settings.filled(parse(path, after), root.host))
    if dry_run:
        from gdkreg.plan import diff

        out.diff(diff.unified(str(path), before, after))
        return given
    info = root.host.info(path.resolve())
    root.host.write(path, after, mode=info.mode if info else 0o600)
    return given


def register(app: typer.Typer) -> None:
    app.command()(token)
    app.command()(login)
    app.add_typer(users, name="user")
