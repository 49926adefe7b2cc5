"""Which container engine is in use, as Docker's own client would find it, and what kind it is."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from gdkreg.engines import machine
from gdkreg.errors import GdkregError
from gdkreg.host.base import HostReader, Platform

if TYPE_CHECKING:
    import docker

    from gdkreg.engines.api import Api

Kind = Literal[
    "docker", "rootless", "desktop", "orbstack", "colima", "rancher", "podman", "podman-rootless", "machine", "remote", "none"
]


ANSWER_WITHIN, WORK_WITHIN = 5, 60  # seconds for an engine to say that it is there, and to do something
SOCKET = Path("/var/run/docker.sock")  # the only one that `docker` asks by itself
DEFAULT = "default socket"


class Endpoint(msgspec.Struct, frozen=True):
    """Where the engine's API is, and what said so: DOCKER_HOST, a context, or a default socket."""

    url: str
    source: str

    @property
    def shown(self) -> str:
        """DOCKER_HOST may hold a password."""
        from gdkreg.masking.text import prose

        return prose(self.url)


class Engine(msgspec.Struct, frozen=True):
    """`kind` is "none" where no engine answers; `why` then says what was tried."""

    kind: Kind
    endpoint: Endpoint
    version: str = ""
    why: str = ""

    @property
    def answers(self) -> bool:
        return self.kind != "none"

    @property
    def local(self) -> bool:
        """Whether its containers publish ports on this machine's addresses."""
        return self.kind not in {"none", "remote", "machine"}

    @property
    def serves(self) -> bool:
        """Whether the registry can run there: on this machine, or in a VM of docker-machine's."""
        return self.local or self.kind == "machine"

    @property
    def rootless(self) -> bool:
        """Whether it has no more rights than its user."""
        return self.kind in {"rootless", "podman-rootless"}

    @property
    def maps_root_to_user(self) -> bool:
        """Whether root inside a container is the user outside: in rootless engines, and in a folder shared with a VM."""
        return self.rootless or self.kind == "machine"

    @property
    def docker_host(self) -> str:
        """What `docker` has to be told to ask the same engine; empty where it finds it by itself."""
        return "" if self.endpoint.source != DEFAULT or self.endpoint.url == f"unix://{SOCKET}" else self.endpoint.url


def endpoint(host: HostReader) -> Endpoint:
    """The first of `endpoints`."""
    return endpoints(host)[0]


def endpoints(host: HostReader) -> list[Endpoint]:
    """DOCKER_HOST, or DOCKER_CONTEXT, or config.json's currentContext; else each default socket that is there."""
    env, home = host.platform.env, host.platform.home
    if env.get("DOCKER_HOST"):
        return [Endpoint(env["DOCKER_HOST"], "DOCKER_HOST")]
    folder = Path(env.get("DOCKER_CONFIG") or home / ".docker")
    context = env.get("DOCKER_CONTEXT") or _json(host, folder / "config.json").get("currentContext")
    if context and context != "default":
        name = hashlib.sha256(str(context).encode()).hexdigest()
        meta = _json(host, folder / "contexts" / "meta" / name / "meta.json")
        url = meta.get("Endpoints", {}).get("docker", {}).get("Host", "")
        return [Endpoint(url, f"context {context}")]
    sockets = default_sockets(host)
    return [Endpoint(f"unix://{path}", DEFAULT) for path in sockets if _leads_somewhere(host, path)] or [
        Endpoint(f"unix://{sockets[0]}", DEFAULT)
    ]


def _leads_somewhere(host: HostReader, path: Path) -> bool:
    """A link that Docker Desktop left behind must not hide a living socket."""
    info = host.info(path)
    return info is not None and (info.kind != "symlink" or host.info(path.parent / info.target) is not None)


def default_sockets(host: HostReader) -> list[Path]:
    """Where engines listen by themselves, Docker's own place first."""
    platform = host.platform
    home, env = platform.home, platform.env
    runtime = Path(env.get("XDG_RUNTIME_DIR") or f"/run/user/{platform.uid}")
    docker = [SOCKET, runtime / "docker.sock", home / ".docker/run/docker.sock", home / ".docker/desktop/docker.sock"]
    config = Path(env.get("XDG_CONFIG_HOME") or home / ".config")
    colima = [Path(env["COLIMA_HOME"])] if env.get("COLIMA_HOME") else [home / ".colima", config / "colima"]
    profiles = [folder / name / "docker.sock" for folder in colima for name in _default_first(host.entries(folder))]
    others = [home / ".orbstack/run/docker.sock", home / ".rd/docker.sock"]
    machine = home / ".local/share/containers/podman/machine/podman.sock"
    return [*docker, *profiles, *others, runtime / "podman/podman.sock", Path("/run/podman/podman.sock"), machine]


def _default_first(profiles: list[str]) -> list[str]:
    return sorted(profiles, key=lambda name: name != "default")


