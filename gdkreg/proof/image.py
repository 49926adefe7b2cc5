"""A small unique image, made in memory: a few hundred bytes, told from every other by a random file in it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import secrets
import tarfile

import msgspec

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
FILE = "gdkreg-verify"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


class Image(msgspec.Struct, frozen=True):
    """The blobs by digest, and the manifest that names them. `digest` is the manifest's, `content` that of its one file."""

    manifest: bytes
    config: bytes
    layer: bytes
    content: bytes

    @property
    def digest(self) -> str:
        return sha256(self.manifest)

    def blobs(self) -> list[bytes]:
        return [self.layer, self.config]

    def layout(self, tag: str) -> bytes:
        """The image as a tar of an OCI layout (for skopeo and podman)."""
        entry = {"mediaType": MANIFEST_TYPE, "digest": self.digest, "size": len(self.manifest)}
        index = {"schemaVersion": 2, "manifests": [{**entry, "annotations": {"org.opencontainers.image.ref.name": tag}}]}
        files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode()}
        files |= {f"blobs/sha256/{sha256(blob)[7:]}": blob for blob in (*self.blobs(), self.manifest)}
        return _tar(files)

    def archive(self, reference: str) -> bytes:
        """The image as `docker save` writes it (for `docker load`)."""
        manifest = [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
        files = {"config.json": self.config, "layer.tar": gzip.decompress(self.layer)}
        return _tar({**files, "manifest.json": json.dumps(manifest).encode()})


def make() -> Image:
    content = secrets.token_hex(16).encode()
    plain = _tar({FILE: content})
    layer = gzip.compress(plain, mtime=0)
    diff_id = sha256(plain)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": {"gdkreg": "verify"}},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": sha256(config), "size": len(config)},
        "layers": [{"mediaType": LAYER_TYPE, "digest": sha256(layer), "size": len(layer)}],
    }
    return Image(json.dumps(manifest).encode(), config, layer, content)


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()
