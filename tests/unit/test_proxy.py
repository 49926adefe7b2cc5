"""The proxy of `trace` between a client and a registry of a few lines, and what it writes down."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gdkreg.config.settings import load
from gdkreg.errors import GdkregError
from gdkreg.host.machine import Machine
from gdkreg.masking.text import visible
from gdkreg.proof import proxy as proxies
from gdkreg.proof.har import Exchange
from gdkreg.proof.proxy import Proxy
from gdkreg.proof.recording import Recording
from gdkreg.resources import x509

BODY = os.urandom(1_000_000)


class _Registry(BaseHTTPRequestHandler):
    """Answers a PUT with the SHA-256 of its body, and a GET with BODY, in chunks below /chunked."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        return

    def do_PUT(self) -> None:
        sha = hashlib.sha256()
        if "Transfer-Encoding" in self.headers:
            while size := int(self.rfile.readline(), 16):
                sha.update(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
        else:
            sha.update(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(sha.hexdigest().encode())

    def do_GET(self) -> None:
        if self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(BODY), 70_000):
                piece = BODY[at : at + 70_000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self._answer(BODY)

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Scheme", self.headers["X-Forwarded-Proto"])
        self.end_headers()
        self.wfile.write(body)


class Told:
    """What a proxy told, to be waited for."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.notes: list[str] = []
        self._news = threading.Condition()

    def tell(self, exchange: Exchange) -> None:
        with self._news:
            self.exchanges.append(exchange)
            self._news.notify_all()

    def note(self, text: str) -> None:
        with self._news:
            self.notes.append(text)
            self._news.notify_all()

    def last_exchange(self) -> Exchange:
        self.until(lambda: bool(self.exchanges))
        return self.exchanges[-1]

    def until(self, what: Callable[[], bool]) -> None:
        with self._news:
            assert self._news.wait_for(what, 10)


@contextmanager
def between(folder: Path, *, tls: bool = False, bodies: bool = False) -> Iterator[tuple[tuple[str, int], Told]]:
    """A proxy and the registry behind it: where it listens, and what it tells."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    yml = f"registry:\n  enabled: true\n  listen_address: 127.0.0.1\n  port: {port}\n  self_signed: {str(tls).lower()}\n"
    (folder / "gdk.yml").write_text(yml)
    if tls:
        pair = x509.self_signed(x509.new_tls_key(), "localhost", ("localhost", "127.0.0.1"), 30)
        (folder / "registry_host.crt").write_bytes(pair.certificate)
        (folder / "registry_host.key").write_bytes(pair.key)
    told = Told()
    registry = ThreadingHTTPServer(("127.0.0.1", 0), _Registry)
    registry.daemon_threads = True
    upstream = ("127.0.0.1", registry.server_address[1])
    proxy = Proxy(load(folder, Machine()), upstream, told.tell, told.note, bodies=bodies)
    for server in (registry, proxy):
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield ("127.0.0.1", port), told
    finally:
        for server in (proxy, registry):
            server.shutdown()
            server.server_close()


def say(place: tuple[str, int], text: bytes) -> bytes:
    """What is answered to these bytes, until the connection is closed."""
    with socket.create_connection(place, timeout=10) as opened:
        answer = b""
        try:
            opened.sendall(text)
            while piece := opened.recv(4096):
                answer += piece
        except ConnectionError:
            pass
        return answer


@pytest.mark.parametrize("bodies", [False, True])
def test_bodies_pass_as_they_are(tmp_path: Path, bodies: bool) -> None:
    pieces = [BODY[at : at + 99_999] for at in range(0, len(BODY), 99_999)]
    with between(tmp_path, bodies=bodies) as (place, told):
        client = http.client.HTTPConnection(*place, timeout=10)
        for path in ("/plain", "/chunked"):
            client.request("GET", path)
            assert client.getresponse().read() == BODY
            kept = told.last_exchange().body
            assert kept == (BODY[: 64 * 1024] if bodies else b"")
            assert told.last_exchange().received == len(BODY)
        for body, chunked in ((BODY, False), (iter(pieces), True)):
            client.request("PUT", "/x", body=body, encode_chunked=chunked)
            answer = client.getresponse()
            assert answer.read().decode() == hashlib.sha256(BODY).hexdigest()
            assert answer.headers["X-Scheme"] == "http"


CHUNKED = b"PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (CHUNKED + b"1" * 2_000_000, "a line between chunks has more than 1024 bytes"),
        (CHUNKED + b"-5\r\nabcde", "'-5' is no length of a body"),
        (CHUNKED + b"1_0\r\nabcde", "'1_0' is no length of a body"),
        (CHUNKED + b"0\r\n" + b"a: b\r\n" * 101, "too many trailers"),
        (b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n" + b"a" * 2_000_000, "'-1' is no length of a body"),
    ],
)
def test_a_request_without_an_end_is_refused(tmp_path: Path, text: bytes, error: str) -> None:
    """Not read into memory: what is left of it nobody reads."""
    with between(tmp_path) as (place, told):
        say(place, text)
        exchange = told.last_exchange()
        assert error in exchange.error
        assert exchange.sent < 10_000


def test_connections_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "_MOST", 2)
    with between(tmp_path) as (place, told):
        held = [socket.create_connection(place, timeout=10) for _ in range(3)]
        told.until(lambda: bool(told.notes))
        assert told.notes == ["more than 2 connections at a time: one is closed"]
        assert held[2].recv(1) == b""
        held[0].sendall(b"GET / HTTP/1.0\r\n\r\n")
        while held[0].recv(100_000):
            pass
        for _ in range(100):
            client = http.client.HTTPConnection(*place, timeout=10)
            try:
                client.request("GET", "/", headers={"Connection": "close"})
                assert client.getresponse().read() == BODY
                break
            except ConnectionError:  # its thread has not ended yet
                continue
        else:
            raise AssertionError("the place was not given back")
        held[1].close()


