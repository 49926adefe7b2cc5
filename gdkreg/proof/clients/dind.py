"""Docker in Docker, with the mount and the extra host that `runner-patch` gives to a runner's jobs."""

from __future__ import annotations

import io
import secrets
import tarfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.config.values import is_ipv4, is_loopback
from gdkreg.engines.names import patiently
from gdkreg.host import processes
from gdkreg.host.base import Host
from gdkreg.proof.client import AbsentError, BrokenError, CaFile
from gdkreg.proof.clients.common import TRUST, as_json, broken, docker_config, last_digest, last_line
from gdkreg.proof.clients.docker import Docker, told
from gdkreg.proof.image import Image

if TYPE_CHECKING:
    from docker.models.containers import Container

_STARTS_WITHIN = 30.0  # seconds for the engine inside
_LABEL = "gdkreg.verify"  # whose process it is
_INSIDE = "/gdkreg-verify"
_CERTS = "/etc/docker/certs.d"


class Dind:
    name = "dind"

    def __init__(self, settings: Settings, host: Host) -> None:
        self._settings = settings
        self._host = host
        self._docker = Docker(settings, host)
        self._certs = host.platform.home / ".docker/certs.d"
        self._container: Container | None = None

    def engine(self) -> str:
        self._docker.engine()
        self._sweep()
        tags = sorted(tag for tag in self._docker.tags("docker") if "dind" in tag)
        if not tags:
            raise AbsentError("there is no image docker:dind here", "docker pull docker:dind")
        image = "docker:dind" if "docker:dind" in tags else tags[-1]
        self._start(image)
        self._wait()
        return f"{image}, engine {self._inside('docker', 'version', '--format={{.Server.Version}}').strip()}"

    def _start(self, image: str) -> None:
        from docker.errors import DockerException

        settings = self._settings
        insecure = [] if settings.registry.self_signed else [f"--insecure-registry={settings.authority}"]
        try:
            self._container = self._docker.client.containers.run(
                image,
                # Named whole, so that the image's entrypoint does not add a port without TLS.
                ["dockerd", "--host=unix:///var/run/docker.sock", *insecure],
                name=f"gdkreg-verify-{secrets.token_hex(4)}",
                labels={_LABEL: msgspec.json.encode(processes.me()).decode()},
                privileged=True,
                auto_remove=True,
                detach=True,
                environment={"DOCKER_TLS_CERTDIR": ""},
                extra_hosts={} if is_ipv4(settings.host) else {settings.host: settings.address},
                # A folder that is not there would be made by the engine, for root.
                volumes={str(self._certs): {"bind": _CERTS, "mode": "ro"}} if self._host.info(self._certs) else {},
            )
        except DockerException as error:
            raise BrokenError(f"{image} does not start: {last_line(str(error))}", "gdkreg doctor") from None

    def _sweep(self) -> None:
        """Remove what a verification that was killed left: privileged, it is nothing to forget."""
        with told(self._settings, self._host):
            for left in self._docker.client.containers.list(all=True, filters={"label": _LABEL}):
                if not processes.is_alive(msgspec.json.decode(left.labels[_LABEL], type=processes.Running)):
                    left.remove(force=True, v=True)

    def _wait(self) -> None:
        from docker.errors import DockerException

        assert self._container is not None
        deadline, said = time.monotonic() + _STARTS_WITHIN, ""
        while time.monotonic() < deadline:
            try:
                said = self._container.logs(tail=3).decode(errors="replace") or said
                if self._container.exec_run(["docker", "version"]).exit_code == 0:
                    return
            except DockerException:
                break  # it has ended, and with it the container is gone
            time.sleep(0.2)
        raise BrokenError(f"the engine inside does not start: {last_line(said)}", "docker run --rm --privileged docker:dind")

    def _inside(self, *argv: str) -> str:
        code, said = self._try(*argv)
        if code != 0:
            raise broken(said, self._settings, self._host)
        return said

    def _try(self, *argv: str) -> tuple[int, str]:
        from docker.errors import DockerException

        assert self._container is not None
        try:
            done = self._container.exec_run(list(argv))
        except DockerException as error:
            raise BrokenError(f"the container is gone: {last_line(str(error))}", "gdkreg verify --client dind") from None
        output: Any = done.output  # bytes, as it is no stream
        return done.exit_code or 0, output.decode(errors="replace")

    def ask(self, reference: str, /) -> str:
        return patiently(lambda: self._try("docker", "pull", "--quiet", reference)[1], lambda said: said)

    def ca_file(self) -> CaFile:
        """~/.docker/certs.d, as it is mounted inside."""
        assert self._container is not None
        file = f"{self._settings.authority}/ca.crt"
        content = self._docker.read_in(str(self._container.name), f"{_CERTS}/{file}")
        return CaFile(f"{self._certs / file}", content)

    def remedy(self, hop: str, /) -> str:
        if hop == "trust":
            return TRUST
        port = self._settings.registry.port
        if is_loopback(self._settings.address):
            alias = "gdkreg config set registry.listen_address 172.16.123.1; gdkreg reconfigure; gdkreg start"
            return f"{self._settings.address} is the container itself there: {alias}"
        return (
            f"let containers through the firewall: sudo ufw allow in on docker0 to {self._settings.address} port {port} proto tcp"
        )

    def push(self, image: Image, reference: str, token: str) -> str:
        self._put({"image.tar": image.archive(reference), "config.json": as_json(docker_config(self._settings, token))})
        self._inside("docker", "load", "--input", f"{_INSIDE}/image.tar")
        return last_digest(self._inside("docker", "--config", _INSIDE, "push", reference))

    def pull(self, reference: str, token: str) -> str:
        self._put({"config.json": as_json(docker_config(self._settings, token))})
        self._inside("docker", "image", "rm", "--force", reference)
        return last_digest(self._inside("docker", "--config", _INSIDE, "pull", reference))

    def _put(self, files: dict[str, bytes]) -> None:
        """Files for root alone, inside."""
        assert self._container is not None
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as tar:
            for name, data in files.items():
                entry = tarfile.TarInfo(f"{_INSIDE[1:]}/{name}")
                entry.size, entry.mode = len(data), 0o600
                tar.addfile(entry, io.BytesIO(data))
        with told(self._settings, self._host):
            self._container.put_archive("/", content.getvalue())

    def clean(self, _reference: str, /) -> None:
        from docker.errors import NotFound

        if self._container is not None:
            with told(self._settings, self._host), suppress(NotFound):
                self._container.remove(force=True, v=True)
