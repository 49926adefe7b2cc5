"""gdk.example.yml and the JSON Schema, both made from `schema.py`."""

from __future__ import annotations

import textwrap
from typing import Any

import msgspec
import yaml

from gdkreg.config.schema import GdkYml

# What the example has switched on: a trusted registry for one machine, with no GitLab beside it.
STARTER: dict[str, Any] = {
    "registry.enabled": True,
    "registry.host": "registry.test",
    "registry.listen_address": "172.16.123.1",
    "registry.self_signed": True,
    "registry.auth_enabled": False,
}
_HEAD = """\
# A gdk.yml with every key that gdkreg reads. What is switched on makes a trusted registry on this
# machine; what is commented out stands at its default. Keys marked [gdkreg] are ours and GDK reads
# past them; all others mean what they mean to GDK. Made by: gdkreg config example
"""


def example() -> str:
    """The text of gdk.example.yml."""
    return _HEAD + "\n" + "\n".join(_block(GdkYml(), "", "")) + "\n"


def _block(block: msgspec.Struct, at: str, indent: str) -> list[str]:
    lines: list[str] = []
    info = msgspec.inspect.type_info(type(block))
    assert isinstance(info, msgspec.inspect.StructType)
    for field in info.fields:
        key = f"{at}{field.name}"
        default = getattr(block, field.name)
        lines += _comment(field.type, indent)
        if isinstance(default, msgspec.Struct):
            active = any(name.startswith(key + ".") for name in STARTER)
            lines.append(f"{indent}{'' if active else '# '}{field.name}:")
            lines += _block(default, key + ".", indent + "  ")
        else:
            mark = "" if key in STARTER else "# "
            value = STARTER.get(key, default)
            lines.append(f"{indent}{mark}{field.name}: {_scalar(value)}".rstrip())
    return lines


def lines_of(key: tuple[str, ...], column: int) -> list[str]:
    """The lines that stand for a key where it is commented out: its description, then `# key: default`; none for no key."""
    block: Any = GdkYml()
    for depth, part in enumerate(key):
        info = msgspec.inspect.type_info(type(block))
        field = next((item for item in getattr(info, "fields", ()) if item.name == part), None)
        if field is None:
            return []
        block, indent = getattr(block, part), " " * column
        if depth == len(key) - 1:
            value = "" if isinstance(block, msgspec.Struct) else _scalar(block)
            return [*_comment(field.type, indent), f"{indent}# {part}: {value}".rstrip()]
    return []


def _comment(kind: Any, indent: str) -> list[str]:
    """The description with the choices, the range and where a default comes from."""
    text, notes = "", list[str]()
    extra: dict[str, Any] = {}
    while isinstance(kind, msgspec.inspect.Metadata):
        text = text or str((kind.extra_json_schema or {}).get("description", ""))
        extra = {**(kind.extra or {}), **extra}
        kind = kind.type
    if isinstance(kind, msgspec.inspect.UnionType):
        kind = kind.types[0]
    if isinstance(kind, msgspec.inspect.LiteralType):
        notes.append("one of " + ", ".join(str(value) for value in kind.values))
    if isinstance(kind, msgspec.inspect.IntType) and kind.ge is not None:
        notes.append(f"{kind.ge} to {kind.le}")
    if extra.get("derived"):
        notes.append(f"default: {extra['derived']}")
    tail = f" ({'; '.join(notes)})" if notes else ""
    ours = "[gdkreg] " if extra.get("ours") else ""
    return textwrap.wrap(ours + text + tail, 100, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _scalar(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict) and not value:
        return "{}"
    if value == "":
        return "''"
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n").removesuffix("\n...")


def json_schema() -> dict[str, Any]:
    """The JSON Schema of gdk.yml that editors take; GDK's other blocks are allowed."""
    schema = msgspec.json.schema(GdkYml)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "gdk.yml as gdkreg reads it", **schema}
