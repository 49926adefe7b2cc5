"""What goes over the wire, without what is secret in it."""

from __future__ import annotations

import json
import re

from gdkreg.masking.public import ANSWERS, CHALLENGE, HEADERS
from gdkreg.masking.structure import masked, names
from gdkreg.masking.text import MASK, address, prose, public_text

_SCHEMES = {"basic", "bearer", "digest", "negotiate"}
_PARAMETER = re.compile(r'([\w-]+)=("[^"]*"|[^\s,"]+)')
_LINK = re.compile(r'<([^>]*)>(\s*;\s*rel="?\w+"?)?')


def header(name: str, value: str) -> str:
    """A header's value: of a public header as it is, of Authorization the scheme, of a challenge what the protocol names."""
    name = name.lower()
    if name in {"location", "content-location"}:
        return address(value)
    if name == "link":
        return _LINK.sub(lambda found: f"<{address(found[1])}>{found[2] or ''}", value) if _LINK.fullmatch(value) else MASK
    kind, _, rest = value.partition(" ")
    known = kind.lower() in _SCHEMES
    if name in {"authorization", "proxy-authorization"}:
        return f"{kind} {MASK}" if rest and known else MASK
    if name == "www-authenticate" and known:
        found = [(key, word) for key, word in _PARAMETER.findall(rest)]
        return f"{kind} " + ",".join(f"{key}={public_text(word) if key in CHALLENGE.split() else MASK}" for key, word in found)
    return prose(value) if name in HEADERS.split() else MASK


def body(content: bytes, kind: str) -> str:
    """The answer of a registry or realm: JSON with its public keys, of anything else only the length."""
    if not content:
        return ""
    try:
        return json.dumps(masked(json.loads(content), names(ANSWERS)), ensure_ascii=False)
    except (ValueError, RecursionError):
        return f"({len(content)} bytes of {kind.partition(';')[0] or 'unknown type'}, not shown)"
