"""The registry as a process: a binary, a pid file and a log."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.host import files, processes
from gdkreg.host.base import Platform
from gdkreg.plan.journal import FOLDER
from gdkreg.services.launch import Launch

_STAMP = re.compile(r'time="([^"]+)"|\[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]')


def find_binary(launch: Launch, platform: Platform) -> str | None:
    """registry.bin, GDK's own build, then `registry` or `docker-registry` on PATH."""
    path = platform.env.get("PATH")
    if launch.binary:
        given = launch.root / Path(launch.binary).expanduser()
        return str(given) if os.access(given, os.X_OK) and given.is_file() else shutil.which(launch.binary, path=path)
    built = launch.root / "container-registry" / "bin" / "registry"
    if os.access(built, os.X_OK):
        return str(built)
    return shutil.which("registry", path=path) or shutil.which("docker-registry", path=path)


class ProcessRuntime:
    """Implements `registry.Runtime` with a process of this user's."""

    name = "process"

    def __init__(self, launch: Launch, platform: Platform) -> None:
        self._launch = launch
        self._platform = platform
        folder = launch.root / FOLDER
        self._pid_file = folder / "registry.pid"
        self.log = folder / "log" / "registry.log"
        self._child: processes.Child | None = None

    def _recorded(self) -> processes.Running | None:
        try:
            return msgspec.json.decode(self._pid_file.read_bytes(), type=processes.Running)
        except (OSError, msgspec.DecodeError):
            return None

    def running(self) -> str | None:
        """The digest of what runs; None where nothing does."""
        processes.rotate(self.log)
        recorded = self._recorded()
        return recorded.digest if recorded and processes.is_alive(recorded) else None

    def wanted(self) -> str:
        binary = self._binary()
        return self._launch.digest(f"{binary} {os.stat(binary).st_mtime_ns}")

    def describe(self) -> str:
        recorded = self._recorded()
        return f"pid {recorded.pid}" if recorded else ""

    def _binary(self) -> str:
        binary = find_binary(self._launch, self._platform)
        if binary is None:
            raise GdkregError(
                "there is no registry binary",
                why=f"{self._launch.binary} cannot be run"
                if self._launch.binary
                else "looked for container-registry/bin/registry, and for registry and docker-registry on PATH",
                fix="sudo apt-get install docker-registry, or gdkreg config set registry.bin PATH",
            )
        return binary

    def start(self) -> None:
        uid, gid = self._launch.uid, self._launch.gid
        if uid not in {None, self._platform.uid} or gid not in {None, self._platform.gid}:
            raise GdkregError(
                f"a process runs as you, not as {uid}:{gid}", fix="gdkreg config set registry.runtime docker, or registry.uid ''"
            )
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # REGISTRY_… of the caller's would silently change the configuration; AWS_CA_BUNDLE makes 2.8's s3 driver panic.
        env = {
            key: value for key, value in self._platform.env.items() if not key.startswith("REGISTRY_") and key != "AWS_CA_BUNDLE"
        }
        env |= {**self._launch.environment, **self._launch.overrides}
        argv = [self._binary(), "serve", str(self._launch.config)]
        try:
            recorded, self._child = processes.spawn(argv, env=env, log=self.log, digest=self.wanted())
        except OSError as error:
            raise GdkregError(f"cannot run {argv[0]}", why=error.strerror or str(error), fix=f"file {argv[0]}") from None
        files.write_whole(self._pid_file, msgspec.json.encode(recorded), mode=0o600, owner=None)

    def died(self) -> str:
        """How it ended, while it is being started; empty while it lives."""
        code = self._child.poll() if self._child else None
        return f"it exited with code {code}" if code is not None else ""

    def stop(self) -> bool:
        recorded = self._recorded()
        stopped = processes.stop(recorded) if recorded else False
        self._pid_file.unlink(missing_ok=True)
        return stopped

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.log.parent, ignore_errors=True)

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
