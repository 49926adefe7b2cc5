"""Everything that goes into a running registry, as one value with one digest: compared whole, never field by field."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import yaml

from gdkreg.config.effective import Settings
from gdkreg.errors import GdkregError
from gdkreg.host.base import HostReader
from gdkreg.plan.actions import is_pending
from gdkreg.plan.state import FOLDER
from gdkreg.resources import registry_config as config
from gdkreg.resources.gdk_service import is_driven

LABEL_ROOT = "gdkreg.root"
LABEL_ID = "gdkreg.id"
LABEL_DIGEST = "gdkreg.digest"
# Distribution 3 floods its log without it.
_ENVIRONMENT = {"OTEL_TRACES_EXPORTER": "none"}

# As YAML: Distribution reads a block from a variable that way, over what the configuration file says.
_HELD = {"REGISTRY_STORAGE_MAINTENANCE_READONLY": '{"enabled": true}'}
# An empty value counts, over what the configuration file says.
_PLAIN = {"REGISTRY_HTTP_TLS_CERTIFICATE": "", "REGISTRY_HTTP_TLS_KEY": ""}


class NotMadeYetError(GdkregError):
    """The plan makes it, so what runs now cannot be as it will have to be."""


class Mount(msgspec.Struct, frozen=True):
    source: Path
    target: Path
    read_only: bool = True


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """`certificate` is None for plain HTTP, and `plain` says so where the configuration has one; `overrides` give the process
    runtime the host's paths. `held`: it takes no writes for a while, whatever the configuration says."""

    root: Path
    name: str
    id: str
    address: str
    port: int
    inside_port: int
    certificate: Path | None
    config: Path
    storage: Path
    mounts: list[Mount]
    overrides: dict[str, str]
    image: str
    binary: str | None
    uid: int | None
    gid: int | None
    restart_policy: str
    content: str
    plain: bool = False
    held: bool = False

    @property
    def environment(self) -> dict[str, str]:
        return _ENVIRONMENT | (_PLAIN if self.plain else {}) | (_HELD if self.held else {})

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{self.address}:{self.port}"

    def moved(self, address: str, port: int) -> Launch:
        """The same registry, answering somewhere else, and without TLS: behind a proxy on this machine, which speaks it."""
        overrides = {key: value for key, value in self.overrides.items() if key not in _PLAIN}
        overrides["REGISTRY_HTTP_ADDR"] = f"{address}:{port}"
        return msgspec.structs.replace(self, address=address, port=port, overrides=overrides, certificate=None, plain=True)

    def digest(self, what_runs: str) -> str:
        """Of all of this and of the image or binary that is to run."""
        whole = msgspec.json.encode([msgspec.to_builtins(self, enc_hook=str), what_runs])
        return hashlib.sha256(whole).hexdigest()[:16]


def container_name(id_: str) -> str:
    return f"gdkreg-registry-{id_[:8]}"


def build(settings: Settings, id_: str, host: HostReader) -> Launch:
    """From the applied settings and the files that they made; `id_` is the root's. Raises `GdkregError` where a file is
    missing, `NotMadeYetError` where it is to be made first."""
    root, registry = settings.root, settings.registry
    path = root / "registry" / "config.yml"
    raw, parsed = _configuration(path, host)
    own = {
        config.TLS_CERTIFICATE: root / "registry_host.crt",
        config.TLS_KEY: _for_user(settings, host, root / "registry_host.key"),
        config.TOKEN_CERTIFICATE: root / "localhost.crt",
        config.JWKS: root / "jwks.json",
        config.STORAGE_INSIDE: root / "registry" / "storage",
    }
    used = {key: value for key, value in _paths(parsed) if Path(value) in own}
    mounts = [Mount(own[Path(value)], Path(value), Path(value) != config.STORAGE_INSIDE) for value in used.values()]
    mounts.append(Mount(_for_user(settings, host, path), config.CONFIG))
    tls = _tls_certificate(parsed)
    return Launch(
        root=root,
        name=container_name(id_),
        id=id_,
        address=settings.address,
        port=registry.port,
        inside_port=registry.port,
        certificate=own.get(tls, tls) if tls else None,
        config=path,
        storage=own[config.STORAGE_INSIDE],
        mounts=mounts,
        overrides={
            **{f"REGISTRY_{'_'.join(key).upper()}": str(own[Path(value)]) for key, value in used.items()},
            "REGISTRY_HTTP_ADDR": f"{settings.address}:{registry.port}",
        },
        image=registry.image,
        binary=registry.bin,
        uid=int(registry.uid) if registry.uid != "" else None,
        gid=int(registry.gid) if registry.gid != "" else None,
        # Who starts it again is GDK's supervisor, where that drives it.
        restart_policy="no" if is_driven(root, host) else registry.restart_policy or "no",
        content=_content_digest(host, raw, mounts),
    )


def _configuration(path: Path, host: HostReader) -> tuple[bytes, dict[str, Any]]:
    """The registry's own configuration, as it stands and parsed."""
    raw = host.read(path)
    if raw is None:
        raise GdkregError(f"{path} is missing", fix="gdkreg reconfigure")
    if is_pending(raw):
        raise NotMadeYetError(f"{path} is not made yet")
    try:
        parsed = yaml.load(raw, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        parsed = None
    if not isinstance(parsed, dict):
        raise GdkregError(f"{path} is broken", why="somebody else wrote over it", fix="gdkreg reconfigure")
    return raw, parsed


def _tls_certificate(parsed: dict[str, Any]) -> Path | None:
    tls = (parsed.get("http") or {}).get("tls") or {}
    return Path(tls["certificate"]) if tls.get("certificate") else None


def _paths(value: Any, at: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str]]:
    """Every text value of the configuration that is an absolute path, with its keys."""
    if isinstance(value, dict):
        return [found for key, below in value.items() for found in _paths(below, (*at, str(key)))]
    return [(at, value)] if isinstance(value, str) and value.startswith("/") else []


def _for_user(settings: Settings, host: HostReader, source: Path) -> Path:
    """The copy for the registry's own user, where there is one (resources/container_files.py)."""
    copy = settings.root / FOLDER / "mounts" / source.name
    return copy if host.info(copy) is not None else source


def _content_digest(host: HostReader, raw: bytes, mounts: list[Mount]) -> str:
    """Of the configuration and the certificates; a key has its certificate to speak for it."""
    sha = hashlib.sha256(raw)
    for mount in mounts:
        if mount.read_only and mount.target not in {config.TLS_KEY, config.CONFIG}:
            sha.update(hashlib.sha256(host.read(mount.source) or b"").digest())
    return sha.hexdigest()
