"""The address and port that a service is to listen on: whether they are there and free, and who holds them."""

from __future__ import annotations

import errno
import time
from typing import Literal

from gdkreg.errors import GdkregError
from gdkreg.host import network
from gdkreg.host.base import HostReader
from gdkreg.plan.roots import Claim

# Who binds the port: this user, root (as Docker Engine for its containers), or somebody on another machine, as in a VM.
By = Literal["user", "root", "elsewhere"]
LEAVING = 2.0  # seconds in which the last thread of a process that has ended lets go of its port


def is_taken(address: str, port: int, key: str, host: HostReader, by: By = "user") -> bool:
    """Whether another program listens there. Raises `GdkregError` where nobody could; `key` names the port in gdk.yml.

    An address that `host` shows, and the machine does not have yet, is one that the plan adds.
    """
    error = None if by == "elsewhere" else network.can_bind(address, port)
    if error is None:
        return False
    if error.errno == errno.EADDRNOTAVAIL:
        if not any(item.address == address for item in host.interfaces()):
            raise GdkregError(
                f"{address} is not an address of this machine", why="the loopback alias is gone", fix="gdkreg reconfigure"
            )
        return network.can_bind("0.0.0.0", port) is not None and network.port_holder(address, port) is not None
    if error.errno == errno.EACCES:
        if by == "root":
            return network.port_holder(address, port) is not None
        why = "ports below 1024 do, and what would listen there runs as you, as a rootless engine does"
        raise GdkregError(f"port {port} needs root", why=why, fix=f"gdkreg config set {key} {port + 5000}")
    return True


def stays_taken(address: str, port: int, key: str, host: HostReader, *, leaving: bool, by: By = "user") -> bool:
    """The same; `leaving` where a process that we ended may be about to let go of it."""
    deadline = time.monotonic() + (LEAVING if leaving else 0)
    while is_taken(address, port, key, host, by):
        if time.monotonic() >= deadline:
            return True
        time.sleep(0.01)
    return False


def taken(address: str, port: int, key: str, claims: list[Claim]) -> GdkregError:
    """The error that names the holder, a root of gdkreg's where it is one, and another port."""
    for claim in claims:
        if (claim.address, claim.port) == (address, port):
            return GdkregError(
                f"port {port} of {address} is held by the registry of {claim.path}",
                why="two roots cannot listen on one place",
                fix=f"gdkreg stop --root {claim.path}, or {move(port, key)}",
            )
    holder = network.port_holder(address, port)
    who = f"{holder.name or 'a process'} (pid {holder.pid or 'unknown'})" if holder else "another program"
    gdk = "; it may be GDK's own: gdk stop registry" if holder and "registry" in holder.name else ""
    return GdkregError(f"port {port} of {address} is held by {who}{gdk}", fix=move(port, key))


def move(port: int, key: str) -> str:
    return f"gdkreg config set {key} {port + 1}; gdkreg reconfigure; gdkreg start"