def _json(host: HostReader, path: Path) -> dict[str, Any]:
    """What cannot be read, as after `sudo docker login`, docker itself does without."""
    try:
        found = json.loads(host.read(path) or b"{}")
    except (ValueError, GdkregError):
        return {}
    return found if isinstance(found, dict) else {}


def connect(at: Endpoint, env: Platform) -> docker.DockerClient:
    """A client of the docker SDK for this endpoint. Raises `docker.errors.DockerException`, also where nothing answers."""
    import docker
    from docker.tls import TLSConfig

    if not at.url:
        raise docker.errors.DockerException(f"{at.source} has no endpoint")
    tls: Any = False
    if env.env.get("DOCKER_TLS_VERIFY") and at.source == "DOCKER_HOST":
        folder = Path(env.env.get("DOCKER_CERT_PATH") or env.home / ".docker")
        pair = (str(folder / "cert.pem"), str(folder / "key.pem"))
        tls = TLSConfig(client_cert=pair, ca_cert=str(folder / "ca.pem"), verify=True)

    class _Api(docker.APIClient):
        # REQUESTS_CA_BUNDLE, which `gdkreg env requests` sets, would stand in the place of the engine's own ca.pem.
        trust_env = property(lambda _: not tls, lambda *_: None)

    class _Client(docker.DockerClient):
        def __init__(self, **options: Any) -> None:
            self.api = _Api(**options)

    return _Client(base_url=at.url, tls=tls, version="auto", timeout=ANSWER_WITHIN)


def find(host: HostReader) -> tuple[Engine, Api | None]:
    """The engine in use and its API; kind "none" and no API where none answers.

    A default socket that an engine left behind, where nobody listens any more, does not hide a living one after it.
    """
    from gdkreg.engines.api import EngineError

    first: Engine | None = None
    for at in endpoints(host):
        try:
            return _ask(at, host)
        except EngineError as error:
            first = first or Engine("none", at, why=f"no engine answers at {at.shown or at.source}: {_short(error.why)}")
            if not error.absent:
                break  # somebody is there, and hangs or may not be asked: that is what has to be told
    assert first is not None
    return first, None


def _ask(at: Endpoint, host: HostReader) -> tuple[Engine, Api | None]:
    """Raises `EngineError` where nothing answers."""
    from gdkreg.engines.api import Api, EngineError

    api = Api(at.url, functools.cache(lambda: connect(at, host.platform)))
    if not at.url:
        raise EngineError(f"{at.source} has no endpoint")
    info = api.call("GET", "/info", timeout=ANSWER_WITHIN)
    # Docker Engine says so in each answer's header, Podman that it is Libpod.
    docker = api.server.startswith("Docker/") and isinstance(info, dict)
    version = {"Version": info.get("ServerVersion", "")} if docker else api.call("GET", "/version", timeout=ANSWER_WITHIN)
    if not isinstance(info, dict) or not isinstance(version, dict):
        return Engine("none", at, why=f"no engine answers at {at.shown}: it is something else"), None
    api.info = info
    return Engine(kind_of(at, info, version, host.platform), at, str(version.get("Version", ""))), api


def detect(host: HostReader) -> tuple[Engine, docker.DockerClient | None]:
    """The engine in use and a client of the docker SDK; kind "none" and no client where none answers."""
    from docker.errors import DockerException

    engine, api = find(host)
    if api is None:
        return engine, None
    try:
        client = api.sdk
        client.api.timeout = WORK_WITHIN
    except DockerException as error:
        return Engine("none", engine.endpoint, why=f"no engine answers at {engine.endpoint.shown}: {_short(str(error))}"), None
    return engine, client


def kind_of(at: Endpoint, info: dict[str, Any], version: dict[str, Any], platform: Platform) -> Kind:
    """The kind of an engine, from what it tells of itself (`docker info`, `docker version`)."""
    system, name = str(info.get("OperatingSystem", "")), str(info.get("Name", ""))
    # Podman 4.3 says it in a field of its own alone.
    rootless = "name=rootless" in (info.get("SecurityOptions") or []) or info.get("Rootless") is True
    if at.source == "DOCKER_HOST" and machine.address(platform.env):
        return "machine"
    if any(part.get("Name") == "Podman Engine" for part in version.get("Components") or []):
        return "podman-rootless" if rootless else "podman"
    if "Docker Desktop" in system:
        return "desktop"
    if "OrbStack" in system:
        return "orbstack"
    if name.startswith("colima"):
        return "colima"
    if name == "lima-rancher-desktop":
        return "rancher"
    if not at.url.startswith(("unix://", "npipe://")):
        return "remote"
    return "rootless" if rootless else "docker"


def _short(text: str) -> str:
    from gdkreg.masking.text import prose

    if "FileNotFoundError" in text or "No such file" in text:
        return "there is no such socket"
    if "PermissionError" in text or "Permission denied" in text:
        return "permission denied; are you in the group docker?"
    if "timed out" in text.lower():
        return f"no answer within {ANSWER_WITHIN} s; does it hang?"
    if "ConnectionRefused" in text or "Connection refused" in text:
        return "connection refused; is it running?"
    return prose(text)[:160]
