"""Where things stand in the text of a gdk.yml: its blocks as they are written, and the comments between their keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # YAML 1.1 ends a line at each of them
_COMMENT = re.compile(r"( *)#([ \t]*)(.*)")
_KEY = re.compile(r"([A-Za-z_][\w-]*):(?:\s+(.*))?$")
_DASH = re.compile(r"^ *-(?=\s)", re.MULTILINE)
_START = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_NULLS = {"", "~", "null", "Null", "NULL"}


class _AsWritten(yaml.SafeLoader):
    """An alias is a node of its own here, at its own place, and not what it stands for."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            events: Any = self  # the stubs of PyYAML leave this method out
            event = events.get_event()
            return yaml.ScalarNode("alias", f"*{event.anchor}", event.start_mark, event.end_mark)
        return super().compose_node(parent, index)


def compose(text: str) -> yaml.Node | None:
    """The document's nodes. Raises `yaml.YAMLError`."""
    found: yaml.Node | None = yaml.compose(text, Loader=_AsWritten)
    return found


class Comment(msgspec.Struct, frozen=True):
    """A comment line: `start` and `end` in the text, and what it is once it is a comment no longer.

    `column` is where its text stands then; `key` and `value` are those of a commented key, else empty.
    """

    start: int
    end: int
    column: int
    body: str
    key: str = ""
    value: str = ""


class Block(msgspec.Struct, frozen=True):
    """The keys of a block, in one column. `gaps` are the stretches of text before, between and behind them, where its
    comments are; the last one ends where a new key belongs. `flow`: it is written in braces.
    """

    node: yaml.Node | None
    column: int
    pairs: list[tuple[yaml.Node, yaml.Node]]
    gaps: list[tuple[int, int]]
    flow: bool

    def find(self, key: str) -> tuple[yaml.Node, yaml.Node] | None:
        return next(((name, value) for name, value in self.pairs if name.value == key), None)

    def commented(self, text: str, key: str) -> Iterator[Comment]:
        """The comments of this block that would be the key."""
        for start, end in self.gaps:
            yield from (item for item in comments(text, start, end) if item.column == self.column and item.key == key)


def block(text: str, name: yaml.Node | None, node: yaml.Node | None, *, flow: bool = False) -> Block:
    """The block behind a key; without a name the document's own. `flow`: what is around it is in braces already."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    if flow or (isinstance(node, yaml.MappingNode) and node.flow_style):
        return Block(node, 0, pairs, [], True)
    above = name.start_mark.column if name is not None else -1
    first = pairs[0][0].start_mark.index if pairs else 0
    begin = line_end(text, name.end_mark.index) if name is not None else _begin(text, first if pairs else len(text))
    gaps = []
    for key, value in pairs:
        gaps.append((begin, line_start(text, key.start_mark.index)))
        begin = line_end(text, end_of(value, key))
    gaps.append((begin, _tail(text, begin, above)))
    if pairs:
        column = pairs[0][0].start_mark.column
    else:
        column = next((item.column for item in comments(text, *gaps[-1]) if item.key), above + 2) if name is not None else 0
    return Block(node, column, pairs, gaps, False)


def is_empty(node: yaml.Node) -> bool:
    """Whether a block of keys may begin here: nothing, null, or empty braces."""
    plain = isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null" and node.value in _NULLS
    return plain or (isinstance(node, yaml.MappingNode) and not node.value)


def items(text: str, name: yaml.Node, node: yaml.SequenceNode) -> list[tuple[int, int]]:
    """The lines of each item of a list that is written one below the other, dash and all."""
    found, begin = [], line_end(text, name.end_mark.index)
    for item in node.value:
        dash = _DASH.search(text, begin, item.start_mark.index + 1)
        start = dash.start() if dash else line_start(text, item.start_mark.index)
        begin = line_end(text, end_of(item, item))
        found.append((start, begin))
    return found


def end_of(node: yaml.Node, name: yaml.Node) -> int:
    """The index at which a value really ends; a block's own end mark lies behind the comments after it."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        name, node = last if isinstance(last, tuple) else (last, last)
    if node.start_mark.index == node.end_mark.index:
        return max(int(name.end_mark.index), int(node.end_mark.index))
    end = int(node.end_mark.index)
    # A block scalar's mark stands at the start of what follows it.
    return end - 1 if isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"} else end


def comments(text: str, start: int, stop: int) -> Iterator[Comment]:
    """The comment lines between two indexes."""
    for begin, end in _lines(text, start, stop):
        if (found := _comment(text, begin, end)) is not None:
            yield found


def below(text: str, comment: Comment) -> tuple[list[Comment], int]:
    """The commented lines that are a comment's own, deeper than it; and where they end."""
    found, stop = list[Comment](), comment.end
    for begin, end in _lines(text, comment.end, len(text)):
        item = _comment(text, begin, end)
        if item is None or item.column <= comment.column:
            break
        found.append(item)
        stop = end
    return found, stop


def _comment(text: str, begin: int, end: int) -> Comment | None:
    line = _BREAK.sub("", text[begin:end])
    match = _COMMENT.fullmatch(line)
    if match is None:
        return None
    hash_, body = len(match[1]), match[3].rstrip()
    # "  # key", "  #key", "#   key" and "#  key" all come to column 2: one hash, and one space where one was put.
    spaces = len(match[2])
    odd = spaces > 1 and (hash_ + 1 + spaces) % 2
    column = hash_ if spaces <= 1 or "\t" in match[2] else hash_ + spaces - (0 if odd else 1)
    key = _KEY.match(body) if "\t" not in match[2] else None
    return Comment(begin, end, column, body, key[1] if key else "", (key[2] or "") if key else "")


def _begin(text: str, stop: int) -> int:
    """Behind the line that begins the document, where there is one."""
    marks = list(_START.finditer(text, 0, stop))
    return line_end(text, marks[-1].start()) if marks else 0


def _tail(text: str, begin: int, above: int) -> int:
    """Where the comments behind a block's last value end that are deeper than its name."""
    stop = begin
    for start, end in _lines(text, begin, len(text)):
        if not text[start:end].strip():
            continue
        item = _comment(text, start, end)
        if item is None or item.column <= above:
            break
        stop = end
    return stop


def _lines(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    while start < stop:
        end = line_end(text, start)
        yield start, end
        start = end


def line_start(text: str, index: int) -> int:
    return max((match.end() for match in _BREAK.finditer(text, 0, index)), default=0)


def line_end(text: str, index: int) -> int:
    found = _BREAK.search(text, index)
    return found.end() if found else len(text)


def eol(text: str) -> str:
    """How this file ends its lines."""
    found = re.search("\r\n|\n|\r", text)
    return found[0] if found else "\n"
