"""Small HTTP servers for tests: on loopback, or on a socket as an engine's API is."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple


class Asked(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """`body` is sent as JSON unless it is bytes."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = {}


class Asking:
    """What a server was asked, in order, and how it answers."""

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.url = ""

    def handler(self) -> type[BaseHTTPRequestHandler]:
        told = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                headers = {key.lower(): value for key, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, self.rfile.read(int(headers.get("content-length", 0))))
                told.asked.append(asked)
                status, body, more = told.answer(asked)
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response_only(status)
                for key, value in {**more, "Content-Length": str(len(raw))}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _any

            def log_message(self, *_: object) -> None: ...

            def address_string(self) -> str:
                return "here"

        return Handler


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@contextlib.contextmanager
def serving(answer: Callable[[Asked], Answer], at: Path | None = None) -> Iterator[Asking]:
    """A server while the block runs; with `at` on that socket, as unix://…, else on a free port, as http://127.0.0.1:….

    What it was asked and the `url` are in the value.
    """
    told = Asking(answer)
    server = _Unix(str(at), told.handler()) if at else _Tcp(("127.0.0.1", 0), told.handler())
    told.url = f"unix://{at}" if at else f"http://127.0.0.1:{server.socket.getsockname()[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
