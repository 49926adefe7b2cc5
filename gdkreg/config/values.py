"""The rules for single values: what is a host name, what is an address that a registry may listen on."""

from __future__ import annotations

import ipaddress
import re

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
# Named one by one: Python's own `is_private` holds 0.0.0.0 and 255.255.255.255 for private too.
_OURS = [
    ipaddress.IPv4Network(net)
    for net in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "100.64.0.0/10",
        "198.18.0.0/15",
    )
]


def is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def host_problem(text: str) -> str:
    """Why this is neither a host name (RFC 1123) nor an IPv4 address; empty where it is one."""
    if is_ipv4(text):
        return ""
    labels = text.split(".")
    if not text or len(text) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return f"{text!r} is not a host name"
    if labels[-1].isdigit():
        return f"{text!r} looks like an IPv4 address but is none"
    return ""


def address_problem(text: str) -> str:
    """Why a registry of this machine may not listen on this address; empty where it may."""
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return f"{text!r} is not an IPv4 address"
    if address.is_unspecified:
        return f"{text} means every address; the registry listens on one"
    if address == ipaddress.IPv4Address("255.255.255.255"):
        return f"{text} is a broadcast address"
    if address.is_multicast:
        return f"{text} is a multicast address"
    network = next((net for net in _OURS if address in net), None)
    if network is None:
        return f"{text} is a public address; take one of 127.0.0.0/8 or a private one such as 172.16.123.1"
    if address in {network.network_address, network.broadcast_address}:
        return f"{text} is the network or broadcast address of {network}"
    return ""


_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|1[0-9])\$[./A-Za-z0-9]{53}")
_PATTERN = re.compile(r"[a-z0-9*](?:[a-z0-9._*-]|/(?=[a-z0-9*])){0,254}")


def pattern_problem(pattern: str) -> str:
    """Why this is no pattern of repository paths (`*` within one segment, `**` across them)."""
    if not _PATTERN.fullmatch(pattern) or "***" in pattern or ".." in pattern:
        return f"{pattern!r} is not a pattern of repository paths"
    return f"{pattern!r} has more than eight stars" if pattern.count("*") > 8 else ""


def user_name_problem(name: str) -> str:
    """Why this cannot be a user's name; empty where it can."""
    return "" if _USER.fullmatch(name) else "a name is made of letters, digits and . _ @ -"


def user_problem(name: str, password: str, patterns: list[str]) -> str:
    """Why this cannot be a user of the token issuer; empty where it can."""
    if problem := user_name_problem(name):
        return problem
    if not _BCRYPT.fullmatch(password):
        return "the password is not a bcrypt hash; gdkreg user add makes one"
    return next((problem for pattern in patterns if (problem := pattern_problem(pattern))), "")


def is_loopback(address: str) -> bool:
    """Whether the address is in 127.0.0.0/8, where Linux needs no alias."""
    return ipaddress.IPv4Address(address).is_loopback
