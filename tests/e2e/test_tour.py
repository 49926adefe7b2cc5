"""The commands of docs/tour.md give the output that stands there, and docs/up.svg shows what a terminal does."""

from __future__ import annotations

from tests.e2e import picture, tour
from tests.e2e.box import Box


def test_the_tour(lone_engine_box: Box) -> None:
    text = tour.PAGE.read_text()
    assert len(tour.commands(text)) > 8
    tour.prepare(lone_engine_box)
    played = tour.render(text, lone_engine_box)
    now, then = ([tour.level(line) for line in version.splitlines()] for version in (played, text))
    assert now == then, "make pages writes it anew"


def test_the_picture(lone_engine_box: Box) -> None:
    drawn = picture.rows(picture.draw(lone_engine_box))
    assert drawn == picture.rows(picture.PICTURE.read_text()), "make picture draws it anew"
    assert any("Goon?" in row for row in drawn)
    assert any(row.startswith("✓dockerpull") for row in drawn)
