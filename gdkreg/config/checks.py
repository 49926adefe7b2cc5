"""Whether values that have the right type can be meant: each by its kind, then those that depend on others."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import msgspec
import msgspec.inspect

from gdkreg.config import values
from gdkreg.config.effective import Settings
from gdkreg.config.schema import GdkYml, Registry
from gdkreg.config.source import KeyPath, Source


def check_settings(settings: Settings, source: Source) -> None:
    registry = settings.registry
    # GitLab itself may listen on every address as long as the registry has one of its own.
    if settings.address != settings.listen_address or ("registry", "listen_address") in source.lines:
        _check_address(source, ("registry", "listen_address"), settings.address)
    if settings.listen_address != "0.0.0.0" or settings.address == "0.0.0.0":
        _check_address(source, ("listen_address",), settings.listen_address)
    _check_users(source, registry)
    _check_config(source, settings)


def check_texts(given: GdkYml | Settings, source: Source) -> None:
    for key, value, kind in _texts(given, GdkYml):
        if (rule := values.PROBLEMS.get(kind)) and (problem := rule(value)):
            raise source.error(key, problem)


def _check_config(source: Source, settings: Settings) -> None:
    config = settings.registry.config
    for key, problem in values.plain_problems(config, ("registry", "config")):
        raise source.error(key, problem)
    storage = config.get("storage")
    if isinstance(storage, dict) and isinstance(storage.get("filesystem"), dict) and "rootdirectory" in storage["filesystem"]:
        where = f"images lie in {settings.root}/registry/storage; make that a symlink to have them elsewhere"
        raise source.error(("registry", "config", "storage", "filesystem", "rootdirectory"), where)


@functools.cache
def kinds(block: type[msgspec.Struct]) -> dict[str, str]:
    """Key → kind, of the keys of a block that have one."""
    info = msgspec.inspect.type_info(block)
    assert isinstance(info, msgspec.inspect.StructType)
    return {field.name: kind for field in info.fields if (kind := _kind(field.type))}


def _kind(type_: msgspec.inspect.Type) -> str:
    kind = ""
    while isinstance(type_, msgspec.inspect.Metadata):
        kind = kind or str((type_.extra or {}).get("kind", ""))
        type_ = type_.type
    return kind


def _texts(given: Any, block: type[msgspec.Struct], at: KeyPath = ()) -> Iterator[tuple[KeyPath, Any, str]]:
    """Every text that is given, with its key and kind. `given` has the fields of `block`."""
    for name in reversed(block.__struct_fields__):  # the blocks first: what GitLab's name is matters least here
        value, kind = getattr(given, name), kinds(block).get(name, "")
        if isinstance(value, msgspec.Struct):
            yield from _texts(value, type(value), (*at, name))
        elif kind and isinstance(value, list):
            yield from (((*at, name, str(index)), item, kind) for index, item in enumerate(value))
        elif kind and value is not None:
            yield (*at, name), value, kind


def _check_users(source: Source, registry: Registry) -> None:
    seen: set[str] = set()
    for index, user in enumerate(registry.users):
        problem = values.user_problem(user.name, user.password, [*user.pull, *user.push, *user.delete])
        if problem or user.name in seen:
            named = user.name if user.name.isprintable() else ascii(user.name)
            key = ("registry", "users", str(index))
            raise source.error(key, f"{named or '(no name)'}: {problem or 'stands there twice'}")
        seen.add(user.name)
    if registry.auth_port == registry.port:
        raise source.error(("registry", "auth_port"), f"{registry.auth_port} is the registry's own port")


def _check_address(source: Source, key: KeyPath, address: str) -> None:
    if problem := values.address_problem(address):
        raise source.error(key, problem)
