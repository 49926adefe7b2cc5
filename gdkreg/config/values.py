"""The rules for single values: what is a host name, what is an address that a registry may listen on."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

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
    if labels[-1].isdigit() or re.fullmatch(r"0[xX][0-9a-fA-F]*", labels[-1]):
        return f"{text!r} looks like an IPv4 address but is none"
    return ""


def ipv4_problem(text: str) -> str:
    """Why this is no IPv4 address."""
    return "" if is_ipv4(text) else f"{text!r} is not an IPv4 address"


def text_problem(text: str) -> str:
    """Why this is no text to write into a line of a file, or to show on a terminal."""
    hidden = next((char for char in text if not char.isprintable()), "")
    return f"{text!r} holds U+{ord(hidden):04X}, which cannot be seen" if hidden else ""


def path_problem(text: str) -> str:
    """Why this is no path of a file that somebody means."""
    if not text:
        return "'' is no path; without the key it has its default"
    if text.startswith("-"):
        return f"{text!r} looks like an option; a file of that name is ./{text}"
    return text_problem(text)


# The grammar of an image's name in distribution/reference; Docker takes no other.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN = (
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
)
_IMAGE = re.compile(
    rf"(?:{_DOMAIN}/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@[A-Za-z][A-Za-z0-9+._-]*:[0-9a-fA-F]{{32,}})?"
)


def image_problem(text: str) -> str:
    """Why this names no image."""
    return "" if len(text) < 512 and _IMAGE.fullmatch(text) else f"{text!r} is not an image reference"


_URL_PATH = re.compile(r"/?(?:[A-Za-z0-9_~][A-Za-z0-9._~-]*(?:/[A-Za-z0-9_~][A-Za-z0-9._~-]*)*/?)?")


def url_path_problem(text: str) -> str:
    """Why GitLab cannot be served under this path."""
    return "" if _URL_PATH.fullmatch(text) else f"{text!r} is not a path of a URL"


def id_problem(value: int | str) -> str:
    """Why this is no number of a user or group; '' is your own. The highest is Docker's, 2^31 - 1."""
    if value == "":
        return ""
    if not re.fullmatch(r"[0-9]{1,10}", str(value)):
        return f"expected a number or '', got {value!r}" if len(str(value)) < 12 else "expected a number of at most 2147483647"
    return "" if int(value) < 2**31 else f"expected a number of at most 2147483647, got {value}"


_AGE = re.compile(r"([1-9][0-9]{0,4})([hdw])")
_SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}


def age_problem(text: str) -> str:
    """Why this is no age; empty is any."""
    return "" if not text or _AGE.fullmatch(text) else f"{text[:50]!r} is not an age: a number with h, d or w, such as 30d"


def seconds_of(age: str) -> int:
    """The seconds of what `age_problem` takes."""
    found = _AGE.fullmatch(age)
    return int(found[1]) * _SECONDS[found[2]] if found else 0


def compiled(text: str) -> Any:
    """An RE2 pattern, whose time grows with the length of the name alone. Raises `ValueError` with what is wrong."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options=options)
    except re2.error as error:
        told = error.args[0] if error.args else "it cannot be read"
        raise ValueError(told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)) from None


def tag_pattern_problem(text: str) -> str:
    """Why this is no pattern of tags; empty is none."""
    if text in {"", ".*"}:  # nothing to load RE2 for
        return ""
    try:
        compiled(text)
    except ValueError as error:
        return f"{text[:100]!r} is not an RE2 pattern, as GitLab takes them: {error}"
    return ""


_LOGIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")


def login_problem(text: str) -> str:
    """Why this is no name of a user of another machine."""
    return "" if _LOGIN.fullmatch(text) else f"{text!r} is not a user's name"


# By the kind that the schema gives a key; where an address may be, and users, is for `settings.py`: it knows the other keys.
PROBLEMS: dict[str, Callable[[Any], str]] = {
    "host": host_problem,
    "ipv4": ipv4_problem,
    "image": image_problem,
    "id": id_problem,
    "path": path_problem,
    "url_path": url_path_problem,
    "text": text_problem,
    "age": age_problem,
    "pattern": tag_pattern_problem,
    "login": login_problem,
}


def plain_problems(value: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """What in a block of somebody else's settings cannot be handed on as YAML and JSON: its keys, and why."""
    todo: list[tuple[tuple[str, ...], Any]] = [(at, value)]
    while todo:
        at, value = todo.pop()
        if isinstance(value, dict):
            if any(not isinstance(key, str) for key in value):
                yield at, "every key has to be text"
            todo += [((*at, str(key)), below) for key, below in value.items()]
            todo += [((*at, key), key) for key in value if isinstance(key, str)]
        elif isinstance(value, list):
            todo += [((*at, str(index)), below) for index, below in enumerate(value)]
        elif problem := _plain_problem(value):
            yield at, problem


def _plain_problem(value: Any) -> str:
    if isinstance(value, str):
        return text_problem(value.translate({9: None, 10: None, 13: None}))
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{value} is not a number"
    if isinstance(value, int):
        return "" if -(2**63) <= value < 2**63 else "a number of more than 64 bits"
    return "" if value is None else f"a {type(value).__name__} for YAML; put it in quotes"


def address_problem(text: str) -> str:
    """Why a registry of this machine may not listen on this address; empty where it may."""
    if problem := ipv4_problem(text):
        return problem
    address = ipaddress.IPv4Address(text)
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
