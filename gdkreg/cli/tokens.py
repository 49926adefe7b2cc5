"""token, token inspect."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from gdkreg.cli import session
from gdkreg.cli.options import Json, RootDir
from gdkreg.errors import FAILED, ConfigError, GdkregError
from gdkreg.report import out

if TYPE_CHECKING:
    from gdkreg.config.effective import Settings
    from gdkreg.registry.tokens import TokenSource
    from gdkreg.verbs.root import Root


def token(
    scopes: Annotated[list[str] | None, typer.Argument(help="SCOPE…, or: inspect TOKEN|-", show_default=False)] = None,
    root_dir: RootDir = None,
    expires: Annotated[int, typer.Option("--expires", min=1, max=86_400, help="Seconds until it runs out.")] = 300,
    user: Annotated[str, typer.Option("--user", "-u", help="The subject.")] = "gdkreg",
    source: Annotated[Literal["key", "gitlab"], typer.Option("--from", help="Sign with localhost.key, or ask GitLab.")] = "key",
    curl: Annotated[bool, typer.Option("--curl", help="Print a whole curl command for each scope.")] = False,
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
        _inspect(root, words[1:], list(scope or []), json=json)
        return
    from gdkreg.registry.scopes import parse
    from gdkreg.registry.tokens import minter

    asked = [parse(word) for word in words]
    by = _from_gitlab(settings) if source == "gitlab" else minter(settings.root, subject=user, seconds=expires)
    text = by(asked)
    if json:
        out.as_json({"command": "token", "root": str(root.path), "token": text, "scopes": [str(item) for item in asked]})
    elif curl:
        from gdkreg.registry.curl import commands

        for line in commands(settings, asked, text, by):
            out.raw(line)
    else:
        out.raw(text)


def _from_gitlab(settings: Settings) -> TokenSource:
    import os

    from gdkreg.registry.session import gitlab

    secret = os.environ.get("GITLAB_TOKEN")
    if not secret and sys.stdin.isatty():
        secret = str(typer.prompt("Personal access token", hide_input=True, err=True))
    if not secret:
        raise GdkregError("there is no access token", why="GITLAB_TOKEN is not set", fix="export GITLAB_TOKEN=…")
    return gitlab(settings).tokens("gitlab-token", secret)


def _inspect(root: Root, words: list[str], scopes: list[str], *, json: bool) -> None:
    from gdkreg.registry.inspection import inspect
    from gdkreg.registry.scopes import parse
    from gdkreg.registry.tokens import signer_of
    from gdkreg.services import generation

    if len(words) != 1:
        raise ConfigError("token inspect takes one token, or - for stdin", fix="gdkreg token inspect -")
    text = sys.stdin.read().strip() if words[0] == "-" else words[0]
    judge = generation.of(root.services(root.applied or root.settings).registry)
    found = inspect(text, signer_of(root.path), [parse(word) for word in scopes], generation=judge.generation)
    if json:
        out.as_json({"command": "token inspect", "root": str(root.path), "judge": judge.title, **msgspec.structs.asdict(found)})
    else:
        rows = [["header", ", ".join(f"{key}={value}" for key, value in found.header.items() if key != "x5c")]]
        rows += [[key, str(value)] for key, value in found.claims.items() if key != "access"]
        rows += [["access", item] for item in found.access] or [["access", "nothing"]]
        rows += [["time left", f"{found.seconds_left} s"], ["judged as", judge.title]]
        out.table(rows)
        for reason in found.refusals:
            out.line(f"{out.colored('✗', 'red')} {reason}")
        if not found.refusals:
            out.line(f"{out.colored('✓', 'green')} this registry takes it")
    if found.refusals:
        raise typer.Exit(FAILED)


def register(app: typer.Typer) -> None:
    app.command()(token)
