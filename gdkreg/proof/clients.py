"""The clients that `verify` drives. Tokens reach them by a private file or a header, never by argv."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from gdkreg.config.settings import Settings
from gdkreg.config.values import is_loopback
from gdkreg.engines.detect import detect
from gdkreg.engines.names import patiently
from gdkreg.engines.trust import places
from gdkreg.errors import GdkregError
from gdkreg.explain import remedy_of
from gdkreg.host.base import Completed, Host
from gdkreg.proof.chain import ACCEPT, BrokenError
from gdkreg.proof.image import MANIFEST_TYPE, Image, sha256
from gdkreg.registry import session as sessions
from gdkreg.registry.login import credentials

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TRUST = "gdkreg trust-docker-registry"


def _broken(text: str, settings: Settings) -> BrokenError:
    """A client's own words as a broken hop, with what cures them."""
    words = [line for line in text.strip().splitlines() if line.strip()]
    return BrokenError(words[-1].strip()[:300] if words else "it failed without a word", remedy_of(text, settings))


def _same(file: Path, settings: Settings) -> bool:
    own = settings.root / "registry_host.crt"
    try:
        return file.read_bytes() == own.read_bytes()
    except OSError:
        return False


class Http:
    """No container client at all: the API itself, over HTTP."""

    name = "http"

    def __init__(self, settings: Settings, host: Host) -> None:
        self._settings = settings
        self._host = host

    def engine(self) -> str:
        return "- none is needed"

    def trusted(self) -> str:
        if not self._settings.registry.self_signed:
            return "- plain HTTP"
        own = self._settings.root / "registry_host.crt"
        try:
            sessions.of(self._settings).request("GET", "/v2/")
        except requests.exceptions.SSLError as error:
            raise BrokenError(f"{own}: {str(error)[-160:]}", "gdkreg reconfigure; gdkreg restart registry") from None
        return str(own)

    def _request(self, method: str, path: str, token: str, **options: Any) -> requests.Response:
        headers = {**options.pop("headers", {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        answer = sessions.of(self._settings).request(method, path, headers=headers, **options)
        if answer.status_code >= 400:
            try:
                said = "; ".join(f"{item['code'].lower()}: {item['message']}" for item in answer.json()["errors"])
            except (ValueError, LookupError, TypeError, AttributeError):
                said = answer.text[:100]
            raise _broken(f"{method} {path.partition('?')[0]} answered {answer.status_code} {said}", self._settings)
        return answer

    def push(self, image: Image, reference: str, token: str) -> str:
        repository, tag = _path(reference)
        for blob in image.blobs():
            begun = self._request("POST", f"/v2/{repository}/blobs/uploads/", token)
            place = begun.headers["Location"]
            place += ("&" if "?" in place else "?") + f"digest={sha256(blob)}"
            self._request("PUT", place, token, data=blob, headers={"Content-Type": "application/octet-stream"})
        self._request(
            "PUT", f"/v2/{repository}/manifests/{tag}", token, data=image.manifest, headers={"Content-Type": MANIFEST_TYPE}
        )
        return image.digest

    def pull(self, reference: str, token: str) -> str:
        repository, tag = _path(reference)
        manifest = self._request("GET", f"/v2/{repository}/manifests/{tag}", token, headers={"Accept": ACCEPT}).content
        parsed = json.loads(manifest)
        for entry in [parsed["config"], *parsed["layers"]]:
            blob = self._request("GET", f"/v2/{repository}/blobs/{entry['digest']}", token).content
            if sha256(blob) != entry["digest"]:
                raise BrokenError(f"blob {entry['digest']} came back changed", "is the disk healthy?")
        return sha256(manifest)

    def clean(self, _reference: str) -> None:
        return None


def _path(reference: str) -> tuple[str, str]:
    repository, _, tag = reference.partition("/")[2].rpartition(":")
    return repository, tag


class Docker:
    """The engine in use, through its API; Podman's Docker-compatible socket too."""

    name = "docker"

    def __init__(self, settings: Settings, host: Host) -> None:
        self._settings = settings
        self._host = host
        self._engine, self._client = detect(host)

    def engine(self) -> str:
        if self._client is None:
            raise BrokenError(self._engine.why, "start the engine, or gdkreg verify --client http")
        return f"{self._engine.kind} {self._engine.version} at {self._engine.endpoint.url}"

    def trusted(self) -> str:
        settings = self._settings
        if not settings.registry.self_signed:
            assert self._client is not None
            listed = (self._client.info().get("RegistryConfig") or {}).get("IndexConfigs") or {}
            if is_loopback(settings.address) or not (listed.get(settings.authority) or {"Secure": True}).get("Secure", True):
                return "- plain HTTP, which the engine allows here"
            line = f'"insecure-registries": ["{settings.authority}"]'
            raise BrokenError(
                "the engine refuses plain HTTP", f"gdkreg config set registry.self_signed true, or {line} in daemon.json"
            )
        for place in reversed(places(self._engine, self._host.platform)):
            file = place.folder / settings.authority / "ca.crt"
            if _same(file, settings):
                return f"{file} (the file of {place.of})"
            raise BrokenError(f"{file} is {'not registry_host.crt' if file.exists() else 'missing'}", TRUST)
        raise BrokenError("the engine's place for trust is not known", TRUST)

    def push(self, image: Image, reference: str, token: str) -> str:
        client = self._client
        assert client is not None
        from docker.errors import DockerException

        try:
            client.images.load(image.archive(reference))
            return self._digest(lambda: client.api.push(reference, stream=True, decode=True, auth_config=_auth(token)))
        except DockerException as error:
            raise _broken(str(error), self._settings) from None

    def pull(self, reference: str, token: str) -> str:
        client = self._client
        assert client is not None
        from docker.errors import DockerException

        try:
            client.images.remove(reference, force=True)
            name, _, tag = reference.rpartition(":")
            return self._digest(lambda: client.api.pull(name, tag=tag, stream=True, decode=True, auth_config=_auth(token)))
        except DockerException as error:
            raise _broken(str(error), self._settings) from None

    def _digest(self, begin: Callable[[], Any]) -> str:
        """Carry a push or pull out; the last digest that the engine tells."""

        def attempt() -> tuple[str, str]:
            lines = []
            for event in begin():
                if "error" in event:
                    return "", str(event["error"])
                lines.append(json.dumps(event))
            return "\n".join(lines), ""

        text, error = patiently(attempt, lambda result: result[1])
        if error:
            raise _broken(error, self._settings)
        found = _DIGEST.findall(text)
        if not found:
            raise BrokenError("the engine told no digest", "gdkreg tail registry --no-follow")
        return str(found[-1])

    def clean(self, reference: str) -> None:
        from docker.errors import DockerException

        try:
            if self._client is not None:
                self._client.images.remove(reference, force=True)
        except DockerException:
            return


def _auth(token: str) -> dict[str, str]:
    return {"registrytoken": token} if token else {}


class Skopeo:
    """skopeo, from and to a folder of its own."""

    name = "skopeo"
    _search = ("~/.config/containers/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d")

    def __init__(self, settings: Settings, host: Host) -> None:
        self._settings = settings
        self._host = host
        self._folder = Path(tempfile.mkdtemp(prefix="gdkreg-verify-"))

    def engine(self) -> str:
        if shutil.which(self.name) is None:
            raise BrokenError(
                f"{self.name} is not installed", f"sudo apt-get install {self.name}, or gdkreg verify --client http"
            )
        return self._host.query([self.name, "--version"]).out.strip()

    def trusted(self) -> str:
        if not self._settings.registry.self_signed:
            return "- plain HTTP"
        for folder in self._search:
            file = Path(folder.replace("~", str(self._host.platform.home))) / self._settings.authority / "ca.crt"
            if file.exists():
                if _same(file, self._settings):
                    return str(file)
                raise BrokenError(f"{file} is not registry_host.crt", TRUST)
        raise BrokenError(f"no ca.crt for {self._settings.authority} in {', '.join(self._search)}", TRUST)

    def _tls(self) -> str:
        return "true" if self._settings.registry.self_signed else "false"

    def _authfile(self, token: str) -> str:
        """A private file with a name and password: these clients take no bearer token but in argv."""
        path = self._folder / "auth.json"
        auths = {}
        if token:
            known = credentials(self._settings, self._host.platform.env)
            if known is None:
                raise BrokenError(f"{self.name} needs a user's password", "GDKREG_USER=NAME GDKREG_PASSWORD=… gdkreg verify")
            auths = {self._settings.authority: {"auth": base64.b64encode(":".join(known).encode()).decode()}}
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            json.dump({"auths": auths}, stream)
        return str(path)

    def _must(self, *argv: str) -> Completed:
        done = self._host.run(list(argv))
        if done.code != 0:
            raise _broken(done.err or done.out, self._settings)
        return done

    def push(self, image: Image, reference: str, token: str) -> str:
        archive = self._folder / "image.tar"
        archive.write_bytes(image.layout("verify"))
        done = self._folder / "pushed"
        options = ["--authfile", self._authfile(token), f"--dest-tls-verify={self._tls()}", "--digestfile", str(done)]
        self._must("skopeo", "copy", *options, f"oci-archive:{archive}:verify", f"docker://{reference}")
        return done.read_text().strip()

    def pull(self, reference: str, token: str) -> str:
        done = self._folder / "pulled"
        options = ["--authfile", self._authfile(token), f"--src-tls-verify={self._tls()}", "--digestfile", str(done)]
        self._must("skopeo", "copy", *options, f"docker://{reference}", f"oci:{self._folder / 'back'}:verify")
        return done.read_text().strip()

    def clean(self, _reference: str) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class Podman(Skopeo):
    """podman's own push and pull."""

    name = "podman"

    def push(self, image: Image, reference: str, token: str) -> str:
        archive = self._folder / "image.tar"
        archive.write_bytes(image.archive(reference))
        self._must("podman", "load", "-i", str(archive))
        done = self._folder / "pushed"
        self._must(
            "podman",
            "push",
            "--authfile",
            self._authfile(token),
            f"--tls-verify={self._tls()}",
            "--digestfile",
            str(done),
            reference,
        )
        return done.read_text().strip()

    def pull(self, reference: str, token: str) -> str:
        self._must("podman", "rmi", "-f", reference)
        self._must("podman", "pull", "-q", "--authfile", self._authfile(token), f"--tls-verify={self._tls()}", reference)
        return self._must("podman", "inspect", "--format", "{{.Digest}}", reference).out.strip()

    def clean(self, _reference: str) -> None:
        self._host.run(["podman", "rmi", "-f", _reference])
        super().clean(_reference)


KINDS: dict[str, type[Http] | type[Docker] | type[Skopeo]] = {"http": Http, "docker": Docker, "podman": Podman, "skopeo": Skopeo}
NEEDS = {
    "buildx": "a builder: docker buildx create --use, with its image moby/buildkit here",
    "dind": "the image docker:dind here: docker pull docker:dind",
}


def make(name: str, settings: Settings, host: Host) -> Http | Docker | Skopeo:
    """Raises `GdkregError` for a client that cannot run here."""
    if name in NEEDS:
        raise GdkregError(f"{name} cannot be verified here", why=f"it needs {NEEDS[name]}", fix="gdkreg verify --client docker")
    return KINDS[name](settings, host)
