"""A flood, as a program of its own: connections that say nothing, handshakes that do not end, sessions that ask nothing.

`python flood.py HOST PORT IDLE SLOW SECONDS`: IDLE connections, every second one with a finished handshake, and SLOW ones that
send a byte of their handshake now and then. Whoever is closed comes back. Prints how often that was.
"""

from __future__ import annotations

import asyncio
import resource
import ssl
import sys
from contextlib import suppress

HOST, PORT, IDLE, SLOW, SECONDS = sys.argv[1], *(int(word) for word in sys.argv[2:6])
CONTEXT = ssl._create_unverified_context()
_returned = 0


def _hello() -> bytes:
    """The first bytes that a TLS client sends."""
    out = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        CONTEXT.wrap_bio(ssl.MemoryBIO(), out, server_hostname=HOST).do_handshake()
    return out.read()


async def _visit(number: int) -> None:
    context = CONTEXT if number < IDLE and number % 2 else None
    reader, writer = await asyncio.open_connection(HOST, PORT, ssl=context)
    try:
        end = asyncio.ensure_future(reader.read())
        end.add_done_callback(lambda done: done.cancelled() or done.exception())
        hello = _hello() if number >= IDLE else b""
        for at in range(len(hello)):
            writer.write(hello[at : at + 1])
            if (await asyncio.wait({end}, timeout=0.5))[0]:
                return
        await end
    finally:
        writer.transport.abort()


async def _again(number: int) -> None:
    global _returned
    while True:
        try:
            await _visit(number)
        except OSError:
            await asyncio.sleep(0.05)
        _returned += 1


async def main() -> None:
    tasks = [asyncio.ensure_future(_again(number)) for number in range(IDLE + SLOW)]
    print("flooding", flush=True)
    await asyncio.sleep(SECONDS)
    for task in tasks:
        task.cancel()
    print(_returned, flush=True)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(main())
