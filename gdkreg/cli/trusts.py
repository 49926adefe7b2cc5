"""trust-docker-registry and runner-patch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gdkreg.cli import session
from gdkreg.cli.options import DryRun, Json, KeepEdits, RootDir, Yes
from gdkreg.errors import ConfigError, GdkregError
from gdkreg.report import out

if TYPE_CHECKING:
    from gdkreg.plan.reconcile import Resource, Step
    from gdkreg.resources.runner_config import RunnerConfig
    from gdkreg.root import Root

Remove = Annotated[bool, typer.Option("--remove", help="Take it back.")]


def _carry_out(
    root: Root, resources: Callable[[], list[Resource]], command: str, *, present: bool, dry_run: bool, yes: bool, json: bool
) -> list[Step] | None:
    """Plan and apply some resources; the steps, or None after a dry run. They are made anew once the lock is held."""
    steps = root.plan_of(resources(), present=present)
    if dry_run:
        if json:
            out.as_json(session.steps_as_data(steps))
        elif steps:
            session.show_steps(steps, with_diff=True)
        else:
            out.line("Nothing to do.")
        return None
    if steps:
        session.confirm(steps, root, yes=yes)
        with session.start_run(root, command, json=json) as run:
            run.apply(resources(), present=present)
    return steps


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
    from gdkreg.engines.trust import hint
    from gdkreg.options import Options

    root = session.open_root(root_dir, Options(trust=not remove, keep_edits=keep_edits))
    if not remove:
        _certificate_is_there(root)
    steps = _carry_out(
        root,
        lambda: [root.catalog.docker_trust()],
        "trust-docker-registry",
        present=not remove,
        dry_run=dry_run,
        yes=yes,
        json=json,
    )
    if steps is None:
        return
    if json:
        out.as_json({"changes": sum(len(step.actions) for step in steps), "steps": session.steps_as_data(steps)})
        return
    name = root.settings.authority
    if remove:
        out.line(f"{name} is no longer trusted" if steps else f"{name} was not trusted")
        return
    out.line(f"{name} is trusted" if steps else f"{name} is trusted already")
    if text := hint(root.engine):
        out.line(f"! {text}")
    for place in root.catalog.docker_trust().places:
        if place.then and steps:
            out.line(f"! {place.then}")


def _certificate_is_there(root: Root) -> None:
    if not root.settings.registry.self_signed:
        raise GdkregError(
            "registry.self_signed is false, so there is no certificate to trust",
            fix="gdkreg config set registry.self_signed true; gdkreg reconfigure",
        )
    if root.host.info(root.path / "registry_host.crt") is None:
        raise GdkregError(f"there is no {root.path / 'registry_host.crt'} yet", fix="gdkreg reconfigure")


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
    from gdkreg.options import Options

    root = session.open_root(root_dir)
    path = _runner_file(root, file, remove=remove)
    root.options = Options(runner=path, pull_policy=pull_policy or "")

    def find() -> RunnerConfig:
        return next(item for item in root.catalog.runners() if item.path == path)

    runner = find()
    state = runner.inspect(root.host)
    seen = runner.seen(state) if not remove and runner.plan(state, True) is not None else []
    steps = _carry_out(root, lambda: [find()], "runner-patch", present=not remove, dry_run=dry_run, yes=yes, json=json)
    if steps is None:
        return
    if json:
        out.as_json({"file": str(path), "changes": sum(len(step.actions) for step in steps), "runners": seen})
        return
    for item in seen:
        out.line(f"  {item.name} ({item.executor}): {'patched' if item.patched else 'skipped, it runs no containers'}")
    if remove:
        out.line(f"{path} is as it was" if steps else f"{path} holds nothing of ours")
    else:
        out.line(f"{path} is patched; the runner reads it anew within 3 seconds" if steps else f"{path} needs no change")


def _runner_file(root: Root, given: Path | None, *, remove: bool) -> Path:
    from gdkreg.resources.runner_config import usual_places

    if given is not None:
        return Path(os.path.normpath(given.expanduser().absolute()))
    ours = root.catalog.runners()
    found = [item.path for item in ours] if remove and ours else usual_places(root.settings, root.host)
    if not found:
        raise GdkregError(
            "there is no runner configuration in the usual places",
            why=f"looked for {root.settings.runner.config_file}, ~/.gitlab-runner/config.toml, /etc/gitlab-runner/config.toml",
            fix="gdkreg runner-patch FILE",
        )
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
