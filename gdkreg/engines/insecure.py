"""The engine's list of registries that it takes without TLS: who keeps it, what is in it, how it is read again."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from gdkreg.engines.api import Api, EngineError
from gdkreg.engines.detect import ANSWER_WITHIN, Engine
from gdkreg.errors import GdkregError, NeedsRootError
from gdkreg.host import daemons
from gdkreg.host.base import Host, HostReader, Platform
from gdkreg.host.daemons import Daemon

KEY = "insecure-registries"
_TAKEN_WITHIN = 6.0  # seconds after the signal; it takes less than one
_BOOTED = Path("/run/systemd/system")
_CONTAINERD = "io.containerd.snapshotter"


class Seen(msgspec.Struct, frozen=True):
    """How the engine in use stands to its list. `config`: the daemon.json that it reads, None where gdkreg writes none for it.

    `listed` are the names that it takes now, None where it does not answer; `cidrs` the networks. `flags` are the names on its
    command line. `reload` is the command that has it read its file again, empty where its process cannot be found. `podman`: its
    service reads registries.conf.d once, and then at the same signal.
    """

    config: Path | None = None
    as_root: bool = False
    listed: tuple[str, ...] | None = None
    cidrs: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    reload: tuple[str, ...] = ()
    containerd: bool = False
    podman: bool = False

    @property
    def answers(self) -> bool:
        return self.listed is not None

    def takes(self, authority: str, address: str) -> bool:
        """Whether it takes the registry without TLS as it is now."""
        return authority in (self.listed or ()) or any(covers(cidr, address) for cidr in self.cidrs)


def covers(cidr: str, address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return False


def look(engine: Engine, api: Api | None, host: HostReader) -> Seen:
    """How the engine stands now. An engine that does not answer is none that can be told anything."""
    if api is None:
        return Seen()
    podman = engine.kind in {"podman", "podman-rootless"}
    try:
        info = _info(api, podman=podman)
    except EngineError:
        return Seen()
    listed, cidrs = lists(info)
    stores = [word for pair in info.get("DriverStatus") or [] if isinstance(pair, list) for word in pair]
    containerd = any(_CONTAINERD in str(word) for word in stores)
    seen = Seen(listed=listed, cidrs=cidrs, containerd=containerd, podman=podman)
    if engine.kind not in {"docker", "rootless", "podman", "podman-rootless"} or host.platform.system != "linux":
        return seen
    daemon, unit = _daemon(engine, host)
    as_root = daemon.uid == 0 if daemon is not None else engine.kind in {"docker", "podman"}
    return msgspec.structs.replace(
        seen,
        config=None if podman else _config(engine, host.platform, daemon),
        as_root=as_root,
        flags=_values(daemon.argv, "--insecure-registry") if daemon is not None else (),
        reload=(unit or ("kill", "-s", "HUP", str(daemon.pid))) if daemon is not None else (),
    )


def _info(api: Api, *, podman: bool) -> dict[str, Any]:
    """Podman tells what it read of registries.conf.d in an answer of its own. Raises `EngineError`."""
    found = api.call("GET", "/v4.0.0/libpod/info" if podman else "/info", timeout=ANSWER_WITHIN)
    return found if isinstance(found, dict) else {}


def lists(info: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names and the networks that an engine takes without TLS, as it tells."""
    tables = info.get("registries") or {}  # Podman's
    names = [name for name, table in tables.items() if isinstance(table, dict) and table.get("Insecure") is True]
    config = info.get("RegistryConfig") or {}
    indexes = config.get("IndexConfigs") or {}
    names += [name for name, index in indexes.items() if isinstance(index, dict) and index.get("Secure") is False]
    return tuple(names), tuple(map(str, config.get("InsecureRegistryCIDRs") or []))


def _daemon(engine: Engine, host: HostReader) -> tuple[Daemon | None, tuple[str, ...]]:
    """The engine's own process, and how systemd reloads it where that runs it. What listens at the socket is asked first: a
    pid file may be another engine's, and systemd may listen in the engine's place."""
    platform, name = host.platform, "podman" if engine.kind.startswith("podman") else "docker"
    own = daemons.behind(engine.endpoint.url.removeprefix("unix://"))
    systemctl = ("systemctl", "--user") if engine.kind in {"rootless", "podman-rootless"} else ("systemctl",)
    unit = 0
    if host.info(_BOOTED) is not None:
        told = host.query([*systemctl, "show", "--property=MainPID", "--value", f"{name}.service"])
        with contextlib.suppress(ValueError):
            unit = int(told.out.strip() or 0) if told.code == 0 else 0
    runtime = Path(platform.env.get("XDG_RUNTIME_DIR") or f"/run/user/{platform.uid}")
    file = Path("/run/docker.pid") if engine.kind == "docker" else runtime / "docker.pid"
    for pid in (own, unit, _pid_in(file, host) if name == "docker" else 0):
        found = daemons.look(pid)
        if found is not None and found.program == {"docker": "dockerd", "podman": "podman"}[name]:
            # Podman's unit has no way to reload it.
            return found, (*systemctl, "reload", "docker.service") if pid == unit and name == "docker" else ()
    return None, ()


