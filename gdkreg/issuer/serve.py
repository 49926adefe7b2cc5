"""The issuer as a process: `python -m gdkreg.issuer.serve ROOT`. Started by `services.auth`."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette

from gdkreg.config.settings import load
from gdkreg.errors import GdkregError
from gdkreg.host.machine import Machine
from gdkreg.issuer import quiet
from gdkreg.issuer.app import Issuer, build
from gdkreg.issuer.gate import BoundedProtocol, Gate, Visitor
from gdkreg.issuer.users import everything
from gdkreg.masking.text import address
from gdkreg.plan.state import FOLDER
from gdkreg.registry import tokens
from gdkreg.resources import applied
from gdkreg.resources.first_user import read_first

Tick = Callable[[], Awaitable[None]]


class MaskedQuery(logging.Filter):
    """uvicorn's access log tells the whole query, and somebody may have put a token into it."""

    def filter(self, record: logging.LogRecord) -> bool:
        args = record.args if isinstance(record.args, tuple) else ()
        record.args = tuple(address(item) if isinstance(item, str) and item.startswith("/") else item for item in args)
        return True


class Source:
    """The users and the key as they are on disk now; read again when a file changed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._host = Machine()
        self._stamp: tuple[Any, ...] = ()
        self._issuer: Issuer | None = None

    def __call__(self) -> Issuer:
        names = ("gdk.yml", "localhost.key", "localhost.crt", f"{FOLDER}/first_user")
        stamp = tuple(_stamp(self._root / name) for name in names)
        if self._issuer is None or stamp != self._stamp:
            try:
                self._issuer = self._read()
            except (GdkregError, OSError) as error:
                logging.warning("kept the settings of before: %s", error)
                if self._issuer is None:
                    raise
            self._stamp = stamp
        return self._issuer

    def _read(self) -> Issuer:
        users = {user.name: user for user in load(self._root, self._host).registry.users}
        first = read_first(self._root, self._host)
        if not users and first is not None:
            users = {first.name: everything(first)}
        return Issuer(users, tokens.signer_of(self._root))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


class Server(uvicorn.Server):
    """uvicorn behind the gate, which listens in its place."""

    gate: Gate

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets or [])
        self.gate.open()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.gate.close()
        await super().shutdown(sockets)


def server(app: Starlette, address: str, port: int, tls: tuple[Path, Path] | None, tick: Tick | None = None) -> Server:
    """Of this application; `tls` is a certificate and its key, `tick` is called every `quiet.WINDOW` seconds.

    Raises `OSError` where it cannot listen.
    """
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=16 * 1024,
        callback_notify=tick,
        timeout_notify=quiet.WINDOW,
        ssl_certfile=tls and tls[0],
        ssl_keyfile=tls and tls[1],
    )
    config.load()
    logging.getLogger("uvicorn.access").addFilter(MaskedQuery())
    made = Server(config)

    def meet(visitor: Visitor) -> BoundedProtocol:
        protocol = BoundedProtocol(config, made.server_state, {})
        protocol.gate, protocol.visitor = made.gate, visitor
        return protocol

    made.gate = Gate(address, port, meet, config.ssl)
    return made


def main() -> None:
    root = Path(sys.argv[1])
    log = quiet.QuietHandler(root)
    logging.basicConfig(handlers=[log], level=logging.INFO)
    settings = applied.read(root, Machine())
    if settings is None:
        sys.exit("gdkreg reconfigure was not run yet")
    tls = (root / "registry_host.crt", root / "registry_host.key") if settings.registry.self_signed else None
    try:
        made = server(build(Source(root)), settings.address, settings.auth_port, tls, log.sweep)
    except OSError as error:
        sys.exit(f"cannot listen on {settings.address}:{settings.auth_port}: {error.strerror}")
    made.run()


if __name__ == "__main__":
    main()
