"""The ssh of the tunnel: which machine, which key, which forward. Nothing of the user's own ssh configuration counts."""

from __future__ import annotations

import os
from pathlib import Path

from gdkreg.config.effective import Settings
from gdkreg.host.base import HostReader

ALIVE = 15  # seconds between two questions to a far side that says nothing; after two without an answer the link is dead
_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
_GLOBAL = Path("/etc/ssh/ssh_known_hosts")  # ssh reads it besides


def key(settings: Settings, host: HostReader) -> Path | None:
    """The private key to log in with; None where none is there."""
    given = settings.auto_devops.tunnel.key
    folder = host.platform.home / ".ssh"
    places = [_path(given, settings, host)] if given else [folder / name for name in _KEYS]
    return next((place for place in places if host.info(place) is not None), None)


def known_hosts(settings: Settings, host: HostReader) -> Path:
    return _path(settings.auto_devops.tunnel.known_hosts, settings, host)


def known_places(settings: Settings, host: HostReader) -> list[Path]:
    """Every file that ssh takes the host key from."""
    return [known_hosts(settings, host), _GLOBAL]


def _path(given: str, settings: Settings, host: HostReader) -> Path:
    home = str(host.platform.home)
    return settings.root / (home + given[1:] if given == "~" or given.startswith("~/") else os.path.expanduser(given))


def far_name(settings: Settings) -> str:
    """The far machine as known_hosts names it."""
    tunnel = settings.auto_devops.tunnel
    return tunnel.host if tunnel.port == 22 else f"[{tunnel.host}]:{tunnel.port}"


def far_place(settings: Settings) -> str:
    tunnel = settings.auto_devops.tunnel
    return f"{tunnel.host}:{tunnel.port}"


def far_port(settings: Settings) -> int:
    return settings.auto_devops.registry.port or 0


def inner(settings: Settings) -> tuple[str, int]:
    """Where the registry is found from this machine."""
    return settings.registry.tunnel_host or settings.address, settings.registry.tunnel_port or settings.registry.port


def argv(program: str, settings: Settings, host: HostReader) -> list[str]:
    """-v, as without it ssh does not say when the far side listens."""
    tunnel, (near, port) = settings.auto_devops.tunnel, inner(settings)
    options = (
        "IdentitiesOnly=yes",
        "BatchMode=yes",
        "ControlPath=none",
        "ControlMaster=no",
        f"UserKnownHostsFile={_quoted(known_hosts(settings, host))}",
        "StrictHostKeyChecking=yes",
        "UpdateHostKeys=no",
        "ExitOnForwardFailure=yes",
        "ConnectTimeout=10",
        f"ServerAliveInterval={ALIVE}",
        "ServerAliveCountMax=2",
    )
    return [
        *(program, "-v", "-N", "-T", "-F", "none", "-i", str(key(settings, host) or "").replace("%", "%%")),
        *(word for option in options for word in ("-o", option)),
        *("-p", str(tunnel.port), *(("-l", tunnel.user) if tunnel.user else ())),
        *("-R", f":{far_port(settings)}:{near}:{port}", "--", tunnel.host),
    ]


def _quoted(path: Path) -> str:
    """As ssh reads one file's name in an option that takes several."""
    return '"' + str(path).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"') + '"'
