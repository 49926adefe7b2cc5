"""A sample of make test-faults: some points of each scenario, and some rounds of ten commands at once."""

from __future__ import annotations

import shutil

import pytest

from tests.e2e.conftest import _can_run as _can_run
from tests.faults import crowd, run
from tests.faults.points import FAULTS, Scenario
from tests.faults.run import SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_some_points_of(scenario: Scenario) -> None:
    assert shutil.which("strace"), "support/bootstrap test installs it"
    count, bad = run.play(scenario, 997 if scenario.sudo else 331, FAULTS)
    assert bad == []
    assert count >= 1


def test_ten_commands_at_once() -> None:
    assert crowd.play(3) == []
