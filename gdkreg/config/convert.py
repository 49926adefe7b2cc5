"""The values of gdk.yml against the schema: a wrong type or an unknown key becomes one error with its place."""

from __future__ import annotations

import re
import typing
from typing import Any, Literal

import msgspec
import yaml

from gdkreg.config.schema import Block, GdkYml, Registry, User
from gdkreg.config.source import KeyPath, Source
from gdkreg.errors import ConfigError


def convert(source: Source) -> GdkYml:
    """Raises `ConfigError` with file, line and key."""
    _drop_nulls(source.values, GdkYml)
    _near_misses(source)
    registry = source.values.get("registry")
    if isinstance(registry, dict) and registry.get("restart_policy") is False:
        registry["restart_policy"] = "no"  # YAML 1.1 reads a bare `no` as false
    try:
        return msgspec.convert(source.values, GdkYml)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        key = tuple(re.findall(r"[A-Za-z_]\w*|\d+", place))
        if message.endswith("at `key`") or "at `key` in" in message:
            key = tuple(re.findall(r"[A-Za-z_]\w*", message.rpartition("in `$")[2])) or key
            raise source.error(key, "every key has to be text") from None
        if unknown := re.search(r"unknown field `(.*)`", message):
            block = User if key[-1:] and key[-1].isdigit() else Registry
            raise _unknown(source, (*key, unknown[1]), list(block.__struct_fields__)) from None
        raise source.error(key, _plain(message) + _choices(key)) from None


def _drop_nulls(given: dict[str, Any], block: type[msgspec.Struct]) -> None:
    """A block or a list with nothing below it, all of it commented out, is as good as not there."""
    for field in msgspec.structs.fields(block):
        default = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
        if not isinstance(default, (msgspec.Struct, list, dict)) or field.name not in given:
            continue
        below = given[field.name]
        if below is None:
            del given[field.name]
        elif isinstance(default, msgspec.Struct) and isinstance(below, dict):
            _drop_nulls(below, type(default))


def typed(key: KeyPath, text: str) -> Any:
    """A value of the command line: as YAML reads it, but as it stands where the key takes text and YAML saw something else."""
    try:
        value = yaml.safe_load(text) if text else ""
    except (yaml.YAMLError, ValueError, RecursionError):
        return text
    place: Any = GdkYml
    for part in key:
        place = typing.get_type_hints(place).get(part) if isinstance(place, type) and issubclass(place, msgspec.Struct) else None
    if place is None or value is None or isinstance(value, (dict, list)):
        return value
    for candidate in (value, text):
        try:
            return msgspec.convert(candidate, place)
        except msgspec.ValidationError:
            continue
    return value


def _near_misses(source: Source) -> None:
    """In GDK's own blocks an unknown key is GDK's business, unless it is nearly one that we read."""
    for field in msgspec.structs.fields(GdkYml):
        block = field.default if isinstance(field.default, msgspec.Struct) else None
        given = source.values.get(field.name)
        if block is None or isinstance(block, Block) or not isinstance(given, dict):
            continue
        known = list(block.__struct_fields__)
        for key in given:
            if key in known:
                continue
            from difflib import get_close_matches

            near = get_close_matches(str(key), known, n=1, cutoff=0.85)
            if near and near[0] not in given:
                raise _unknown(source, (field.name, str(key)), known)


def _unknown(source: Source, key: KeyPath, known: list[str]) -> ConfigError:
    from difflib import get_close_matches

    near = get_close_matches(key[-1], known, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else ""
    return source.error(key, f"there is no such key{hint}", "gdkreg config example shows every key")


def _choices(key: KeyPath) -> str:
    """The words that a key takes, where it takes only some."""
    place: Any = GdkYml
    for part in key:
        hints = typing.get_type_hints(place) if isinstance(place, type) else {}
        place = hints.get(part)
    named = [str(item) for option in (typing.get_args(place) or ()) for item in typing.get_args(option)]
    if typing.get_origin(place) is Literal:
        named = [str(item) for item in typing.get_args(place)]
    return f"; one of {', '.join(named)}" if named else ""


def _plain(message: str) -> str:
    """msgspec's sentence in the words of a YAML file."""
    words = {
        "`int | str`": "a number or text",
        "`int`": "a whole number",
        "`str`": "text",
        "`bool`": "true or false",
        "`object`": "a block of keys",
        "`array`": "a list",
        "`float`": "a number with a fraction",
        "`null`": "nothing",
        "`str | null`": "text",
        "`int | null`": "a whole number",
        "`bool | null`": "true or false",
    }
    for name, word in sorted(words.items(), key=lambda item: -len(item[0])):
        message = message.replace(name, word)
    return message[0].lower() + message[1:]
