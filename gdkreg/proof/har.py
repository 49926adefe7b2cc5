"""What went over the wire as an entry of an HTTP Archive 1.2."""

from __future__ import annotations

import datetime
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


def entry(item: Exchange, base: str, show_secrets: bool) -> dict[str, Any]:
    """An exchange as browsers and mitmproxy read it; `base` is the registry's address, e.g. https://registry.test:5000."""

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
