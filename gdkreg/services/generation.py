"""Which registry runs: Distribution 2.8, Distribution 3 or GitLab's, by what the program says of itself."""

from __future__ import annotations

import re

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.registry.inspection import Generation
from gdkreg.services.registry import Registry


class Found(msgspec.Struct, frozen=True):
    """`version` is empty where the program could not be asked; `generation` is then the strictest."""

    generation: Generation
    version: str = ""

    @property
    def title(self) -> str:
        names = {"2": "Distribution 2.8", "3": "Distribution 3", "gitlab": "GitLab's registry"}
        return f"{names[self.generation]}{f' ({self.version})' if self.version else ', for it could not be asked'}"


def of(registry: Registry) -> Found:
    """Of the one that runs, else of the one that would."""
    try:
        runtime = registry.current() or registry.choose().runtime
        return parse(runtime.version())
    except GdkregError:
        return Found("2")


def parse(said: str) -> Found:
    """What `registry --version` prints: the program, its Go package, its version."""
    line = next((row for row in said.splitlines() if "distribution" in row), "")
    version = line.split()[-1] if line else ""
    if "gitlab" in line:
        return Found("gitlab", version)
    major = re.match(r"v?(\d+)\.", version)
    newer = "/v3" in line or (major is not None and int(major[1]) >= 3)
    return Found("3" if newer else "2", version)
