"""skopeo, from and to a folder of its own, and podman's own push and pull."""

from __future__ import annotations

import base64
import shutil
import tempfile
from pathlib import Path

from gdkreg.clients.stores import stored
from gdkreg.config.effective import Settings
from gdkreg.host.base import Completed, Host
from gdkreg.proof.client import AbsentError, BrokenError, CaFile
from gdkreg.proof.clients.common import TRUST, broken, private
from gdkreg.proof.image import Image
from gdkreg.registry.login import credentials


class Skopeo:
    name = "skopeo"
    _search = ("~/.config/containers/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d")

    def __init__(self, settings: Settings, host: Host) -> None:
        self._settings = settings
        self._host = host
        self._folder = Path(tempfile.mkdtemp(prefix="gdkreg-verify-"))

    def engine(self) -> str:
        if shutil.which(self.name) is None:
            install = "brew" if self._host.platform.system == "darwin" else "sudo apt-get"
            raise AbsentError(f"{self.name} is not installed", f"{install} install {self.name}, or gdkreg verify --client http")
        return self._host.query([self.name, "--version"]).out.strip()

    def ask(self, reference: str, /) -> str:
        argv = ["skopeo", "inspect", f"--tls-verify={self._tls()}", f"docker://{reference}"]
        return self._host.query(argv).err

    def ca_file(self) -> CaFile:
        """The first that is there; else the first that could be."""
        folders = [Path(folder.replace("~", str(self._host.platform.home))) for folder in self._search]
        files = [folder / self._settings.authority / "ca.crt" for folder in folders]
        found = next((file for file in files if self._host.info(file)), files[-1])
        return CaFile(str(found), self._host.read(found))

    def remedy(self, hop: str, /) -> str:
        return TRUST if hop == "trust" else "gdkreg reconfigure"

    def _tls(self) -> str:
        return "true" if self._settings.registry.self_signed else "false"

    def _login(self, token: str) -> list[str]:
        """Its own store and helpers where it is logged in; else a private file with a name and password: these clients take no
        bearer token but in argv."""
        if not token or stored(self.name, self._settings.authority, self._host) is not None:
            return []
        known = credentials(self._settings, self._host)
        if known is None:
            raise BrokenError(f"{self.name} needs a user's password", f"gdkreg login --client {self.name}")
        path = self._folder / "auth.json"
        private(path, {"auths": {self._settings.authority: {"auth": base64.b64encode(":".join(known).encode()).decode()}}})
        return ["--authfile", str(path)]

    def _must(self, *argv: str) -> Completed:
        done = self._host.run(list(argv))
        if done.code != 0:
            raise broken(done.err or done.out, self._settings, self._host)
        return done

    def push(self, image: Image, reference: str, token: str) -> str:
        archive = self._folder / "image.tar"
        archive.write_bytes(image.layout("verify"))
        done = self._folder / "pushed"
        options = [*self._login(token), f"--dest-tls-verify={self._tls()}", "--digestfile", str(done)]
        self._must("skopeo", "copy", *options, f"oci-archive:{archive}:verify", f"docker://{reference}")
        return done.read_text().strip()

    def pull(self, reference: str, token: str) -> str:
        done = self._folder / "pulled"
        options = [*self._login(token), f"--src-tls-verify={self._tls()}", "--digestfile", str(done)]
        self._must("skopeo", "copy", *options, f"docker://{reference}", f"oci:{self._folder / 'back'}:verify")
        return done.read_text().strip()

    def clean(self, _reference: str, /) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class Podman(Skopeo):
    name = "podman"

    def ask(self, reference: str, /) -> str:
        return self._host.query(["podman", "pull", "-q", f"--tls-verify={self._tls()}", reference]).err

    def push(self, image: Image, reference: str, token: str) -> str:
        archive = self._folder / "image.tar"
        archive.write_bytes(image.archive(reference))
        self._must("podman", "load", "-i", str(archive))
        done = self._folder / "pushed"
        options = [*self._login(token), f"--tls-verify={self._tls()}", "--digestfile", str(done)]
        self._must("podman", "push", *options, reference)
        return done.read_text().strip()

    def pull(self, reference: str, token: str) -> str:
        self._must("podman", "rmi", "-f", reference)
        self._must("podman", "pull", "-q", *self._login(token), f"--tls-verify={self._tls()}", reference)
        return self._must("podman", "inspect", "--format", "{{.Digest}}", reference).out.strip()

    def clean(self, reference: str, /) -> None:
        super().clean(reference)
        self._host.run(["podman", "rmi", "-f", reference])
