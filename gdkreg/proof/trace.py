"""A forwarding proxy at the registry's own address, with the registry's own certificate, so that no client notices.

While it runs, the registry answers on a free port of 127.0.0.1. The realm in a challenge is turned
to this proxy too, so that the token dialog is seen whole; tokens themselves pass unchanged.
"""

from __future__ import annotations

import datetime
import http.client
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from gdkreg.config.settings import Settings
from gdkreg.errors import GdkregError
from gdkreg.host.base import Host
from gdkreg.registry.inspection import inspect
from gdkreg.registry.scopes import parse
from gdkreg.registry.session import challenge_of
from gdkreg.registry.tokens import Signer, signer_of
from gdkreg.services.registry import Registry

REALM_PATH = "/jwt/auth"
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "proxy-authorization"}
_CHUNK = 64 * 1024
_KEPT = 64 * 1024  # bytes of a body that are kept for the explanation


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One request and its answer, secrets included; they are masked where it is shown."""

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


class Tracer:
    """A context manager: the proxy stands in the registry's place while it is open."""

    def __init__(self, settings: Settings, host: Host, say: Callable[[str], None], *, show_secrets: bool) -> None:
        self._settings = settings
        self._host = host
        self._say = say
        self._show_secrets = show_secrets
        self._lock = threading.Lock()
        self.exchanges: list[Exchange] = []
        self.upstream = ("127.0.0.1", _free_port())

    def __enter__(self) -> Tracer:
        plain = Registry(self._settings, self._host)
        self._runs = plain.state().running
        if not self._runs:
            raise GdkregError("the registry does not run", fix="gdkreg start registry")
        plain.stop()
        try:
            Registry(self._settings, self._host, launch=plain.launch.moved(*self.upstream)).start()
            self._server = _server(self)
        except (GdkregError, OSError):
            Registry(self._settings, self._host).start()
            raise
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        Registry(self._settings, self._host).start()

    def wait(self) -> int:
        """Until Ctrl-C."""
        while True:
            time.sleep(3600)

    @property
    def settings(self) -> Settings:
        return self._settings

    def tell(self, exchange: Exchange) -> None:
        with self._lock:
            self.exchanges.append(exchange)
            path = exchange.url if self._show_secrets else mask(exchange.url)
            self._say(
                f"{exchange.method:<6} {path}  {exchange.status}  {exchange.ms:.0f} ms  {exchange.sent}↑ {exchange.received}↓"
            )
            for text in self._meaning(exchange):
                self._say(f"         {text}")

    def _signer(self) -> Signer | None:
        try:
            return signer_of(self._settings.root)
        except GdkregError:
            return None

    def _meaning(self, exchange: Exchange) -> list[str]:
        """What a step of the token dialog means, in words."""
        headers = {key.lower(): value for key, value in exchange.response_headers.items()}
        if urlsplit(exchange.url).path == REALM_PATH:
            return self._meaning_of_realm(exchange)
        found = challenge_of(headers.get("www-authenticate", ""))
        if exchange.status != 401 or found is None:
            return []
        lines = [f"the registry wants a token of {found.realm}" + (f" for {found.scope}" if found.scope else "")]
        sent = exchange.request_headers.get("Authorization", "")
        by = self._signer()
        if sent.startswith("Bearer ") and by is not None:
            try:
                wanted = [parse(word) for word in found.scope.split()]
                lines += [f"refused: {reason}" for reason in inspect(sent[7:], by, wanted).refusals]
            except GdkregError as error:
                lines.append(f"refused: {error.what}")
        elif not sent:
            lines.append("the client sent none, as a first request does")
        return lines

    def _meaning_of_realm(self, exchange: Exchange) -> list[str]:
        asked = " ".join(parse_qs(urlsplit(exchange.url).query).get("scope", [])) or "no scope: it only wants to log in"
        who = "with a name and password" if "Authorization" in exchange.request_headers else "without a name"
        lines = [f"a token is asked for, {who}: {asked}"]
        try:
            body = json.loads(exchange.body)
        except ValueError:
            return lines
        token, by = body.get("token"), self._signer()
        if not isinstance(token, str) or by is None:
            return [*lines, *(f"{item.get('code')}: {item.get('message')}" for item in body.get("errors", []))]
        judged = inspect(token, by, [])
        granted = ", ".join(judged.access) or "nothing"
        lines.append(f"granted to {judged.claims.get('sub') or 'nobody'}: {granted}, for {judged.seconds_left} s")
        return lines + [f"this registry will refuse it: {reason}" for reason in judged.refusals]

    def har(self) -> bytes:
        """The exchanges as an HTTP Archive 1.2."""
        entries = [self._har_entry(item) for item in self.exchanges]
        log = {"version": "1.2", "creator": {"name": "gdkreg", "version": "0.1"}, "entries": entries}
        return json.dumps({"log": log}, indent=1).encode()

    def _har_entry(self, item: Exchange) -> dict[str, Any]:
        def pairs(headers: dict[str, str]) -> list[dict[str, str]]:
            return [
                {"name": key, "value": value if self._show_secrets else mask_header(key, value)} for key, value in headers.items()
            ]

        text = item.body.decode("utf-8", "replace")
        url = f"{self._settings.scheme}://{self._settings.authority}{item.url}"
        content = {
            "size": item.received,
            "mimeType": item.response_headers.get("Content-Type", ""),
            "text": text if self._show_secrets else mask(text),
        }
        query = [{"name": key, "value": value} for key, values in parse_qs(urlsplit(item.url).query).items() for value in values]
        version = {"httpVersion": "HTTP/1.1", "cookies": [], "headersSize": -1}
        return {
            "startedDateTime": datetime.datetime.fromtimestamp(item.started, datetime.timezone.utc).isoformat(),
            "time": item.ms,
            "request": {
                **version,
                "method": item.method,
                "url": url,
                "headers": pairs(item.request_headers),
                "queryString": query,
                "bodySize": item.sent,
            },
            "response": {
                **version,
                "status": item.status,
                "statusText": "",
                "headers": pairs(item.response_headers),
                "content": content,
                "redirectURL": "",
                "bodySize": item.received,
            },
            "cache": {},
            "timings": {"send": 0, "wait": item.ms, "receive": 0},
        }


