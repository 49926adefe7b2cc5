"""`config set`: change one value in gdk.yml and leave every other byte as the user wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from gdkreg.config.public import shown
from gdkreg.config.source import KeyPath
from gdkreg.errors import ConfigError


def set_value(path: Path, text: str, key: KeyPath, value: Any) -> str:
    """The file's text with the key set; a key that is not there yet is added to its block.

    Raises `ConfigError` where the block is written in a way that cannot be edited safely.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    eol = "\r\n" if "\r\n" in text else "\n"
    if root is None or (isinstance(root, yaml.ScalarNode) and root.value == ""):
        edited = _joined(text, eol) + _lines(key, value, 0, eol)
    elif isinstance(root, yaml.MappingNode):
        edited = _edit(text, root, key, value, 0, eol)
    else:
        raise ConfigError(f"{path}:1: expected keys and values")
    _prove(text, edited, key, value)
    return edited


def set_list(path: Path, text: str, key: KeyPath, items: list[Any]) -> str:
    """The file's text with a key's list replaced by these items, one block each; an empty list takes the key out."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    node, indent = _find(root, key)
    if not items:
        return _without(text, root, key)
    eol = "\r\n" if "\r\n" in text else "\n"
    if node is None:
        text = set_value(path, text, key, [])
        node, indent = _find(yaml.compose(text, Loader=yaml.SafeLoader), key)
    assert node is not None
    start, end = node.start_mark.index, node.end_mark.index
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        start, end = text.rfind("\n", 0, start) + 1, _line_end(text, _node_end(node))
        head, tail = text[:start].rstrip("\r\n"), text[end:]
    else:
        head, tail = text[:start].rstrip(" "), text[end:].lstrip(" ").removeprefix("\r").removeprefix("\n")
    pad = " " * (indent + 2)
    dumped = yaml.safe_dump(items, sort_keys=False, width=10_000)
    rows = "".join(f"{pad}{line}{eol}" for line in dumped.splitlines())
    edited = f"{head}{eol}{rows}{tail}"
    _prove(text, edited, key, items)
    return edited


def _without(text: str, root: yaml.Node | None, key: KeyPath) -> str:
    """The text without the lines of a key. Raises `ConfigError` where other things stand on them."""
    above, _ = _find(root, key[:-1])
    pairs = above.value if isinstance(above, yaml.MappingNode) else []
    name, node = next(((name, node) for name, node in pairs if name.value == key[-1]), (None, None))
    if name is None or node is None:
        return text
    start, end = text.rfind("\n", 0, name.start_mark.index) + 1, _line_end(text, _node_end(node))
    if isinstance(node, yaml.CollectionNode) and (node.flow_style or not node.value):
        end = _line_end(text, node.end_mark.index)
    edited = text[:start] + text[end:]
    try:
        got = yaml.load(edited, Loader=_Tolerant) or {}
    except yaml.YAMLError:
        got = None
    wanted = yaml.load(text, Loader=_Tolerant)
    place = wanted
    for part in key[:-1]:
        place = place[part]
    del place[key[-1]]
    if got is None or _bare(got) != _bare(wanted):
        raise _by_hand(key, [])
    return edited


def _bare(value: Any) -> Any:
    """A block that lost its last key reads as null."""
    return {name: _bare(below) or None for name, below in value.items()} if isinstance(value, dict) else value


def _find(root: yaml.Node | None, key: KeyPath) -> tuple[yaml.Node | None, int]:
    """The node of a key, and the column of the key itself."""
    node, indent = root, 0
    for part in key:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next(((name, value) for name, value in pairs if name.value == part), None)
        if found is None:
            return None, 0
        indent, node = found[0].start_mark.column, found[1]
    return node, indent


def _edit(text: str, block: yaml.MappingNode, key: KeyPath, value: Any, indent: int, eol: str) -> str:
    for name, node in block.value:
        if name.value != key[0]:
            continue
        if len(key) == 1:
            return _replace(text, name, node, value)
        if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
            return _edit(text, node, key[1:], value, node.value[0][0].start_mark.column, eol)
        empty = isinstance(node, yaml.MappingNode) and not node.value
        if empty or (isinstance(node, yaml.ScalarNode) and node.value in {"", "~", "null"}):
            text = text[: node.start_mark.index] + text[node.end_mark.index :]  # the block was written as null
            return _insert(text, _line_end(text, name.end_mark.index), _lines(key[1:], value, indent + 2, eol), eol)
        raise _by_hand(key, value)
    if block.flow_style:
        raise _by_hand(key, value)
    return _insert(text, _line_end(text, _last_index(block)), _lines(key, value, indent, eol), eol)


def _replace(text: str, name: yaml.Node, node: yaml.Node, value: Any) -> str:
    if not isinstance(node, yaml.ScalarNode) or (isinstance(value, (dict, list)) and value):
        raise _by_hand((str(name.value),), value)
    start, end = node.start_mark.index, node.end_mark.index
    if node.value == "" and start == end:  # `key:` with nothing behind it
        start = end = name.end_mark.index + 1
        return f"{text[:start]} {_dump(value)}{text[end:]}"
    return text[:start] + _dump(value) + text[end:]


def _last_index(block: yaml.MappingNode) -> int:
    """The index at which the block's last value really ends; a block's own end mark lies behind comments."""
    return _node_end(block)


def _node_end(node: yaml.Node) -> int:
    name = node
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        name, node = last if isinstance(last, tuple) else (last, last)
    if node.start_mark.index == node.end_mark.index:
        return int(name.end_mark.index)
    end = int(node.end_mark.index)
    # A block scalar's mark stands at the start of what follows it.
    return end - 1 if isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"} else end


def _line_end(text: str, index: int) -> int:
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _insert(text: str, at: int, lines: str, eol: str) -> str:
    return _joined(text[:at], eol) + lines + text[at:]


def _joined(text: str, eol: str) -> str:
    return text if not text or text.endswith("\n") else text + eol


def _lines(key: KeyPath, value: Any, indent: int, eol: str) -> str:
    rows = [f"{' ' * (indent + 2 * depth)}{part}:" for depth, part in enumerate(key)]
    rows[-1] += f" {_dump(value)}"
    return eol.join(rows) + eol


def _dump(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n").removesuffix("\n...")


def _by_hand(key: KeyPath, value: Any) -> ConfigError:
    told = _dump(shown(".".join(key), value))
    return ConfigError(
        f"{'.'.join(key)}: this part of gdk.yml cannot be edited safely", fix=f"write {key[-1]}: {told} there by hand"
    )


def _prove(before: str, after: str, key: KeyPath, value: Any) -> None:
    """The edit did what was asked and nothing else, or it is not made."""
    wanted = yaml.load(before, Loader=_Tolerant) or {}
    place = wanted
    for part in key[:-1]:
        place[part] = place.get(part) or {}
        place = place[part]
    place[key[-1]] = value
    try:
        got = yaml.load(after, Loader=_Tolerant)
    except yaml.YAMLError:
        got = None
    if got != wanted:
        raise _by_hand(key, value)


class _Tolerant(yaml.SafeLoader):
    """GDK's own blocks may hold tags that only Ruby knows; for a comparison their text is enough."""


_Tolerant.add_multi_constructor("!", lambda _, suffix, node: (suffix, str(node.value)))
