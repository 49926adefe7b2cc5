"""What a dry run tells is what the run does, for every command that changes something in every state that matters."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.e2e.box import REPO, Box

Cases = list[dict[str, Any]]


@pytest.fixture(scope="module")
def cases(box: Box) -> Cases:
    other = box.folder / "other"
    other.mkdir()
    argv = [sys.executable, "-m", "tests.states.table", str(box.root), str(other)]
    result = box.run(*argv, env={"PYTHONPATH": str(REPO)}, timeout=420)
    assert result.code == 0, result
    found = [json.loads(line) for line in result.out.splitlines()]
    assert len(found) > 120
    return found


def test_nothing_is_a_bug_and_all_is_json(cases: Cases) -> None:
    assert [case for case in cases if case["bug"]] == []


def test_the_dry_run_tells_the_list_that_is_done(cases: Cases) -> None:
    differing = [case for case in cases if case["told"] != case["done"] and not any(case["errors"])]
    assert differing == []
    assert sum(bool(case["done"]) for case in cases) > 45, "and much was done"


def test_a_dry_run_changes_nothing(cases: Cases) -> None:
    assert [case["case"] for case in cases if not case["told twice"]] == []


def test_what_is_refused_is_refused_by_the_dry_run_too_and_before_the_first_change(cases: Cases) -> None:
    refused = [case for case in cases if any(case["errors"]) and "image_missing" not in case["case"]]
    assert len(refused) > 10
    for case in refused:
        assert case["errors"][0] == case["errors"][1], case
        assert case["done"] == [], case


def test_an_image_that_cannot_be_pulled_refuses_before_the_first_change(cases: Cases) -> None:
    (case,) = [case for case in cases if case["case"] == "image_missing: up"]
    assert case["told"] == case["done"]
    assert case["told"][0].startswith("pull registry")
    assert case["statuses"] == ["planned"], "nothing was done"
    assert "cannot pull" in case["errors"][1]["what"]


def test_a_second_run_has_nothing_to_do(cases: Cases) -> None:
    left = {"engine_gone: down"}  # it goes on trying to take back what it had to leave
    busy = [case for case in cases if case["second"] and not any(case["errors"]) and case["case"] not in left]
    assert busy == []


def test_down_leaves_only_what_the_engine_holds(cases: Cases) -> None:
    (case,) = [case for case in cases if case["case"] == "engine_gone: down"]
    assert case["statuses"] == ["done", "left", "skipped"]
    assert case["codes"] == [0, 1]
    assert [text for text in case["second"] if "remove registry" in text]
