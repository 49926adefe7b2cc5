"""Templates: lines that hold, values in their places; and every one of support/ with whatever a folder may be called."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdkreg.exports import template
from gdkreg.host import support

REPO = Path(__file__).resolve().parents[2]
TEXT = """\
head @NAME@
?one only one
?!one not one
?one?!two one, and not two
  @LIST@
?two   @LIST@
"""


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (set(), "head a\nnot one\n  x\n  y\n"),
        ({"one"}, "head a\nonly one\none, and not two\n  x\n  y\n"),
        ({"one", "two"}, "head a\nonly one\n  x\n  y\n  x\n  y\n"),
    ],
)
def test_lines_that_hold(monkeypatch: pytest.MonkeyPatch, words: set[str], wanted: str) -> None:
    monkeypatch.setattr(support, "text", lambda name: TEXT)
    assert template.fill("any", {"NAME": "a", "LIST": "x\ny"}, words) == wanted
    assert "  x" not in template.fill("any", {"NAME": "a", "LIST": ""}, words), "no value, no line"
    with pytest.raises(KeyError):
        template.fill("any", {"LIST": ""}, words)


def test_a_value_is_not_looked_through_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "text", lambda name: "@A@ @B@\n@A@\n")
    assert template.fill("any", {"A": "@B@", "B": "?x \\1"}, ()) == "@B@ ?x \\1\n@B@\n"


def test_texts_are_quoted_where_they_are_not_plain() -> None:
    assert template.quoted("/home/dev/gdk.1/a_b-c") == "/home/dev/gdk.1/a_b-c"
    assert template.quoted("/home/d v") == '"/home/d v"'
    assert template.quoted('/a": b') == '"/a\\": b"'
    assert template.ruby("/a#{b}") == '"/a\\#{b}"'


@pytest.mark.parametrize("path", sorted((REPO / "support").glob("*/*")), ids=lambda path: path.name)
def test_every_template_says_whose_it_is(path: Path) -> None:
    """By that mark undo knows it, and a diff shows it."""
    from gdkreg.plan.shown import EXPORTED

    first, *rest = path.read_text().splitlines()
    heads = [first, *rest[:1]] if first.startswith("?") else [first]
    assert all(any(mark in head for mark in EXPORTED) for head in heads)
