"""The services of one root: what starting and stopping them would do, as a list, and the doing of each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from gdkreg.config.effective import Settings
from gdkreg.errors import DamagedError, GdkregError
from gdkreg.host.base import Host, HostReader
from gdkreg.plan import roots
from gdkreg.plan.actions import Control, Leave, Step
from gdkreg.plan.journal import Journal
from gdkreg.plan.state import FOLDER
from gdkreg.resources import published
from gdkreg.services import place, ready, storage
from gdkreg.services.refusals import refuse_holder, refuse_rival, refuse_shared_storage
from gdkreg.services.registry import PORT, Choice, FindEngine, Registry, State

if TYPE_CHECKING:
    from gdkreg.services.auth import Auth
    from gdkreg.services.supervisor import Supervisor
    from gdkreg.services.tunnel.life import Tunnel

Name = Literal["registry", "auth", "tunnel"]
NAMES: tuple[Name, ...] = ("auth", "registry", "tunnel")


class Services:
    """`settings` are the ones to run with, `before` those that run now; `host` shows the machine as it will be by then.

    `supervisor` is told of every start and stop; None for what it runs itself."""

    def __init__(
        self,
        settings: Settings,
        before: Settings | None,
        host: HostReader,
        journal: Journal,
        find_engine: FindEngine,
        supervisor: Supervisor | None = None,
    ) -> None:
        self.settings = settings
        self._before = before
        self._host = host
        self._journal = journal
        self._find_engine = find_engine
        self._supervisor = supervisor
        self._choice: Choice | None = None

    @functools.cached_property
    def registry(self) -> Registry:
        certain = self._journal.problem is None and bool(self._journal.entries)
        return Registry(self.settings, self._journal.identity.id, self._host, self._find_engine, certain=certain)

    @functools.cached_property
    def auth(self) -> Auth:
        from gdkreg.services.auth import Auth

        return Auth(self.settings, self._host)

    @functools.cached_property
    def tunnel(self) -> Tunnel:
        from gdkreg.services.tunnel.life import Tunnel

        return Tunnel(self.settings, self._host)

    def enabled(self) -> list[Name]:
        """The tunnel once it was agreed to: it publishes this machine."""
        named: list[Name] = ["auth", "registry"] if self.auth.wanted else ["registry"]
        return [*named, "tunnel"] if published.is_agreed(self.settings, self._host) and not self.tunnel.refused else named

    @property
    def _has_tunnel(self) -> bool:
        """Whether there is one to look at: its code is loaded for nothing else."""
        return self.settings.auto_devops.enabled or self._host.info(self.settings.root / FOLDER / "tunnel.pid") is not None

    def meant(self, name: str) -> str:
        """What was asked of a service last: "running", "stopped", or "" before any start."""
        entries = [entry for entry in self._journal.entries if entry.kind == "service" and entry.target == name]
        return entries[-1].after if entries else ""

    # planning

    def start(self, names: Sequence[Name]) -> list[Step]:
        """Raises `GdkregError` for all that would keep one of them from starting."""
        steps: list[Step] = []
        if "auth" not in names and not self.auth.wanted:
            steps += self.stop(["auth"], "it is not wanted any more")
        if "tunnel" not in names:
            steps[:0] = self.unpublish()
        for name in NAMES:
            if name in names:
                steps += [Step(name, action) for action in self._start(name, alone=list(names) == [name])]
        if (
            "registry" in names
            and self._supervised
            and not self._is_up
            and not any(step.resource == "registry" for step in steps)
        ):
            steps.append(self.watch())
        return steps

    def unpublish(self) -> list[Step]:
        """A tunnel that may not run any more ends before the registry runs anew, which lets everybody in by then."""
        if not (self._has_tunnel and self.tunnel.refused and self._process_runs(self.tunnel)):
            return []
        return self.stop(["tunnel"], self.tunnel.refused)

    @functools.cached_property
    def _supervised(self) -> bool:
        return self._supervisor is not None and self._supervisor.drives

    @property
    def _is_up(self) -> bool:
        return self._supervisor is not None and self._supervisor.wants

    def watch(self) -> Step:
        """Have GDK's supervisor take over what runs."""
        return Step("registry", Control(service="registry", verb="watch", reason="gdk stop and gdk status know of it then"))

    def _start_auth(self) -> list[Control]:
        self.auth.check_wanted()
        if self.auth.is_current():
            return []
        runs = self.auth.runs
        self._refuse_where_taken(self.settings.auth_port, "registry.auth_port", lambda: None)
        reason = f"it ran with older settings; {self.auth.url}" if runs else self.auth.url
        verb: Literal["recreate", "start"] = "recreate" if runs else "start"
        return [Control(service="auth", verb=verb, reason=reason, before="running" if runs else "stopped", after="running")]

    def _start(self, name: Name, *, alone: bool) -> Sequence[Control | Leave]:
        if name == "tunnel":
            return self.tunnel.actions(alone=alone)
        return self._start_auth() if name == "auth" else self._start_registry()

    def _start_registry(self) -> list[Control]:
        choice = self._choice = self.registry.choose()
        runtime = choice.runtime
        others = [kind for kind in self.registry.recorded() if kind != runtime.name]
        runs = runtime.running() is not None
        if runs and not others and self.registry.is_current(runtime):
            return []
        runtime.check()
        rival = functools.partial(refuse_rival, runtime, self.settings)
        self._refuse_where_taken(self.settings.registry.port, PORT, rival, runtime.binds)
        if problem := storage.problem(self.settings, self._host):
            raise problem
        ran = runs or any(self._runs(kind) for kind in others)
        why = "it ran with older settings; " if runs else "it ran otherwise; " if ran else ""
        controls = [self._pull(choice)] if choice.pull else []
        verb: Literal["recreate", "start"] = "recreate" if ran else "start"
        before = "running" if ran else "stopped"
        reason = f"{why}{self.registry.url}, {runtime.name}: {choice.why}"
        return [*controls, Control(service="registry", verb=verb, reason=reason, before=before, after="running")]

    def _pull(self, choice: Choice) -> Control:
        reason = f"the image {self.settings.registry.image} is not here"
        reason += "; where it cannot be pulled, the binary is taken" if choice.otherwise else ""
        return Control(service="registry", verb="pull", reason=reason)

    def _runs(self, kind: str) -> bool:
        try:
            return self.registry.runtime(kind).running() is not None
        except GdkregError:
            return False

    def _process_runs(self, service: Auth | Tunnel) -> bool:
        """A damaged pid file tells nothing; what runs is found otherwise when it is removed."""
        try:
            return service.runs
        except DamagedError:
            return False

    def _refuse_where_taken(self, port: int, key: str, refuse: Callable[[], None], by: place.By = "user") -> None:
        """What our own services hold now they give up by then."""
        address = self.settings.address
        if by == "elsewhere":
            refuse()
        if not place.is_taken(address, port, key, self._host, by) or (address, port) in self._held():
            return
        refuse()
        if key == PORT and "AirTunes" in ready.ask(address, port, None).server:
            switch = "switch off System Settings → General → AirDrop & Handoff → AirPlay Receiver"
            raise GdkregError(f"port {port} is held by AirPlay", fix=f"{switch}, or {place.move(port, key)}")
        raise place.taken(address, port, key, roots.others(self.settings.root, self._host))

    def _held(self) -> set[tuple[str, int]]:
        held: set[tuple[str, int]] = set()
        if self._before is not None:
            if self.auth.runs:
                held.add((self._before.address, self._before.auth_port))
            if any(self._runs(kind) for kind in self.registry.recorded()):
                held.add((self._before.address, self._before.registry.port))
        return held

    def rival(self) -> tuple[str, str]:
        """Another container in our place: its name, and its root where gdkreg made it. Raises `GdkregError`."""
        runtime: Any = self.registry.runtime("docker")
        name, root = runtime.rival(self.settings.address, self.settings.registry.port)
        return str(name), str(root)

    def stop(self, names: Sequence[Name], reason: str = "asked for") -> list[Step]:
        """Only what runs is stopped. Raises `GdkregError` where that cannot be told."""
        steps = []
        supervised = "registry" in names and self._supervised and self._is_up
        names = NAMES if supervised else names  # what it runs ends as a whole
        for name in reversed(NAMES):
            if name in names and ((supervised and name == "registry") or self.runs(name)):
                steps.append(Step(name, Control(service=name, verb="stop", reason=reason, before="running", after="stopped")))
        return steps

    def hold(self) -> list[Step]:
        """The registry, where it runs, read-only until `release`. Raises `GdkregError` where another one serves the same
        storage, or nobody can tell what runs."""
        self.refuse_others()
        return [_held("hold", "no push may come in between")] if self.runs("registry") else []

    def refuse_others(self) -> None:
        """Raises `GdkregError` where another registry may write into this storage meanwhile: one of another root, whose storage
        is a symlink to ours, GDK's own, or one that somebody started by hand at our place."""
        if (runtime := self.registry.current()) is not None:
            refuse_rival(runtime, self.settings)
        if not self.runs("registry"):
            refuse_holder(self.settings, self._host)
        refuse_shared_storage(self.settings, self._host)

    def release(self, reason: str = "") -> list[Step]:
        """As it is to run, again: what is in memory of the storage as it was is forgotten by that."""
        return [_held("release", reason or self._as_it_was())]

    def _as_it_was(self) -> str:
        return "read-only, as gdk.yml says" if self.settings.registry.read_only_maintenance_enabled else "it takes writes again"

    def runs(self, name: Name) -> bool:
        """Raises `GdkregError` where that cannot be told."""
        if name != "registry":
            return self.auth.runs if name == "auth" else self.tunnel.runs
        return any(self.registry.runtime(kind).running() is not None for kind in self.registry.recorded())

    def restart(self, names: Sequence[Name]) -> list[Step]:
        """Raises `GdkregError` where it could not be started again; then it is not stopped either."""
        steps = self.start(names)
        planned = {step.resource for step in steps}
        for name in NAMES:
            if name in names and name not in planned:
                if name == "tunnel":
                    self.tunnel.check()
                verb: Literal["recreate", "resume"] = "resume" if name == "tunnel" and len(names) > 1 else "recreate"
                control = Control(service=name, verb=verb, reason="asked for", before="running", after="running")
                steps.append(Step(name, control))
        return sorted(steps, key=lambda step: step.resource == "tunnel") if "tunnel" in names else steps  # it leads to the rest

    def remove(self) -> list[Step]:
        """Everything that is there of them, the images not."""
        there: dict[str, bool] = {}
        if self.tunnel.exists():
            there["tunnel"] = self._process_runs(self.tunnel)
        if self.registry.left_over():
            there["registry"] = any(self._runs(kind) for kind in self.registry.left_over())
        if self.auth.exists():
            there["auth"] = self._process_runs(self.auth)
        return [
            Step(name, Control(service=name, verb="remove", reason="no longer wanted", before="running" if runs else "stopped"))
            for name, runs in there.items()
        ]

    # doing

    def perform(self, control: Control, host: Host, progress: Callable[[dict[str, Any]], None]) -> str:
        """One step of a list of above; a word on what came of it. Raises `GdkregError`."""
        if control.service == "auth":
            return self._perform_auth(control.verb, host)
        if control.service == "tunnel":
            return self.tunnel.perform(control.verb, host)
        registry = self.registry
        if control.verb == "pull":
            return self._pulled(registry, progress)
        if control.verb == "hold":
            registry.hold(host)
            return ""
        if control.verb in {"start", "recreate", "release"}:
            return registry.start(host, registry.choose()) + self._watched(host)
        if control.verb == "watch":
            return self._watched(host)
        if control.service != "registry" or control.verb not in {"remove", "stop", "let go"}:
            raise GdkregError(f"nothing here can {control.verb} {control.service}", fix="please report it")
        if self._supervisor is not None:
            self._supervisor.down(host)  # else it would start it again
        if control.verb == "let go":
            return ""
        (registry.remove if control.verb == "remove" else registry.stop)(host)
        return ""

    def _watched(self, host: Host) -> str:
        if self._supervisor is None or not self._supervisor.can_drive():
            return ""
        self._supervisor.up(host)
        return ", under GDK's supervisor"

    def _pulled(self, registry: Registry, progress: Callable[[dict[str, Any]], None]) -> str:
        choice = registry.choose()
        try:
            choice.runtime.pull(progress)
        except GdkregError as error:
            if choice.otherwise is None:
                raise
            return f"{error.what}: {error.why}" if error.why else error.what
        return registry.settings.registry.image

    def _perform_auth(self, verb: str, host: Host) -> str:
        if verb in {"start", "recreate"}:
            self.auth.start(host)
            return f"at {self.auth.url}"
        (self.auth.remove if verb == "remove" else self.auth.stop)(host)
        return ""

    # how they stand

    def states(self) -> dict[str, State]:
        import msgspec

        found: dict[str, State] = {"registry": self.registry.state()}
        if self.auth.wanted or self.auth.runs:
            found["auth"] = self.auth.state()
        if self.settings.auto_devops.enabled or (self._has_tunnel and self._process_runs(self.tunnel)):
            found["tunnel"] = self.tunnel.state()
        return {name: msgspec.structs.replace(state, wanted=self.meant(name) == "running") for name, state in found.items()}


def _held(verb: Literal["hold", "release"], reason: str) -> Step:
    return Step("registry", Control(service="registry", verb=verb, reason=reason, before="running", after="running"))
