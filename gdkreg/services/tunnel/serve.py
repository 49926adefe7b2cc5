"""The tunnel's keeper as a process: `python -m gdkreg.services.tunnel.serve ROOT`. Started by `services.tunnel`."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from collections import deque
from pathlib import Path
from typing import Literal, NoReturn

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.errors import GdkregError
from gdkreg.host.base import Host
from gdkreg.host.machine import Machine
from gdkreg.host.tether import Tethered
from gdkreg.resources import applied
from gdkreg.services.tunnel import command, failures, reach, told
from gdkreg.services.tunnel.failures import Failure
from gdkreg.services.tunnel.reach import Asking
from gdkreg.services.tunnel.told import Told

FIRST, LONGEST = 1.0, 60.0  # seconds between two tries; each is twice the one before, for as long as it takes
_HELD = 30.0  # seconds after which a connection counts as one that held
_LOOK = 5.0  # seconds between two looks whether the registry still asks for tokens
_PROOF, _HOPE = 300.0, 60.0  # seconds between two looks from outside, where it was reached and where it was not
_OPEN = Failure(
    "open",
    "the registry lets everybody in, so it is not published any more",
    "it asks nobody for a token",
    "gdkreg config set registry.auth_enabled true; gdkreg reconfigure; gdkreg start",
    lasting=True,
)
_STRANGE = Failure(
    "open",
    "another program has the registry's place, so it is not published any more",
    "what answers there is no registry",
    "gdkreg doctor names it; then gdkreg start; gdkreg start tunnel",
    lasting=True,
)
_ENDS = {"open": _OPEN, "strange": _STRANGE}


class Keeper:
    """Keeps one ssh up, and tells of each change once."""

    def __init__(self, root: Path, settings: Settings, host: Host, program: str) -> None:
        self._root = root
        self._settings = settings
        self._host = host
        self._argv = command.argv(program, settings, host)
        self._key = str(command.key(settings, host) or "")
        self._last = Told(os.getpid(), "connecting")
        self._asking: Asking | None = None
        self._due = 0.0  # when the next proof is

    def run(self) -> int:
        """Until it is stopped, or nothing but a person helps."""
        pause = FIRST
        while True:
            began = time.monotonic()
            failure = self._session()
            if failure.lasting:
                self._tell("failed", failure)
                return 1
            self._tell("waiting", failure)
            pause = FIRST if time.monotonic() - began > _HELD else pause
            time.sleep(pause)
            pause = min(pause * 2, LONGEST)

    def _session(self) -> Failure:
        """One ssh from its start to its end. It ends with us, and where what it leads to may not be published."""
        if danger := reach.must_end(self._settings):
            return _ENDS[danger]
        ssh = Tethered(self._argv, os.environ)
        said: deque[str] = deque(maxlen=200)
        listens, look = False, time.monotonic() + _LOOK
        try:
            while (code := ssh.ended()) is None:
                for line in ssh.lines(0.2):
                    listens = listens or bool(failures.LISTENS.search(line))
                    said.append(line)
                if listens:
                    self._prove()
                if time.monotonic() >= look:
                    look = time.monotonic() + _LOOK
                    if danger := reach.must_end(self._settings):
                        return _ENDS[danger]
            return failures.of(said, code, self._settings, self._key, str(command.known_hosts(self._settings, self._host)))
        finally:
            ssh.end()
            self._asking, self._due = None, 0.0

    def _prove(self) -> None:
        """Ask from outside, from time to time; what came of it is told once it is there."""
        if self._asking is None and time.monotonic() >= self._due:
            self._asking = Asking(self._settings)
        found = self._asking.found if self._asking is not None else None
        if found is not None:
            self._asking, self._due = None, time.monotonic() + (_PROOF if found.url else _HOPE)
            self._say(Told(os.getpid(), "connected", url=found.url, why=found.why, fix=found.fix))

    def _tell(self, state: Literal["waiting", "failed"], failure: Failure) -> None:
        self._say(Told(os.getpid(), state, kind=failure.kind, what=failure.what, why=failure.why, fix=failure.fix))

    def _say(self, now: Told) -> None:
        if now == msgspec.structs.replace(self._last, since=""):
            return
        self._last = msgspec.structs.replace(now, since=_moment())
        with contextlib.suppress(GdkregError):  # a full disk is no reason to end
            told.write(self._root, self._host, self._last)
        line = told.sentence(self._last)
        with contextlib.suppress(OSError):
            sys.stdout.write(f'time="{self._last.since}" level={_LEVELS[now.state]} msg="{line}"\n')
            sys.stdout.flush()


_LEVELS = {"connecting": "info", "connected": "info", "waiting": "warning", "failed": "error"}


def _moment() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _ended(*_: object) -> NoReturn:
    sys.exit(0)


def main() -> None:
    for way in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(way, _ended)
    root, host = Path(sys.argv[1]), Machine()
    settings = applied.read(root, host)
    program = shutil.which("ssh")
    if settings is None or program is None:
        sys.exit("gdkreg reconfigure was not run yet" if settings is None else "there is no ssh on PATH")
    sys.exit(Keeper(root, settings, host, program).run())


if __name__ == "__main__":
    main()