def test_a_handshake_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies._Handler, "timeout", 0.2)
    with between(tmp_path, tls=True) as (place, _), socket.create_connection(place, timeout=10) as opened:
        assert opened.recv(1) == b""
    with between(tmp_path, tls=True) as (place, _):  # and a layer behind it has more time
        secure = ssl._create_unverified_context().wrap_socket(socket.create_connection(place, timeout=10))
        secure.sendall(b"GET / HTTP/1.0\r\n")
        time.sleep(0.5)
        secure.sendall(b"\r\n")
        assert secure.recv(12) == b"HTTP/1.1 200"


def test_nothing_that_a_terminal_would_obey_reaches_it() -> None:
    assert visible("/v2/\x1b[2J\x07\r\x9b1m\u202eé") == r"/v2/\x1b[2J\x07\r\x9b1m\u202eé"


def exchange(path: str) -> Exchange:
    fields = {"request_headers": {"authorization": "Basic c2VjcmV0"}, "response_headers": {}, "body": b"{}", "error": ""}
    return Exchange(method="GET", url=path, status=200, sent=0, received=2, started=1.0, ms=2.0, **fields)  # type: ignore[arg-type]


def test_a_recording_is_whole_after_each_exchange(tmp_path: Path) -> None:
    har = tmp_path / "x.har"
    har.write_text("precious")
    with Recording(har, "https://r.test", show_secrets=False) as recording:
        (beside,) = set(tmp_path.iterdir()) - {har}
        for count in (1, 2, 3):
            recording.add(exchange(f"/v2/?n={count}"))
            urls = [each["request"]["url"] for each in json.loads(beside.read_bytes())["log"]["entries"]]
            assert urls == [f"https://r.test/v2/?n={number}" for number in range(1, count + 1)]
        assert har.read_text() == "precious"
        recording.finish()
        recording.add(exchange("/late"))
    assert len(json.loads(har.read_text())["log"]["entries"]) == 3
    assert "c2VjcmV0" not in har.read_text()
    assert har.stat().st_mode & 0o777 == 0o600
    with Recording(har, "https://r.test", show_secrets=False):
        pass  # it did not come to anything
    assert list(tmp_path.iterdir()) == [har]
    assert len(json.loads(har.read_text())["log"]["entries"]) == 3
    with Recording(har, "https://r.test", show_secrets=False) as recording:
        recording.finish()
    assert json.loads(har.read_text())["log"]["entries"] == []


def test_a_recording_that_cannot_be_written_says_so_at_its_end(tmp_path: Path) -> None:
    with pytest.raises(GdkregError, match="cannot write"), Recording(tmp_path / "no" / "x.har", "", show_secrets=False):
        pass
    with Recording(tmp_path / "x.har", "", show_secrets=False) as recording:
        full = open("/dev/full", "wb")  # noqa: SIM115
        recording._stream.close()
        recording._stream = full
        recording.add(exchange("/1"))
        with pytest.raises(GdkregError, match="cannot write"):
            recording.finish()
    assert not (tmp_path / "x.har").exists()
