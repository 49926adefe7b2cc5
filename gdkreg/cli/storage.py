"""usage, gc and readonly: the room that images take."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from gdkreg.cli import session
from gdkreg.cli.options import DryRun, Json, Limit, RootDir, Yes
from gdkreg.errors import ConfigError
from gdkreg.report import out
from gdkreg.report import storage as report

collector = typer.Typer(invoke_without_command=True)


def usage(
    root_dir: RootDir = None,
    by: Annotated[Literal["repository", "tag", "layer"], typer.Option("--by", help="What each line is.")] = "repository",
    limit: Limit = None,
    json: Json = False,
) -> None:
    """Show who takes how many bytes: alone and shared with others, and what gdkreg gc would free.

    Example: gdkreg usage --by tag
    """
    from gdkreg.verbs import using

    root = session.open_root(root_dir)
    found = using.usage(root, by)
    if json:
        out.as_json(using.as_data(root, found))
    else:
        report.usage(found, limit)


@collector.callback()
def gc(
    context: typer.Context,
    root_dir: RootDir = None,
    untagged: Annotated[bool, typer.Option("--untagged", help="Manifests that no tag leads to, too.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Read every byte first, and tell what is corrupt.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the registry meanwhile; else it is read-only.")] = False,
    engine: Annotated[
        Literal["gdkreg", "registry"], typer.Option("--engine", help="registry: its own garbage-collect, which deletes for good.")
    ] = "gdkreg",
    policy: Annotated[bool, typer.Option("--cleanup", help="First what registry.cleanup of gdk.yml says.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Collect what no image needs any more, into registry/trash; gdkreg gc restore takes it back.

    Example: gdkreg gc --untagged --dry-run
    """
    if context.invoked_subcommand is not None:
        _of_the_subcommand(context, root_dir)
        return
    from gdkreg.verbs import maintaining

    wanted = maintaining.Wanted(untagged=untagged, verify=verify, stop=stop, by_registry=engine == "registry", cleanup=policy)
    outcome = maintaining.gc(session.open_root(root_dir), wanted, session.Terminal(yes=yes, quiet=json), dry_run=dry_run)
    if not json:
        report.collected(outcome)
    nothing = "Nothing that can be taken safely." if outcome.data.get("held") else "Nothing to do: every blob is in use."
    session.told(outcome, json=json, nothing=nothing)


def _of_the_subcommand(context: typer.Context, root_dir: Path | None) -> None:
    """`--root` may stand before it; of any other option nobody could tell which of the two is meant."""
    sources = {name: context.get_parameter_source(name) for name in context.params if name != "root_dir"}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        name = context.invoked_subcommand
        raise ConfigError(f"--{given[0].replace('_', '-')} stands before {name}", fix=f"gdkreg gc {name} and then its options")
    if root_dir is not None:
        os.environ["GDKREG_ROOT"] = str(root_dir.absolute())


@collector.command()
def why(
    digest: Annotated[str, typer.Argument(help="sha256:…, or as many of its first digits as are clear.")],
    root_dir: RootDir = None,
    json: Json = False,
) -> None:
    """Tell what keeps a blob or manifest: from a tag over indexes and manifests down to it.

    Example: gdkreg gc why sha256:9b1f2c
    """
    from gdkreg.verbs import using

    root = session.open_root(root_dir)
    whole, found = using.why(root, digest)
    if json:
        out.as_json({"command": "gc why", "root": str(root.path), "digest": whole, "chains": found})
    else:
        report.chains(whole, found)


@collector.command()
def restore(
    run: Annotated[str, typer.Argument(help="The run (else the last one).", show_default=False)] = "",
    root_dir: RootDir = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Put back what a run collected; what was pushed since stays.

    Example: gdkreg gc restore
    """
    from gdkreg.verbs import collecting

    outcome = collecting.restore(session.open_root(root_dir), run, session.Terminal(yes=yes, quiet=json), dry_run=dry_run)
    session.told(outcome, json=json, nothing="Nothing to do: the trash is empty.")


@collector.command()
def empty(root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, json: Json = False) -> None:
    """Delete for good what was collected; that is what gives the disk its room back.

    Example: gdkreg gc empty
    """
    from gdkreg.verbs import collecting

    outcome = collecting.empty(session.open_root(root_dir), session.Terminal(yes=yes, quiet=json), dry_run=dry_run)
    session.told(outcome, json=json, nothing="Nothing to do: the trash is empty.")


@collector.command()
def schedule(
    often: Annotated[Literal["weekly", "daily", "off"], typer.Argument(help="How often.")],
    root_dir: RootDir = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Have cleanup (as registry.cleanup says) and gc run by themselves: a systemd timer, or a launchd plist.

    Example: gdkreg gc schedule weekly
    """
    from gdkreg.verbs import switching

    listener = session.Terminal(yes=yes, quiet=json)
    outcome = switching.schedule(session.open_root(root_dir), often, listener, dry_run=dry_run)
    session.told(outcome, json=json, nothing=f"Nothing to do: it is {often} already.")


def readonly(
    state: Annotated[Literal["on", "off"], typer.Argument(help="on: every push is refused with 405.")],
    root_dir: RootDir = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Have the registry refuse every push and deletion, or take them again; pulls go on.

    Example: gdkreg readonly on
    """
    from gdkreg.verbs import switching

    listener = session.Terminal(yes=yes, quiet=json)
    outcome = switching.readonly(session.open_root(root_dir), state == "on", listener, dry_run=dry_run)
    word = "read-only" if state == "on" else "taking writes"
    session.told(outcome, json=json, nothing=f"Nothing to do: the registry is {word} already.")


def register(app: typer.Typer) -> None:
    for command in (usage, readonly):
        app.command()(command)
    app.add_typer(collector, name="gc")
