"""start, stop, restart, tail."""

from __future__ import annotations

import functools
import gc
import re
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gdkreg.cli import session
from gdkreg.cli.options import DryRun, Json, RootDir, Yes
from gdkreg.errors import ConfigError, GdkregError
from gdkreg.host.base import digest
from gdkreg.report import out

if TYPE_CHECKING:
    from gdkreg.config.settings import Settings
    from gdkreg.root import Root
    from gdkreg.services.auth import Auth
    from gdkreg.services.registry import Started

SERVICES = ("registry", "auth")
Service = Annotated[str | None, typer.Argument(help="registry or auth; without it, every enabled one.", show_default=False)]


class Services:
    """The services of one root as they were applied last. Raises `GdkregError` before the first reconfigure."""

    def __init__(self, root: Root, *, quiet: bool = False) -> None:
        from gdkreg.services.registry import Registry

        self._root, self._quiet = root, quiet
        applied = _applied(root)
        self.registry = Registry(applied, root.host, None if quiet else out.PullProgress(applied.registry.image))

    @functools.cached_property
    def auth(self) -> Auth:
        from gdkreg.services.auth import Auth

        return Auth(_applied(self._root), self._root.host)

    def named(self, service: str | None) -> list[str]:
        """The services that a command line means."""
        if service is not None and service not in SERVICES:
            raise ConfigError(f"there is no service {service!r}", fix=f"one of {', '.join(SERVICES)}")
        return [service] if service else (["auth", "registry"] if self.auth.wanted else ["registry"])

    def start(self, names: list[str]) -> dict[str, Any]:
        return {name: self._start_registry() if name == "registry" else self._start_auth() for name in names}

    def _start_auth(self) -> dict[str, str]:
        what = self.auth.start()
        if not self._quiet:
            out.line(f"auth {what} at {self.auth.url}")
        return {"what": what, "url": self.auth.url}

    def _start_registry(self) -> Started:
        started = self.registry.start()
        if not self._quiet:
            out.line(f"registry {started.what} at {started.url} in {started.seconds:.2f} s ({started.runtime}: {started.why})")
        return started

    def stop_unwanted(self) -> None:
        """The issuer, where GitLab gives out the tokens by now, or nobody does."""
        if not self.auth.wanted and self.auth.stop() and not self._quiet:
            out.line("auth stopped: it is not wanted any more")

    def stop(self, names: list[str]) -> dict[str, bool]:
        return {name: (self.registry if name == "registry" else self.auth).stop() for name in names}


def _applied(root: Root) -> Settings:
    if root.applied is not None:
        return root.applied
    if not root.enabled:
        raise _disabled()
    raise GdkregError("this machine is not set up yet", why="there was no reconfigure", fix="gdkreg reconfigure")


def _disabled() -> GdkregError:
    fix = "gdkreg config set registry.enabled true; gdkreg reconfigure"
    return GdkregError("registry.enabled is false in gdk.yml, so nothing starts", fix=fix)


def start_services(root: Root, service: str | None, *, quiet: bool) -> dict[str, Any]:
    """Start what was applied last, and say so where gdk.yml says something else by now."""
    from gdkreg.services.tracing import refuse_while_traced

    applied = _applied(root)
    if not root.enabled:
        raise _disabled()
    root.decide_issuer()
    if root.settings.issuer != applied.issuer and root.settings.registry.token_issuer == applied.registry.token_issuer:
        with session.start_run(root, "start", json=quiet) as run:
            run.follow_issuer()
    if left := root.unapplied():
        out.note(f"gdk.yml has changes that were not applied ({', '.join(left[:3])}); starting what was applied last.")
        out.note("  to apply them: gdkreg reconfigure")
    services = Services(root, quiet=quiet)
    with session.locked(root.path, root.host):
        refuse_while_traced(root.path)
        _check_configuration(root)
        services.stop_unwanted()
        return services.start(services.named(service))