def _pid_in(file: Path, host: HostReader) -> int:
    try:
        return int((host.read(file) or b"0").strip() or 0)
    except (GdkregError, ValueError):
        return 0


def _config(engine: Engine, platform: Platform, daemon: Daemon | None) -> Path:
    """The file that dockerd reads, behind every symlink: `--config-file`, or its default."""
    own = Path(platform.env.get("XDG_CONFIG_HOME") or platform.home / ".config") / "docker/daemon.json"
    named = _values(daemon.argv, "--config-file") if daemon is not None else ()
    path = Path(named[-1]) if named else Path("/etc/docker/daemon.json") if engine.kind == "docker" else own
    if not path.is_absolute():
        raise GdkregError(
            f"the engine reads {path}, which is relative to wherever it was started",
            fix="start dockerd with an absolute --config-file, or without one",
        )
    return path.resolve()


def _values(argv: tuple[str, ...], option: str) -> tuple[str, ...]:
    """What an option was given on a command line, in both spellings."""
    found = [word.partition("=")[2] for word in argv if word.startswith(f"{option}=")]
    return (*found, *(after for word, after in itertools.pairwise(argv) if word == option))


class NotTakenError(GdkregError):
    """The engine read its file and does not take the registry all the same."""


def reload(api: Api | None, seen: Seen, host: Host, *, takes: str, gives_up: tuple[str, ...]) -> str:
    """Have the engine read its file again and see that it did; a word on what came of it.

    Raises `NotTakenError` where it does not take what it is to take. The containers go on running.
    """
    stays = "it keeps its list until it is restarted"
    if api is None or not seen.reload:
        if takes:
            raise NotTakenError("the engine does not read its file again", why="its process cannot be found", fix="docker info")
        return stays
    try:
        done = host.run(seen.reload, as_root=seen.as_root)
    except NeedsRootError as error:
        error.details = f"sudo {shlex.join(seen.reload)}"
        raise
    if done.code != 0 and takes:
        raise NotTakenError("the engine cannot be told to read its file again", why=(done.err or done.out).strip())
    if _until(lambda: _is_as_wanted(api, takes, gives_up, podman=seen.podman)):
        return f"it takes {takes}" if takes else f"it asks TLS of {', '.join(gives_up)} again"
    if not takes:
        return stays
    why = f"{_TAKEN_WITHIN:.0f} seconds after {' '.join(seen.reload)} it does not list {takes}"
    raise NotTakenError(
        "the engine did not take the new list", why=why, fix="journalctl -u docker tells why: it logs what it refuses"
    )


def _is_as_wanted(api: Api, takes: str, gives_up: tuple[str, ...], *, podman: bool) -> bool:
    try:
        listed, _ = lists(_info(api, podman=podman))
    except EngineError:
        return False
    return (not takes or takes in listed) and not set(gives_up) & set(listed)


def _until(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _TAKEN_WITHIN
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


# engines and clients that keep their list elsewhere


def podman_folder(engine: Engine, platform: Platform) -> tuple[Path, bool] | None:
    """Where Podman, Buildah and Skopeo read it, and whether that is root's; None where none of them is here."""
    config = Path(platform.env.get("XDG_CONFIG_HOME") or platform.home / ".config")
    if platform.system == "darwin":
        return None  # they read it inside their VM
    if engine.kind == "podman":
        return Path("/etc/containers/registries.conf.d"), True
    tools = any(shutil.which(name, path=platform.env.get("PATH", "")) for name in ("podman", "buildah", "skopeo"))
    return (config / "containers/registries.conf.d", False) if tools or engine.kind == "podman-rootless" else None


def by_hand(engine: Engine, platform: Platform, authority: str) -> str:
    """What a person does where the engine's list is not gdkreg's to edit; empty where it is."""
    line = f'"{KEY}": ["{authority}"]'
    ways = {
        "desktop": f"Docker Desktop → Settings → Docker Engine: add {line}, then Apply & restart",
        "colima": f"colima start --edit: below docker: add insecure-registries: ['{authority}']; it restarts with it",
        "orbstack": f"add {line} to ~/.orbstack/config/docker.json, then: orb restart docker",
        "rancher": f"rdctl shell sudo vi /etc/docker/daemon.json: add {line}, then restart Rancher Desktop",
        "machine": f"docker-machine ssh $DOCKER_MACHINE_NAME: add {line} to /etc/docker/daemon.json there, then: "
        "docker-machine restart $DOCKER_MACHINE_NAME",
        "remote": f"add {line} to /etc/docker/daemon.json on that machine, then there: systemctl reload docker",
    }
    if platform.system == "darwin" and engine.kind.startswith("podman"):
        table = f'[[registry]]\\nlocation = "{authority}"\\ninsecure = true\\n'
        return f"printf '{table}' | podman machine ssh sudo tee /etc/containers/registries.conf.d/gdkreg.conf"
    if platform.system == "darwin" and engine.kind in {"docker", "rootless"}:
        return f"add {line} to /etc/docker/daemon.json in the engine's VM, then restart the engine there"
    return ways.get(engine.kind, "")
