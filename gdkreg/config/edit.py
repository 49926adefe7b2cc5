"""`config set`, `user add`, `user remove`: change one value in gdk.yml and leave every other byte as the user wrote it.

A key that is not there goes where a person would put it: in the place of the starter's own commented line, below a
comment of the user's that names it, else at the end of its block, behind the block's comments.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from gdkreg.config import example, layout
from gdkreg.config.layout import Block
from gdkreg.config.proven import GONE, by_hand, compose, dump, prove, rows, shape
from gdkreg.config.schema import KEYS
from gdkreg.config.source import KeyPath, parse
from gdkreg.errors import ConfigError

Splice = tuple[int, int, str]


def set_value(path: Path, text: str, key: KeyPath, value: Any) -> str:
    """The file's text with the key set; a key that is not there yet is added to its block.

    Raises `ConfigError` where the block is written in a way that cannot be edited safely.
    """
    edited = _set(path, text, key, value)
    prove(text, edited, key, value, shape(layout.compose(dump(value))))
    return edited


def set_list(path: Path, text: str, key: KeyPath, items: list[Any]) -> str:
    """The file's text with a key's list brought to these items; those that stay keep their bytes, an empty list takes the
    key out. Raises `ConfigError` as `set_value`."""
    name, node, flow = _find(text, key)
    if not items:
        return _without(text, key, name, node, flow=flow)
    if node is None or layout.is_empty(node):
        return set_list(path, set_value(path, text, key, []), key, items)
    if name is None or not isinstance(node, yaml.SequenceNode):
        raise by_hand(key, items)
    have = _values(path, text, key)
    if have == items:
        return text
    first = next((at for at, pair in enumerate(zip(have, items, strict=False)) if pair[0] != pair[1]), min(len(have), len(items)))
    rest = min(len(have), len(items)) - first
    last = next((at for at in range(rest) if have[-1 - at] != items[-1 - at]), rest)
    fresh, cut = items[first : len(items) - last], (first, len(have) - last)
    if node.flow_style and (flow or node.value):
        splices = _flow_items(node, cut, fresh)
    elif node.flow_style:
        end = layout.line_end(text, node.end_mark.index)
        put = _on_lines(text, end, rows(fresh, name.start_mark.column + 2, layout.eol(text)))
        splices = [(*_with_blanks(text, node), ""), (end, end, put)]
    else:
        splices = _block_items(text, name, node, cut, fresh)
    edited = _spliced(text, splices)
    _, node, _ = _find(edited, key)
    if _values(path, edited, key) != items:
        raise by_hand(key, items)
    prove(text, edited, key, items, shape(node))
    return edited


def _set(path: Path, text: str, key: KeyPath, value: Any) -> str:
    root = compose(text, key, value)
    if root is not None and not isinstance(root, yaml.MappingNode) and not layout.is_empty(root):
        raise ConfigError(f"{path}:1: expected keys and values")
    block = layout.block(text, None, root)
    for depth, part in enumerate(key):
        found = block.find(part)
        if found is None:
            return _add(path, text, block, key, depth, value)
        name, node = found
        if depth == len(key) - 1:
            return _replace(text, node, key, value)
        if layout.is_empty(node) and not block.flow and node.start_mark.index < node.end_mark.index:
            start, end = _with_blanks(text, node)  # the block was written as null, or {}
            return _set(path, text[:start] + text[end:], key, value)
        if layout.is_empty(node) and isinstance(node, yaml.ScalarNode) and block.flow:
            return _replace(text, node, key, _nested(key[depth + 1 :], value))
        if not isinstance(node, yaml.MappingNode) and not layout.is_empty(node):
            raise by_hand(key, value)
        block = layout.block(text, name, node, flow=block.flow)
    return text


def _add(path: Path, text: str, block: Block, key: KeyPath, depth: int, value: Any) -> str:
    """The text with a key in a block that has none of it: `key[:depth]` names the block."""
    part, rest = key[depth], key[depth + 1 :]
    wanted = _nested(rest, value)
    if block.flow:
        assert block.node is not None
        pair = f"{dump(part)}: {dump(wanted)}"
        if not block.pairs:
            at = block.node.start_mark.index + 1
            return text[:at] + pair + text[at:]
        at = layout.end_of(block.pairs[-1][1], block.pairs[-1][0])
        return f"{text[:at]}, {pair}{text[at:]}"
    starter, at = example.lines_of(key[: depth + 1], block.column), block.gaps[-1][1]
    mine = False
    for comment in block.commented(text, part):
        own, end = layout.below(text, comment)
        body, inline = comment.body.split(" #")[0].rstrip(), not comment.value or comment.value.startswith("#")
        is_starter = bool(starter) and f"# {body}" == starter[-1].strip()
        is_block = bool(rest) and inline and any(item.key for item in own)
        is_value = not own and (is_starter or body == f"{part}: {dump(wanted)}") and not (rest and inline)
        if is_block or is_value:
            bare = " " * block.column + text[comment.start : comment.end].lstrip(" ").removeprefix("#").lstrip(" ")
            return _set(path, text[: comment.start] + bare + text[comment.end :], key, value)
        if not mine:
            at, mine = end, True
    return text[:at] + _on_lines(text, at, _lines(key[depth:], value, block.column, layout.eol(text))) + text[at:]


def _replace(text: str, node: yaml.Node, key: KeyPath, value: Any) -> str:
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        raise by_hand(key, value)
    start, end = node.start_mark.index, node.end_mark.index
    if start == end:  # `key:` with nothing behind it
        return f"{text[:start]} {dump(value)}{text[start:]}"
    if isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"}:
        end = start + len(text[start:end].rstrip())
    return text[:start] + dump(value) + text[end:]


def _without(text: str, key: KeyPath, name: yaml.Node | None, node: yaml.Node | None, *, flow: bool) -> str:
    """The text without a key; where the starter's own comment stands above it, with the starter's commented line again."""
    if name is None or node is None:
        return text
    start, end = layout.line_start(text, name.start_mark.index), layout.line_end(text, layout.end_of(node, name))
    if flow:
        above, _, _ = _find(text, key[:-1], value=True)
        pairs = above.value if isinstance(above, yaml.MappingNode) else []
        splices = _flow_cut([(pair[0].start_mark.index, layout.end_of(pair[1], pair[0])) for pair in pairs], name)
    elif isinstance(node, yaml.SequenceNode) and not node.flow_style:
        first = layout.line_end(text, name.end_mark.index)
        splices = [(start, first, ""), *((*span, "") for span in layout.items(text, name, node))]
    else:
        splices = [(start, end, "")]
    starter = example.lines_of(key, name.start_mark.column)
    if not flow and starter and text[:start].rstrip("\r\n").endswith(starter[-2]):
        splices[0] = (*splices[0][:2], starter[-1] + layout.eol(text))
    edited = _spliced(text, splices)
    prove(text, edited, key, GONE, None)
    return edited


def _flow_cut(spans: list[tuple[int, int]], name: yaml.Node) -> list[Splice]:
    at = next(at for at, span in enumerate(spans) if span[0] == name.start_mark.index)
    if at:
        return [(spans[at - 1][1], spans[at][1], "")]
    return [(spans[0][0], spans[1][0] if len(spans) > 1 else spans[0][1], "")]


def _flow_items(node: yaml.SequenceNode, cut: tuple[int, int], fresh: list[Any]) -> list[Splice]:
    """A list in brackets with some items in the place of others."""
    spans = [(item.start_mark.index, item.end_mark.index) for item in node.value]
    first, last = cut
    put = ", ".join(dump(item) for item in fresh)
    if first == last:  # nothing goes
        if not spans:
            return [(node.start_mark.index + 1, node.start_mark.index + 1, put)]
        at = spans[first - 1][1] if first else spans[0][0]
        return [(at, at, f", {put}" if first else f"{put}, ")]
    if fresh:
        return [(spans[first][0], spans[last - 1][1], put)]
    if first:
        return [(spans[first - 1][1], spans[last - 1][1], "")]
    return [(spans[0][0], spans[last][0] if last < len(spans) else spans[-1][1], "")]


def _block_items(text: str, name: yaml.Node, node: yaml.SequenceNode, cut: tuple[int, int], fresh: list[Any]) -> list[Splice]:
    """A list with an item a line with some items in the place of others; the comments between them stay."""
    spans, (first, last), end = layout.items(text, name, node), cut, layout.eol(text)
    at = spans[first][0] if first < len(spans) else spans[-1][1]
    put = _on_lines(text, at, rows(fresh, node.start_mark.column, end))
    return [(at, at, put), *((*span, "") for span in spans[first:last])]


def _on_lines(text: str, at: int, lines: str) -> str:
    """Lines to put in at a place, which may be the end of a last line without its end."""
    return layout.eol(text) + lines if lines and at and text[at - 1] not in "\r\n" else lines


def _spliced(text: str, splices: list[Splice]) -> str:
    for start, end, put in reversed(splices):
        text = text[:start] + put + text[end:]
    return text


def _with_blanks(text: str, node: yaml.Node) -> tuple[int, int]:
    """A value's place, with the blanks before it."""
    start = node.start_mark.index
    return len(text[:start].rstrip(" \t")), node.end_mark.index


