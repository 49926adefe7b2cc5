"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def _keys(incomplete: str) -> list[str]:
    """The keys that this root's gdk.yml knows, for the shell; none where it cannot be read."""
    from gdkreg.config.settings import flatten

    settings = _settings()
    return [key for key, _ in flatten(settings) if key.startswith(incomplete)] if settings else []


def _users(incomplete: str) -> list[str]:
    settings = _settings()
    names = [user.name for user in settings.registry.users] if settings else []
    return [name for name in names if name.startswith(incomplete)]


def _settings() -> Any:
    from gdkreg.config import settings
    from gdkreg.errors import GdkregError
    from gdkreg.host.machine import Machine

    host = Machine()
    try:
        return settings.load(settings.find_root(Path.cwd(), host, None), host)
    except GdkregError:
        return None


def _references(ctx: typer.Context, incomplete: str) -> list[str]:
    """Repositories, and after a colon the tags of one, of the registry that the line names so far."""
    from gdkreg.cli import session
    from gdkreg.errors import GdkregError
    from gdkreg.registry.names import is_repository
    from gdkreg.verbs import browsing

    found: list[str] = []
    try:
        with session.remote(ctx.params.get("root_dir"), ctx.params.get("registry") or "", ctx.params.get("user") or "") as place:
            repository, colon, _ = incomplete.rpartition(":")
            if colon and is_repository(repository):
                found = [f"{repository}:{tag}" for tag in browsing.tags(place.images, repository)]
            elif not colon:
                found = list(browsing.catalog(place.images))
    except GdkregError:
        return []
    return [name for name in found if name.startswith(incomplete)]


Key = Annotated[str, typer.Argument(help="A key, such as registry.port.", autocompletion=_keys)]
UserName = Annotated[str, typer.Argument(help="A user's name.", autocompletion=_users)]
RootDir = Annotated[
    Path | None,
    typer.Option("--root", help="The folder with gdk.yml (else GDKREG_ROOT, else upwards from here).", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done and do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
KeepEdits = Annotated[bool, typer.Option("--keep-edits", help="Leave files that you edited since as they are.")]
TakeOver = Annotated[
    bool, typer.Option("--take-over", help="Take our names out of your own lines in /etc/hosts; down gives them back.")
]
Registry = Annotated[
    str,
    typer.Option("--registry", help="Another registry, HOST[:PORT], with docker's logins and certificates.", show_default=False),
]
AsUser = Annotated[
    str, typer.Option("--user", "-u", help="Ask as this user (else with a token that gdkreg signs).", show_default=False)
]
Repository = Annotated[str, typer.Argument(help="A repository, such as group/app.", autocompletion=_references)]
Reference = Annotated[str, typer.Argument(help="REPOSITORY[:TAG|@DIGEST].", autocompletion=_references)]
References = Annotated[
    list[str],
    typer.Argument(help="REPO:TAG, REPO@DIGEST, or REPO for the whole of it.", metavar="NAME...", autocompletion=_references),
]
Repositories = Annotated[
    list[str] | None, typer.Argument(help="Of these only; else of all.", metavar="REPO...", autocompletion=_references)
]
ForPlatform = Annotated[
    str, typer.Option("--platform", help="Of an index this one, such as linux/arm64 (else this machine's).", show_default=False)
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="So many at most.", show_default=False)]
NoTrunc = Annotated[bool, typer.Option("--no-trunc", help="Digests in full.")]
