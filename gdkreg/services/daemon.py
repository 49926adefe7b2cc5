"""A process of ours that outlives us: a pid file, a log, and what it was started with."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.host import files, processes

_STAMP = re.compile(r'time="([^"]+)"|\[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]')


class Daemon:
    """`folder` is `.gdkreg`; `name` names the pid file and the log in it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._pid_file = folder / f"{name}.pid"
        self.log = folder / "log" / f"{name}.log"
        self._child: processes.Child | None = None

    def recorded(self) -> processes.Running | None:
        try:
            return msgspec.json.decode(self._pid_file.read_bytes(), type=processes.Running)
        except (OSError, msgspec.DecodeError):
            return None

    def running(self) -> str | None:
        """The digest of what runs; None where nothing does."""
        processes.rotate(self.log)
        recorded = self.recorded()
        return recorded.digest if recorded and processes.is_alive(recorded) else None

    def describe(self) -> str:
        recorded = self.recorded()
        return f"pid {recorded.pid}" if recorded else ""

    def start(self, argv: Sequence[str], env: Mapping[str, str], digest: str) -> None:
        """Raises `GdkregError` where it cannot be run."""
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            recorded, self._child = processes.spawn(argv, env=env, log=self.log, digest=digest)
        except OSError as error:
            raise GdkregError(f"cannot run {argv[0]}", why=error.strerror or str(error), fix=f"file {argv[0]}") from None
        files.write_whole(self._pid_file, msgspec.json.encode(recorded), mode=0o600, owner=None)

    def died(self) -> str:
        """How it ended, while it is being started; empty while it lives."""
        code = self._child.poll() if self._child else None
        return f"it exited with code {code}" if code is not None else ""

    def stop(self) -> bool:
        recorded = self.recorded()
        stopped = processes.stop(recorded) if recorded else False
        self._pid_file.unlink(missing_ok=True)
        return stopped

    def remove(self) -> None:
        self.stop()
        for path in self.log.parent.glob(f"{self.log.name}*"):
            path.unlink(missing_ok=True)

    def last_lines(self, count: int) -> list[str]:
        return list(self.lines(count, follow=False, since=None))

    def lines(self, count: int | None, *, follow: bool, since: float | None) -> Iterator[str]:
        """The log's last lines, and what comes, until it is interrupted. `since` is in seconds since the epoch."""
        if not self.log.exists():
            return
        with self.log.open("r", errors="replace") as stream:
            kept = [line.rstrip("\n") for line in stream]
            if since is not None:
                kept = _since(kept, since)
            yield from kept if count is None else kept[max(0, len(kept) - count) :]
            while follow:
                line = stream.readline()
                if line:
                    yield line.rstrip("\n")
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
