"""reconfigure, plan, up, down, undo: the machine as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gdkreg.cli import session
from gdkreg.cli.options import DryRun, Json, KeepEdits, RootDir, TakeOver, Yes
from gdkreg.errors import CHANGES
from gdkreg.options import Options
from gdkreg.units import counted

if TYPE_CHECKING:
    from gdkreg.plan.outcome import Outcome
    from gdkreg.verbs.root import Root

_MATCHES = "Nothing to do: this machine matches gdk.yml."


def reconfigure(
    root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, take_over: TakeOver = False, json: Json = False
) -> None:
    """Make this machine match gdk.yml: loopback alias, /etc/hosts, certificates, registry/config.yml.

    Example: gdkreg reconfigure --dry-run
    """
    from gdkreg import verbs

    root = session.open_root(root_dir, Options(take_over=take_over))
    outcome = verbs.reconfigure(root, session.Terminal(yes=yes, quiet=json), dry_run=dry_run)
    _tell_first_user(root, outcome, json=json)
    off = "registry.enabled is false: "
    done = "" if root.enabled else off + "what gdkreg had set up is taken back, the images are kept"
    session.told(outcome, json=json, nothing=_MATCHES if root.enabled else off + "there is nothing to do", done=done)


def _tell_first_user(root: Root, outcome: Outcome, *, json: bool) -> None:
    """The first user's password is told once, on the terminal, when it is made; no program's log is to hold it."""
    from gdkreg.resources.first_user import read_first

    first = read_first(root.path, root.host) if "first_user" in outcome.data and not json else None
    if first is not None:
        where = f"kept in {outcome.data['first_user']}; gdkreg login takes it from there"
        outcome.notes.insert(0, f"First user: {first.name}, password {first.password} ({where})")


def plan(
    root_dir: RootDir = None,
    json: Json = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 3 if there are changes.")] = False,
    take_over: TakeOver = False,
) -> None:
    """Show what reconfigure would change, as a diff. Changes nothing.

    Example: gdkreg plan --exit-code
    """
    from gdkreg import verbs

    outcome = verbs.reconfigure(session.open_root(root_dir, Options(take_over=take_over)), dry_run=True)
    session.told(outcome, json=json, nothing=_MATCHES)
    if outcome.items and exit_code:
        raise typer.Exit(CHANGES)


def up(
    root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, take_over: TakeOver = False, json: Json = False
) -> None:
    """Everything in one go: reconfigure, trust, runner-patch, start, and the proof that it answers.

    Example: gdkreg up
    """
    from gdkreg import verbs

    root = session.open_root(root_dir, Options(take_over=take_over))
    outcome = verbs.up(root, session.Terminal(yes=yes, quiet=json), dry_run=dry_run)
    _tell_first_user(root, outcome, json=json)
    if not dry_run:
        outcome.notes.append(f"Ready: {outcome.data['ready'] or root.settings.authority}")
    session.told(outcome, json=json, nothing=f"Nothing to do: {root.settings.authority} is already running.")


def down(
    root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, keep_edits: KeepEdits = False, json: Json = False
) -> None:
    """Remove everything of ours from this machine and give back what stood there before; the images stay.

    Example: gdkreg down --dry-run
    """
    from gdkreg import verbs

    root = session.open_root(root_dir, Options(keep_edits=keep_edits), lenient=True)
    outcome = verbs.down(root, session.Terminal(yes=yes, quiet=json), dry_run=dry_run)
    if outcome.data["images"] and outcome.items and not dry_run:
        outcome.notes.append(f"The images stay in {outcome.data['images']}.")
    if outcome.data["trash"] and outcome.items and not dry_run:
        outcome.notes.append(f"What gc and rm moved away stays in {outcome.data['trash']}.")
    session.told(outcome, json=json, nothing="Nothing to do: nothing of gdkreg's is on this machine.")


def undo(
    root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, keep_edits: KeepEdits = False, json: Json = False
) -> None:
    """Take back what the last run changed, byte for byte; what ran before it runs again as it did.

    Example: gdkreg undo --dry-run
    """
    from gdkreg import verbs

    root = session.open_root(root_dir, Options(keep_edits=keep_edits))
    outcome = verbs.undo(root, session.Terminal(yes=yes, quiet=json), dry_run=dry_run)
    done = f"Took back the last run ({outcome.data['undid']}): {counted(outcome.changes, 'change')}."
    nothing = "Nothing to undo."
    if undid := outcome.data["undid"]:  # a start that stopped what is not wanted any more, for one
        nothing = f"Nothing of the last run ({undid}) can be taken back now."
        nothing += "" if dry_run else " gdkreg undo goes on with the one before."
    session.told(outcome, json=json, nothing=nothing, done=done)


def register(app: typer.Typer) -> None:
    for command in (reconfigure, plan, up, down, undo):
        app.command()(command)
