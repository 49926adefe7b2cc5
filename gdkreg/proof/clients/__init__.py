"""The clients that `verify` drives, one file a kind. Tokens reach them by a private file or a header, never by argv."""

from __future__ import annotations

from collections.abc import Callable

from gdkreg.config.effective import Settings
from gdkreg.host.base import Host
from gdkreg.proof.client import Client
from gdkreg.proof.clients.buildx import Buildx
from gdkreg.proof.clients.dind import Dind
from gdkreg.proof.clients.docker import Docker
from gdkreg.proof.clients.http import Http
from gdkreg.proof.clients.skopeo import Podman, Skopeo

KINDS: dict[str, Callable[[Settings, Host], Client]] = {
    "http": Http,
    "docker": Docker,
    "podman": Podman,
    "skopeo": Skopeo,
    "buildx": Buildx,
    "dind": Dind,
}


def make(name: str, settings: Settings, host: Host) -> Client:
    """The client of this name, one of `KINDS`; whether it can run here, its first hop tells."""
    return KINDS[name](settings, host)
