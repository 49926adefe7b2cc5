"""The lists that we write to in a runner's config.toml, where they are none: what the runner itself refuses, with its line."""

from __future__ import annotations

import json
import re
from typing import Any

from tomlkit.items import Array

from gdkreg.errors import ConfigError


class WrongValueError(ConfigError):
    """A value that the runner itself refuses; `line` is where it stands."""

    def __init__(self, line: int, key: str, problem: str, fix: str) -> None:
        super().__init__(f"{key}: {problem}", fix=fix)
        self.line = line


def refuse_wrong(table: Any, text: str, number: int) -> None:
    """The runner reads what we write to as lists of texts, and refuses its whole file for anything else."""
    for key in ("volumes", "extra_hosts"):
        value = table.get(key)
        if value is None or (isinstance(value, (list, Array)) and all(isinstance(item, str) for item in value)):
            continue
        single = [str(value)] if isinstance(value, str) else []
        fix = f"write {key} = {json.dumps(single or ['…'], ensure_ascii=False)} there"
        found = "text" if single else "something else"
        raise WrongValueError(_line_of(text, number, key), f"runners.docker.{key}", f"expected a list of texts, got {found}", fix)


def _line_of(text: str, number: int, key: str) -> int:
    """The line of a key of the runner with this number; else the runner's first one."""
    runner, first = 0, 1
    for at, line in enumerate(text.splitlines(), start=1):
        if re.match(r"\s*\[\[\s*runners\s*\]\]", line):
            runner += 1
            first = at if runner == number else first
        elif (runner == number or not runner) and re.search(rf"(?:^|[\s{{.,\"']){key}[\"']?\s*=", line.split("#")[0]):
            return at
    return first