def _check_configuration(root: Root) -> None:
    """What was applied last is started, and nothing that somebody else put in its place."""
    path = root.path / "registry" / "config.yml"
    owned = root.journal.owned().get(path)
    if owned is not None and digest(root.host.read(path)) != owned.written:
        raise GdkregError(
            f"{path} is not as gdkreg wrote it",
            why="somebody else wrote over it, perhaps gdk reconfigure",
            fix="gdkreg reconfigure",
        )


def _would(services: Services, name: str) -> str:
    if name == "auth":
        services.auth.check_wanted()
        return services.auth.url
    runtime, why = services.registry.choose(pull=False)
    return f"{services.registry.launch.url} ({runtime.name}: {why})"


def _tell_dry(verb: str, would: dict[str, str], *, json: bool) -> None:
    if json:
        out.as_json({"would": verb, "services": would})
        return
    for name, where in would.items():
        out.line(f"would {verb} {name}{' at ' if where else ''}{where}")


def start(
    service: Service = None, root_dir: RootDir = None, dry_run: DryRun = False, _yes: Yes = False, json: Json = False
) -> None:
    """Start the registry (and the token issuer) and wait until it answers; what changed since is started anew.

    Example: gdkreg start registry
    """
    root = session.open_root(root_dir)
    if dry_run:
        services = Services(root)
        would = {name: _would(services, name) for name in services.named(service)}
        _tell_dry("start", would, json=json)
        return
    started = start_services(root, service, quiet=json)
    if json:
        out.as_json(started)


def stop(
    service: Service = None, root_dir: RootDir = None, dry_run: DryRun = False, _yes: Yes = False, json: Json = False
) -> None:
    """Stop the registry (and the token issuer). One that does not run is fine.

    Example: gdkreg stop registry
    """
    from gdkreg.services.registry import Registry
    from gdkreg.services.tracing import refuse_while_traced

    root = session.open_root(root_dir)
    refuse_while_traced(root.path)
    if root.applied is None:
        stopped = {service or "registry": Registry(root.settings, root.host).stop()}
    else:
        services = Services(root)
        names = services.named(service)
        if service is None and "auth" not in names and services.auth.runs:
            names.append("auth")  # it runs still, though nobody wants it now
        if dry_run:
            _tell_dry("stop", dict.fromkeys(names, ""), json=json)
            return
        with session.locked(root.path, root.host):
            refuse_while_traced(root.path)
            stopped = services.stop(names)
    if json:
        out.as_json({name: {"stopped": done} for name, done in stopped.items()})
        return
    for name, done in stopped.items():
        out.line(f"{name} stopped" if done else f"{name} was not running")


def restart(
    service: Service = None, root_dir: RootDir = None, dry_run: DryRun = False, _yes: Yes = False, json: Json = False
) -> None:
    """Stop the registry (and the token issuer) and start it.

    Example: gdkreg restart registry
    """
    from gdkreg.services.tracing import refuse_while_traced

    root = session.open_root(root_dir)
    refuse_while_traced(root.path)
    services = Services(root)
    if dry_run:
        _tell_dry("restart", dict.fromkeys(services.named(service), ""), json=json)
        return
    if not root.enabled:
        raise _disabled()
    _check_configuration(root)
    services.registry.choose()  # better to fail before it is stopped
    if "auth" in services.named(service):
        services.auth.check_wanted()
    with session.locked(root.path, root.host):
        refuse_while_traced(root.path)
        services.stop(services.named(service))
    started = start_services(root, service, quiet=json)
    if json:
        out.as_json(started)


def tail(
    service: Service = None,
    root_dir: RootDir = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines to show first.")] = 50,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on with what comes.")] = True,
    since: Annotated[
        str | None, typer.Option("--since", help="Only lines from 30s, 5m, 2h or 1d ago on.", show_default=False)
    ] = None,
) -> None:
    """Follow the log of the registry, or of auth.

    Example: gdkreg tail registry --since 5m --no-follow
    """
    gc.enable()
    moment = time.time() - _seconds(since) if since else None
    services = Services(session.open_root(root_dir))
    (name,) = services.named(service or "registry")
    source = services.registry if name == "registry" else services.auth
    try:
        for text in source.lines(None if since else lines, follow=follow, since=moment):
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
