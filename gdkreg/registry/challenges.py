"""`WWW-Authenticate: Bearer`, by which a registry names the realm that gives out its tokens."""

from __future__ import annotations

import re

import msgspec

_PART = re.compile(r'(\w+)="([^"]*)"')


class Challenge(msgspec.Struct, frozen=True):
    """A `WWW-Authenticate: Bearer` header; `error` and `scope` say why a token was refused."""

    realm: str
    service: str
    scope: str = ""
    error: str = ""


def challenge_of(header: str) -> Challenge | None:
    """None for a header that is no Bearer challenge."""
    if not header.lower().startswith("bearer "):
        return None
    parts = dict(_PART.findall(header))
    return Challenge(parts.get("realm", ""), parts.get("service", ""), parts.get("scope", ""), parts.get("error", ""))
