"""A process of ours that outlives us: a pid file, a log, and what it was started with."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from gdkreg.errors import DamagedError, GdkregError
from gdkreg.host import files, processes
from gdkreg.host.base import Host, HostReader
from gdkreg.plan import state
from gdkreg.plan.state import FOLDER

_STAMP = re.compile(r'time="([^"]+)"|\[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]')


class Daemon:
    """`name` names the pid file and the log in the root's `.gdkreg`; `last_word` is the path that its command line ends with,
    by which it is found where the pid file is damaged; `sign` ends a word of it wherever the root stood then."""

    def __init__(self, root: Path, name: str, host: HostReader, last_word: Path, sign: str) -> None:
        self._root = root
        self._host = host
        self._pid_file = f"{name}.pid"
        self.log = state.log_of(root, name)
        self._last_word = last_word
        self._sign = sign
        self._child: processes.Child | None = None

    def recorded(self) -> processes.Running | None:
        """Raises `DamagedError` where the pid file is not what gdkreg writes."""
        return state.read_as(self._host, self._root, self._pid_file, processes.Running)

    def running(self) -> str | None:
        """The digest of what runs; None where nothing does."""
        processes.rotate(self.log, self._root)
        recorded = self.recorded()
        return recorded.digest if recorded and processes.is_ours(recorded, self._sign) else None

    def describe(self) -> str:
        recorded = self.recorded()
        return f"pid {recorded.pid}" if recorded else ""

    def start(self, host: Host, argv: Sequence[str], env: Mapping[str, str], digest: str) -> None:
        """Raises `GdkregError` where it cannot be run."""
        owner = state.owner_of(host, self._root)
        host.make_folder(self.log.parent, mode=0o700, owner=owner, below=self._root)

        def record(running: processes.Running) -> None:
            state.write_value(host, self._root, self._pid_file, running)

        try:
            self._child = processes.spawn(
                argv, env=env, log=self.log, below=self._root, digest=digest, owner=owner, record=record
            )
        except OSError as error:
            raise GdkregError(f"cannot run {argv[0]}", why=error.strerror or str(error), fix=f"file {argv[0]}") from None

    def died(self) -> str:
        """How it ended, while it is being started; empty while it lives."""
        code = self._child.poll() if self._child else None
        return f"it exited with code {code}" if code is not None else ""

    def stop(self, host: Host) -> bool:
        recorded = self.recorded()
        ours = recorded is not None and processes.is_ours(recorded, self._sign)
        stopped = processes.stop(recorded) if recorded is not None and ours else False
        if recorded is not None:
            host.remove(self._root / FOLDER / self._pid_file, below=self._root)
        return stopped

    def exists(self) -> bool:
        """Whether there is anything of it: a process, or its pid file."""
        try:
            return self.recorded() is not None
        except DamagedError:
            return True

    def remove(self, host: Host) -> None:
        try:
            self.stop(host)
        except DamagedError:
            for found in processes.ending_with(str(self._last_word)):
                processes.stop(found)
            host.remove(self._root / FOLDER / self._pid_file, below=self._root)
        for name in host.entries(self.log.parent):
            if name.startswith(self.log.name):
                host.remove(self.log.parent / name, below=self._root)

    def last_lines(self, count: int) -> list[str]:
        return list(self.lines(count, follow=False, since=None))

    def lines(self, count: int | None, *, follow: bool, since: float | None, to_its_end: bool = False) -> Iterator[str]:
        """The log's last lines, and what comes, until it is interrupted; with `to_its_end` until the process has ended.
        `since` is in seconds since the epoch."""
        try:
            fd = files.open_own(self.log, self._root, os.O_RDONLY)
        except OSError:
            return
        with os.fdopen(fd, "r", errors="replace") as stream:
            kept = [line.rstrip("\n") for line in stream]
            if since is not None:
                kept = _since(kept, since)
            yield from kept if count is None else kept[max(0, len(kept) - count) :]
            while follow:
                gone = to_its_end and self.running() is None  # asked before the last look: nothing is lost
                if line := stream.readline():
                    yield line.rstrip("\n")
                    yield from (more.rstrip("\n") for more in stream)
                elif gone:
                    return
                else:
                    if stream.tell() > self.log.stat().st_size:
                        stream.seek(0)  # it was rotated
                    time.sleep(0.1)


def _since(lines: list[str], since: float) -> list[str]:
    """The lines from a moment on; a line without a time belongs to the one before it."""
    keep, out = False, []
    for line in lines:
        found = _STAMP.search(line)
        if found:
            keep = _moment(found) >= since
        if keep:
            out.append(line)
    return out


def _moment(found: re.Match[str]) -> float:
    try:
        if found[1]:
            return datetime.fromisoformat(re.sub(r"\.\d+", "", found[1]).replace("Z", "+00:00")).timestamp()
        return datetime.strptime(found[2], "%d/%b/%Y:%H:%M:%S %z").astimezone(timezone.utc).timestamp()
    except ValueError:
        return 0.0
