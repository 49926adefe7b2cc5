"""The life of the registry: which runtime, start until it answers, stop, state."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec

from gdkreg.config.settings import Settings
from gdkreg.errors import GdkregError
from gdkreg.host import files
from gdkreg.host.base import Host
from gdkreg.plan.journal import FOLDER
from gdkreg.services import place, ready
from gdkreg.services.launch import Launch, build
from gdkreg.services.process import ProcessRuntime, find_binary

PATIENCE = 30.0  # seconds until a registry that neither answers nor dies is given up
_PORT = "registry.port"
NOT_RUNNING = "stopped"


class Runtime(Protocol):
    """How a registry is run. `running` and `wanted` are digests of all that goes into it."""

    name: str

    def running(self) -> str | None: ...
    def wanted(self) -> str: ...
    def describe(self) -> str: ...
    def start(self) -> None: ...
    def died(self) -> str: ...
    def stop(self) -> bool: ...
    def remove(self) -> None: ...
    def rival(self) -> str: ...
    def last_lines(self, count: int) -> list[str]: ...
    def lines(self, count: int | None, *, follow: bool, since: float | None) -> Iterator[str]: ...


class Started(msgspec.Struct, frozen=True):
    """What `start` did: "started", "recreated" or "already running", by which runtime and why that one."""

    what: str
    runtime: str
    why: str
    url: str
    status: int
    seconds: float


class State(msgspec.Struct, frozen=True):
    """How the registry stands. `current` is False where it runs with settings from before the last reconfigure."""

    running: bool
    runtime: str = ""
    detail: str = ""
    url: str = ""
    verdict: str = NOT_RUNNING
    current: bool = True


class Registry:
    """The registry of one root. `settings` are the applied ones; `progress` is shown a pull."""

    def __init__(
        self,
        settings: Settings,
        host: Host,
        progress: Callable[[dict[str, Any]], None] | None = None,
        launch: Launch | None = None,
    ) -> None:
        self._settings = settings
        self._host = host
        self._progress = progress or (lambda _: None)
        self._record = settings.root / FOLDER / "runtime"
        self._launch = launch
        self._asked: tuple[Any, str] | None = None

    @property
    def launch(self) -> Launch:
        if self._launch is None:
            self._launch = build(self._settings, self._host)
        return self._launch

    # choosing

    def _process(self) -> ProcessRuntime:
        return ProcessRuntime(self._settings.root, lambda: self.launch, self._host.platform)

    def _container(self) -> tuple[Any, str]:
        """The container runtime, or None and why not. The engine is asked once."""
        if self._asked is None:
            self._asked = self._ask_engine()
        return self._asked

    def _ask_engine(self) -> tuple[Any, str]:
        from gdkreg.engines.detect import detect
        from gdkreg.services.container import ContainerRuntime

        engine, client = detect(self._host)
        if client is None:
            return None, engine.why
        if not engine.local:
            return None, f"the engine at {engine.endpoint.url} is not on this machine"
        runtime = ContainerRuntime(self._settings.root, lambda: self.launch, self._host.platform, engine, client)
        return runtime, f"{engine.kind} engine {engine.version}"

    def choose(self, *, pull: bool = True) -> tuple[Runtime, str]:
        """The runtime that gdk.yml asks for and why it is that one. Raises `GdkregError` where none can run."""
        kind = self._settings.registry.runtime
        if kind == "process":
            return self._process(), "registry.runtime is process"
        container, why = self._container()
        if container is not None:
            if container.has_image():
                return container, why
            if not pull:
                return container, f"{why}, once the image {self.launch.image} is pulled"
            try:
                container.pull(self._progress)
                return container, f"{why}, image pulled"
            except GdkregError as error:
                why = f"{error.what}: {error.why}" if error.why else error.what
        if kind == "auto" and find_binary(self.launch, self._host.platform):
            return self._process(), why
        fix = "start the engine, or gdkreg config set registry.runtime process"
        if container is not None:
            fix = f"docker pull {self.launch.image}, or name another: gdkreg config set registry.image IMAGE"
        binary = "; nor is there a registry binary (gdkreg config set registry.bin PATH)" if kind == "auto" else ""
        raise GdkregError("there is nothing to run the registry with", why=why + binary, fix=fix)

    def _recorded(self) -> list[str]:
        """The runtimes that were started and not removed, the last one first."""
        return (self._host.read(self._record) or b"").decode().split()

    def current(self) -> Runtime | None:
        """The runtime that was started last. Raises `GdkregError` where its engine does not answer; None before any start."""
        kinds = self._recorded()
        return self._runtime(kinds[0]) if kinds else None

    def _runtime(self, kind: str) -> Runtime:
        if kind == "process":
            return self._process()
        container, why = self._container()
        if container is None:
            raise GdkregError(
                "cannot tell whether the registry's container runs", why=why, fix="start the engine, then the same command again"
            )
        runtime: Runtime = container
        return runtime

    # the verbs

    def start(self) -> Started:
        """Start, or replace what runs with other settings; returns once /v2/ answers. Raises `GdkregError`."""
        begin = time.monotonic()
        runtime, why = self.choose()
        others = [kind for kind in self._recorded() if kind != runtime.name]
        left = self._without(others)
        running, wanted = runtime.running(), runtime.wanted()
        if running == wanted and (answer := self._ask()).verdict == "ready":
            return self._report("already running", runtime, why, begin, answer)
        if running is not None:
            runtime.stop()
        address, port = self.launch.address, self.launch.port
        if place.is_taken(address, port, _PORT):
            raise self._port_taken(runtime, address, port)
        self._check_storage()
        files.write_whole(self._record, " ".join([runtime.name, *left]).encode(), mode=0o600, owner=None)
        try:
            runtime.start()
            answer = self._wait(runtime)
        except KeyboardInterrupt:
            runtime.stop()  # so that «nothing was changed» is true
            raise
        return self._report("recreated" if running is not None else "started", runtime, why, begin, answer)

    def stop(self) -> bool:
        """Stop it; False where it was not running."""
        runtime = self.current()
        self._without(self._recorded()[1:])
        return runtime.stop() if runtime is not None else False

    def _without(self, kinds: list[str]) -> list[str]:
        """Remove what other runtimes hold: it would hold the port. What cannot be asked now is left, and kept in mind."""
        left = []
        for kind in kinds:
            try:
                self._runtime(kind).remove()
            except GdkregError:
                left.append(kind)
        return left

    def remove(self) -> bool:
        """Stop it and remove its container, or its log; the images stay. False where there was nothing."""
        kinds = self._recorded()
        for kind in kinds:
            self._runtime(kind).remove()
        self._record.unlink(missing_ok=True)
        return bool(kinds)

    def state(self) -> State:
        """How it stands; an engine that does not answer, or a broken configuration, is part of the answer."""
        try:
            runtime = self.current()
            digest = runtime.running() if runtime is not None else None
        except GdkregError as error:
            return State(False, "docker", f"unknown: {error.why or error.what}", self._url)
        if runtime is None or digest is None:
            detail = runtime.describe() if runtime is not None and runtime.name == "docker" else ""
            return State(False, runtime.name if runtime else "", detail, self._url)
        try:
            current, verdict = digest == runtime.wanted(), self._ask().verdict
        except GdkregError as error:  # the image, the binary or the configuration is gone; what runs goes on running
            return State(True, runtime.name, runtime.describe(), self._url, error.what, False)
        return State(True, runtime.name, runtime.describe(), self._url, verdict, current)

    @property
    def _url(self) -> str:
        return f"{self._settings.scheme}://{self._settings.address}:{self._settings.registry.port}"

    def lines(self, count: int | None, *, follow: bool, since: float | None) -> Iterator[str]:
        runtime = self.current()
        if runtime is None:
            raise GdkregError("the registry was not started yet", fix="gdkreg start registry")
        return runtime.lines(count, follow=follow, since=since)

    # on the way

    def _ask(self) -> ready.Answer:
        launch = self.launch
        return ready.ask(launch.address, launch.port, launch.certificate)

    def _report(self, what: str, runtime: Runtime, why: str, begin: float, answer: ready.Answer) -> Started:
        return Started(what, runtime.name, why, self.launch.url, answer.status, round(time.monotonic() - begin, 3))

    def _wait(self, runtime: Runtime) -> ready.Answer:
        deadline = time.monotonic() + PATIENCE
        answer = self._ask()
        while answer.verdict != "ready":
            if how := runtime.died():
                raise self._failed("the registry died while starting", how, runtime)
            if time.monotonic() > deadline or answer.verdict in {"other certificate", "no tls"}:
                runtime.stop()
                raise self._failed(f"the registry does not answer at {self.launch.url}", answer.detail, runtime)
            time.sleep(0.01)
            answer = self._ask()
        return answer

    def _failed(self, what: str, why: str, runtime: Runtime) -> GdkregError:
        lines = _telling(runtime.last_lines(80))
        return GdkregError(what, why=why, fix="gdkreg tail registry --no-follow shows the whole log", details="\n".join(lines))

    def _port_taken(self, runtime: Runtime, address: str, port: int) -> GdkregError:
        if rival := runtime.rival():
            return GdkregError(
                f"port {port} is held by GDK's own registry, container {rival}",
                why="both would serve the same storage",
                fix="gdk stop registry (gdk start starts it again: gdk start rails-web and the like leave it off)",
            )
        if "AirTunes" in ready.ask(address, port, None).server:
            switch = "switch off System Settings → General → AirDrop & Handoff → AirPlay Receiver"
            return GdkregError(f"port {port} is held by AirPlay", fix=f"{switch}, or {place.move(port, _PORT)}")
        return place.taken(address, port, _PORT)

    def _check_storage(self) -> None:
        import os

        launch = self.launch
        if not any(mount.source == launch.storage for mount in launch.mounts):
            return  # another storage driver
        if self._host.info(launch.storage) is None:
            raise GdkregError(f"{launch.storage} is missing", fix="gdkreg reconfigure")
        own = launch.uid in {None, self._host.platform.uid}
        info = self._host.info(Path(os.path.realpath(launch.storage)))
        writable = (
            os.access(launch.storage, os.W_OK | os.X_OK)
            if own
            else info is not None and info.uid == launch.uid and info.mode & 0o300 == 0o300
        )
        if not writable:
            user = launch.uid if launch.uid is not None else self._host.platform.uid
            raise GdkregError(
                f"{launch.storage} is not writable for user {user}",
                why="every push would fail",
                fix=f"sudo chown -R {user} {os.path.realpath(launch.storage)}; chmod u+rwx {os.path.realpath(launch.storage)}",
            )


def _telling(lines: list[str], count: int = 15) -> list[str]:
    """The last lines that say something: a panic without the stack that Go prints after it."""
    panic = next((at for at, line in enumerate(lines) if line.startswith("panic:")), None)
    if panic is None:
        return lines[-count:]
    return lines[max(0, panic - 5) : panic + 1]
