"""The issuer's door: takes connections, and closes those that do not get on, so that a flood never keeps a client out.

A connection costs a descriptor and a kilobyte until its first TLS message is here whole (without TLS, its first byte), so many
may wait. Then TLS and HTTP begin (some 40 KB); of those that have begun and have not sent a whole request fewer may wait. Where
there are too many the oldest goes.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import socket
import ssl
import sys
from asyncio import sslproto
from collections import deque
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from gdkreg.issuer.pool import Pool

SILENT, BEGUN = 4096, 1280  # connections that wait, before and after TLS has begun
PATIENCE = 10.0  # seconds for a client's handshake and for each of its requests to come whole
GRACE = 0.5  # seconds that it has in any case
_SWEEP = 0.25  # seconds
_RECORD, _HANDSHAKE, _LONGEST_HELLO = 5, b"\x16", 4096  # a TLS record's header and first byte; bytes of it that are awaited
_SPARE = 256  # descriptors for all else
_AT_ONCE, _BEGUN_AT_ONCE = 32, 8  # connections taken, and begun with, before all others are looked at again
log = logging.getLogger("gdkreg.gate")


class Visitor:
    """A connection."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        self.sock = sock
        self.address = address
        self.transport: asyncio.Transport | None = None  # once HTTP has begun
        self.is_out = False

    def throw_out(self) -> None:
        self.is_out = True
        if self.transport is not None:
            self.transport.abort()
            return
        try:
            self.sock.shutdown(socket.SHUT_RDWR)  # whoever reads from it meets its end
        except OSError:
            return  # it is gone by itself


