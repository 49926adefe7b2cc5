"""The README's commands give the README's output."""

from __future__ import annotations

from tests.e2e import tour
from tests.e2e.box import Box


def test_the_tour(lone_engine_box: Box) -> None:
    text = tour.README.read_text()
    assert len(tour.commands(text)) > 8
    tour.prepare(lone_engine_box)
    played = tour.render(text, lone_engine_box)
    now, then = ([tour.level(line) for line in version.splitlines()] for version in (played, text))
    assert now == then, "python -m tests.e2e.tour writes it anew"
