"""The forwarding proxy of `trace`: at the registry's address, with the registry's certificate. Bodies are streamed."""

from __future__ import annotations

import contextlib
import http.client
import re
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from gdkreg.config.effective import Settings
from gdkreg.proof.har import Exchange
from gdkreg.registry.session import system_trust

REALM_PATH = "/jwt/auth"
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "proxy-authorization"}
_CHUNK = 128 * 1024
_KEPT = 64 * 1024  # bytes of an answer's body that are kept
_PATIENCE = 300  # seconds, for a large layer
_HANDSHAKE = 10  # seconds
_MOST = 256  # connections at a time
_LONGEST_LINE = 1024  # bytes, of a chunk's size and of a trailer
_MOST_TRAILERS = 100


class Proxy(ThreadingHTTPServer):
    """`upstream` is where the registry answers meanwhile, in plain HTTP; `tell` is given each exchange, `note` what went wrong
    before one. Bodies pass in pieces; the beginning of the realm's is kept, and of all with `bodies`. `cure` is the command after
    which the client trusts the certificate."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        settings: Settings,
        upstream: tuple[str, int],
        tell: Callable[[Exchange], None],
        note: Callable[[str], None],
        *,
        bodies: bool = False,
        cure: str = "gdkreg trust-docker-registry",
    ) -> None:
        super().__init__((settings.address, settings.registry.port), _Handler)
        self.settings = settings
        self.upstream = upstream
        self.tell = tell
        self.note = note
        self.bodies = bodies
        self._cure = cure
        self._under_way = 0
        self._changed = threading.Condition()
        self._places = threading.BoundedSemaphore(_MOST)
        if settings.registry.self_signed:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(settings.root / "registry_host.crt", settings.root / "registry_host.key")
            # The handshake happens at the first read, in the connection's own thread.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.note(f"more than {_MOST} connections at a time: one is closed")
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    @contextmanager
    def exchange(self) -> Iterator[None]:
        """One is under way."""
        with self._changed:
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def settle(self, seconds: float) -> None:
        """Wait for what is under way: a client may have ended before we told of its last answer."""
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way, seconds)

    def handle_error(self, *_: Any) -> None:
        """One sentence, where the standard library prints a traceback."""
        error = sys.exc_info()[1]
        if isinstance(error, ssl.SSLError):
            self.note(_handshake(error, self._cure))
        elif not isinstance(error, (ConnectionError, TimeoutError)):
            self.note(f"a request was not understood: {error}")

    def connect_to_registry(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self.upstream, timeout=_PATIENCE)

    def connect_to_realm(self) -> http.client.HTTPConnection:
        """The realm gets the user's password, so its certificate has to be trusted as the client would have asked for."""
        realm = urlsplit(self.settings.realm)
        context = None
        if realm.scheme == "https" and self.settings.issuer == "local":
            context = ssl.create_default_context(cafile=str(self.settings.root / "registry_host.crt"))
        elif realm.scheme == "https":
            context = system_trust()
        return _connection(realm.scheme, realm.hostname or "", realm.port or (443 if context else 80), context)


def _connection(scheme: str, host: str, port: int, context: ssl.SSLContext | None) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=_PATIENCE, context=context)
    return http.client.HTTPConnection(host, port, timeout=_PATIENCE)


def _handshake(error: ssl.SSLError, cure: str) -> str:
    reason = (error.reason or str(error)).lower().replace("_", " ")
    if "unknown ca" in reason or "bad certificate" in reason or "certificate unknown" in reason:
        return f"a client does not trust the registry's certificate ({reason}): {cure}"
    if "http request" in reason:
        return "a client speaks plain HTTP, and this is TLS: use https://, and take the registry out of insecure-registries"
    return f"a client did not finish the TLS handshake ({reason})"


def _number(text: str, base: int) -> int:
    """Raises `ValueError` for what is no plain number, such as a negative one."""
    if not re.fullmatch("[0-9]{1,19}" if base == 10 else "[0-9a-fA-F]{1,16}", text):
        raise ValueError(f"{text[:40]!r} is no length of a body")
    return int(text, base)


_MIDDLE, _BEFORE = "in the middle of its request", "before it had the whole answer"


class _GoneError(Exception):
    """The client went away; not to be taken for the registry's end."""


@contextlib.contextmanager
def _of_the_client(what: str) -> Iterator[None]:
    """What goes wrong on the client's side of the proxy."""
    try:
        yield
    except TimeoutError:
        raise
    except OSError:
        raise _GoneError(f"the client went away {what}") from None


