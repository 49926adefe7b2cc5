"""Images as a person wants to see them, from their manifests and configurations."""

from __future__ import annotations

import datetime
import platform as machine
import re
import threading
from typing import Any

import msgspec

from gdkreg.errors import ConfigError, GdkregError
from gdkreg.registry.answers import AnswerError
from gdkreg.registry.images import Images, gather
from gdkreg.registry.manifests import Descriptor, Manifest
from gdkreg.registry.names import Reference

NEVER = datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)
_DEEPEST = 4  # indexes in indexes
_CREATED = "org.opencontainers.image.created"
_ATTESTATION = "unknown/unknown"  # how BuildKit names the platform of what is no image
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Tagged(msgspec.Struct, frozen=True):
    """A tag and what it leads to. `size` is the bytes of its blobs, each once, over all platforms; `created` is the image's own
    time, as it stands there, empty where it has none. `problem` says why something of it cannot be read."""

    tag: str
    digest: str
    media_type: str
    size: int
    platforms: list[str]
    created: str = ""
    artifact_type: str = ""
    problem: str = ""


class Child(msgspec.Struct, frozen=True):
    """One manifest of an index; `size` is the bytes of its blobs."""

    platform: str
    digest: str
    media_type: str
    size: int


class Layer(msgspec.Struct, frozen=True):
    """`made_by` is the step that made it, as the builder wrote it down; `shared_by` are other tags of the repository."""

    digest: str
    size: int
    media_type: str
    made_by: str = ""
    shared_by: list[str] = []


class Referrer(msgspec.Struct, frozen=True):
    """What names an image as its subject: a signature, an SBOM."""

    digest: str
    media_type: str
    artifact_type: str
    size: int


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image or artifact. Of an index, what stands in a configuration is that of the manifest for `platform`."""

    repository: str
    tag: str
    digest: str
    media_type: str
    artifact_type: str = ""
    size: int
    platform: str = ""
    platforms: list[Child] = []
    created: str = ""
    author: str = ""
    user: str = ""
    workdir: str = ""
    entrypoint: list[str] = []
    cmd: list[str] = []
    env: list[str] = []
    ports: list[str] = []
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    layers: list[Layer] = []
    shares_of: int = 0
    shares_partly: bool = False
    subject: str = ""
    referrers: list[Referrer] = []


class _Known(msgspec.Struct, frozen=True):
    """What is kept of a manifest that was read."""

    blobs: dict[str, int]
    platforms: tuple[str, ...]
    created: str


class Describer:
    """Reads images of one repository, each manifest and configuration once. Safe for threads."""

    def __init__(self, images: Images, repository: str) -> None:
        self._images, self._repository = images, repository
        self._known: dict[tuple[str, bool], _Known] = {}  # by digest, and whether its configuration was read too
        self._lock = threading.Lock()
        self.blobs: dict[str, int] = {}  # of all that was described

    def tag(self, name: str) -> Tagged | None:
        """None for a tag that went in the meantime."""
        try:
            manifest = self._images.manifest(self._repository, name)
        except AnswerError as error:
            if error.status == 404:
                return None
            return Tagged(name, "", "", 0, [], problem=error.what)
        except GdkregError as error:
            return Tagged(name, "", "", 0, [], problem=f"{error.what}: {error.why}")
        kind = manifest.artifact_type or (manifest.config.media_type if manifest.config and not _is_image(manifest) else "")
        try:
            known = self._of(manifest)
        except GdkregError as error:
            return Tagged(name, manifest.digest, manifest.media_type, 0, [], artifact_type=kind, problem=error.what)
        size, platforms = sum(known.blobs.values()), list(known.platforms)
        return Tagged(name, manifest.digest, manifest.media_type, size, platforms, known.created, kind)

    def layers_of(self, name: str) -> list[str]:
        """The blobs that a tag leads to."""
        try:
            return list(self._of(self._images.manifest(self._repository, name), configured=False).blobs)
        except GdkregError:
            return []

    def _of(self, manifest: Manifest, depth: int = 0, *, configured: bool = True) -> _Known:
        found = self._kept(manifest.digest, configured)
        if found is None:
            found = self._index(manifest, depth, configured) if manifest.kind == "index" else self._single(manifest, configured)
            with self._lock:
                self._known[manifest.digest, configured] = found
                self.blobs.update(found.blobs)
        return found

    def _kept(self, digest: str, configured: bool) -> _Known | None:
        return self._known.get((digest, True)) or (None if configured else self._known.get((digest, False)))

    def _single(self, manifest: Manifest, configured: bool) -> _Known:
        parts = [*([manifest.config] if manifest.config else []), *manifest.layers]
        blobs = {part.digest: part.size for part in parts if not part.foreign}
        config = self._images.config(self._repository, manifest) if configured and _is_image(manifest) else {}
        created = manifest.annotations.get(_CREATED, "") or _text(config.get("created"))
        return _Known(blobs, (platform_of(config),) if platform_of(config) else (), created)

    def _index(self, manifest: Manifest, depth: int, configured: bool) -> _Known:
        blobs: dict[str, int] = {}
        platforms: list[str] = []
        created = [manifest.annotations.get(_CREATED, "")]
        for child in manifest.manifests if depth < _DEEPEST else ():
            platform = str(child.platform or "")
            known = self._child(child, depth + 1, configured=configured and platform != _ATTESTATION)
            blobs.update(known.blobs)
            created.append(known.created)
            platforms += [platform] if platform else known.platforms
        own = (name for name in dict.fromkeys(platforms) if name != _ATTESTATION)
        return _Known(blobs, tuple(own), created[0] or max(created, key=moment))

    def _child(self, child: Descriptor, depth: int, *, configured: bool) -> _Known:
        found = self._kept(child.digest, configured)
        if found is None:
            found = self._of(self._images.child(self._repository, child.digest), depth, configured=configured)
        return found

    # one image, whole

    def image(self, manifest: Manifest, reference: Reference, platform: str = "") -> Image:
        """Raises `ConfigError` where it has no such platform."""
        children = self._children(manifest)
        shown, name = manifest, ""
        if manifest.kind == "index" and (child := _choice(children, platform)) is not None:
            shown, name = self._images.child(self._repository, child.digest), child.platform
        config = self._images.config(self._repository, shown) if _is_image(shown) else {}
        name = name or platform_of(config)
        if platform and not _is_for(name, platform):
            raise _other_platform(reference, platform, [child.platform for child in children] or [name])
        known = self._of(manifest)
        return Image(
            repository=self._repository,
            tag=reference.tag,
            digest=reference.digest or manifest.digest,
            media_type=manifest.media_type,
            artifact_type=manifest.artifact_type or (shown.config.media_type if shown.config and not _is_image(shown) else ""),
            size=sum(known.blobs.values()),
            platform=name,
            platforms=children,
            created=known.created,
            annotations=manifest.annotations,
            layers=_layers(shown, config),
            subject=manifest.subject.digest if manifest.subject else "",
            referrers=[
                Referrer(item.digest, item.media_type, item.artifact_type, item.size)
                for item in self._images.referrers(self._repository, manifest.digest)
            ],
            **_configured(config),
        )

    def _children(self, manifest: Manifest) -> list[Child]:
        def one(child: Descriptor) -> Child:
            known = self._child(child, 1, configured=True)
            name = str(child.platform or "") or ", ".join(known.platforms)
            return Child(name, child.digest, child.media_type, sum(known.blobs.values()))

        return list(gather(one, manifest.manifests))


def moment(text: str) -> datetime.datetime:
    """A time as images have it (RFC 3339, with nanoseconds often), in UTC; of what is none, the beginning of all times, which
    builders that tell no time write too."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", text.strip())
    try:
        if found is not None:
            zone = "+00:00" if found[4] in "Zz" else found[4]
            return datetime.datetime.fromisoformat(f"{found[1]}T{found[2]}{zone}").astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError):
        pass
    return NEVER


