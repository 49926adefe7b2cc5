from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.box import Box, missing


@pytest.fixture(scope="session", autouse=True)
def _can_run() -> None:
    if why := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(f"end-to-end tests must run here: {why}")
        pytest.skip(why)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A box with an engine and the image registry:dev, one for each test file."""
    opened = Box(tmp_path_factory.mktemp("box"))
    try:
        opened.import_registry()
        yield opened
    finally:
        opened.close()


@pytest.fixture
def lone_box(tmp_path: Path) -> Iterator[Box]:
    """A box without an engine, one for each test."""
    folder = tmp_path / "box"
    folder.mkdir()
    opened = Box(folder, engine=False)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def lone_engine_box(tmp_path: Path) -> Iterator[Box]:
    """A box with an engine, one for each test."""
    opened = Box(tmp_path / "box")
    try:
        yield opened
    finally:
        opened.close()
