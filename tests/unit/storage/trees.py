"""A registry's tree written straight to disk, in the form that Distribution gives it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

from gdkreg.registry import manifests
from gdkreg.storage.layout import Tree

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Registry:
    """Pushes without a registry: each method writes what Distribution writes for that request."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "docker/registry/v2"
        for name in ("blobs", "repositories"):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        self.tree = Tree(str(self.path))
        self.sizes: dict[str, int] = {}
        self.types: dict[str, str] = {}

    def file(self, place: str, content: bytes) -> None:
        path = f"{self.path}/{place}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(content)

    def link(self, place: str, digest: str) -> None:
        self.file(f"{place}/link", digest.encode())

    def data(self, content: bytes) -> str:
        digest = digest_of(content)
        self.sizes[digest] = len(content)
        self.file(f"{Tree.blob(digest)}/data", content)
        return digest

    def blob(self, repository: str, content: bytes) -> str:
        digest = self.data(content)
        self.link(Tree.layer(repository, digest), digest)
        return digest

    def descriptor(self, digest: str, media_type: str, **more: Any) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": digest, "size": self.sizes.get(digest, 1), **more}

    def manifest(self, repository: str, content: bytes, media_type: str, tag: str = "") -> str:
        digest = self.data(content)
        self.types[digest] = media_type
        self.link(Tree.revision(repository, digest), digest)
        if tag:
            self.tag(repository, tag, digest)
        return digest

    def tag(self, repository: str, tag: str, digest: str) -> None:
        place = Tree.tag(repository, tag)
        self.link(f"{place}/index/{digest.replace(':', '/')}", digest)
        self.link(f"{place}/current", digest)

    def image(self, repository: str, name: str, tag: str = "", layers: tuple[str, ...] = ("base",), **more: Any) -> str:
        """An image with a config of its own and a layer for each of `layers`; `more` are keys of its manifest."""
        config = self.blob(repository, json.dumps({"name": name}).encode())
        blobs = [self.blob(repository, f"layer {layer}".encode()) for layer in layers]
        content = {
            "schemaVersion": 2,
            "mediaType": manifests.OCI_MANIFEST,
            "config": self.descriptor(config, CONFIG),
            "layers": [self.descriptor(blob, LAYER) for blob in blobs],
            **more,
        }
        return self.manifest(repository, json.dumps(content).encode(), manifests.OCI_MANIFEST, tag)

    def index(self, repository: str, children: list[str], tag: str = "", **more: Any) -> str:
        named = [self.descriptor(child, self.types.get(child, LAYER)) for child in children]
        content = {"schemaVersion": 2, "mediaType": manifests.OCI_INDEX, "manifests": named, **more}
        return self.manifest(repository, json.dumps(content).encode(), manifests.OCI_INDEX, tag)

    def referrer(self, repository: str, name: str, subject: str, layers: tuple[str, ...] = ()) -> str:
        about = self.descriptor(subject, self.types[subject])
        return self.image(repository, name, layers=layers, subject=about, artifactType="application/x")

    def delete(self, repository: str, digest: str) -> None:
        """As DELETE of a digest leaves it: no link, an empty folder, and no tag that was on it."""
        os.unlink(self.path / Tree.revision(repository, digest) / "link")
        tags = self.path / f"repositories/{repository}/_manifests/tags"
        for tag in os.listdir(tags) if tags.exists() else ():
            if (tags / tag / "current/link").read_text() == digest:
                remove(tags / tag)

    def upload(self, repository: str, name: str, started: str = "", size: int = 3) -> None:
        place = f"repositories/{repository}/_uploads/{name}"
        self.file(f"{place}/data", b"x" * size)
        self.file(f"{place}/hashstates/sha256/0", b"state")
        if started:
            self.file(f"{place}/startedat", started.encode())


def remove(path: Path) -> None:
    import shutil

    shutil.rmtree(path)


def snapshot(path: Path) -> dict[str, tuple[Any, ...]]:
    """Every file with its bytes and times, every folder with its mode."""
    found: dict[str, tuple[Any, ...]] = {}
    for folder, _, files in os.walk(path):
        found[os.path.relpath(folder, path)] = (stat.S_IMODE(os.lstat(folder).st_mode),)
        for name in files:
            place = f"{folder}/{name}"
            info = os.lstat(place)
            content = os.readlink(place) if stat.S_ISLNK(info.st_mode) else Path(place).read_bytes()
            found[os.path.relpath(place, path)] = (info.st_mode, info.st_mtime_ns, info.st_ino, content)
    return found