class Gate:
    """`make` gives the protocol that speaks with a visitor. Raises `OSError` where it cannot listen."""

    def __init__(self, host: str, port: int, make: Callable[[Visitor], asyncio.Protocol], tls: ssl.SSLContext | None) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listening = socket.create_server((host, port), family=family, backlog=SILENT)
        self.listening.setblocking(False)
        self._make = make
        self._tls = tls
        silent = min(SILENT, allow_descriptors(SILENT + BEGUN + _SPARE) - BEGUN - _SPARE)
        # The rest of each is for other addresses than the one that floods.
        self.silent = Pool[Visitor](max(silent, 64), max(silent, 64) * 3 // 4, PATIENCE)
        self.begun = Pool[Visitor](BEGUN, BEGUN * 3 // 4, PATIENCE, GRACE)
        self._ready: dict[str, deque[Visitor]] = {}  # silent no more, by address
        self._thrown_out = 0
        self._letting_in: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        sslproto.SSLProtocol.max_size = 4096  # bytes; asyncio makes a buffer of 256 KiB for each connection else

    def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.listening, self._accept)
        self._sweeping = self._loop.call_later(_SWEEP, self._sweep)
        gc.freeze()  # what is here now stays; there is no use in looking at it

    def close(self) -> None:
        self._sweeping.cancel()
        self._loop.remove_reader(self.listening)
        self.listening.close()
        for visitor in self.silent.expired(float("inf")):
            self._forget_silent(visitor)

    def wait_for(self, visitor: Visitor) -> None:
        """A request, or the handshake before it, is awaited from it from now on."""
        out = self.begun.add(visitor, visitor.address, self._loop.time())
        if out is not None:
            log.warning("more than %d connections wait for a handshake or a request: the oldest is closed", self.begun.each)
            self._throw_out(out)

    def got(self, visitor: Visitor) -> None:
        """Its request is here whole, or it is gone."""
        self.begun.remove(visitor, visitor.address)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, peer = self.listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptors, no memory
                self._out_of_room(error)
                return
            sock.setblocking(False)
            if self._tls is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _RECORD)
            visitor = Visitor(sock, peer[0])
            self._loop.add_reader(sock, self._begin, visitor)
            out = self.silent.add(visitor, visitor.address, self._loop.time())
            if out is not None:
                log.warning("more than %d connections are silent: the oldest is closed", self.silent.each)
                self._forget_silent(out)

    def _out_of_room(self, error: OSError) -> None:
        log.warning("a connection cannot be taken: %s", os.strerror(error.errno or 0))
        silent = self.silent.oldest()
        if silent is not None:
            self._forget_silent(silent)
        elif (begun := self.begun.oldest()) is not None:
            self._throw_out(begun)
        else:
            self._loop.remove_reader(self.listening)
            self._loop.call_later(_SWEEP, self._loop.add_reader, self.listening, self._accept)

    def _forget_silent(self, visitor: Visitor) -> None:
        self._loop.remove_reader(visitor.sock)
        self.silent.remove(visitor, visitor.address)
        visitor.is_out = True
        visitor.sock.close()

    def _throw_out(self, visitor: Visitor) -> None:
        self.begun.remove(visitor, visitor.address)
        visitor.throw_out()
        self._thrown_out += 1

    def _begin(self, visitor: Visitor) -> None:
        """Its first bytes are here, or its end."""
        try:
            first = visitor.sock.recv(_RECORD, socket.MSG_PEEK)
            if self._tls is not None and first[:1] == _HANDSHAKE and not _is_whole(visitor.sock, first):
                return
        except BlockingIOError:
            return
        except OSError:
            first = b""
        if not first:
            self._forget_silent(visitor)
            return
        self._loop.remove_reader(visitor.sock)
        self._ready.setdefault(visitor.address, deque()).append(visitor)
        self._let_in_soon(0)

    def _let_in_soon(self, delay: float) -> None:
        if self._letting_in is None:
            self._letting_in = self._loop.call_later(delay, self._let_in)

    def _let_in(self) -> None:
        """Begin with a few, of each address the oldest and the newest in turn: the loop never has more handshakes at a time than
        it does soon, who has begun has its time, and who comes behind a crowd need not wait for its end."""
        self._letting_in = None
        now, left = self._loop.time(), _BEGUN_AT_ONCE
        for address, visitors in list(self._ready.items()):
            while visitors and left and self.begun.room(address, now):
                visitor = visitors.pop() if left % 2 else visitors.popleft()
                if visitor.is_out:
                    continue
                left -= 1
                self.silent.remove(visitor, address)
                self.wait_for(visitor)
                task = self._loop.create_task(self._hand_over(visitor))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            del self._ready[address]
            if visitors:  # it is another address's turn first
                self._ready[address] = visitors
        if self._ready:
            self._let_in_soon(0 if not left else 0.005)

    async def _hand_over(self, visitor: Visitor) -> None:
        protocol = self._make(visitor)
        options: dict[str, Any] = {}
        if self._tls is not None:
            options = {"ssl": self._tls, "ssl_handshake_timeout": PATIENCE}
            if sys.version_info >= (3, 11):
                options["ssl_shutdown_timeout"] = 1.0
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, visitor.sock, **options)
        except OSError as error:  # ssl's too
            self.got(visitor)
            if isinstance(error, ssl.SSLError):
                log.info("a TLS handshake with %s failed: %s", visitor.address, error.reason)

    def _sweep(self) -> None:
        now = self._loop.time()
        for visitor in self.silent.expired(now):
            self._forget_silent(visitor)
        for visitor in self.begun.expired(now):
            self._throw_out(visitor)
        if self._thrown_out:  # asyncio leaves a circle of objects behind, with some 60 KB of OpenSSL's in it
            self._thrown_out = 0
            gc.collect()
        self._sweeping = self._loop.call_later(_SWEEP, self._sweep)


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol for a visitor; tells the gate when it waits for one of its requests, and when it has got it."""

    gate: Gate
    visitor: Visitor

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.visitor.transport = transport
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._tell()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._tell()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._tell()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.gate.got(self.visitor)

    def _tell(self) -> None:
        """It is we who take our time once a request is whole, unless the client does not read the answer."""
        whole = self.conn.their_state in {h11.DONE, h11.MUST_CLOSE} and not self.cycle.response_complete
        if whole and not self.flow.write_paused:
            self.gate.got(self.visitor)
        else:
            self.gate.wait_for(self.visitor)


def _is_whole(sock: socket.socket, header: bytes) -> bool:
    """Whether a TLS record is here as long as its header says; if not, we are told once it is, or once the client ends."""
    size = min(_RECORD + int.from_bytes(header[3:5], "big"), _LONGEST_HELLO)
    if len(header) == _RECORD and len(sock.recv(size, socket.MSG_PEEK)) == size:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        return True
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == size:  # told all the same: it has ended
        raise ConnectionResetError
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
    return False


def allow_descriptors(wanted: int) -> int:
    """Raise this process's own limit, as far as it may; gives what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
