"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
