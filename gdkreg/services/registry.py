"""The life of the registry: which runtime, start until it answers, stop, state."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.engines import machine
from gdkreg.errors import DamagedError, GdkregError
from gdkreg.host.base import Completed, Host, HostReader
from gdkreg.plan import roots, state
from gdkreg.plan.state import FOLDER
from gdkreg.services import place, ready
from gdkreg.services.launch import Launch, NotMadeYetError, build
from gdkreg.services.process import ProcessRuntime, find_binary

if TYPE_CHECKING:
    from gdkreg.engines.api import Api
    from gdkreg.engines.detect import Engine

PATIENCE = 30.0  # seconds until a registry that neither answers nor dies is given up
PORT = "registry.port"
NOT_RUNNING = "stopped"
_RECORD, _KINDS = "runtime", ("docker", "process")
FindEngine = Callable[[], "tuple[Engine, Api | None]"]


class Runtime(Protocol):
    """How a registry is run. `running` and `wanted` are digests of all that goes into it."""

    name: str

    @property
    def binds(self) -> place.By: ...
    def running(self) -> str | None: ...
    def exists(self) -> bool: ...
    def wanted(self) -> str: ...
    def describe(self) -> str: ...
    def version(self) -> str: ...
    def check(self) -> None: ...
    def start(self, host: Host) -> None: ...
    def died(self) -> str: ...
    def stop(self, host: Host) -> bool: ...
    def collect(self, host: Host, options: Sequence[str]) -> Completed: ...
    def remove(self, host: Host) -> None: ...
    def last_lines(self, count: int) -> list[str]: ...
    def lines(self, count: int | None, *, follow: bool, since: float | None) -> Iterator[str]: ...
    def attend(self, since: float) -> Iterator[str]: ...


class Choice(msgspec.Struct, frozen=True):
    """The runtime to take and why that one; `pull`: its image has to be pulled first, else `otherwise` is taken."""

    runtime: Any
    why: str
    pull: bool = False
    otherwise: Any = None


UNKNOWN = "unknown: "  # how the detail begins where nobody can tell whether it runs


class State(msgspec.Struct, frozen=True):
    """How the registry stands. `current` is False where it runs with settings from before the last reconfigure."""

    running: bool
    runtime: str = ""
    detail: str = ""
    url: str = ""
    verdict: str = NOT_RUNNING
    current: bool = True
    wanted: bool = False


class Registry:
    """The registry of one root. `settings` are the applied ones, or those of a plan; `host` then shows the plan's files."""

    def __init__(
        self,
        settings: Settings,
        id_: str,
        host: HostReader,
        find_engine: FindEngine | None = None,
        launch: Launch | None = None,
        *,
        certain: bool = True,
    ) -> None:
        self.settings = settings
        self._id = id_
        self._host = host
        self._find_engine = find_engine
        self._launch = launch
        self._certain = certain  # whether the record can be relied on

    @property
    def launch(self) -> Launch:
        if self._launch is None:
            self._launch = build(self.settings, self._id, self._host)
        return self._launch

    # choosing

    def _process(self) -> ProcessRuntime:
        return ProcessRuntime(self.settings, lambda: self.launch, self._host)

    @functools.cached_property
    def _container(self) -> tuple[Any, str]:
        """The container runtime, or None and why not. The engine is asked once."""
        from gdkreg.engines.detect import find
        from gdkreg.services.container import ContainerRuntime

        if why := machine.elsewhere(self.settings, self._host.platform.env):
            return None, why
        engine, api = self._find_engine() if self._find_engine else find(self._host)
        if api is None:
            return None, engine.why
        if not engine.serves:
            return None, f"the engine at {engine.endpoint.shown} is not on this machine"
        runtime = ContainerRuntime(self.settings, self._id, lambda: self.launch, self._host, engine, api)
        return runtime, f"{engine.kind} engine {engine.version}"

    def choose(self) -> Choice:
        """What gdk.yml asks for. Raises `GdkregError` where nothing can run it."""
        kind = self.settings.registry.runtime
        if kind == "process":
            return Choice(self._process(), "registry.runtime is process")
        container, why = self._container
        binary = kind == "auto" and find_binary(self.settings.root, self.settings.registry.bin, self._host.platform)
        if container is None and self.settings.machine:
            fix = f"docker-machine start {self.settings.machine}, or unset DOCKER_MACHINE_NAME DOCKER_HOST"
            raise GdkregError(f"the engine of docker-machine {self.settings.machine} does not answer", why=why, fix=fix)
        if container is not None:
            if container.has_image():
                return Choice(container, why)
            return Choice(container, why, pull=True, otherwise=self._process() if binary else None)
        if binary:
            return Choice(self._process(), why)
        fix = "start the engine, or gdkreg config set registry.runtime process"
        nor = "; nor is there a registry binary (gdkreg config set registry.bin PATH)" if kind == "auto" else ""
        raise GdkregError("there is nothing to run the registry with", why=why + nor, fix=fix)

    def recorded(self) -> list[str]:
        """The runtimes that were started and not removed, the last one first. Raises `DamagedError`."""
        raw = state.read(self._host, self.settings.root, _RECORD)
        words = (raw or b"").decode("utf-8", "replace").split()
        if any(word not in _KINDS for word in words) or (raw is not None and not words):
            raise state.damaged(self.settings.root / FOLDER / _RECORD, "it is not what gdkreg writes")
        return words

    def current(self) -> Runtime | None:
        """The runtime that was started last. Raises `GdkregError` where its engine does not answer; None before any start."""
        kinds = self.recorded()
        return self.runtime(kinds[0]) if kinds else None

    def runtime(self, kind: str) -> Runtime:
        if kind == "process":
            return self._process()
        container, why = self._container
        if container is None:
            away = machine.elsewhere(self.settings, self._host.platform.env)
            first = machine.way(self.settings) if away else "start the engine"
            raise GdkregError(
                "cannot tell whether the registry's container runs", why=why, fix=f"{first}, then the same command again"
            )
        runtime: Runtime = container
        return runtime

    def left_over(self) -> list[str]:
        """The runtimes of which something may be there, for `down`: also where the record is damaged, or gone."""
        try:
            kinds = self.recorded()
        except DamagedError:
            container = self.settings.registry.runtime != "process"
            return [kind for kind in _KINDS if self._may_exist(kind, unknown=container)]
        return kinds if self._certain else [kind for kind in _KINDS if kind in kinds or self._may_exist(kind, unknown=False)]

    def _may_exist(self, kind: str, *, unknown: bool) -> bool:
        try:
            return self.runtime(kind).exists()
        except GdkregError:
            return unknown and kind == "docker"

    # the verbs

    def is_current(self, runtime: Runtime) -> bool:
        """Whether what runs is what would be started. Raises `GdkregError` where it could not be started."""
        try:
            return runtime.running() == runtime.wanted() and self.ask().verdict == "ready"
        except NotMadeYetError:
            return False

    def start(self, host: Host, choice: Choice) -> str:
        """Start, or replace what runs with other settings; returns once /v2/ answers, with a word on it. Raises `GdkregError`."""
        begin = time.monotonic()
        runtime: Runtime = choice.runtime
        if choice.otherwise is not None and not choice.runtime.has_image():
            runtime, choice = choice.otherwise, Choice(choice.otherwise, f"{self.settings.registry.image} could not be pulled")
        left = self._without([kind for kind in self.recorded() if kind != runtime.name], host)
        ran = runtime.running() is not None
        if ran:
            runtime.stop(host)
        address, port = self.launch.address, self.launch.port
        if place.stays_taken(address, port, PORT, host, leaving=ran, by=runtime.binds):
            raise place.taken(address, port, PORT, roots.others(self.settings.root, host))
        if self.recorded() != (record := [runtime.name, *left]):
            state.write(host, self.settings.root, _RECORD, " ".join(record).encode())
        try:
            runtime.start(host)
            self._wait(runtime, host)
        except KeyboardInterrupt:
            runtime.stop(host)  # so that nothing is left half started
            raise
        return f"at {self.launch.url} in {time.monotonic() - begin:.2f} s ({runtime.name}: {choice.why})"

    def hold(self, host: Host) -> None:
        """Replace what runs with the same registry that takes no writes. Raises `GdkregError` where it takes some."""
        launch = msgspec.structs.replace(self.launch, held=True)
        held = Registry(self.settings, self._id, self._host, self._find_engine, launch, certain=self._certain)
        held.start(host, Choice(held.runtime(held.recorded()[0]), "read-only"))
        if (answer := _begin_an_upload(self.settings, host)) != "405":
            fix = "gdkreg gc --stop stops it meanwhile"
            raise GdkregError("the registry was started read-only and may still take writes", why=answer, fix=fix)

    def stop(self, host: Host) -> None:
        for kind in self.recorded():
            self.runtime(kind).stop(host)

    def _without(self, kinds: list[str], host: Host) -> list[str]:
        """Remove what other runtimes hold: it would hold the port. What cannot be asked now is left, and kept in mind."""
        left = []
        for kind in kinds:
            try:
                self.runtime(kind).remove(host)
            except GdkregError:
                left.append(kind)
        return left

    def remove(self, host: Host) -> None:
        """Stop it and remove its container, or its log; the images stay. Raises `GdkregError` for what cannot be removed now,
        once the rest is."""
        problem: GdkregError | None = None
        left = []
        for kind in self.left_over():
            try:
                self.runtime(kind).remove(host)
            except GdkregError as error:
                left.append(kind)
                problem = error
        if problem is not None:
            state.write(host, self.settings.root, _RECORD, " ".join(left).encode())
            raise problem
        host.remove(self.settings.root / FOLDER / _RECORD, below=self.settings.root)

    def state(self) -> State:
        """How it stands; an engine that does not answer, or a broken configuration, is part of the answer."""
        try:
            runtime = self.current()
            digest = runtime.running() if runtime is not None else None
        except GdkregError as error:
            kind = "" if isinstance(error, DamagedError) else "docker"
            return State(False, kind, f"{UNKNOWN}{error.why or error.what}", self.url)
        if runtime is None or digest is None:
            detail = runtime.describe() if runtime is not None and runtime.name == "docker" else ""
            return State(False, runtime.name if runtime else "", detail, self.url)
        try:
            current, verdict = digest == runtime.wanted(), self.ask().verdict
        except GdkregError as error:  # the image, the binary or the configuration is gone; what runs goes on running
            return State(True, runtime.name, runtime.describe(), self.url, error.what, False)
        return State(True, runtime.name, runtime.describe(), self.url, verdict, current)

    @property
    def url(self) -> str:
        return f"{self.settings.scheme}://{self.settings.address}:{self.settings.registry.port}"

    def lines(self, count: int | None, *, follow: bool, since: float | None) -> Iterator[str]:
        runtime = self.current()
        if runtime is None:
            raise GdkregError("the registry was not started yet", fix="gdkreg start registry")
        from gdkreg.masking.text import prose

        return map(prose, runtime.lines(count, follow=follow, since=since))  # it logs its endpoints with their headers

    def attend(self, since: float) -> Iterator[str]:
        """The log from a moment on, until what runs has ended or its engine is gone."""
        runtime = self.current()
        from gdkreg.masking.text import prose

        return map(prose, runtime.attend(since)) if runtime is not None else iter(())

    # on the way

    def ask(self) -> ready.Answer:
        launch = self.launch
        return ready.ask(launch.address, launch.port, launch.certificate)

    def _wait(self, runtime: Runtime, host: Host) -> None:
        deadline = time.monotonic() + PATIENCE
        while (answer := self.ask()).verdict != "ready":
            if how := runtime.died():
                raise self._failed("the registry died while starting", how, runtime)
            if time.monotonic() > deadline or answer.verdict in {"other certificate", "no tls"}:
                runtime.stop(host)
                raise self._failed(f"the registry does not answer at {self.launch.url}", answer.detail, runtime)
            time.sleep(0.005)

    def _failed(self, what: str, why: str, runtime: Runtime) -> GdkregError:
        lines = _telling(runtime.last_lines(80))
        return GdkregError(what, why=why, fix="gdkreg tail registry --no-follow shows the whole log", details="\n".join(lines))


def _begin_an_upload(settings: Settings, host: Host) -> str:
    """The status that it answers, or what is in the way of one: done is what is seen to be done."""
    from gdkreg.registry.images import push
    from gdkreg.registry.remote import connect

    probe = "gdkreg/probe"
    try:
        with connect(settings, host) as images:
            path = f"/v2/{probe}/blobs/uploads/"
            return str(images.client.request("POST", path, [push(probe)], allow=range(400, 600)).status)
    except GdkregError as error:
        return error.what


def _telling(lines: list[str], count: int = 15) -> list[str]:
    """The last lines that say something: a panic without the stack that Go prints after it."""
    panic = next((at for at, line in enumerate(lines) if line.startswith("panic:")), None)
    if panic is None:
        return lines[-count:]
    return lines[max(0, panic - 5) : panic + 1]
