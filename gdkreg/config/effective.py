"""The settings: every key with its effective value, and what follows from them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from gdkreg.config import values
from gdkreg.config.schema import TUNNEL_DOMAIN, AutoDevops, Registry, Runner


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every key with its effective value. `origin` tells, by dotted key, what did not come from a default."""

    root: Path
    hostname: str
    listen_address: str
    port: int
    relative_url_root: str
    https: bool
    registry: Registry
    runner: Runner
    auto_devops: AutoDevops
    issuer: Literal["gitlab", "local"] = "gitlab"
    machine: str = ""  # docker-machine's VM, where the address is that VM's and none of this machine's
    origin: dict[str, str] = {}

    @property
    def authority(self) -> str:
        """The registry's part of an image reference, HOST:PORT; also the folder's name in certs.d."""
        port = self.registry.external_port
        return self.host if port == 443 else f"{self.host}:{port}"

    @property
    def host(self) -> str:
        return self.registry.host or self.hostname

    @property
    def tunnelled(self) -> bool:
        """Whether the registry's name and port are those of a tunnel's far end."""
        return self.auto_devops.enabled and self.registry.external_port != self.registry.port

    @property
    def near_host(self) -> str:
        """What this machine calls the registry without a detour."""
        return self.address if self.tunnelled else self.host

    @property
    def address(self) -> str:
        return self.registry.listen_address or self.listen_address

    @property
    def auth_port(self) -> int:
        return self.registry.auth_port or 5001

    @property
    def gitlab_url(self) -> str:
        """GDK's own URL, without a slash at its end."""
        scheme = "https" if self.https else "http"
        default = 443 if self.https else 80
        port = "" if self.port == default else f":{self.port}"
        path = self.relative_url_root.strip("/")
        return f"{scheme}://{self.hostname}{port}{'/' + path if path else ''}"

    @property
    def scheme(self) -> str:
        return "https" if self.registry.self_signed else "http"

    @property
    def realm(self) -> str:
        """Where a client gets its token: GitLab's /jwt/auth, or the stand-in's."""
        if self.issuer == "local":
            # Never by a tunnel's name: that is another machine's, and nobody's password goes there.
            return f"{self.scheme}://{self.near_host}:{self.auth_port}/jwt/auth"
        return f"{self.gitlab_url}/jwt/auth"

    def names(self) -> dict[str, str]:
        """Host names of this GDK with their addresses; tunnel names and addresses need no entry."""
        pairs = {self.hostname: self.listen_address, self.near_host: self.address}
        return {
            name: self.address if address == "0.0.0.0" else address
            for name, address in pairs.items()
            if not values.is_ipv4(name) and name != "localhost" and not name.endswith("." + TUNNEL_DOMAIN)
        }
