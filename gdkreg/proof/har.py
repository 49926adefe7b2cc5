"""What went over the wire as an entry of an HTTP Archive 1.2, and how secrets in it are masked."""

from __future__ import annotations

import datetime
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

MASK = "********"
_SECRET_HEADER = re.compile(r"(proxy-)?authorization|(set-)?cookie|x-registry-(auth|config)|.*-token", re.IGNORECASE)
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
_NAME = r"(?:[\w-]*(?:token|password|secret|signature|credential)|auth|sig)"
_IN_JSON = re.compile(rf'("{_NAME}"\s*:\s*")(?:[^"\\]|\\.)*', re.IGNORECASE)
_IN_URL = re.compile(r"(?<=://)[^/@\s\"']+(?=@)")
_IN_QUERY = re.compile(rf"((?:^|[?&;\s]){_NAME}=)[^&;\s\"']*", re.IGNORECASE)


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One request and its answer, secrets included; they are masked where it is shown. Header names are in lower case."""

    method: str
    url: str
    status: int
    request_headers: dict[str, str]
    response_headers: dict[str, str]
    body: bytes
    sent: int
    received: int
    started: float
    ms: float
    error: str = ""


def mask(text: str) -> str:
    """Text without tokens, passwords and signatures."""
    text = _IN_URL.sub(MASK, text)
    return _IN_QUERY.sub(rf"\g<1>{MASK}", _IN_JSON.sub(rf"\g<1>{MASK}", _JWT.sub(MASK, text)))


def mask_header(name: str, value: str) -> str:
    """Only the kind of an Authorization header stays."""
    if _SECRET_HEADER.fullmatch(name):
        kind, _, rest = value.partition(" ")
        return f"{kind} {MASK}" if rest and name.lower().endswith("authorization") else MASK
    return mask(value)


def entry(item: Exchange, base: str, show_secrets: bool) -> dict[str, Any]:
    """An exchange as browsers and mitmproxy read it; `base` is the registry's address, e.g. https://registry.test:5000."""

    def shown(text: str) -> str:
        return text if show_secrets else mask(text)

    def pairs(headers: dict[str, str]) -> list[dict[str, str]]:
        return [{"name": name, "value": value if show_secrets else mask_header(name, value)} for name, value in headers.items()]

    url = shown(base + item.url)
    version = {"httpVersion": "HTTP/1.1", "cookies": [], "headersSize": -1}
    return {
        "startedDateTime": datetime.datetime.fromtimestamp(item.started, datetime.timezone.utc).isoformat(),
        "time": item.ms,
        "request": {
            **version,
            "method": item.method,
            "url": url,
            "headers": pairs(item.request_headers),
            "queryString": [{"name": name, "value": value} for name, value in parse_qsl(urlsplit(url).query)],
            "bodySize": item.sent,
        },
        "response": {
            **version,
            "status": item.status,
            "statusText": item.error,
            "headers": pairs(item.response_headers),
            "content": {
                "size": item.received,
                "mimeType": item.response_headers.get("content-type", ""),
                "text": shown(item.body.decode("utf-8", "replace")),
            },
            "redirectURL": shown(item.response_headers.get("location", "")),
            "bodySize": item.received,
        },
        "cache": {},
        "timings": {"send": 0, "wait": item.ms, "receive": 0},
    }
