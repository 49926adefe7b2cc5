"""The issuer's door, its queue for passwords and its log, each with small numbers."""

from __future__ import annotations

import asyncio
import errno
import gc
import io
import logging
import socket
import ssl
import time
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gdkreg.issuer.gate import Gate, allow_descriptors
from gdkreg.issuer.pool import Pool
from gdkreg.issuer.quiet import REQUESTS, QuietHandler
from gdkreg.issuer.serve import server
from gdkreg.issuer.turns import CrowdedError, Turns
from gdkreg.plan.state import log_of
from gdkreg.resources import x509
from tests.unit.serving import serving

PAIR = x509.self_signed(x509.new_tls_key(), "localhost", ("localhost", "127.0.0.1"), 365)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """With TLS, room for 6 connections of an address before their first byte and for 6 behind it."""
    (tmp_path / "crt").write_bytes(PAIR.certificate)
    (tmp_path / "key").write_bytes(PAIR.key)
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("hello"))])
    made = server(app, "127.0.0.1", 0, (tmp_path / "crt", tmp_path / "key"))
    made.gate.silent = Pool(8, 6, 10.0)
    made.gate.begun = Pool(8, 6, 10.0)
    with serving(made):
        yield made.gate


def connect(gate: Gate) -> socket.socket:
    opened = socket.create_connection(gate.listening.getsockname(), timeout=5)
    opened.settimeout(5)
    return opened


def hello() -> bytes:
    out = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        ssl._create_unverified_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="x").do_handshake()
    return out.read()


def slow(gate: Gate) -> socket.socket:
    opened = connect(gate)
    opened.sendall(hello()[:-1])
    return opened


def stalled(gate: Gate) -> socket.socket:
    opened = connect(gate)
    opened.sendall(hello())
    return opened


def session(gate: Gate) -> socket.socket:
    return ssl._create_unverified_context().wrap_socket(connect(gate))


def is_closed(opened: socket.socket) -> bool:
    opened.settimeout(0.01)
    try:
        while opened.recv(10_000):
            pass
        return True
    except TimeoutError:
        return False
    except OSError:
        return True


def get(gate: Gate, tmp_path: Path) -> str:
    return requests.get(f"https://127.0.0.1:{gate.listening.getsockname()[1]}/", verify=str(tmp_path / "crt"), timeout=5).text


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("kind", [connect, slow, stalled, session])
def test_of_a_flood_the_oldest_make_room(gate: Gate, tmp_path: Path, kind: Callable[[Gate], socket.socket]) -> None:
    flood = []
    for _ in range(30):
        flood.append(kind(gate))
        until(lambda: len(gate.silent) <= (6 if kind in {connect, slow} else 0))
    until(lambda: sum(map(is_closed, flood)) == 24)
    closed = [is_closed(each) for each in flood]
    assert all(closed[:20]), "two that come at once may change places, no more"
    assert not closed[-1]
    assert get(gate, tmp_path) == "hello"
    assert len(gate.silent) <= 6
    assert len(gate.begun) <= 6


@pytest.mark.parametrize("kind", [connect, slow, stalled, session])
def test_nobody_waits_for_ever(gate: Gate, kind: Callable[[Gate], socket.socket]) -> None:
    gate.silent.patience = gate.begun.patience = 0.3
    opened = kind(gate)
    until(lambda: is_closed(opened))
    until(lambda: len(gate.silent) == len(gate.begun) == 0)


def test_of_a_handshake_nothing_is_made_until_its_first_message_is_whole(gate: Gate) -> None:
    opened, text = connect(gate), hello()
    until(lambda: len(gate.silent) == 1)
    for at, end in ((0, 3), (3, 5), (5, 100), (100, len(text) - 1)):
        opened.sendall(text[at:end])
        time.sleep(0.02)
        assert (len(gate.silent), len(gate.begun)) == (1, 0)
    opened.sendall(text[-1:])
    assert opened.recv(1) == b"\x16"
    assert (len(gate.silent), len(gate.begun)) == (0, 1)
    for part in (b"", text[:3], text[:4], text[:200]):  # who goes away before that is not waited for
        with connect(gate) as gone:
            gone.sendall(part)
        until(lambda: len(gate.silent) == 0)
    with connect(gate) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert plain.recv(10)[:1] in {b"", b"\x15"}


def test_a_handshake_has_its_time_however_many_come(gate: Gate, tmp_path: Path) -> None:
    """None behind its first byte is closed within its grace: those that come later wait."""
    gate.begun.grace = 3600.0
    held = [stalled(gate) for _ in range(6)]
    until(lambda: len(gate.begun) == 6)
    later = stalled(gate)
    with pytest.raises(requests.exceptions.Timeout):
        requests.get(f"https://127.0.0.1:{gate.listening.getsockname()[1]}/", verify=str(tmp_path / "crt"), timeout=0.3)
    assert not any(map(is_closed, [*held, later]))
    gate.begun.grace = 0.0
    assert get(gate, tmp_path) == "hello"
    until(lambda: any(map(is_closed, held)))