def mask(text: str) -> str:
    """Text without tokens and passwords."""
    text = re.sub(r"eyJ[\w-]+\.[\w-]+\.[\w-]*", "********", text)
    return re.sub(r'("(?:access_|refresh_)?token"\s*:\s*")[^"]*', r"\1********", text)


def mask_header(name: str, value: str) -> str:
    """Only the kind of an Authorization header stays."""
    if name.lower() in {"authorization", "proxy-authorization", "cookie", "set-cookie"}:
        return f"{value.partition(' ')[0]} ********"
    return mask(value)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _server(tracer: Tracer) -> ThreadingHTTPServer:
    settings = tracer.settings
    handler = type("Handler", (_Handler,), {"tracer": tracer})
    server = ThreadingHTTPServer((settings.address, settings.registry.port), handler)
    server.daemon_threads = True
    if settings.registry.self_signed:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.root / "registry_host.crt", settings.root / "registry_host.key")
        # The handshake happens at the first read, in the connection's own thread.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server


class _Handler(BaseHTTPRequestHandler):
    """Forwards one connection's requests; bodies are streamed."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement
    tracer: Tracer
    timeout = 300

    def log_message(self, *_: Any) -> None:
        return

    def _upstream(self) -> tuple[http.client.HTTPConnection, str]:
        """The connection and path that a request goes on to: the registry, or the realm behind a rewritten challenge."""
        settings = self.tracer.settings
        if urlsplit(self.path).path == REALM_PATH:
            realm = urlsplit(settings.realm)
            host, port = realm.hostname or "", realm.port or (443 if realm.scheme == "https" else 80)
            query = urlsplit(self.path).query
            return _connect(realm.scheme, host, port), f"{realm.path}?{query}" if query else realm.path
        return _connect(settings.scheme, *self.tracer.upstream), self.path

    def _forward(self) -> None:
        began, started = time.monotonic(), time.time()
        connection, path = self._upstream()
        headers: dict[str, str] = {}
        for key, value in self.headers.items():  # clients send Accept more than once
            if key.lower() not in _HOP_BY_HOP:
                headers[key] = f"{headers[key]}, {value}" if key in headers else value
        counter = [0]
        try:
            chunked = "chunked" in self.headers.get("Transfer-Encoding", "").lower()
            body = self._body(counter, chunked=chunked)
            connection.request(self.command, path, body=body, headers=headers, encode_chunked=chunked)
            answer = connection.getresponse()
        except OSError as error:
            self.send_error(502, f"the registry did not answer: {error}")
            return
        received, kept, answered = self._answer(answer)
        connection.close()
        self.tracer.tell(
            Exchange(
                method=self.command,
                url=self.path,
                status=answer.status,
                request_headers=dict(self.headers.items()),
                response_headers=answered,
                body=kept,
                sent=counter[0],
                received=received,
                started=started,
                ms=(time.monotonic() - began) * 1000,
            )
        )

    def _body(self, counter: list[int], *, chunked: bool) -> Any:
        length = int(self.headers.get("Content-Length") or 0)
        if not chunked and not length:
            return None

        def pieces() -> Any:
            left = length
            while chunked or left:
                size = int(self.rfile.readline().split(b";")[0] or b"0", 16) if chunked else min(_CHUNK, left)
                if not size:
                    while self.rfile.readline().strip():  # trailers
                        pass
                    return
                piece = self.rfile.read(size)
                if chunked:
                    self.rfile.readline()
                left -= len(piece)
                counter[0] += len(piece)
                yield piece

        return pieces()

    def _answer(self, answer: http.client.HTTPResponse) -> tuple[int, bytes, dict[str, str]]:
        """Pass the answer on; gives its size, its beginning, and its headers as the registry sent them."""
        original = dict(answer.getheaders())
        self.send_response_only(answer.status, answer.reason)
        length = answer.headers.get("Content-Length")
        for key, value in answer.getheaders():
            if key.lower() not in _HOP_BY_HOP:
                self.send_header(key, self._rewritten(key, value))
        bodiless = self.command == "HEAD" or answer.status in {204, 304}
        if length is None and not bodiless:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        received, kept = 0, b""
        while not bodiless and (piece := answer.read(_CHUNK)):
            received += len(piece)
            kept = kept + piece if len(kept) < _KEPT else kept
            self.wfile.write(piece if length is not None else b"%x\r\n%s\r\n" % (len(piece), piece))
        if length is None and not bodiless:
            self.wfile.write(b"0\r\n\r\n")
        return received, kept[:_KEPT], original

    def _rewritten(self, key: str, value: str) -> str:
        """A challenge's realm turned to this proxy, so that the token dialog comes by."""
        if key.lower() != "www-authenticate":
            return value
        settings = self.tracer.settings
        return value.replace(f'realm="{settings.realm}"', f'realm="{settings.scheme}://{settings.authority}{REALM_PATH}"')

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _forward


def _connect(scheme: str, host: str, port: int) -> http.client.HTTPConnection:
    if scheme == "https":
        # To this machine's own registry; the client checked the proxy, which has the same certificate.
        return http.client.HTTPSConnection(host, port, timeout=300, context=ssl._create_unverified_context())
    return http.client.HTTPConnection(host, port, timeout=300)
