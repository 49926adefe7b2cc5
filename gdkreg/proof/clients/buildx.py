"""docker buildx with the builder in use: the engine's own, or one in a container with trust and names of its own."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path

from gdkreg.config.effective import Settings
from gdkreg.engines.names import patiently
from gdkreg.host.base import Completed, Host
from gdkreg.proof.client import AbsentError, BrokenError, CaFile
from gdkreg.proof.clients.common import broken, docker_config, path_of, private
from gdkreg.proof.clients.docker import Docker
from gdkreg.proof.clients.http import Http
from gdkreg.proof.image import FILE, Image

IMAGE = "moby/buildkit:buildx-stable-1"  # what buildx takes where a builder names none
_CONFIG = "/etc/buildkit/buildkitd.toml"


class Buildx:
    name = "buildx"

    def __init__(self, settings: Settings, host: Host) -> None:
        self._settings = settings
        self._host = host
        self._docker = Docker(settings, host)
        self._http = Http(settings, host)
        self._folder = Path(tempfile.mkdtemp(prefix="gdkreg-verify-"))
        self._driver = self._container = ""
        self._content = b""

    def engine(self) -> str:
        if self._host.query(["docker", "buildx", "version"]).code != 0:
            packages = "docker-buildx-plugin (Docker's packages) or docker-buildx (Debian's)"
            raise AbsentError("the buildx plugin is not installed", f"install {packages}, or gdkreg verify --client docker")
        self._docker.engine()
        told = self._must("inspect").out
        builder, self._driver = _value("Name", told), _value("Driver", told)
        self._container = f"buildx_buildkit_{_value('Name', told.partition('Nodes:')[2])}"
        if self._driver == "docker-container" and _value("Status", told) != "running":
            # buildx would pull the image; a proof fetches nothing.
            named = re.search(r'image="([^"]+)"', told)
            image = named[1] if named else IMAGE
            if not self._docker.has(image):
                raise AbsentError(f"the builder {builder} needs the image {image}", "docker buildx inspect --bootstrap")
            told = self._must("inspect", "--bootstrap").out
        return f"builder {builder}, driver {self._driver}, BuildKit {_value('BuildKit(?: version)?', told)}"

    def ask(self, reference: str, /) -> str:
        return patiently(lambda: self._build_from(reference).err, lambda said: said)

    def ca_file(self) -> CaFile | None:
        """For a builder in a container, `ca` of its buildkitd.toml; for the engine's own builder, the engine's file."""
        if self._driver == "docker":
            return self._docker.ca_file()
        if self._driver != "docker-container":
            return None
        import tomlkit
        from tomlkit.exceptions import TOMLKitError

        try:
            told = tomlkit.parse((self._docker.read_in(self._container, _CONFIG) or b"").decode()).unwrap()
        except (TOMLKitError, UnicodeDecodeError):
            return None
        for path in told.get("registry", {}).get(self._settings.authority, {}).get("ca", []):
            return CaFile(f"{path} in {self._container}", self._docker.read_in(self._container, path))
        return CaFile(f"ca of {self._settings.authority} in {_CONFIG} of {self._container}", None)

    def remedy(self, hop: str, /) -> str:
        if self._driver != "docker-container":
            restart = {"docker": "sudo systemctl restart docker", "rootless": "systemctl --user restart docker"}
            if hop == "trust" and self._docker.is_set_up() and self._docker.found.kind in restart:
                # Seen with Docker Engine 20.10: its BuildKit reads certs.d when the engine starts.
                return f"{restart[self._docker.found.kind]}; gdkreg start"
            return self._docker.remedy(hop)
        config = self._settings.root / "registry" / "buildkitd.toml"
        first = "" if self._host.info(config) else "gdkreg trust-docker-registry; "
        if not self._settings.registry.self_signed:
            first = "gdkreg config set registry.self_signed true; gdkreg up; "
        return f"{first}docker buildx create --use --driver-opt network=host --buildkitd-config {config}"

    def push(self, image: Image, reference: str, token: str) -> str:
        """By the builder, and then by ourselves: a builder keeps what it pushed, and what it pulls has to be new to it."""
        self._log_in(token)
        context, told = self._folder / "context", self._folder / "told.json"
        context.mkdir()
        (context / FILE).write_bytes(image.content[::-1])
        (context / "Dockerfile").write_text(f"FROM scratch\nCOPY {FILE} /\n")
        self._must("build", "--provenance=false", "--push", f"--metadata-file={told}", f"--tag={reference}", str(context))
        self._docker.clean(reference)
        self._http.delete(path_of(reference)[0], json.loads(told.read_text())["containerimage.digest"], token)
        self._content = image.content
        return self._http.push(image, reference, token)

    def pull(self, reference: str, token: str) -> str:
        """By a build FROM it, which gives its one file back."""
        self._log_in(token)
        out = self._folder / "out"
        done = self._build_from(reference, f"--output=type=local,dest={out}")
        if done.code != 0:
            raise broken(_error(done.err), self._settings, self._host)
        if (out / FILE).read_bytes() != self._content:
            raise BrokenError("the builder got another file than was pushed", "gdkreg doctor; is the disk healthy?")
        found = re.search(re.escape(reference) + r"@(sha256:[0-9a-f]{64})", done.err)
        return found[1] if found else "no digest"

    def clean(self, reference: str, /) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)  # first: it holds a token
        self._docker.clean(reference)

    def _log_in(self, token: str) -> None:
        """The user's Docker configuration once more, with this one credential: contexts, builders and plugins stay found."""
        own = Path(self._host.platform.env.get("DOCKER_CONFIG") or self._host.platform.home / ".docker")
        folder = self._folder / "config"
        config: dict[str, object] = {}
        if not folder.exists():
            folder.mkdir()
            for name in self._host.entries(own):
                if name != "config.json":
                    (folder / name).symlink_to(own / name)
        try:
            config = json.loads(self._host.read(own / "config.json") or b"{}")
        except ValueError:
            config = {}
        for key in ("credsStore", "credHelpers"):
            config.pop(key, None)
        private(folder / "config.json", {**config, **docker_config(self._settings, token)})

    def _argv(self, *arguments: str) -> list[str]:
        folder = self._folder / "config"
        return ["docker", *(["--config", str(folder)] if folder.exists() else []), "buildx", *arguments]

    def _build_from(self, reference: str, *options: str) -> Completed:
        argv = self._argv("build", "--progress=plain", "--provenance=false", "--pull", *options, "-")
        return self._host.run(argv, stdin=f"FROM {reference}\n")

    def _must(self, *arguments: str) -> Completed:
        done = self._host.run(self._argv(*arguments))
        if done.code != 0:
            raise broken(_error(done.err), self._settings, self._host)
        return done


def _value(key: str, told: str) -> str:
    """What `docker buildx inspect` tells for a key, at its first place."""
    found = re.search(rf"^\s*{key}:\s*(\S.*)$", told, re.MULTILINE | re.IGNORECASE)
    return found[1].strip() if found else ""


def _error(told: str) -> str:
    """The line of the error, without the progress and the piece of Dockerfile around it."""
    lines = [line for line in told.splitlines() if line.startswith("ERROR:")]
    return lines[-1].removeprefix("ERROR: failed to solve: ") if lines else told
