"""Which registry: this root's own, or any other with the logins and certificates that docker has for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from gdkreg.clients.stores import Login, stored
from gdkreg.config.effective import Settings
from gdkreg.config.values import host_problem
from gdkreg.engines.trust import folders
from gdkreg.errors import ConfigError, GdkregError
from gdkreg.host.base import Host
from gdkreg.registry.answers import Hints
from gdkreg.registry.authorization import is_loopback
from gdkreg.registry.client import Client, Trust
from gdkreg.registry.images import Images

if TYPE_CHECKING:
    from gdkreg.registry.tokens import TokenSource

AskPassword = Callable[[str], str]
_GRAMMAR = "a registry is HOST or HOST:PORT"


def connect(settings: Settings | None, host: Host, registry: str = "", user: str = "", ask: AskPassword | None = None) -> Images:
    """The own registry of `settings` (as they were applied), or the one at HOST[:PORT]; as `user`, else as whoever may most.

    `ask` gives a user's password where none is known. Raises `GdkregError` where there is none, or a helper is broken.
    """
    if settings is not None and registry in {"", settings.authority}:
        return Images(_own(settings, host, user, ask))
    if not registry:
        raise ConfigError("there is no registry", fix="gdkreg … --registry HOST[:PORT], or run it where a gdk.yml is")
    return Images(_other(check(registry), host, user, ask))


def check(registry: str) -> str:
    """HOST[:PORT] itself. Raises `ConfigError`."""
    name, colon, port = registry.rpartition(":") if not registry.startswith("[") else (registry, "", "")
    name, port = (name, port) if colon else (registry, "")
    problem = "" if name.startswith("[") and name.endswith("]") else host_problem(name)
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        problem = f"{port!r} is no port"
    if problem:
        raise ConfigError(f"{registry[:200]!r} is not a registry", why=f"{_GRAMMAR}; {problem}")
    return registry


def bare(settings: Settings, mint: TokenSource | None = None, *, user: str = "", login: Login | None = None) -> Client:
    """A client of the own registry, with the tokens of `mint`, as `login`, or as nobody."""
    registry = settings.registry
    trust = Trust((settings.root / "registry_host.crt",) if registry.self_signed else (), system=False)
    hints = Hints(
        start="gdkreg start registry",
        trust="gdkreg reconfigure; gdkreg start",
        grant=f"gdkreg user add {user} OPTIONS, with what gdkreg user list shows of {user} already" if user else "gdkreg doctor",
        writes=_writes(settings),
        realm="gdkreg start auth" if settings.issuer == "local" else "start GitLab, which gives out the tokens",
        user=user or ("gdkreg's own token" if mint is not None else ""),
    )
    return Client(f"{settings.scheme}://{settings.near_host}:{registry.port}", trust, hints, mint=mint, login=login)


def _own(settings: Settings, host: Host, user: str, ask: AskPassword | None) -> Client:
    if not settings.registry.auth_enabled:
        return bare(settings)
    if user:
        return bare(settings, user=user, login=_login(settings, host, user, ask))
    from gdkreg.registry.tokens import minter

    return bare(settings, minter(settings.root))


def _writes(settings: Settings) -> str:
    """What forbids changes here, of the settings that can."""
    if settings.registry.read_only_maintenance_enabled:
        return "gdkreg readonly off"
    return "look at storage.delete, storage.maintenance and proxy below registry.config in gdk.yml; gdkreg reconfigure"


def _login(settings: Settings, host: Host, user: str, ask: AskPassword | None) -> Login:
    from gdkreg.registry.login import credentials

    env = host.platform.env
    if env.get("GDKREG_PASSWORD") and env.get("GDKREG_USER", user) == user:
        return Login(user, env["GDKREG_PASSWORD"], "GDKREG_PASSWORD")
    known = credentials(settings, host)
    if known is not None and known[0] == user:
        return Login(*known, "gdkreg")
    return _kept(settings.authority, host, user) or _asked(user, ask)


def _kept(authority: str, host: Host, user: str) -> Login | None:
    found = stored("docker", authority, host)
    return found if found is not None and (found.user == user or not user) else None


def _asked(user: str, ask: AskPassword | None) -> Login:
    if ask is None:
        raise GdkregError(f"there is no password of {user}", why="no terminal to ask on", fix="export GDKREG_PASSWORD=…")
    return Login(user, ask(user), "asked for")


def _other(registry: str, host: Host, user: str, ask: AskPassword | None) -> Client:
    login = _kept(registry, host, user) or (_asked(user, ask) if user else None)
    files = _certificates(registry, host)
    hints = Hints(
        start="is its name right, and does it run?",
        trust=f"put its CA into {host.platform.home}/.docker/certs.d/{registry}/ca.crt",
        grant=f"docker login {registry}",
        user=login.user if login is not None and login.usable else "",
    )
    trust = Trust(files)
    base = f"https://{registry}"
    if is_loopback(urlsplit(base).hostname or ""):
        base, trust = _loopback(registry, trust, hints)
    return Client(base, trust, hints, login=login)


def _loopback(registry: str, trust: Trust, hints: Hints) -> tuple[str, Trust]:
    """Docker takes any certificate, or none, of its own machine's registries; so nobody has to set them up."""
    for base, found in ((f"https://{registry}", trust), (f"https://{registry}", msgspec.structs.replace(trust, checked=False))):
        try:
            with Client(base, found, hints) as probe:
                probe.probe()
        except GdkregError as error:
            if "is not trusted" not in error.what:
                break
        else:
            return base, found
    return f"http://{registry}", trust


def _certificates(registry: str, host: Host) -> tuple[Path, ...]:
    """The *.crt of certs.d, of the first folder that has some, as docker and podman read them."""
    for folder in folders(host.platform):
        place = folder / registry
        found = tuple(place / name for name in host.entries(place) if name.endswith(".crt") and os.access(place / name, os.R_OK))
        if found:
            return found
    return ()
