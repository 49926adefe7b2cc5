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
