"""The address and port that a service is to listen on: whether they are there and free, and who holds them."""

from __future__ import annotations

import errno

from gdkreg.errors import GdkregError
from gdkreg.host import network


def is_taken(address: str, port: int, key: str) -> bool:
    """Whether another program listens there. Raises `GdkregError` where nobody could; `key` names the port in gdk.yml."""
    error = network.can_bind(address, port)
    if error is None:
        return False
    if error.errno == errno.EADDRNOTAVAIL:
        raise GdkregError(
            f"{address} is not an address of this machine", why="the loopback alias is gone", fix="gdkreg reconfigure"
        )
    if error.errno == errno.EACCES:
        raise GdkregError(f"port {port} needs root", why="ports below 1024 do", fix=f"gdkreg config set {key} {port + 5000}")
    return True


def taken(address: str, port: int, key: str) -> GdkregError:
    """The error that names the holder and another port."""
    holder = network.port_holder(address, port)
    who = f"{holder.name or 'a process'} (pid {holder.pid or 'unknown'})" if holder else "another program"
    gdk = "; it may be GDK's own: gdk stop registry" if holder and "registry" in holder.name else ""
    return GdkregError(f"port {port} of {address} is held by {who}{gdk}", fix=move(port, key))


def move(port: int, key: str) -> str:
    return f"gdkreg config set {key} {port + 1}; gdkreg reconfigure; gdkreg start"
