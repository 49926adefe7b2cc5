"""What these tests drive is built, or fetched, once: support/bootstrap builders."""

from __future__ import annotations

import pytest

from tests.builders.test_clients import OTHERS
from tests.e2e.box import BUILDERS
from tests.e2e.conftest import _can_run as _can_run
from tests.e2e.conftest import box as box


@pytest.fixture(scope="session", autouse=True)
def _built() -> None:
    for path in (BUILDERS / "buildkitd", OTHERS / "bin/node"):
        assert path.exists(), f"{path} is missing: support/bootstrap builders"
