"""The issuer as a process: `python -m gdkreg.issuer.serve ROOT`. Started by `services.auth`."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from gdkreg.config.settings import Settings, load
from gdkreg.errors import GdkregError
from gdkreg.host.machine import Machine
from gdkreg.issuer.app import Issuer, build
from gdkreg.issuer.users import everything
from gdkreg.masking.text import address
from gdkreg.plan.state import FOLDER
from gdkreg.registry import tokens
from gdkreg.resources import applied
from gdkreg.resources.first_user import read_first

REQUEST_TIME = 10.0  # seconds for a client to say what it wants


class BoundedProtocol(H11Protocol):
    """Closes a connection on which a request does not come whole in time, the first or a later one.

    uvicorn itself bounds only connections on which nothing comes.
    """

    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch_next()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def _watch_next(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = asyncio.get_running_loop().call_later(REQUEST_TIME, self._give_up)

    def _give_up(self) -> None:
        """Unless the request is here whole, and it is we who take our time."""
        if self.conn.their_state not in {h11.DONE, h11.MUST_CLOSE} and not self.transport.is_closing():
            self.transport.close()


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
                print(f"kept the settings of before: {error}", file=sys.stderr, flush=True)
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


def server(root: Path, settings: Settings) -> uvicorn.Server:
    tls: dict[str, Any] = {}
    if settings.registry.self_signed:
        tls = {"ssl_certfile": str(root / "registry_host.crt"), "ssl_keyfile": str(root / "registry_host.key")}
    config = uvicorn.Config(
        build(Source(root)),
        host=settings.address,
        port=settings.auth_port,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        server_header=False,
        limit_concurrency=512,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=16 * 1024,
        **tls,
    )
    logging.getLogger("uvicorn.access").addFilter(MaskedQuery())
    return uvicorn.Server(config)


def main() -> None:
    root = Path(sys.argv[1])
    settings = applied.read(root, Machine())
    if settings is None:
        sys.exit("gdkreg reconfigure was not run yet")
    server(root, settings).run()


if __name__ == "__main__":
    main()