def test_what_was_thrown_out_leaves_nothing_in_memory(gate: Gate) -> None:
    flood = [stalled(gate) for _ in range(40)]
    until(lambda: sum(map(is_closed, flood)) == 34)
    until(lambda: sum(isinstance(each, SSLProtocol) for each in gc.get_objects()) <= 6)
    for each in flood:
        each.close()


class Exhausted:
    """A listening socket for which there is no descriptor a few times."""

    def __init__(self, real: socket.socket, times: int) -> None:
        self._real = real
        self.left = times

    def accept(self) -> Any:
        self.left -= 1
        if self.left >= 0:
            raise OSError(errno.EMFILE, "Too many open files")
        return self._real.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def test_without_descriptors_the_oldest_makes_room(gate: Gate, tmp_path: Path) -> None:
    first = connect(gate)
    until(lambda: len(gate.silent) == 1)
    gate.listening = Exhausted(gate.listening, 3)  # type: ignore[assignment]
    assert get(gate, tmp_path) == "hello", "it waits where nobody is left to go"
    assert is_closed(first)
    assert gate.listening.left < 0  # type: ignore[attr-defined]


def test_a_limit_of_descriptors_is_only_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr("resource.setrlimit", lambda _, limits: told.append(limits))
    for limits, wanted, given in [((1024, 4096), 5000, 4096), ((1024, -1), 5000, 5000), ((9000, 9000), 5000, 5000)]:
        monkeypatch.setattr("resource.getrlimit", lambda _, limits=limits: limits)
        assert allow_descriptors(wanted) == given
    assert told == [(4096, 4096), (5000, -1)]


def test_an_address_that_floods_gives_way_for_the_others() -> None:
    pool = Pool[int](4, 3, 10.0, grace=1.0)
    assert [pool.add(n, "a", n) for n in range(3)] == [None] * 3
    assert pool.add(0, "a", 9) is None, "it is in already"
    assert (pool.room("a", 0.5), pool.room("a", 1.0), pool.room("b", 0)) == (False, True, True)
    assert pool.add(3, "a", 3) == 0, "an address has its share"
    pool.remove(0, "a")
    assert pool.add(10, "b", 4) is None
    assert not pool.room("c", 1.5)
    assert pool.add(20, "c", 5) == 1, "of the address with most"
    pool.remove(1, "a")
    assert pool.expired(13.5) == [2, 3]
    for item, address in ((2, "a"), (3, "a"), (10, "b"), (20, "c"), (20, "c")):
        pool.remove(item, address)
    assert (len(pool), pool.oldest(), pool.expired(1e9)) == (0, None, [])


def test_names_take_turns() -> None:
    served: list[str] = []

    async def work(turns: Turns, name: str) -> None:
        try:
            async with turns.of(name):
                await asyncio.sleep(0)
                served.append(name)
        except CrowdedError:
            served.append(f"{name} refused")

    async def crowd(most: int) -> list[str]:
        served.clear()
        turns = Turns(1, most)
        await asyncio.gather(*(work(turns, name) for name in [*["flood"] * 4, "good"]))
        await work(turns, "last")
        return list(served)

    assert asyncio.run(crowd(10)) == ["flood", "flood", "good", "flood", "flood", "last"]
    assert sorted(asyncio.run(crowd(2))) == ["flood"] * 2 + ["flood refused"] * 2 + ["good", "last"]


def test_who_no_longer_waits_holds_up_nobody() -> None:
    async def run() -> None:
        turns = Turns(1)
        async with turns.of("first"):
            waiting = [asyncio.ensure_future(turns.of(name).__aenter__()) for name in ("a", "b")]
            await asyncio.sleep(0)
            waiting[0].cancel()
            await asyncio.sleep(0)
        await asyncio.wait_for(waiting[1], 5)

    asyncio.run(run())


def test_a_thousand_equal_errors_are_one_line(tmp_path: Path) -> None:
    stream = io.StringIO()
    logger = logging.Logger("test")
    handler = QuietHandler(tmp_path, stream)
    logger.addHandler(handler)
    for number in range(1000):
        logger.error("no room for %d", number)
        logger.info("request %d %s", number, "x" * 1000)
    lines = stream.getvalue().splitlines()
    assert [line.split("] ")[1] for line in lines if "ERROR" in line] == ["ERROR: no room for 0"]
    assert sum("request" in line for line in lines) == REQUESTS
    assert max(map(len, lines)) <= 500
    asyncio.run(handler.sweep())
    told = stream.getvalue().splitlines()[len(lines) :]
    assert [line.split(": ", 1)[1] for line in told] == ["999 more in 10 s: no room for %d", "900 more in 10 s: request %d %s"]
    logger.error("no room for %d", 1001)
    assert stream.getvalue().endswith("no room for 1001\n")
    for number in range(1000):
        logger.error(f"kind {number}")
    assert len(stream.getvalue().splitlines()) < len(lines) + 110


def test_the_log_is_rotated_while_the_issuer_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gdkreg.host.processes.ROTATE_AT", 10)
    log = log_of(tmp_path, "auth")
    log.parent.mkdir(parents=True)
    log.write_text("a long line\n")
    asyncio.run(QuietHandler(tmp_path).sweep())
    assert log.read_text() == ""
    assert log.with_name("auth.log.1").read_text() == "a long line\n"