def _find(text: str, key: KeyPath, *, value: bool = False) -> tuple[yaml.Node | None, yaml.Node | None, bool]:
    """A key's name and value, and whether it stands in braces; with `value` the value in the place of the name."""
    name, node, flow = None, compose(text, key, None), False
    for part in key:
        flow = flow or (isinstance(node, yaml.MappingNode) and bool(node.flow_style))
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        name, node = next(((one, other) for one, other in pairs if one.value == part), (None, None))
        if node is None:
            return None, None, flow
    return (node if value else name), node, flow


def _values(path: Path, text: str, key: KeyPath) -> list[Any]:
    if key[0] not in KEYS:  # a block of GDK's own, which nobody here knows the types of
        found = said(text, key)
        return list(found) if isinstance(found, list) else []
    try:
        place: Any = parse(path, text.encode()).values
    except ConfigError:
        raise by_hand(key, GONE) from None
    for part in key:
        place = place[part]
    return list(place)


def said(text: str, key: KeyPath) -> str | list[str] | None:
    """What a key of any block says as it is written: text, or a list of texts; None where it is not there, or is a block.

    Raises `ConfigError` for what is no YAML.
    """
    _, node, _ = _find(text, key)
    if isinstance(node, yaml.SequenceNode):
        return [str(item.value) for item in node.value if isinstance(item, yaml.ScalarNode)]
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def _nested(key: KeyPath, value: Any) -> Any:
    for part in reversed(key):
        value = {part: value}
    return value


def _lines(key: KeyPath, value: Any, indent: int, eol: str) -> str:
    rows = [f"{' ' * (indent + 2 * depth)}{dump(part)}:" for depth, part in enumerate(key)]
    rows[-1] += f" {dump(value)}"
    return eol.join(rows) + eol
