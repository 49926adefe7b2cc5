"""The engine's list of insecure registries against what this one speaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gdkreg.config.values import is_loopback
from gdkreg.engines.insecure import covers, lists
from gdkreg.errors import GdkregError
from gdkreg.host.base import HostReader
from gdkreg.verbs.checks.seen import Finding, Seen, text_of

_LOOPBACK = "127.0.0.0/8"  # every engine has it in its list
_STORE = "io.containerd.snapshotter.v1"


def check(seen: Seen) -> list[Finding]:
    if not seen.engine.answers or seen.settings.tunnelled:  # its clients ask the far end, by its TLS
        return []
    if seen.engine.kind.startswith("podman"):
        return _of_podman(seen)
    name, entry = seen.settings.authority, entry_of(seen)
    if seen.settings.registry.self_signed:
        if not entry:
            return []
        why = "the engine then takes every certificate for it, and reads none of ours"
        return [Finding("warning", f"{entry} is in the engine's insecure-registries", why, "gdkreg insecure off")]
    if entry and _ignores_it(seen.info):
        why = "Docker 29 with the containerd store asks by TLS all the same"
        return [Finding("error", f"{name} in insecure-registries is not looked at", why, _TLS)]
    if entry or is_loopback(seen.settings.address):
        return []
    return [Finding("error", f"{name} speaks plain HTTP and is not in insecure-registries", "the engine refuses it", _ON)]


_ON, _TLS = "gdkreg insecure on", "gdkreg config set registry.self_signed true"


def entry_of(seen: Seen) -> str:
    """What in the engine's list covers this registry, as the engine itself tells it; its own 127.0.0.0/8 does not count."""
    names, networks = lists(seen.info)
    name, address = seen.settings.authority, seen.settings.address
    if name in names:
        return name
    return next((network for network in networks if network != _LOOPBACK and covers(network, address)), "")


def _ignores_it(info: dict[str, Any]) -> bool:
    major = str(info.get("ServerVersion", "")).partition(".")[0]
    store = any(_STORE in [str(word) for word in pair] for pair in info.get("DriverStatus") or [] if isinstance(pair, list))
    return store and major.isdigit() and int(major) >= 29


def _of_podman(seen: Seen) -> list[Finding]:
    """Podman tells nothing of its list: it is read where Podman reads it."""
    insecure, broken = False, list[Finding]()
    for path in _files(seen.host):
        try:
            insecure = _says(text_of(seen.host, path) or "", seen.settings.authority) or insecure
        except GdkregError:
            continue
        except ValueError as error:
            broken.append(Finding("error", f"{path}: {str(error)[:100]}", "every pull of Podman's fails", f"edit {path}"))
    name, secure = seen.settings.authority, seen.settings.registry.self_signed
    if secure and insecure:
        why = "Podman then takes every certificate for it"
        return [*broken, Finding("warning", f"{name} is insecure in registries.conf", why, "gdkreg insecure off")]
    if not secure and not insecure:
        return [
            *broken,
            Finding("error", f"{name} speaks plain HTTP and is not insecure in registries.conf", "Podman refuses it", _ON),
        ]
    return broken


def _files(host: HostReader) -> list[Path]:
    own = Path(host.platform.env.get("XDG_CONFIG_HOME") or host.platform.home / ".config") / "containers"
    found: list[Path] = []
    for folder in (own, Path("/etc/containers")):
        found += [folder / "registries.conf"] if host.info(folder / "registries.conf") is not None else []
        names = host.entries(folder / "registries.conf.d")
        found += [folder / "registries.conf.d" / name for name in names if name.endswith(".conf")]
    return found


def _says(text: str, authority: str) -> bool:
    """Whether a registries.conf calls this registry insecure. Raises `ValueError` for what is no TOML."""
    if "[" not in text:
        return False
    import tomlkit

    tables = tomlkit.parse(text).unwrap().get("registry", [])
    return any(
        isinstance(table, dict) and authority in {table.get("location"), table.get("prefix")} and table.get("insecure") is True
        for table in (tables if isinstance(tables, list) else [])
    )
