"""Templates: values in their places, and every one of support/ with its mark."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from gdkreg.exports import template

REPO = Path(__file__).resolve().parents[2]


def test_what_a_template_names_has_to_be_given() -> None:
    with pytest.raises(UndefinedError):
        template.fill("ci/image.yml.j2", authority="registry.test:5000")


def test_a_value_is_not_looked_through_for_others() -> None:
    text = template.fill("ci/image.yml.j2", authority="{{ image }}", reach="public", issuer="", image="{% a %}<&>")
    assert "an image of {{ image }}." in text
    assert "image: {% a %}<&>\n" in text


def test_texts_are_quoted_where_they_are_not_plain() -> None:
    assert template.quoted("/home/dev/gdk.1/a_b-c") == "/home/dev/gdk.1/a_b-c"
    assert template.quoted("/home/d v") == '"/home/d v"'
    assert template.quoted('/a": b') == '"/a\\": b"'
    assert template.ruby("/a#{b}") == '"/a\\#{b}"'


@pytest.mark.parametrize("path", sorted((REPO / "support").glob("*/[!_]*")), ids=lambda path: path.name)
def test_every_template_says_whose_it_is(path: Path) -> None:
    """By that mark undo knows it, and a diff shows it."""
    from gdkreg.plan.shown import EXPORTED

    first, *rest = path.read_text().splitlines()
    heads = [line for line in rest if line.startswith("# Written")] if first.startswith("{%") else [first]
    assert heads
    assert all(any(mark in head for mark in EXPORTED) for head in heads)
