"""The engine in use, through its API; Podman's Docker-compatible socket too."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gdkreg.config.effective import Settings
from gdkreg.engines.detect import detect
from gdkreg.engines.names import patiently
from gdkreg.engines.trust import Place, places
from gdkreg.explain import remedy_of
from gdkreg.host.base import Host, HostReader
from gdkreg.proof.client import AbsentError, BrokenError, CaFile
from gdkreg.proof.clients.common import TRUST, broken, last_digest
from gdkreg.proof.image import Image

if TYPE_CHECKING:
    import docker
    from docker.models.images import Image as DockerImage


@contextmanager
def told(settings: Settings, host: HostReader) -> Iterator[None]:
    """The engine's errors, and its silence, as broken hops."""
    from docker.errors import DockerException
    from requests import RequestException

    try:
        yield
    except (DockerException, RequestException) as error:
        raise broken(str(error), settings, host) from None


class Docker:
    name = "docker"

    def __init__(self, settings: Settings, host: Host) -> None:
        self._settings = settings
        self._host = host
        self.found, self._client = detect(host)

    @property
    def client(self) -> docker.DockerClient:
        """Raises `BrokenError` where no engine answers."""
        if self._client is None:
            kind = BrokenError if shutil.which("docker") or shutil.which("podman") else AbsentError
            raise kind(self.found.why, "start the engine, or gdkreg verify --client http")
        return self._client

    def engine(self) -> str:
        with told(self._settings, self._host):
            self.client.ping()
        return f"{self.found.kind} {self.found.version} at {self.found.endpoint.shown}"

    def has(self, image: str) -> bool:
        return any(image in item.tags for item in self._images(image.rpartition(":")[0]))

    def tags(self, repository: str) -> list[str]:
        """The tags of an image's repository that are here, e.g. ["docker:dind"]."""
        return [tag for image in self._images(repository) for tag in image.tags]

    def _images(self, repository: str) -> list[DockerImage]:
        with told(self._settings, self._host):
            return self.client.images.list(repository)

    def read_in(self, container: str, path: str) -> bytes | None:
        """A file in a container; None where there is none."""
        from docker.errors import NotFound

        with told(self._settings, self._host):
            try:
                chunks, _ = self.client.containers.get(container).get_archive(path)
            except NotFound:
                return None
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            file = tar.extractfile(tar.getmembers()[0])
            return file.read() if file else None

    def ask(self, reference: str, /) -> str | None:
        """By GET /distribution, which the engine answers from the registry; Podman's socket does not know it."""
        from docker.errors import APIError

        api: Any = self.client.api  # its inspect_distribution has no types

        def attempt() -> str:
            try:
                api.inspect_distribution(reference, auth_config={})
            except APIError as error:
                return str(error.explanation)
            return ""

        said = patiently(attempt, lambda said: said)
        return None if said == "Not Found" else said

    def _place(self) -> Place:
        return places(self.found, self._host.platform)[-1]

    def ca_file(self) -> CaFile:
        file = self._place().folder / self._settings.authority / "ca.crt"
        return CaFile(str(file), self._host.read(file))

    def remedy(self, hop: str, /) -> str:
        if hop == "plain":
            return remedy_of("server gave HTTP response to HTTPS client", self._settings, self._host.platform.system)
        if hop != "trust":
            return "gdkreg reconfigure" if hop == "name" else "gdkreg doctor"
        return (self.is_set_up() and self._place().then) or TRUST

    def is_set_up(self) -> bool:
        """Whether the engine's file is right; then it only has not read it yet."""
        return self.ca_file().content == self._host.read(self._settings.root / "registry_host.crt")

    def push(self, image: Image, reference: str, token: str) -> str:
        with told(self._settings, self._host):
            self.client.images.load(image.archive(reference))
            events = self._carry_out(lambda: self.client.api.push(reference, stream=True, decode=True, auth_config=_auth(token)))
            return last_digest(events)

    def pull(self, reference: str, token: str) -> str:
        with told(self._settings, self._host):
            self.client.images.remove(reference, force=True)
            name, _, tag = reference.rpartition(":")
            events = self._carry_out(
                lambda: self.client.api.pull(name, tag=tag, stream=True, decode=True, auth_config=_auth(token))
            )
            if self.found.kind.startswith("podman"):  # its events tell no digest, only the short ids of layers
                events = json.dumps(self.client.images.get(reference).attrs.get("RepoDigests"))
            return last_digest(events)

    def _carry_out(self, begin: Callable[[], Any]) -> str:
        """A push or pull; what the engine tells of it, a line each."""
        lines = []
        for event in begin():
            if "error" in event:
                raise broken(str(event["error"]), self._settings, self._host)
            lines.append(json.dumps(event))
        return "\n".join(lines)

    def clean(self, reference: str, /) -> None:
        from docker.errors import NotFound

        if self._client is not None:
            with told(self._settings, self._host), suppress(NotFound):
                self._client.images.remove(reference, force=True)


def _auth(token: str) -> dict[str, str]:
    return {"registrytoken": token} if token else {}
