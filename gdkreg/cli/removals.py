"""rm and cleanup: tags and repositories go."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from gdkreg.cli import session
from gdkreg.cli.options import AsUser, DryRun, Json, References, Repositories, RootDir, Yes
from gdkreg.report import storage as report

NOTHING = "Nothing to do: there is no such tag any more."


def rm(
    names: References,
    root_dir: RootDir = None,
    user: AsUser = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Take tags away, those and no other, or whole repositories. What is freed by that, gdkreg gc collects.

    Example: gdkreg rm group/app:feature-1 group/app:feature-2
    """
    from gdkreg.verbs import deleting

    root = session.open_root(root_dir)
    listener = session.Terminal(yes=yes, quiet=json)
    outcome = deleting.rm(root, names, listener, user=user, ask=session.ask_password(), dry_run=dry_run)
    report.frees(outcome)
    session.told(outcome, json=json, nothing=NOTHING)


def cleanup(
    repositories: Repositories = None,
    root_dir: RootDir = None,
    keep: Annotated[int | None, typer.Option("--keep", help="So many of the newest stay.", show_default=False)] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", help="What is younger stays: 12h, 30d, 8w.", show_default=False)
    ] = None,
    remove: Annotated[
        str | None, typer.Option("--remove", help="RE2 pattern of the whole names that may go (else .*).", show_default=False)
    ] = None,
    retain: Annotated[
        str | None, typer.Option("--retain", help="RE2 pattern of names that stay whatever else is said.", show_default=False)
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Take away the tags that a policy lets go, as GitLab's cleanup policy does; without options that of gdk.yml.

    Example: gdkreg cleanup group/app --keep 10 --older-than 30d --remove 'feature/.*' --retain 'v.*' --dry-run
    """
    from gdkreg.registry.policy import Policy
    from gdkreg.verbs import cleaning

    given = {"keep": keep, "older_than": older_than, "remove": remove, "retain": retain}
    said = {name: value for name, value in given.items() if value is not None}
    root = session.open_root(root_dir)
    listener = session.Terminal(yes=yes, quiet=json)
    outcome = cleaning.cleanup(
        root, repositories or [], msgspec.convert(said, Policy) if said else None, listener, dry_run=dry_run
    )
    if not json:
        report.decisions(outcome)
    report.frees(outcome)
    session.told(outcome, json=json, nothing="Nothing to do: the policy keeps every tag.")


def register(app: typer.Typer) -> None:
    for command in (rm, cleanup):
        app.command()(command)
