"""start, stop, restart, tail."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Annotated

import typer

from gdkreg.cli import session
from gdkreg.cli.options import DryRun, Json, RootDir, Yes
from gdkreg.errors import ConfigError, GdkregError
from gdkreg.report import out

if TYPE_CHECKING:
    from gdkreg.root import Root
    from gdkreg.services.registry import Registry, Started

SERVICES = ("registry",)
Service = Annotated[str | None, typer.Argument(help="The service; without it, every enabled one.", show_default=False)]


def _check(service: str | None) -> None:
    if service is not None and service not in SERVICES:
        raise ConfigError(f"there is no service {service!r}", fix=f"gdkreg start {SERVICES[0]}")


def _registry(root: Root, *, quiet: bool = False) -> Registry:
    """The registry as it was applied last. Raises `GdkregError` before the first reconfigure."""
    from gdkreg.services.registry import Registry

    if root.applied is None:
        if not root.enabled:
            raise GdkregError(
                "registry.enabled is false in gdk.yml, so nothing starts",
                fix="gdkreg config set registry.enabled true; gdkreg reconfigure",
            )
        raise GdkregError("this machine is not set up yet", why="there was no reconfigure", fix="gdkreg reconfigure")
    return Registry(root.applied, root.host, None if quiet else out.PullProgress(root.applied.registry.image))


def start_registry(root: Root, *, quiet: bool) -> Started:
    """Start what was applied last, and say so where gdk.yml says something else by now."""
    registry = _registry(root, quiet=quiet)
    if not root.enabled:
        raise GdkregError(
            "registry.enabled is false in gdk.yml, so nothing starts", fix="gdkreg config set registry.enabled true"
        )
    if left := root.unapplied():
        out.note(f"gdk.yml has changes that were not applied ({', '.join(left[:3])}); starting what was applied last.")
        out.note("  to apply them: gdkreg reconfigure")
    started = registry.start()
    if not quiet:
        out.line(f"registry {started.what} at {started.url} in {started.seconds:.2f} s ({started.runtime}: {started.why})")
        if root.settings.registry.runtime == "docker" or started.runtime == "docker":
            return started
        if root.settings.registry.runtime == "auto":
            out.line("  as a process, because no container engine could run it")
    return started


def start(
    service: Service = None, root_dir: RootDir = None, dry_run: DryRun = False, _yes: Yes = False, json: Json = False
) -> None:
    """Start the registry and wait until it answers; what changed since is started anew.

    Example: gdkreg start registry
    """
    _check(service)
    root = session.open_root(root_dir)
    if dry_run:
        registry = _registry(root)
        runtime, why = registry.choose()
        out.line(f"would start the registry at {registry.launch.url} ({runtime.name}: {why})")
        return
    started = start_registry(root, quiet=json)
    if json:
        out.as_json({"registry": started})


def stop(
    service: Service = None, root_dir: RootDir = None, dry_run: DryRun = False, _yes: Yes = False, json: Json = False
) -> None:
    """Stop the registry. A registry that does not run is fine.

    Example: gdkreg stop registry
    """
    _check(service)
    root = session.open_root(root_dir)
    if root.applied is None:
        stopped = False
    elif dry_run:
        out.line("would stop the registry" if _registry(root).state().running else "the registry does not run")
        return
    else:
        stopped = _registry(root).stop()
    if json:
        out.as_json({"registry": {"stopped": stopped}})
    else:
        out.line("registry stopped" if stopped else "registry was not running")


def restart(
    service: Service = None, root_dir: RootDir = None, dry_run: DryRun = False, _yes: Yes = False, json: Json = False
) -> None:
    """Stop the registry and start it.

    Example: gdkreg restart registry
    """
    _check(service)
    root = session.open_root(root_dir)
    if dry_run:
        out.line("would restart the registry")
        return
    _registry(root).stop()
    started = start_registry(root, quiet=json)
    if json:
        out.as_json({"registry": started})


def tail(
    service: Service = None,
    root_dir: RootDir = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines to show first.")] = 50,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on with what comes.")] = True,
    since: Annotated[
        str | None, typer.Option("--since", help="Only lines from 30s, 5m, 2h or 1d ago on.", show_default=False)
    ] = None,
) -> None:
    """Follow the registry's log.

    Example: gdkreg tail registry --since 5m --no-follow
    """
    _check(service)
    root = session.open_root(root_dir)
    moment = time.time() - _seconds(since) if since else None
    count = None if since else lines
    try:
        for text in _registry(root).lines(count, follow=follow, since=moment):
            out.line(text)
    except KeyboardInterrupt:
        return


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if found is None:
        raise ConfigError(f"--since {text}: expected a number with s, m, h or d", fix="gdkreg tail registry --since 5m")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


def register(app: typer.Typer) -> None:
    for command in (start, stop, restart, tail):
        app.command()(command)
