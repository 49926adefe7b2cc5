"""Images made in memory and pushed by our own client, for tests of what there is in a registry."""

from __future__ import annotations

import json
import secrets
from typing import Any

from gdkreg.registry import manifests
from gdkreg.registry.images import Images
from gdkreg.registry.manifests import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, digest_of

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"


def put_blob(images: Images, repository: str, content: bytes, kind: str = LAYER) -> dict[str, Any]:
    """A blob and its descriptor."""
    digest = digest_of(content)
    if images.size_of(repository, digest) is None:
        images.upload(repository, digest, len(content), [content])
    return {"mediaType": kind, "digest": digest, "size": len(content)}


def image(
    images: Images,
    repository: str,
    *references: str,
    layers: list[bytes] | None = None,
    os: str = "linux",
    arch: str = "amd64",
    created: str = "2024-01-02T03:04:05Z",
    subject: dict[str, Any] | None = None,
    docker: bool = False,
    **config: Any,
) -> dict[str, Any]:
    """Push an image under tags (by its digest without one); its descriptor as an index names it."""
    settings = {
        "os": os,
        "architecture": arch,
        "created": created,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    kind = DOCKER_MANIFEST if docker else OCI_MANIFEST
    manifest = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": put_blob(images, repository, json.dumps(settings).encode(), CONFIG),
        "layers": [
            put_blob(images, repository, layer) for layer in (layers if layers is not None else [secrets.token_bytes(99)])
        ],
        **({"subject": subject} if subject else {}),
    }
    made = put(images, repository, manifest, *references)
    return {**made, "platform": {"os": os, "architecture": arch}}


def index(
    images: Images, repository: str, *references: str, children: list[dict[str, Any]], docker: bool = False, **more: Any
) -> dict[str, Any]:
    kind = DOCKER_LIST if docker else OCI_INDEX
    return put(images, repository, {"schemaVersion": 2, "mediaType": kind, "manifests": children, **more}, *references)


def artifact(
    images: Images, repository: str, *references: str, kind: str, subject: dict[str, Any] | None = None
) -> dict[str, Any]:
    """An artifact without layers, as the image spec has it: with the empty config."""
    manifest: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind, "layers": []}
    manifest["config"] = put_blob(images, repository, b"{}", EMPTY)
    if subject:
        manifest["subject"] = {key: subject[key] for key in ("mediaType", "digest", "size")}
    return {**put(images, repository, manifest, *references), "artifactType": kind}


def put(images: Images, repository: str, manifest: dict[str, Any], *references: str) -> dict[str, Any]:
    """A manifest under tags, by its digest without one; its descriptor."""
    content = json.dumps(manifest).encode()
    digest = manifests.digest_of(content)
    for reference in references or (digest,):
        assert images.put_manifest(repository, reference, content, manifest["mediaType"]) == digest
    return {"mediaType": manifest["mediaType"], "digest": digest, "size": len(content)}
