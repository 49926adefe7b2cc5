"""Manifests as registries keep them: OCI index, manifest and artifact, Docker list and v2, and schema 1, which is only read."""

from __future__ import annotations

import hashlib
import re
from typing import Literal

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.registry import names

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_SIGNED_V1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
DOCKER_V1 = "application/vnd.docker.distribution.manifest.v1+json"

Kind = Literal["index", "image", "artifact", "schema1"]
KINDS: dict[str, Kind] = {
    OCI_INDEX: "index",
    OCI_MANIFEST: "image",
    OCI_ARTIFACT: "artifact",
    DOCKER_LIST: "index",
    DOCKER_MANIFEST: "image",
    DOCKER_SIGNED_V1: "schema1",
    DOCKER_V1: "schema1",
}
ACCEPT = ", ".join(KINDS)  # an index that is not asked for is 404 on Distribution 2.8
LONGEST = 4 << 20  # bytes of a manifest, as in Distribution

_KEYS = (
    "schemaVersion",
    "mediaType",
    "config",
    "layers",
    "manifests",
    "blobs",
    "subject",
    "fsLayers",
    "blobSum",
    "digest",
    "urls",
)
_BY_LOWER = {key.lower(): key for key in _KEYS}
_ANY_CASE = re.compile(rf'"({"|".join(_KEYS)})"\s*:'.encode(), re.IGNORECASE)


class ManifestError(GdkregError):
    """The bytes are no manifest that can be read."""


class Platform(msgspec.Struct, frozen=True):
    """For which machine an index's child is, e.g. linux/arm64/v8."""

    os: str = ""
    architecture: str = ""
    variant: str = ""
    os_version: str = msgspec.field(default="", name="os.version")

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


class Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    """One blob or manifest that a manifest names; `size` in bytes, 0 where it is not told (schema 1)."""

    digest: str
    media_type: str = ""
    size: int = 0
    platform: Platform | None = None
    annotations: dict[str, str] | None = None
    urls: list[str] | None = None
    artifact_type: str = ""

    @property
    def foreign(self) -> bool:
        """Whether it may be somewhere else than in the registry, as layers of Windows are."""
        return bool(self.urls)


class Manifest(msgspec.Struct, frozen=True):
    """A manifest as its bytes tell it. `manifests` are an index's children, `layers` also an artifact's blobs."""

    content: bytes
    media_type: str
    kind: Kind
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    artifact_type: str = ""
    annotations: dict[str, str] = {}

    @property
    def digest(self) -> str:
        """Of the very bytes, by SHA-256."""
        return digest_of(self.content)


class _BlobSum(msgspec.Struct, rename="camel"):
    blob_sum: str


class _Wire(msgspec.Struct, rename="camel"):
    """What is read of the JSON; Go writes null for what is empty."""

    schema_version: int = 0
    media_type: str | None = None
    config: Descriptor | None = None
    layers: list[Descriptor] | None = None
    manifests: list[Descriptor] | None = None
    blobs: list[Descriptor] | None = None
    fs_layers: list[_BlobSum] | None = None
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: dict[str, str] | None = None


_DECODER = msgspec.json.Decoder(_Wire)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def parse(content: bytes, media_type: str = "") -> Manifest:
    """`media_type` is what the registry told, where it told one; the manifest's own counts before it.

    Raises `ManifestError` for what is no manifest, or one of a kind that is not known.
    """
    try:
        wire = _DECODER.decode(content)
        _check_case(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestError("this is not a manifest", why=str(error)) from None
    found = wire.media_type or media_type.partition(";")[0].strip() or _told_by_its_keys(wire)
    kind = KINDS.get(found)
    if kind is None:
        raise ManifestError("this manifest cannot be read", why=f"its media type is {found[:200]!r}, which gdkreg does not know")
    manifest = _made(content, found, kind, wire)
    for item in (manifest.config, manifest.subject, *manifest.layers, *manifest.manifests):
        if item is not None and not names.is_digest(item.digest):
            raise ManifestError("this manifest cannot be read", why=f"{item.digest[:150]!r} in it is not a digest")
    return manifest


def _check_case(content: bytes) -> None:
    """Go's decoder takes keys in any case, so a registry would see layers here where we see none."""
    if all(key.decode() in _KEYS for key in set(_ANY_CASE.findall(content))):
        return
    whole = msgspec.json.decode(content)
    places = [whole]
    for key in ("config", "layers", "manifests", "blobs", "subject", "fsLayers"):
        value = whole.get(key)
        places += [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]
    for key in (key for place in places for key in place):
        if _BY_LOWER.get(key.lower(), key) != key:
            raise ManifestError("this manifest cannot be read", why=f"its key {key} is in another case than the spec's")


def _told_by_its_keys(wire: _Wire) -> str:
    """An OCI manifest may do without a media type: it is judged as Distribution does."""
    if wire.schema_version == 1 and wire.fs_layers is not None:
        return DOCKER_SIGNED_V1
    if wire.manifests is not None:
        return OCI_INDEX
    return OCI_MANIFEST if wire.config is not None else ""


def _made(content: bytes, media_type: str, kind: Kind, wire: _Wire) -> Manifest:
    if kind == "schema1":
        layers = tuple(Descriptor(item.blob_sum) for item in wire.fs_layers or ())
        return Manifest(content, media_type, kind, layers=layers)
    return Manifest(
        content,
        media_type,
        kind,
        config=wire.config if kind == "image" else None,
        layers=tuple((wire.layers if kind == "image" else wire.blobs if kind == "artifact" else None) or ()),
        manifests=tuple(wire.manifests or ()) if kind == "index" else (),
        subject=wire.subject,
        artifact_type=wire.artifact_type or "",
        annotations=wire.annotations or {},
    )
