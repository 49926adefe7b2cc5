"""The registry as a process: a binary, a pid file and a log."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gdkreg.config.effective import Settings
from gdkreg.errors import GdkregError
from gdkreg.host.base import Completed, Host, HostReader, Platform
from gdkreg.host.environment import of_a_service
from gdkreg.services import place
from gdkreg.services.daemon import Daemon
from gdkreg.services.launch import Launch


def find_binary(root: Path, binary: str | None, platform: Platform) -> str | None:
    """registry.bin, GDK's own build, then `registry` or `docker-registry` on PATH."""
    path = platform.env.get("PATH")
    if binary:
        given = root / os.path.expanduser(binary)
        return str(given) if os.access(given, os.X_OK) and given.is_file() else shutil.which(binary, path=path)
    built = root / "container-registry" / "bin" / "registry"
    if os.access(built, os.X_OK):
        return str(built)
    return shutil.which("registry", path=path) or shutil.which("docker-registry", path=path)


class ProcessRuntime:
    """Implements `registry.Runtime` with a process of this user's."""

    name = "process"
    binds: place.By = "user"

    def __init__(self, settings: Settings, launch: Callable[[], Launch], host: HostReader) -> None:
        root = settings.root
        self._settings = settings
        self._build = launch  # only what starts needs it: a broken configuration must not keep a registry running
        self._host = host
        self._platform = host.platform
        self.daemon = Daemon(root, "registry", host, root / "registry" / "config.yml", "registry/config.yml")

    @property
    def _launch(self) -> Launch:
        return self._build()

    def wanted(self) -> str:
        binary = self._binary()
        return self._launch.digest(f"{binary} {os.stat(binary).st_mtime_ns}")

    def _binary(self) -> str:
        given = self._settings.registry.bin
        binary = find_binary(self._settings.root, given, self._platform)
        if binary is None:
            raise GdkregError(
                "there is no registry binary",
                why=f"{given} cannot be run"
                if given
                else "looked for container-registry/bin/registry, and for registry and docker-registry on PATH",
                fix="sudo apt-get install docker-registry, or gdkreg config set registry.bin PATH",
            )
        return binary

    def version(self) -> str:
        """What the program says of itself."""
        done = self._host.query([self._binary(), "--version"])
        return done.out or done.err

    def check(self) -> None:
        """Raises `GdkregError` where it cannot be run here."""
        self._binary()
        uid, gid = self._settings.registry.uid, self._settings.registry.gid
        if str(uid) not in {"", str(self._platform.uid)} or str(gid) not in {"", str(self._platform.gid)}:
            raise GdkregError(
                f"a process runs as you, not as {uid}:{gid}", fix="gdkreg config set registry.runtime docker, or registry.uid ''"
            )

    def start(self, host: Host) -> None:
        self.check()
        # No REGISTRY_… of the caller's either: it would silently change the configuration.
        env = of_a_service(self._platform.env, reaches_out=True) | self._launch.environment | self._launch.overrides
        self.daemon.start(host, [self._binary(), "serve", str(self._launch.config)], env, self.wanted())

    def collect(self, host: Host, options: Sequence[str]) -> Completed:
        """The registry's own garbage-collect, with the environment of the one that serves."""
        wanted = of_a_service(self._platform.env, reaches_out=True)
        without = [word for name in self._platform.env if name not in wanted for word in ("-u", name)]
        own = [f"{name}={value}" for name, value in (self._launch.environment | self._launch.overrides).items()]
        return host.run(["env", *without, *own, self._binary(), "garbage-collect", *options, str(self._launch.config)])

    def running(self) -> str | None:
        return self.daemon.running()

    def describe(self) -> str:
        return self.daemon.describe()

    def died(self) -> str:
        return self.daemon.died()

    def stop(self, host: Host) -> bool:
        return self.daemon.stop(host)

    def remove(self, host: Host) -> None:
        self.daemon.remove(host)

    def exists(self) -> bool:
        return self.daemon.exists()

    def rival(self) -> str:
        """A process has no containers to look through."""
        return ""

    def last_lines(self, count: int) -> list[str]:
        return self.daemon.last_lines(count)

    def lines(self, count: int | None, *, follow: bool, since: float | None) -> Iterator[str]:
        return self.daemon.lines(count, follow=follow, since=since)

    def attend(self, since: float) -> Iterator[str]:
        return self.daemon.lines(None, follow=True, since=since, to_its_end=True)
