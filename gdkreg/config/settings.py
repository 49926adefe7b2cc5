"""From gdk.yml, and the files beside it, to the settings: defaults and derived values filled in, every value checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from gdkreg.config import checks
from gdkreg.config.convert import convert
from gdkreg.config.effective import Settings
from gdkreg.config.schema import TUNNEL_DOMAIN, AutoDevops, GdkYml, Registry
from gdkreg.config.source import KeyPath, Source, parse
from gdkreg.errors import ConfigError
from gdkreg.host.base import HostReader

# Older GDKs hold single values in files beside gdk.yml; they fill in where gdk.yml is silent.
# A key with two files takes the first that is there.
VALUE_FILES: dict[KeyPath, tuple[str, ...]] = {
    ("hostname",): ("hostname", "host"),
    ("port",): ("port",),
    ("registry", "enabled"): ("registry_enabled",),
    ("registry", "port"): ("registry_port",),
    ("registry", "image"): ("registry_image",),
    ("auto_devops", "enabled"): ("auto_devops_enabled",),
    ("auto_devops", "gitlab", "port"): ("auto_devops_gitlab_port",),
    ("auto_devops", "registry", "port"): ("auto_devops_registry_port",),
}
_BOOLEAN_FILES = {"registry_enabled", "auto_devops_enabled"}


def find_root(start: Path, host: HostReader, given: Path | None = None, *, sign: str = "gdk.yml") -> Path:
    """`--root`, else GDKREG_ROOT, else upwards from here to the first folder with a gdk.yml.

    A folder that is named may have lost its gdk.yml where something else, `sign`, tells that it is a root.
    """
    chosen = given or (Path(named) if (named := host.platform.env.get("GDKREG_ROOT")) else None)
    if chosen is not None:
        root = (start / chosen.expanduser()).resolve()
        if host.info(root / "gdk.yml") is None and host.info(root / sign) is None:
            raise ConfigError(f"there is no gdk.yml in {root}", fix=f"gdkreg config example > {root}/gdk.yml")
        return root
    for folder in (start, *start.parents):
        if host.info(folder / "gdk.yml") is not None:
            return folder
    raise ConfigError(f"there is no gdk.yml in {start} or above it", fix="gdkreg config example > gdk.yml, or give --root DIR")


def load(root: Path, host: HostReader) -> Settings:
    """Read gdk.yml and the files beside it. Raises `ConfigError` with file, line and key."""
    path = root / "gdk.yml"
    return resolve(root, *filled(parse(path, host.read(path) or b""), host), far_port=lambda: far_port(root, host))


def far_port(root: Path, host: HostReader) -> int:
    """GitLab's port at the tunnel's far end, as long as none is kept: by chance for each root and machine, as many developers
    share that end, and the same for the dry run and the run."""
    import hashlib

    said = [
        str(root),
        str(host.platform.home),
        os.uname().nodename,
        (host.read(Path("/etc/machine-id")) or b"").decode("utf-8", "replace"),
    ]
    return 20000 + int.from_bytes(hashlib.sha256("\0".join(said).encode()).digest()[:8], "big") % 5000


def filled(source: Source, host: HostReader) -> tuple[Source, dict[str, str]]:
    """The source with the single-value files filled in, and where each value came from."""
    origin = {".".join(key): f"gdk.yml:{line}" for key, line in source.lines.items()}
    root = source.path.parent
    for key, names in VALUE_FILES.items():
        if key in source.lines:
            continue
        for name in names:
            text = _value_file(root / name, host)
            if text:
                _put(source.values, key, _typed(root / name, key, text))
                source.files[key] = root / name
                origin[".".join(key)] = name
                break
    return source, origin


def _value_file(path: Path, host: HostReader) -> str:
    found = host.info(path)
    if found is None or found.kind == "folder":
        return ""
    return (host.read(path) or b"").decode("utf-8", "replace").strip()


def _typed(path: Path, key: KeyPath, text: str) -> Any:
    if path.name in _BOOLEAN_FILES:
        if text.lower() not in {"true", "false"}:
            raise ConfigError(f"{path}:1: {'.'.join(key)}: expected true or false, got {text!r}")
        return text.lower() == "true"
    if key[-1] == "port":
        if not (text.isascii() and text.isdigit()):
            raise ConfigError(f"{path}:1: {'.'.join(key)}: expected a port number, got {text!r}")
        return int(text)
    return text


def _put(values_: dict[str, Any], key: KeyPath, value: Any) -> None:
    for part in key[:-1]:
        below = values_.setdefault(part, {})
        if not isinstance(below, dict):
            return  # the wrong type of the block is reported by the schema
        values_ = below
    values_.setdefault(key[-1], value)


def resolve(root: Path, source: Source, origin: dict[str, str], far_port: Callable[[], int] = lambda: 20000) -> Settings:
    """Check the values against the schema and work out what is derived. `far_port` chooses one where the tunnel needs it."""
    given = convert(source)
    checks.check_texts(given, source)
    auto = given.auto_devops
    registry, https, port, hostname = given.registry, given.https.enabled, given.port, given.hostname
    _learn(registry.config)
    hostname = hostname or given.listen_address
    if auto.enabled:
        auto, hostname, registry = _through_tunnel(source, given, far_port)
        https, port = True, 443
    address = registry.listen_address or given.listen_address
    registry = msgspec.structs.replace(
        registry,
        host=registry.host or hostname,
        listen_address=address,
        api_host=registry.api_host or hostname,
        tunnel_host=registry.tunnel_host or address,
        tunnel_port=registry.tunnel_port or registry.port,
        external_port=registry.external_port or registry.port,
        auth_port=registry.auth_port or (5001 if registry.port != 5001 else 5002),
        persist=registry.persist or registry.persist_alias,
        restart_policy=registry.restart_policy or ("unless-stopped" if registry.persist or registry.persist_alias else "no"),
    )
    runner_file = root / os.path.expanduser(given.runner.config_file or "gitlab-runner-config.toml")
    settings = Settings(
        root=root,
        hostname=hostname,
        listen_address=given.listen_address,
        port=port,
        relative_url_root=given.relative_url_root,
        https=https,
        registry=registry,
        runner=msgspec.structs.replace(given.runner, config_file=str(runner_file)),
        auto_devops=auto,
        issuer="local" if registry.token_issuer == "local" else "gitlab",
        origin=origin,
    )
    checks.check_settings(settings, source)
    return settings


def _learn(config: dict[str, Any]) -> None:
    """What these settings hide is hidden in what the registry and the clients say, too."""
    if config:
        from gdkreg.masking.text import learn

        learn(lambda: _hidden(config))


def _hidden(config: dict[str, Any]) -> Iterator[str]:
    from gdkreg.masking.public import DISTRIBUTION
    from gdkreg.masking.structure import hidden, paths

    return hidden(config, paths(DISTRIBUTION))


def check(settings: Settings, path: Path) -> None:
    """Check settings that were kept in a file of ours as those of a gdk.yml. Raises `ConfigError`."""
    _learn(settings.registry.config)
    source = Source(path, {}, {})
    checks.check_texts(settings, source)
    checks.check_settings(settings, source)


def _through_tunnel(source: Source, given: GdkYml, far_port: Callable[[], int]) -> tuple[AutoDevops, str, Registry]:
    """With auto_devops on, GDK derives names and ports from the tunnel's ports."""
    auto, registry = given.auto_devops, given.registry
    near = auto.gitlab.port or far_port()
    far = auto.registry.port or near + 5000
    if far > 65535:
        raise source.error(("auto_devops", "gitlab", "port"), f"the registry's port would be {far}; take at most 60535")
    auto = msgspec.structs.replace(
        auto,
        gitlab=msgspec.structs.replace(auto.gitlab, port=near),
        registry=msgspec.structs.replace(auto.registry, port=far),
    )
    tunnelled = msgspec.structs.replace(
        registry,
        enabled=registry.enabled or ("registry", "enabled") not in source.lines,
        host=registry.host or f"{far}.{TUNNEL_DOMAIN}",
        external_port=registry.external_port or 443,
        api_host=registry.api_host or registry.listen_address or given.listen_address,
    )
    return auto, given.hostname or f"{near}.{TUNNEL_DOMAIN}", tunnelled


