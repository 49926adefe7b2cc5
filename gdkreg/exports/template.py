"""Templates of support/: the lines that hold for a configuration, with its values in their places.

A line may begin with `?word `, or `?!word `: it stays only where the word holds, or does not. `@NAME@` is a value; alone on its
line it may have many lines, or none, and then the line goes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping

from gdkreg.host import support

_CONDITION = re.compile(r"\?(!?)([a-z-]+) ?")
_ALONE = re.compile(r"( *)@([A-Z_]+)@")
_VALUE = re.compile(r"@([A-Z_]+)@")
_PLAIN = re.compile(r"/[\w./-]+")


def fill(name: str, values: Mapping[str, str], words: Collection[str]) -> str:
    """The template support/NAME for these values, of which `words` hold. Raises `KeyError` for a value that is not given."""
    rows: list[str] = []
    for line in support.text(name).splitlines():
        kept = _kept(line, words)
        if kept is not None:
            rows += _filled(kept, values)
    return "\n".join(rows) + "\n"


def _kept(line: str, words: Collection[str]) -> str | None:
    while found := _CONDITION.match(line):
        if (found[2] in words) == bool(found[1]):
            return None
        line = line[found.end() :]
    return line


def _filled(line: str, values: Mapping[str, str]) -> list[str]:
    alone = _ALONE.fullmatch(line)
    if alone:
        return [f"{alone[1]}{row}".rstrip() for row in values[alone[2]].splitlines()]
    return [_VALUE.sub(lambda found: values[found[1]], line)]


def quoted(text: str) -> str:
    """A path or text as a value of YAML, Ruby or nginx: as it is where that is plain, else in double quotes."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def ruby(text: str) -> str:
    """A text in Ruby's double quotes, where # begins what is computed."""
    return json.dumps(text, ensure_ascii=False).replace("#", "\\#")
