"""What the network of this machine looks like: addresses, neighbours, who holds a port."""

from __future__ import annotations

import ipaddress
import socket
import time

import msgspec

from gdkreg.host import commands
from gdkreg.host.base import Interface, System


def interfaces() -> list[Interface]:
    """Every IPv4 address with its interface; a label such as `lo:gdk` counts as an interface of its own."""
    import netifaces

    found = []
    for name in netifaces.interfaces():
        for entry in netifaces.ifaddresses(name).get(netifaces.InterfaceType(netifaces.AF_INET), []):
            mask = str(entry.get("mask") or "255.255.255.255")
            prefix = ipaddress.IPv4Network(f"0.0.0.0/{mask.rpartition('/')[2]}").prefixlen
            found.append(Interface(str(name), str(entry["addr"]), prefix))
    return found


def is_neighbour(address: str, system: System) -> bool:
    """Whether another machine answers ARP for the address.

    A datagram to the discard port makes the kernel ask; the neighbour table then has the answer.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
            probe.send(b"")
        except OSError:
            return False
    for _ in range(6):
        time.sleep(0.05)
        if _has_link_address(address, system):
            return True
    return False


def _has_link_address(address: str, system: System) -> bool:
    if system == "darwin":
        out = commands.run(["arp", "-n", address]).out
        return " at " in out and "(incomplete)" not in out
    out = commands.run(["ip", "neigh", "show", "to", address]).out
    return "lladdr" in out and "FAILED" not in out


class Holder(msgspec.Struct, frozen=True):
    """A process that listens where we want to; pid 0 where the system does not tell it."""

    pid: int
    name: str


def can_bind(address: str, port: int) -> OSError | None:
    """None where the address and port are free, else what bind answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error
    return None


def port_holder(address: str, port: int) -> Holder | None:
    """Who listens on the port of this address, or of every address."""
    import psutil

    try:
        for item in psutil.net_connections("tcp"):
            if item.status != psutil.CONN_LISTEN or not item.laddr or item.laddr.port != port:
                continue
            if item.laddr.ip in {address, "0.0.0.0", "::", f"::ffff:{address}"}:
                return Holder(item.pid or 0, psutil.Process(item.pid).name() if item.pid else "")
    except psutil.AccessDenied:  # macOS shows other people's sockets to lsof only
        rows = commands.run(["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]).out.splitlines()
        pids = [row[1:] for row in rows if row.startswith("p")]
        names = [row[1:] for row in rows if row.startswith("c")]
        if pids:
            return Holder(int(pids[0]), names[0] if names else "")
    except psutil.NoSuchProcess:
        return Holder(0, "")
    return None
