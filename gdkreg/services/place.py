"""The address and port that a service is to listen on: whether they are there and free, and who holds them."""

from __future__ import annotations

import errno
import time

from gdkreg.errors import GdkregError
from gdkreg.host import network
from gdkreg.host.base import HostReader
from gdkreg.plan.roots import Claim

LEAVING = 2.0  # seconds in which the last thread of a process that has ended lets go of its port


def is_taken(address: str, port: int, key: str, host: HostReader) -> bool:
    """Whether another program listens there. Raises `GdkregError` where nobody could; `key` names the port in gdk.yml.

    An address that `host` shows, and the machine does not have yet, is one that the plan adds.
    """
    error = network.can_bind(address, port)
    if error is None:
        return False
    if error.errno == errno.EADDRNOTAVAIL:
        if not any(item.address == address for item in host.interfaces()):
            raise GdkregError(
                f"{address} is not an address of this machine", why="the loopback alias is gone", fix="gdkreg reconfigure"
            )
        return network.can_bind("0.0.0.0", port) is not None and network.port_holder(address, port) is not None
    if error.errno == errno.EACCES:
        raise GdkregError(f"port {port} needs root", why="ports below 1024 do", fix=f"gdkreg config set {key} {port + 5000}")
    return True


def stays_taken(address: str, port: int, key: str, host: HostReader, *, leaving: bool) -> bool:
    """The same; `leaving` where a process that we ended may be about to let go of it."""
    deadline = time.monotonic() + (LEAVING if leaving else 0)
    while is_taken(address, port, key, host):
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
