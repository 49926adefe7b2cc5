"""The registry as a container, through the engine's API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

from gdkreg.config.effective import Settings
from gdkreg.engines.api import Api, EngineError
from gdkreg.engines.detect import Engine
from gdkreg.errors import GdkregError
from gdkreg.host.base import Completed, Host, HostReader
from gdkreg.plan import state
from gdkreg.resources.registry_config import CONFIG
from gdkreg.services import place
from gdkreg.services.engine import refuse_engine
from gdkreg.services.image import command, health, is_program
from gdkreg.services.launch import LABEL_DIGEST, LABEL_ID, LABEL_ROOT, Launch


class ContainerRuntime:
    """Implements `registry.Runtime` with a container that carries our label."""

    name = "docker"

    def __init__(
        self, settings: Settings, id_: str, launch: Callable[[], Launch], host: HostReader, engine: Engine, api: Api
    ) -> None:
        self._settings = settings
        self._root = settings.root
        self._own_id = id_
        self._name_of_image = settings.registry.image
        self._build = launch  # only what starts needs it: a broken configuration must not keep a registry running
        self._host = host
        self._engine = engine
        self._api = api
        self._id = ""

    @property
    def _launch(self) -> Launch:
        return self._build()

    @property
    def binds(self) -> place.By:
        """Who publishes its port."""
        if self._engine.kind == "machine":
            return "elsewhere"
        return "root" if self._engine.kind in {"docker", "podman"} else "user"  # a VM's ports are forwarded by a user's program

    def _find(self) -> dict[str, Any] | None:
        """Our container of this root, in whatever state: by its label."""
        listed = self._api.call("GET", "/containers/json", query={"all": "1", "filters": {"label": [LABEL_ROOT]}})
        ours = [item for item in listed or [] if self._is_ours(item.get("Labels") or {})]
        return max(ours, key=lambda item: item.get("State") == "running", default=None)

    def _is_ours(self, labels: dict[str, str]) -> bool:
        return labels.get(LABEL_ID) == self._own_id or labels.get(LABEL_ROOT) == str(self._root)

    def running(self) -> str | None:
        found = self._find()
        return str(found["Labels"].get(LABEL_DIGEST, "")) if found and found["State"] == "running" else None

    def exists(self) -> bool:
        return self._find() is not None

    def wanted(self) -> str:
        return self._launch.digest(str(self.image()["Id"]) + self._user())

    def describe(self) -> str:
        found = self._find()
        return f"container {str(found['Names'][0]).lstrip('/')}, {found['Status']}" if found else ""

    def details(self) -> dict[str, Any]:
        """All that the engine tells of it; empty where there is none."""
        found = self._find()
        return dict(self._api.call("GET", f"/containers/{found['Id']}/json")) if found else {}

    def version(self) -> str:
        """What the program in the container says of itself; empty where none runs."""
        from docker.errors import DockerException

        found = self._find()
        if found is None or found["State"] != "running":
            return ""
        entry = (self.image().get("Config", {}).get("Entrypoint") or [""])[-1]
        program = entry if is_program(entry) else "registry"
        try:
            _, said = self._api.sdk.containers.get(found["Id"]).exec_run([program, "--version"])
        except DockerException as error:
            raise GdkregError("the registry's version cannot be told", why=str(error)) from None
        return said.decode(errors="replace") if isinstance(said, bytes) else ""

    def check(self) -> None:
        """Raises `GdkregError` where it cannot be run here; an image that has to be pulled is no hindrance."""
        refuse_engine(self._engine, self._settings, self._host)

    def image(self) -> dict[str, Any]:
        """Raises `GdkregError` where the image is not here."""
        name = self._name_of_image
        if name not in self._api.images:
            try:
                found: dict[str, Any] = self._api.call("GET", f"/images/{quote(name, safe='/:@')}/json")
            except EngineError as error:
                if error.status != 404:
                    raise
                raise GdkregError(f"the image {name} is not here", fix=f"docker pull {name}") from None
            self._api.images[name] = found
        return self._api.images[name]

    def has_image(self) -> bool:
        try:
            self.image()
        except GdkregError:
            return False
        return True

    def pull(self, progress: Callable[[dict[str, Any]], None]) -> None:
        """Raises `GdkregError` where it cannot be pulled."""
        from docker.errors import DockerException

        name, _, tag = self._name_of_image.rpartition(":")
        if not name or "/" in tag or "@" in self._name_of_image:
            name, tag = self._name_of_image, ("" if "@" in self._name_of_image else "latest")
        problem = ""
        try:
            for event in self._api.sdk.api.pull(name, tag=tag or None, stream=True, decode=True):
                problem = str(event.get("error") or problem)
                progress(event)
        except DockerException as error:
            problem = str(getattr(error, "explanation", None) or error)
        if problem:
            name = self._name_of_image
            fix = f"docker pull {name}, or name another: gdkreg config set registry.image IMAGE"
            raise GdkregError(f"cannot pull {name}", why=problem, fix=fix)

    def _user(self) -> str:
        launch, platform = self._launch, self._host.platform
        if launch.uid is None and self._engine.maps_root_to_user:
            return "0:0"
        uid = platform.uid if launch.uid is None else launch.uid
        gid = platform.gid if launch.gid is None else launch.gid
        return f"{uid}:{gid}"

    def start(self, host: Host) -> None:
        """An unchanged container that was stopped is started again; anything else is made anew. One that is only created failed
        to start: Podman's service would keep its port at the second try, and hide the reason."""
        image = self.image()
        old = self._find()
        if old is not None and old["State"] == "exited" and old["Labels"].get(LABEL_DIGEST) == self.wanted():
            self._id = str(old["Id"])
            try:
                self._api.call("POST", f"/containers/{self._id}/start")
                return
            except EngineError:
                pass  # its network or a mount is gone; one made anew says why
        if old is not None:
            self._api.call("DELETE", f"/containers/{old['Id']}", query={"force": "1"})
        try:
            self._id = self._create(image, healthy=self._shell_known(image) is not False)
            if self._shell_known(image) is None and not self._has_shell(image, host):
                self._api.call("DELETE", f"/containers/{self._id}")
                self._id = self._create(image, healthy=False)
            self._api.call("POST", f"/containers/{self._id}/start")
        except EngineError as error:
            raise self._refused(error.why) from None

    def _refused(self, why: str) -> GdkregError:
        """By its words: for a name that is taken Docker answers 409, and Podman 500."""
        fix = "gdkreg doctor"
        if "already in use" in why:
            name = self._launch.name
            podman = self._engine.kind.startswith("podman")
            fix = (
                f"{'podman' if podman else 'docker'} rm {name}" if name in why else place.move(self._launch.port, "registry.port")
            )
            if podman and name not in why:
                fix = place.PODMAN_KEEPS
        return GdkregError("the engine refused to start the registry", why=why, fix=fix)

    def _create(self, image: dict[str, Any], *, healthy: bool) -> str:
        launch = self._launch
        inside = f"{launch.inside_port}/tcp"
        body: dict[str, Any] = {
            "Image": str(image["Id"]),
            "Cmd": command(image),
            "User": self._user(),
            "Labels": {LABEL_ROOT: str(launch.root), LABEL_ID: launch.id, LABEL_DIGEST: self.wanted()},
            "Env": [f"{key}={value}" for key, value in launch.environment.items()],
            "ExposedPorts": {inside: {}},
            "Healthcheck": health(launch) if healthy else {"Test": ["NONE"]},
            "HostConfig": {
                "Binds": [f"{mount.source}:{mount.target}:{'ro' if mount.read_only else 'rw'}" for mount in launch.mounts],
                "PortBindings": {inside: [{"HostIp": launch.address, "HostPort": str(launch.port)}]},
                "RestartPolicy": {"Name": launch.restart_policy},
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
                "SecurityOpt": ["no-new-privileges"],
            },
        }
        created = self._api.call("POST", "/containers/create", query={"name": launch.name}, body=body)
        return str(created["Id"])

    def _note(self, image: dict[str, Any]) -> str:
        return f"shell-{str(image['Id']).rpartition(':')[2][:12]}"

    def _shell_known(self, image: dict[str, Any]) -> bool | None:
        """What an earlier start found out about this image; None before the first."""
        found = state.read(self._host, self._root, self._note(image))
        return None if found is None else found == b"yes"

    def _has_shell(self, image: dict[str, Any], host: Host) -> bool:
        """An image of a lone binary cannot run a check inside; `status` asks it from outside all the same."""
        try:
            self._api.call("HEAD", f"/containers/{self._id}/archive", query={"path": "/bin/sh"})
            found = True
        except EngineError as error:
            if error.status != 404:
                raise
            found = False
        state.write(host, self._root, self._note(image), b"yes" if found else b"no")
        return found

    def collect(self, host: Host, options: Sequence[str]) -> Completed:  # noqa: ARG002
        """The registry's own garbage-collect, in the container that runs. Raises `GdkregError`."""
        from docker.errors import DockerException

        found = self._find()
        if found is None:
            raise GdkregError("the registry's container is not there", fix="gdkreg start registry")
        entry = self.image().get("Config", {}).get("Entrypoint") or [""]
        program = entry[-1] if is_program(entry[-1]) else "registry"
        try:
            api = self._api.sdk.api
            made = api.exec_create(found["Id"], [program, "garbage-collect", *options, str(CONFIG)])
            said = api.exec_start(made["Id"]).decode(errors="replace")
            return Completed(int(api.exec_inspect(made["Id"])["ExitCode"] or 0), said)
        except DockerException as error:
            raise GdkregError("the engine does not run garbage-collect", why=str(error), fix="gdkreg doctor") from None

    def died(self) -> str:
        found = self._api.call("GET", f"/containers/{self._id}/json")["State"]
        if found["Status"] in {"running", "created"}:
            return ""
        self._stop(self._id, grace=0)  # a restart policy would try for ever
        return f"the container exited with code {found.get('ExitCode')}"

    def _stop(self, id_: str, grace: int) -> None:
        try:
            self._api.call("POST", f"/containers/{id_}/stop", query={"t": str(grace)})
        except EngineError as error:
            if error.status not in {304, 404}:
                raise

    def stop(self, host: Host) -> bool:  # noqa: ARG002
        found = self._find()
        if found is None or found["State"] not in {"running", "restarting", "paused"}:
            return False
        self._stop(str(found["Id"]), grace=5)
        return True

    def remove(self, host: Host) -> None:  # noqa: ARG002
        while (found := self._find()) is not None:
            self._api.call("DELETE", f"/containers/{found['Id']}", query={"force": "1"})

    def last_lines(self, count: int) -> list[str]:
        return list(self.lines(count, follow=False, since=None))

    def lines(self, count: int | None, *, follow: bool, since: float | None) -> Iterator[str]:
        found = self._find()
        if found is None:
            return
        api = self._api.sdk.api
        options: dict[str, Any] = {"tail": "all" if count is None else count}
        if since is not None:
            options["since"] = int(since)
        if not follow:
            yield from api.logs(found["Id"], **options).decode(errors="replace").splitlines()
            return
        rest = b""
        for piece in api.logs(found["Id"], stream=True, follow=True, **options):
            *whole, rest = (rest + piece).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)

    def attend(self, since: float) -> Iterator[str]:
        from docker.errors import DockerException
        from urllib3.exceptions import HTTPError

        try:
            yield from self.lines(None, follow=True, since=since)
        except (OSError, HTTPError, DockerException, GdkregError):
            return  # the engine is gone, or the container was removed; whoever attends looks what it is

    def rival(self, address: str, port: int) -> tuple[str, str]:
        """Another container that stands in our way: its name, and its root where it is another root's registry. It publishes
        our place, or mounts this root's registry folder as GDK's own registry does."""
        inside = f"{self._root}/registry"
        for item in self._api.call("GET", "/containers/json") or []:
            labels = item.get("Labels") or {}
            if self._is_ours(labels):
                continue
            mounted = any(str(mount.get("Source", "")).startswith(inside) for mount in item.get("Mounts") or [])
            published = any(
                one.get("PublicPort") == port and one.get("IP") in {address, "0.0.0.0"} for one in item.get("Ports") or []
            )
            if mounted or (published and LABEL_ROOT in labels):
                return str(item["Names"][0]).lstrip("/"), str(labels.get(LABEL_ROOT, ""))
        return "", ""
