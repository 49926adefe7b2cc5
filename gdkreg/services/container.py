"""The registry as a container, through the docker SDK."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import LogConfig
from requests.exceptions import RequestException

from gdkreg.engines.detect import Engine
from gdkreg.errors import GdkregError
from gdkreg.host.base import Platform
from gdkreg.host.files import write_whole
from gdkreg.plan.journal import FOLDER
from gdkreg.resources.registry_config import CONFIG
from gdkreg.services.launch import LABEL_DIGEST, LABEL_ROOT, Launch, container_name

if TYPE_CHECKING:
    import docker

_SECOND = 1_000_000_000  # the API counts in nanoseconds
# Runs inside the container with what its image has; 401 is an answer too.
_HEALTH = (
    "u={scheme}://{authority}/v2/; "
    "if command -v curl >/dev/null; then curl -sk -o /dev/null $u; "
    "else wget -S -q -O /dev/null --no-check-certificate $u 2>&1 | grep -q 'HTTP/1.1 [24]'; fi"
)


Given = ParamSpec("Given")
Result = TypeVar("Result")


def _spoken(method: Callable[Given, Result]) -> Callable[Given, Result]:
    """An engine that answers with an error, or no longer, as a sentence."""

    @functools.wraps(method)
    def guarded(*args: Given.args, **options: Given.kwargs) -> Result:
        try:
            return method(*args, **options)
        except (DockerException, RequestException) as error:
            raise GdkregError(
                "the container engine does not do what it should", why=_reason(error), fix="docker info; gdkreg doctor"
            ) from None

    return guarded


class ContainerRuntime:
    """Implements `registry.Runtime` with a container that carries our label."""

    name = "docker"

    def __init__(
        self, root: Path, launch: Callable[[], Launch], platform: Platform, engine: Engine, client: docker.DockerClient
    ) -> None:
        self._root = root
        self._build = launch  # only what starts needs it: a broken configuration must not keep a registry running
        self._platform = platform
        self._engine = engine
        self._client = client
        self._api = client.api
        self._id = ""
        self._image: dict[str, Any] | None = None

    @property
    def _launch(self) -> Launch:
        return self._build()

    @_spoken
    def _find(self) -> dict[str, Any] | None:
        """Our container of this root, in whatever state."""
        found = self._api.containers(all=True, filters={"label": f"{LABEL_ROOT}={self._root}"})
        return found[0] if found else None

    def running(self) -> str | None:
        found = self._find()
        return str(found["Labels"].get(LABEL_DIGEST, "")) if found and found["State"] == "running" else None

    def wanted(self) -> str:
        return self._launch.digest(str(self.image()["Id"]) + self._user())

    def describe(self) -> str:
        found = self._find()
        return f"container {container_name(self._root)}, {found['Status']}" if found else ""

    @_spoken
    def image(self) -> dict[str, Any]:
        """Raises `GdkregError` where the image is not here."""
        if self._image is not None:
            return self._image
        try:
            found: dict[str, Any] = self._client.images.get(self._launch.image).attrs
        except ImageNotFound:
            raise GdkregError(f"the image {self._launch.image} is not here", fix=f"docker pull {self._launch.image}") from None
        self._image = found
        return found

    def has_image(self) -> bool:
        try:
            self.image()
        except GdkregError:
            return False
        return True

    def pull(self, progress: Callable[[dict[str, Any]], None]) -> None:
        """Raises `GdkregError` where it cannot be pulled."""
        name, _, tag = self._launch.image.rpartition(":")
        if not name or "/" in tag or "@" in self._launch.image:
            name, tag = self._launch.image, ("" if "@" in self._launch.image else "latest")
        try:
            for event in self._api.pull(name, tag=tag or None, stream=True, decode=True):
                if "error" in event:
                    raise GdkregError(f"cannot pull {self._launch.image}", why=str(event["error"]))
                progress(event)
        except DockerException as error:
            raise GdkregError(f"cannot pull {self._launch.image}", why=_reason(error)) from None

    def _user(self) -> str:
        if self._launch.uid is None and self._engine.maps_root_to_user:
            return "0:0"
        uid = self._platform.uid if self._launch.uid is None else self._launch.uid
        gid = self._platform.gid if self._launch.gid is None else self._launch.gid
        return f"{uid}:{gid}"

    @_spoken
    def start(self) -> None:
        image = self.image()
        old = self._find()
        if old is not None:
            self._api.remove_container(old["Id"], force=True)
        try:
            self._id = self._create(image, healthy=self._shell_known(image) is not False)
            if self._shell_known(image) is None and not self._has_shell(image):
                self._api.remove_container(self._id)
                self._id = self._create(image, healthy=False)
            self._api.start(self._id)
        except APIError as error:
            raise GdkregError("the engine refused to start the registry", why=_reason(error), fix="gdkreg doctor") from None

    def _create(self, image: dict[str, Any], *, healthy: bool) -> str:
        launch, api = self._launch, self._api
        inside = f"{launch.inside_port}/tcp"
        host_config = api.create_host_config(
            binds=[f"{mount.source}:{mount.target}:{'ro' if mount.read_only else 'rw'}" for mount in launch.mounts],
            port_bindings={inside: [(launch.address, launch.port)]},
            restart_policy={"Name": launch.restart_policy},
            log_config=LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
            security_opt=["no-new-privileges"],
        )
        created = api.create_container(
            image=str(image["Id"]),
            name=launch.name,
            command=_command(image),
            user=self._user(),
            labels={LABEL_ROOT: str(launch.root), LABEL_DIGEST: launch.digest(str(image["Id"]) + self._user())},
            environment=launch.environment,
            ports=[(launch.inside_port, "tcp")],
            host_config=host_config,
            healthcheck=self._health() if healthy else {"Test": ["NONE"]},
        )
        return str(created["Id"])

    def _health(self) -> dict[str, Any]:
        """GitLab's image checks by plain HTTP and reads unhealthy with TLS on; this check fits what we wrote."""
        scheme = "https" if self._launch.certificate else "http"
        test = _HEALTH.format(scheme=scheme, authority=f"127.0.0.1:{self._launch.inside_port}")
        return {"Test": ["CMD-SHELL", test], "Interval": 30 * _SECOND, "Timeout": 5 * _SECOND, "StartPeriod": 5 * _SECOND}

    def _note(self, image: dict[str, Any]) -> Path:
        return self._root / FOLDER / f"shell-{str(image['Id']).rpartition(':')[2][:12]}"

    def _shell_known(self, image: dict[str, Any]) -> bool | None:
        """What an earlier start found out about this image; None before the first."""
        try:
            return self._note(image).read_text() == "yes"
        except OSError:
            return None

    def _has_shell(self, image: dict[str, Any]) -> bool:
        """An image of a lone binary cannot run a check inside; `status` asks it from outside all the same."""
        try:
            self._api.get_archive(self._id, "/bin/sh")
            found = True
        except NotFound:
            found = False
        write_whole(self._note(image), b"yes" if found else b"no", mode=0o600, owner=None)
        return found

    @_spoken
    def died(self) -> str:
        state = self._api.inspect_container(self._id)["State"]
        if state["Status"] in {"running", "created"}:
            return ""
        self._api.stop(self._id, timeout=0)  # a restart policy would try for ever
        return f"the container exited with code {state.get('ExitCode')}"

    @_spoken
    def stop(self) -> bool:
        found = self._find()
        if found is None or found["State"] not in {"running", "restarting", "paused"}:
            return False
        self._api.stop(found["Id"], timeout=5)
        return True

    @_spoken
    def remove(self) -> None:
        found = self._find()
        if found is not None:
            self._api.remove_container(found["Id"], force=True)

    def last_lines(self, count: int) -> list[str]:
        return list(self.lines(count, follow=False, since=None))

    def lines(self, count: int | None, *, follow: bool, since: float | None) -> Iterator[str]:
        found = self._find()
        if found is None:
            return
        options: dict[str, Any] = {"tail": "all" if count is None else count}
        if since is not None:
            options["since"] = int(since)
        if not follow:
            yield from self._api.logs(found["Id"], **options).decode(errors="replace").splitlines()
            return
        rest = b""
        for piece in self._api.logs(found["Id"], stream=True, follow=True, **options):
            *whole, rest = (rest + piece).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)

    @_spoken
    def rival(self) -> str:
        """A running container that mounts this root's registry folder and is not ours: GDK's own registry."""
        inside = f"{self._launch.root}/registry"
        for item in self._api.containers():
            ours = item["Labels"].get(LABEL_ROOT) == str(self._launch.root)
            if not ours and any(str(mount.get("Source", "")).startswith(inside) for mount in item.get("Mounts", [])):
                return str(item["Names"][0]).lstrip("/")
        return ""


def _command(image: dict[str, Any]) -> list[str] | None:
    """What to pass so that each image reads our file: upstream 2 and 3 take it as an argument, GitLab's reads it anyway."""
    entry = image.get("Config", {}).get("Entrypoint") or []
    if not entry:
        return None
    if entry[-1].rpartition("/")[2] in {"registry", "docker-registry"}:
        return ["serve", str(CONFIG)]
    return [str(CONFIG)]


def _reason(error: Exception) -> str:
    text = str(getattr(error, "explanation", None) or error)
    return text.replace("driver failed programming external connectivity on endpoint", "").strip()
