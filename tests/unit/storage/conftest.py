from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.storage.trees import Registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "storage")
