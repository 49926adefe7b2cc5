"""No container client at all: the registry's API, over HTTP."""

from __future__ import annotations

import json
from typing import Any

import requests

from gdkreg.config.effective import Settings
from gdkreg.host.base import Host
from gdkreg.proof.client import BrokenError, CaFile
from gdkreg.proof.clients.common import broken, path_of
from gdkreg.proof.image import ACCEPT, MANIFEST_TYPE, Image, sha256
from gdkreg.registry import session as sessions


class Http:
    name = "http"

    def __init__(self, settings: Settings, host: Host) -> None:
        self._settings = settings
        self._host = host

    def engine(self) -> str:
        return "- none is needed"

    def ask(self, _reference: str, /) -> str:
        try:
            sessions.ask_registry(self._settings, "GET", "/v2/")
        except requests.RequestException as error:
            return str(error)
        return ""

    def ca_file(self) -> CaFile:
        own = self._settings.root / "registry_host.crt"
        return CaFile(str(own), self._host.read(own))

    def remedy(self, _hop: str, /) -> str:
        return "gdkreg reconfigure; gdkreg start"

    def _request(self, method: str, path: str, token: str, **options: Any) -> requests.Response:
        headers = {**options.pop("headers", {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        answer = sessions.ask_registry(self._settings, method, path, headers=headers, **options)
        if answer.status_code >= 400:
            try:
                said = "; ".join(f"{item['code'].lower()}: {item['message']}" for item in answer.json()["errors"])
            except (ValueError, LookupError, TypeError, AttributeError):
                said = answer.text[:100]
            raise broken(f"{method} {path.partition('?')[0]} answered {answer.status_code} {said}", self._settings, self._host)
        return answer

    def push(self, image: Image, reference: str, token: str) -> str:
        repository, tag = path_of(reference)
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
        repository, tag = path_of(reference)
        manifest = self._request("GET", f"/v2/{repository}/manifests/{tag}", token, headers={"Accept": ACCEPT}).content
        parsed = json.loads(manifest)
        for entry in [parsed["config"], *parsed["layers"]]:
            answer = self._request("GET", f"/v2/{repository}/blobs/{entry['digest']}", token)
            if answer.is_redirect:  # to where the storage keeps it; the token is not meant for there
                answer = sessions.request("GET", answer.headers["Location"], None)
            if sha256(answer.content) != entry["digest"]:
                raise BrokenError(f"blob {entry['digest']} came back changed", "is the disk healthy?")
        return sha256(manifest)

    def delete(self, repository: str, digest: str, token: str) -> None:
        """Where deleting is switched off, the manifest stays without a tag."""
        try:
            self._request("DELETE", f"/v2/{repository}/manifests/{digest}", token)
        except BrokenError:
            return

    def clean(self, _reference: str, /) -> None:
        return None
