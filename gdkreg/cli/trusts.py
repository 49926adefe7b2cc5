"""trust-docker-registry and runner-patch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from gdkreg.cli import session
from gdkreg.cli.options import DryRun, Json, KeepEdits, RootDir, Yes
from gdkreg.errors import ConfigError
from gdkreg.options import Options
from gdkreg.report import out

Remove = Annotated[bool, typer.Option("--remove", help="Take it back.")]


def trust_docker_registry(
    root_dir: RootDir = None,
    remove: Remove = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    keep_edits: KeepEdits = False,
    json: Json = False,
) -> None:
    """Have the container engine and the runner trust registry_host.crt.

    Example: gdkreg trust-docker-registry
    """
    from gdkreg.verbs import trusting

    root = session.open_root(root_dir, Options(keep_edits=keep_edits))
    outcome = trusting.trust(root, session.Terminal(yes=yes, quiet=json), remove=remove, dry_run=dry_run)
    session.told(outcome, json=json)


def runner_patch(
    file: Annotated[
        Path | None, typer.Argument(help="The runner's config.toml (else the usual places).", show_default=False, readable=False)
    ] = None,
    root_dir: RootDir = None,
    remove: Remove = False,
    pull_policy: Annotated[
        Literal["if-not-present", "always", "never"] | None,
        typer.Option(
            "--pull-policy", help="Also set the pull policy; if-not-present spares a push per change.", show_default=False
        ),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Give every Docker runner in config.toml the trusted certificates and the GDK's host names.

    Example: gdkreg runner-patch ~/.gitlab-runner/config.toml --dry-run
    """
    from gdkreg.verbs import trusting

    root = session.open_root(root_dir)
    path = _one_of(trusting.runner_files(root, file, remove=remove))
    listener = session.Terminal(yes=yes, quiet=json)
    outcome = trusting.runner_patch(root, path, listener, remove=remove, pull_policy=pull_policy or "", dry_run=dry_run)
    for item in outcome.data["runners"] if not (dry_run or json) else []:
        out.line(f"  {item.name} ({item.executor}): {'patched' if item.patched else 'skipped, it runs no containers'}")
    nothing = f"{path} holds nothing of ours" if remove else f"{path} needs no change"
    done = f"{path} is as it was" if remove else f"{path} is patched; the runner reads it anew within 3 seconds"
    session.told(outcome, json=json, nothing=nothing, done=done)


def _one_of(found: list[Path]) -> Path:
    if len(found) == 1:
        return found[0]
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError(
            "there is more than one runner configuration: " + ", ".join(map(str, found)), fix=f"gdkreg runner-patch {found[0]}"
        )
    for number, path in enumerate(found, start=1):
        out.line(f"  {number}  {path}")
    choice = int(typer.prompt("Which one", type=int, default=1))
    if not 1 <= choice <= len(found):
        raise ConfigError(f"there is no number {choice}")
    return found[choice - 1]


def register(app: typer.Typer) -> None:
    app.command("trust-docker-registry")(trust_docker_registry)
    app.command("runner-patch")(runner_patch)
