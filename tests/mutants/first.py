"""A pytest plugin: the tests named in the file GDKREG_FIRST run first, so that a breakage is noticed soon."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts in place; the named ones in their order, then the rest in its own."""
    names = Path(os.environ["GDKREG_FIRST"]).read_text().splitlines()
    rank = {name: place for place, name in enumerate(names)}
    items.sort(key=lambda item: rank.get(item.nodeid, len(rank)))
