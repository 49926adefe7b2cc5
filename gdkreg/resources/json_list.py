"""A list of strings in the top level of a JSON file, edited in the file's own text: no other byte of it changes."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import msgspec

_SPACE = re.compile(r"[ \t\r\n]*")


class WrongJsonError(Exception):
    """The file is not what its program takes either; line and column begin at 1."""

    def __init__(self, what: str, line: int, column: int) -> None:
        super().__init__(what)
        self.what, self.line, self.column = what, line, column


class _Member(msgspec.Struct, frozen=True):
    """One key and its value: where each begins and ends."""

    key: str
    value: Any
    at: int
    key_end: int
    start: int
    end: int


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def parse(text: str) -> dict[str, Any]:
    """The whole file; {} for an empty one. Raises `WrongJsonError`."""
    if not text.strip():
        return {}
    try:
        found = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise WrongJsonError(error.msg, error.lineno, error.colno) from None
    except (ValueError, RecursionError) as error:
        raise WrongJsonError(str(error) or "it is nested too deeply", 1, 1) from None
    if not isinstance(found, dict):
        raise WrongJsonError("it is no JSON object", 1, 1)
    return found


def _space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _members(text: str) -> list[_Member]:
    """The members of the outermost object, in order."""
    parse(text)
    found: list[_Member] = []
    at = _space(text, _space(text, 0) + 1)
    while text[at] != "}":
        key, key_end = _DECODER.raw_decode(text, at)
        start = _space(text, _space(text, key_end) + 1)
        value, end = _DECODER.raw_decode(text, start)
        found.append(_Member(str(key), value, at, key_end, start, end))
        at = _space(text, end)
        if text[at] == ",":
            at = _space(text, at + 1)
    return found


def _wrong(text: str, at: int, what: str) -> WrongJsonError:
    return WrongJsonError(what, text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1)


def _one(text: str, key: str) -> _Member | None:
    """The member of this key; None where it is not there. Raises `WrongJsonError` for one that is no list of strings."""
    if not text.strip():
        return None
    found = [member for member in _members(text) if member.key == key]
    if len(found) > 1:
        raise _wrong(text, found[1].at, f'"{key}" stands here a second time')
    if not found:
        return None
    value = found[0].value
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(text, found[0].start, f'"{key}" is no list of strings')
    return found[0]


def _items(text: str, member: _Member) -> list[tuple[int, int]]:
    """Where each item of the list begins and ends."""
    found, at = [], _space(text, member.start + 1)
    while text[at] != "]":
        _, end = _DECODER.raw_decode(text, at)
        found.append((at, end))
        at = _space(text, end)
        if text[at] == ",":
            at = _space(text, at + 1)
    return found


def read(text: str, key: str) -> list[str] | None:
    """The list; None where the key is not there. Raises `WrongJsonError`."""
    found = _one(text, key)
    return None if found is None else list(found.value)


def add(text: str, key: str, item: str) -> str:
    """With the item at the end of the list, laid out as what stands around it. Raises `WrongJsonError`."""
    word, found = json.dumps(item), _one(text, key)
    if not text.strip():
        return f'{{\n  "{key}": [{word}]\n}}\n'
    if found is None:
        return _with_key(text, f'"{key}"', f"[{word}]")
    if item in found.value:
        return text
    items = _items(text, found)
    if not items:
        return text[: found.start + 1] + word + text[found.start + 1 :]
    before = text[items[-2][1] : items[-1][0]] if len(items) > 1 else "," + _line_of(text[found.start + 1 : items[0][0]])
    end = items[-1][1]
    return text[:end] + before + word + text[end:]


def _with_key(text: str, key: str, value: str) -> str:
    members = _members(text)
    opened = text.index("{") + 1
    if not members:
        rest = text[opened : _space(text, opened)]
        before = ("\r\n" if "\r\n" in rest else "\n") + "  " if "\n" in rest else ""
        return text[:opened] + f"{before}{key}: {value}" + text[opened:]
    last = members[-1]
    colon = text[last.key_end : last.start]
    before = text[members[-2].end : last.at] if len(members) > 1 else "," + _line_of(text[opened : last.at])
    return text[: last.end] + before + key + colon + value + text[last.end :]


def _line_of(space: str) -> str:
    """What stands between two items, by what stands before the only one."""
    return space if "\n" in space else " "


def remove(text: str, key: str, items: list[str]) -> str:
    """Without these items; the list stays, if need be empty. Raises `WrongJsonError`."""
    for item in items:
        while (found := _one(text, key)) is not None and item in found.value:
            places, at = _items(text, found), found.value.index(item)
            text = _without(text, places, at)
    return text


def drop(text: str, key: str) -> str:
    """Without the key. Raises `WrongJsonError`."""
    found = _one(text, key)
    if found is None:
        return text
    members = _members(text)
    if len(members) == 1:
        return text[: text.index("{") + 1] + text[found.end :]
    return _without(text, [(member.at, member.end) for member in members], members.index(found))


def _without(text: str, places: list[tuple[int, int]], at: int) -> str:
    """Without one of several things in a row, and the comma that belongs to it."""
    start, end = places[at]
    if at > 0:
        return text[: places[at - 1][1]] + text[end:]
    return text[:start] + text[places[1][0] if len(places) > 1 else end :]
