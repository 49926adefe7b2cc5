"""A value as text for gdk.yml, and the proof that an edit did what was asked and nothing else."""

from __future__ import annotations

from typing import Any

import yaml

from gdkreg.config import layout
from gdkreg.config.public import shown
from gdkreg.config.source import KeyPath
from gdkreg.errors import ConfigError

GONE = object()  # the value of a key that goes
_EMPTY = ("tag:yaml.org,2002:null", "")


def rows(items: list[Any], indent: int, eol: str) -> str:
    if not items:
        return ""
    dumped = yaml.dump(items, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf"))
    return "".join(f"{' ' * indent}{line}{eol}" for line in dumped.split("\n")[:-1])


def dump(value: Any) -> str:
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf"))
    return text.removesuffix("\n").removesuffix("\n...")


class _Dumper(yaml.SafeDumper):
    """Every value on one line, and none as a reference to another."""

    def ignore_aliases(self, _: Any) -> bool:
        return True

    def _text(self, data: str) -> yaml.Node:
        plain = data.isprintable()
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=None if plain else '"')


_Dumper.add_representer(str, _Dumper._text)


def by_hand(key: KeyPath, value: Any) -> ConfigError:
    fix = (
        f"take {'.'.join(key)} out by hand"
        if value is GONE
        else f"write {key[-1]}: {dump(shown('.'.join(key), value))} there by hand"
    )
    return ConfigError(f"{'.'.join(key)}: this part of gdk.yml cannot be edited safely", fix=fix)


def compose(text: str, key: KeyPath, value: Any) -> yaml.Node | None:
    try:
        return layout.compose(text)
    except (yaml.YAMLError, RecursionError):
        raise by_hand(key, value) from None


def prove(before: str, after: str, key: KeyPath, value: Any, said: Any) -> None:
    """The edit did what was asked and nothing else, or it is not made. `said` is the value's shape."""
    wanted = shape(compose(before, key, value))
    wanted = wanted if isinstance(wanted, dict) else {}
    place = wanted
    for part in key[:-1]:
        name = _name(place, part)
        if not isinstance(place.get(name), dict):
            place[name] = {}
        place = place[name]
    if value is GONE:
        del place[_name(place, key[-1])]
    else:
        place[_name(place, key[-1])] = said
    try:
        yaml.compose(after, Loader=yaml.SafeLoader)  # every alias has its anchor still
        got = shape(layout.compose(after))
    except (yaml.YAMLError, RecursionError):
        raise by_hand(key, value) from None
    if _full(got) != _full(wanted):
        raise by_hand(key, value)


def shape(node: yaml.Node | None) -> Any:
    """What a node says, comparable: not what it becomes, since GDK's own blocks may hold tags that only Ruby knows."""
    if isinstance(node, yaml.MappingNode):
        return {_frozen(shape(name)): shape(value) for name, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [shape(item) for item in node.value]
    return (node.tag, node.value) if node is not None else _EMPTY


def _frozen(said: Any) -> Any:
    return said if isinstance(said, tuple) else repr(said)


def _name(place: dict[Any, Any], part: str) -> Any:
    return next((name for name in place if name[1] == part), ("tag:yaml.org,2002:str", part))


def _full(said: Any) -> Any:
    """Without the blocks that hold nothing: null says the same."""
    if isinstance(said, dict):
        return {name: full for name, below in said.items() if (full := _full(below)) is not None} or None
    return None if said == _EMPTY else said
