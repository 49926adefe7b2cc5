"""No container client at all: the registry's API, over HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from gdkreg.config.effective import Settings
from gdkreg.errors import GdkregError
from gdkreg.host.base import Host
from gdkreg.proof.client import BrokenError, CaFile
from gdkreg.proof.clients.common import broken, path_of
from gdkreg.proof.image import MANIFEST_TYPE, Image, sha256
from gdkreg.registry.images import ChangedError, Images
from gdkreg.registry.remote import bare


class Http:
    name = "http"

    def __init__(self, settings: Settings, host: Host) -> None:
        self._settings = settings
        self._host = host

    def engine(self) -> str:
        return "- none is needed"

    def ask(self, _reference: str, /) -> str:
        try:
            with bare(self._settings) as client:
                client.probe()
        except GdkregError as error:
            return f"{error.what}: {error.why}"
        return ""

    def ca_file(self) -> CaFile:
        own = self._settings.root / "registry_host.crt"
        return CaFile(str(own), self._host.read(own))

    def remedy(self, _hop: str, /) -> str:
        return "gdkreg reconfigure; gdkreg start"

    @contextlib.contextmanager
    def _images(self, token: str) -> Iterator[Images]:
        """With just this token: it is the one that is proven. Raises `BrokenError`."""
        try:
            with bare(self._settings, (lambda _: token) if token else None) as client:
                yield Images(client)
        except ChangedError as error:
            raise BrokenError(error.what, "is the disk healthy?") from None
        except GdkregError as error:
            raise broken(f"{error.what} {error.why}", self._settings, self._host) from None

    def push(self, image: Image, reference: str, token: str) -> str:
        repository, tag = path_of(reference)
        with self._images(token) as images:
            for blob in image.blobs():
                images.upload(repository, sha256(blob), len(blob), [blob])
            images.put_manifest(repository, tag, image.manifest, MANIFEST_TYPE)
        return image.digest

    def pull(self, reference: str, token: str) -> str:
        repository, tag = path_of(reference)
        with self._images(token) as images:
            manifest = images.manifest(repository, tag)
            for part in [*([manifest.config] if manifest.config else []), *manifest.layers]:
                images.small_blob(repository, part)
        return manifest.digest

    def delete(self, repository: str, digest: str, token: str) -> None:
        """Where deleting is switched off, the manifest stays without a tag."""
        with contextlib.suppress(BrokenError), self._images(token) as images:
            images.delete(repository, digest)

    def clean(self, _reference: str, /) -> None:
        return None
