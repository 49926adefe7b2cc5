"""The text of gdk.yml: parsed with the place of every key, so that an error can name file, line and key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from gdkreg.config.schema import KEYS
from gdkreg.errors import ConfigError

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
KeyPath = tuple[str, ...]
_MANY = 100_000


class BadValueError(ConfigError):
    """A value that a key cannot have: `key` and `problem` apart, for whoever knows another place where it was said."""

    def __init__(self, place: Path, line: int, key: KeyPath, problem: str, fix: str = "") -> None:
        super().__init__(f"{place}:{line}: {'.'.join(key)}: {problem}", fix=fix or f"edit {place}, line {line}")
        self.key = key
        self.problem = problem
        self.command = fix


class Source:
    """What stands in one gdk.yml: `values` of the keys that we read, the line of each key, and of each item of a list.

    `files` are the keys that another file filled in.
    """

    def __init__(self, path: Path, values: dict[str, Any], lines: dict[KeyPath, int]) -> None:
        self.path = path
        self.values = values
        self.lines = lines
        self.files: dict[KeyPath, Path] = {}

    def error(self, key: KeyPath, what: str, fix: str = "") -> BadValueError:
        """An error at a key, or at the nearest block above it that stands in the file."""
        if key in self.files:
            return BadValueError(self.files[key], 1, key, what, fix)
        place = key
        while place and place not in self.lines:
            place = place[:-1]
        return BadValueError(self.path, self.lines.get(place, 1), key, what, fix)


def parse(path: Path, raw: bytes) -> Source:
    """Raises `ConfigError` for what is not UTF-8, not YAML, not a mapping, or has a key twice."""
    text = _decode(path, raw)
    try:
        root = yaml.compose(text, Loader=Loader)
    except yaml.YAMLError as error:
        raise _yaml_error(path, text, error) from None
    except RecursionError:
        raise ConfigError(f"{path}:1: not valid YAML", why="it is nested too deeply", fix=f"edit {path}") from None
    if root is None or (isinstance(root, yaml.ScalarNode) and root.value == ""):
        return Source(path, {}, {})
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{path}:{root.start_mark.line + 1}: expected keys and values", why=f"it holds {_kind(root)}")
    lines: dict[KeyPath, int] = {}
    values: dict[str, Any] = {}
    builder = Loader("")
    seen: set[str] = set()
    for key_node, value_node in root.value:
        key = str(key_node.value)
        _once(path, key_node, (key,), seen)
        if key in KEYS:
            lines[(key,)] = key_node.start_mark.line + 1
            try:
                _walk(path, value_node, (key,), lines)
            except RecursionError:
                line = key_node.start_mark.line + 1
                raise ConfigError(f"{path}:{line}: {key}: an alias that holds itself", fix=f"edit {path}, line {line}") from None
            values[key] = _build(path, builder, value_node, key)
    return Source(path, {key: value for key, value in values.items() if value is not None}, lines)


def _decode(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path}:{line}: not UTF-8", why=f"byte 0x{raw[error.start]:02x}", fix=f"convert it: iconv -f LATIN1 -t UTF-8 {path}"
        ) from None


def _yaml_error(path: Path, text: str, error: yaml.YAMLError) -> ConfigError:
    mark = getattr(error, "problem_mark", None)
    number = min(mark.line, text.count("\n")) if mark else 0
    lines = text.splitlines() or [""]
    shown = lines[min(number, len(lines) - 1)]
    problem = _problem(error)
    if "\t" in shown[: len(shown) - len(shown.lstrip())]:
        problem = "a tab; YAML is indented with spaces"
    found = re.match(r"[\s-]*([\w.-]{1,60}):(?:\s|$)", shown)  # a line without a key may be one of a value's
    key = found[1] if found else "?"
    return ConfigError(f"{path}:{number + 1}: {key}: not valid YAML", why=problem, fix=f"edit {path}, line {number + 1}")


def _problem(error: Exception) -> str:
    """What the parser says, without the texts that it quotes: an unquoted password may begin with * or !."""
    from gdkreg.masking.text import MASK

    said = str(getattr(error, "problem", None) or error).splitlines()[0]
    return re.sub(r"(['\"])(?:[^'\"]{2,})\1", MASK, said)


def _once(path: Path, node: yaml.Node, key: KeyPath, seen: set[str]) -> None:
    if key[-1] in seen:
        line = node.start_mark.line + 1
        raise ConfigError(f"{path}:{line}: {'.'.join(key)}: stands here a second time", fix=f"edit {path}, line {line}")
    seen.add(key[-1])


def _walk(path: Path, node: yaml.Node, at: KeyPath, lines: dict[KeyPath, int]) -> None:
    if len(lines) > _MANY:
        raise ConfigError(
            f"{path}:{lines[at[:1]]}: {at[0]}: holds more than {_MANY} keys", fix=f"edit {path}, line {lines[at[:1]]}"
        )
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*at, str(index))] = item.start_mark.line + 1
            _walk(path, item, (*at, str(index)), lines)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key_node, value_node in node.value:
        key = (*at, str(key_node.value))
        if key[-1] == "<<":
            continue
        _once(path, key_node, key, seen)
        lines[key] = key_node.start_mark.line + 1
        _walk(path, value_node, key, lines)


def _build(path: Path, builder: Any, node: yaml.Node, key: str) -> Any:
    try:
        return builder.construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None) or node.start_mark
        raise ConfigError(f"{path}:{mark.line + 1}: {key}: not valid YAML", why=_problem(error)) from None


def _kind(node: yaml.Node) -> str:
    return "a list" if isinstance(node, yaml.SequenceNode) else "one plain value"