def platform_of(config: dict[str, Any]) -> str:
    """OS/ARCHITECTURE[/VARIANT] of an image's configuration; empty where it tells none."""
    return "/".join(part for key in ("os", "architecture", "variant") if (part := _text(config.get(key))))


def _is_image(manifest: Manifest) -> bool:
    """Whether its configuration is that of an image, and not of an artifact."""
    return manifest.config is not None and "image" in manifest.config.media_type and "json" in manifest.config.media_type


def _choice(children: list[Child], platform: str) -> Child | None:
    """The one that is asked for, else the one that this machine would run, else the first that is an image."""
    own = f"linux/{_ARCHITECTURES.get(machine.machine(), machine.machine())}"
    named = [child for child in children if child.platform != _ATTESTATION]
    wanted = (platform,) if platform else (own, *(child.platform for child in named))
    return next((child for name in wanted for child in named if _is_for(child.platform, name)), None)


def _is_for(platform: str, wanted: str) -> bool:
    """linux/arm64 asks for linux/arm64/v8 too."""
    return platform == wanted or platform.startswith(f"{wanted}/")


def _other_platform(reference: Reference, platform: str, have: list[str]) -> ConfigError:
    listed = ", ".join(name for name in have if name and name != _ATTESTATION) or "none that it names"
    return ConfigError(f"{reference} is not for {platform}", why=f"its platforms: {listed}")


def _layers(manifest: Manifest, config: dict[str, Any]) -> list[Layer]:
    """The layers with the steps that made them, where the builder wrote down as many."""
    history = config.get("history")
    steps = [
        _text(step.get("created_by"))
        for step in (history if isinstance(history, list) else [])
        if isinstance(step, dict) and not step.get("empty_layer")
    ]
    made = steps if len(steps) == len(manifest.layers) else [""] * len(manifest.layers)
    return [Layer(layer.digest, layer.size, layer.media_type, step) for layer, step in zip(manifest.layers, made, strict=True)]


def _configured(config: dict[str, Any]) -> dict[str, Any]:
    """What an image's configuration says of running it; whatever has another type than the spec's is left out."""
    inner = config.get("config")
    run: dict[str, Any] = inner if isinstance(inner, dict) else {}
    labels, ports = run.get("Labels"), run.get("ExposedPorts")
    return {
        "author": _text(config.get("author")),
        "user": _text(run.get("User")),
        "workdir": _text(run.get("WorkingDir")),
        "entrypoint": _texts(run.get("Entrypoint")),
        "cmd": _texts(run.get("Cmd")),
        "env": _texts(run.get("Env")),
        "ports": list(ports) if isinstance(ports, dict) else [],
        "labels": {key: _text(value) for key, value in labels.items()} if isinstance(labels, dict) else {},
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