def known_keys() -> list[str]:
    """Every key of the schema, dotted."""
    return [key for key, _ in flatten(resolve(Path("/"), Source(Path("gdk.yml"), {}, {}), {}))]


def flatten(settings: Settings) -> Iterator[tuple[str, Any]]:
    """Every key with its effective value, dotted, in the schema's order."""
    effective = msgspec.to_builtins(settings, enc_hook=str)
    effective["https"] = {"enabled": settings.https}

    def walk(at: str, value: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(value, dict) and value and at != "registry.config":
            for key, below in value.items():
                yield from walk(f"{at}.{key}" if at else key, below)
        else:
            yield at, value

    for name in GdkYml.__struct_fields__:
        yield from walk(name, effective[name])


def lookup(settings: Settings, key: str) -> Any:
    """The effective value of a key, or what stands below it as one block; below `registry.config` what gdk.yml says.

    Raises `KeyError`.
    """
    found = dict(flatten(settings))
    if key in found:
        return found[key]
    if key.startswith("registry.config."):
        place: Any = settings.registry.config
        for part in key.split(".")[2:]:
            if not isinstance(place, dict) or part not in place:
                raise KeyError(key)
            place = place[part]
        return place
    block = {name.removeprefix(key + "."): value for name, value in found.items() if name.startswith(key + ".")}
    if not block:
        raise KeyError(key)
    return block