class _Handler(BaseHTTPRequestHandler):
    """One connection's requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement
    timeout = _HANDSHAKE
    server: Proxy

    def setup(self) -> None:
        super().setup()
        self._buffer = memoryview(bytearray(_CHUNK))
        if isinstance(self.connection, ssl.SSLSocket):
            self.connection.do_handshake()
        self.connection.settimeout(_PATIENCE)

    def log_message(self, *_: Any) -> None:
        return

    def _forward(self) -> None:
        with self.server.exchange():
            self._exchange()

    def _exchange(self) -> None:
        began, started = time.monotonic(), time.time()
        to_realm = urlsplit(self.path).path == REALM_PATH
        connection = self.server.connect_to_realm() if to_realm else self.server.connect_to_registry()
        self._sent = self._received = 0
        status, kept, answered, failed = 502, b"", dict[str, str](), ""
        try:
            answer = self._ask(connection, to_realm)
            status, answered = answer.status, {name.lower(): value for name, value in answer.getheaders()}
            kept = self._pass_on(answer, _KEPT if to_realm or self.server.bodies else 0)
        except _GoneError as error:
            failed, self.close_connection = str(error), True
        except (OSError, http.client.HTTPException, ValueError) as error:
            failed = f"{f'the realm {self.server.settings.realm}' if to_realm else 'the registry'} did not answer: {error}"
            self._give_up(failed, begun=bool(answered))
        finally:
            connection.close()
        self.server.tell(
            Exchange(
                method=self.command,
                url=self.path,
                status=status,
                request_headers={name.lower(): value for name, value in self.headers.items()},
                response_headers=answered,
                body=kept,
                sent=self._sent,
                received=self._received,
                started=started,
                ms=(time.monotonic() - began) * 1000,
                error=failed,
            )
        )

    def _ask(self, connection: http.client.HTTPConnection, to_realm: bool) -> http.client.HTTPResponse:
        headers: dict[str, str] = {}
        for name, value in self.headers.items():  # clients send Accept more than once
            if name.lower() not in _HOP_BY_HOP:
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
        path = self.path
        if not to_realm:
            headers["X-Forwarded-Proto"] = self.server.settings.scheme  # for the URLs in its answers
        else:
            realm, query = urlsplit(self.server.settings.realm), urlsplit(self.path).query
            path = f"{realm.path}?{query}" if query else realm.path
            headers = {name: value for name, value in headers.items() if name.lower() != "host"} | {"Host": realm.netloc}
        chunked = "chunked" in self.headers.get("Transfer-Encoding", "").lower()
        length = _number(self.headers.get("Content-Length") or "0", 10)
        body = self._chunks() if chunked else self._pieces(length) if length else None
        connection.connect()
        try:
            connection.request(self.command, path, body=body, headers=headers, encode_chunked=chunked)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            # It answers before it has read a large body, as with a 401; what is left of the body nobody reads.
            self.close_connection = True
        return connection.getresponse()

    def _pieces(self, left: int) -> Iterator[memoryview]:
        while left:
            piece = self._read(min(_CHUNK, left))
            left -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[memoryview]:
        while size := _number(self._line().split(b";")[0].decode("latin-1").strip(), 16):
            yield from self._pieces(size)
            self._line()
        for _ in range(_MOST_TRAILERS):
            if not self._line().strip():
                return
        raise ValueError("the request has too many trailers")

    def _read(self, size: int) -> memoryview:
        """At most so many bytes; they stay until the next call."""
        with _of_the_client(_MIDDLE):
            count = self.rfile.readinto(self._buffer[:size])
        if not count:
            raise _GoneError(f"the client went away {_MIDDLE}")
        self._sent += count
        return self._buffer[:count]

    def _line(self) -> bytes:
        with _of_the_client(_MIDDLE):
            line = self.rfile.readline(_LONGEST_LINE)
        if not line:  # or a cut-off upload would pass for a whole one
            raise _GoneError(f"the client went away {_MIDDLE}")
        if not line.endswith(b"\n"):
            raise ValueError(f"a line between chunks has more than {_LONGEST_LINE} bytes, or is cut off")
        return line

    def _pass_on(self, answer: http.client.HTTPResponse, keep: int) -> bytes:
        """Send the answer on to the client; gives so many bytes of its body."""
        self.send_response_only(answer.status, answer.reason)
        length = answer.headers.get("Content-Length")
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, self._rewritten(name, value))
        bodiless = self.command == "HEAD" or answer.status in {204, 304}
        if length is None and not bodiless:
            self.send_header("Transfer-Encoding", "chunked")
        with _of_the_client(_BEFORE):
            self.end_headers()
        kept = b""
        while not bodiless and (size := answer.readinto(self._buffer)):
            piece = self._buffer[:size]
            self._received += size
            if len(kept) < keep:
                kept += piece[: keep - len(kept)]
            with _of_the_client(_BEFORE):
                if length is None:
                    self.wfile.write(b"%x\r\n" % size)
                self.wfile.write(piece)
                if length is None:
                    self.wfile.write(b"\r\n")
        if length is None and not bodiless:
            with _of_the_client(_BEFORE):
                self.wfile.write(b"0\r\n\r\n")
        return kept

    def _rewritten(self, name: str, value: str) -> str:
        """A challenge's realm turned to this proxy, so that the token dialog comes by."""
        if name.lower() != "www-authenticate":
            return value
        settings = self.server.settings
        return value.replace(f'realm="{settings.realm}"', f'realm="{settings.scheme}://{settings.authority}{REALM_PATH}"')

    def _give_up(self, why: str, *, begun: bool) -> None:
        self.close_connection = True
        if not begun:
            try:
                self.send_error(502, explain=why)
            except OSError:
                return  # it is the client that went away

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _forward
