from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from gdkreg.report import out

# The files that take longest go first, so that no core is left with one of them at the end.
_LONGEST = [
    "engines",
    "collecting",
    "images",
    "explain",
    "verify",
    "trace",
    "bad_days",
    "tunnel",
    "ways_back",
    "strangers",
    "fresh",
    "torn",
    "tokens",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {f"test_{name}.py": at for at, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.fixture(autouse=True)
def _nowhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no gdk.yml is, of this checkout or of the developer's; `gdkreg` is a command, as after make up."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path_factory.mktemp("nowhere"))
    for name in ("GDKREG_ROOT", "ROOT"):
        monkeypatch.delenv(name, raising=False)
    out._program.cache_clear()  # a test may have had another PATH
