"""What went over the wire as an HTTP Archive 1.2."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from gdkreg.masking.http import body, header
from gdkreg.masking.text import address, prose


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


def archive(exchanges: Sequence[Exchange], base: str, *, show_secrets: bool) -> bytes:
    """What browsers and mitmproxy open; `base` is the registry's address, e.g. https://registry.test:5000."""
    entries = [_entry(item, base, show_secrets) for item in exchanges]
    log = {"version": "1.2", "creator": {"name": "gdkreg", "version": "0.1"}, "entries": entries}
    return json.dumps({"log": log}, indent=1).encode()


def _entry(item: Exchange, base: str, show_secrets: bool) -> dict[str, Any]:
    def shown(url: str) -> str:
        return url if show_secrets else address(url)

    def pairs(headers: dict[str, str]) -> list[dict[str, str]]:
        return [{"name": name, "value": value if show_secrets else header(name, value)} for name, value in headers.items()]

    url, kind = shown(base + item.url), item.response_headers.get("content-type", "")
    version = {"httpVersion": "HTTP/1.1", "cookies": [], "headersSize": -1}
    return {
        "startedDateTime": datetime.datetime.fromtimestamp(item.started, datetime.timezone.utc).isoformat(),
        "time": item.ms,
        "request": {
            **version,
            "method": item.method,
            "url": url,
            "headers": pairs(item.request_headers),
            "queryString": [
                {"name": name, "value": value} for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True)
            ],
            "bodySize": item.sent,
        },
        "response": {
            **version,
            "status": item.status,
            "statusText": prose(item.error),
            "headers": pairs(item.response_headers),
            "content": {
                "size": item.received,
                "mimeType": kind,
                "text": item.body.decode("utf-8", "replace") if show_secrets else body(item.body, kind),
            },
            "redirectURL": shown(item.response_headers.get("location", "")),
            "bodySize": item.received,
        },
        "cache": {},
        "timings": {"send": 0, "wait": item.ms, "receive": 0},
    }
