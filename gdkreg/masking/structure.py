"""Parsed values (of YAML, JSON, TOML) with all but the public ones masked."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from gdkreg.masking.text import MASK, hidden_in, public_text

CHANGED = f"{MASK} (changed)"
Path = tuple[str, ...]
Kind = Literal["", "plain", "env"]
Rule = Callable[[Path], Kind]  # what may be shown at a place: nothing, the value, or the names of NAME=value
_NOTHING: Any = object()


@functools.cache
def paths(text: str) -> Rule:
    """The rule that the dotted paths in a text are public, without regard to case."""
    kinds: dict[Path, Kind] = {}
    for word in text.split():
        path, _, kind = word.lower().partition("=")
        kinds[tuple(path.split("."))] = "env" if kind else "plain"
    starred = [(path, kind) for path, kind in kinds.items() if "*" in path]

    @functools.cache
    def rule(at: Path) -> Kind:
        at = tuple(part.lower() for part in at)
        return kinds[at] if at in kinds else next((kind for path, kind in starred if _matches(path, at)), "")

    return rule


def _matches(path: Path, at: Path) -> bool:
    return len(path) == len(at) and all(part in {"*", name} for part, name in zip(path, at, strict=True))


@functools.cache
def names(text: str) -> Rule:
    """The rule that these keys are public wherever they stand, without regard to case."""
    known = frozenset(text.lower().split())
    return lambda at: "plain" if at and at[-1].lower() in known else ""


def masked(value: Any, rule: Rule, was: Any = _NOTHING, at: Path = ()) -> Any:
    """A copy to be shown. `was` is the same place before a change: a masked value that differs from it says so."""
    if isinstance(value, dict):
        return {
            public_text(str(key)): masked(
                below, rule, was.get(key, _NOTHING) if isinstance(was, dict) else _NOTHING, _of(at, key)
            )
            for key, below in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [masked(item, rule, _counterpart(item, place, was), at) for place, item in enumerate(value)]
    if value is None or isinstance(value, bool) or value == "":
        return value
    kind = rule(at)
    if kind == "plain":
        shown = public_text(value) if isinstance(value, str) else value
    else:
        name, equals, _ = str(value).partition("=") if kind == "env" else ("", "", "")
        shown = f"{name}={MASK}" if equals and name.isidentifier() else MASK
    same = was is _NOTHING or (type(was), was) == (type(value), value)
    return f"{shown} (changed)" if not same and MASK in str(shown) else shown


def _of(at: Path, key: object) -> Path:
    return (*at, str(key))


def _counterpart(item: Any, place: int, was: Any) -> Any:
    """The same item of the list as it was, wherever it stood; else the one in its place."""
    if not isinstance(was, (list, tuple)):
        return _NOTHING
    return item if item in was else was[place] if place < len(was) else _NOTHING


def hidden(value: Any, rule: Rule, at: Path = ()) -> Iterator[str]:
    """Every text that `masked` does not show, to know it again in other programs' words."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from hidden(below, rule, _of(at, key))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from hidden(item, rule, at)
    elif value is not None and not isinstance(value, bool):
        text = str(value)
        yield from hidden_in(text) if rule(at) == "plain" and public_text(text) != MASK else _forms(text)


def _forms(text: str) -> Iterable[str]:
    """A hidden value may be told in parts: its lines, what stands behind a header's or variable's name or a scheme."""
    lines = (line.strip() for line in text.splitlines() if not line.startswith("-----"))  # as a PEM's first and last
    parts = {text.strip(), *lines, *hidden_in(text)}
    for mark in (":", "=", " "):
        parts |= {line.partition(mark)[2].strip() for line in [*parts] if mark in line and "\n" not in line}
    return parts | {line.partition(";")[0] for line in parts}  # of a cookie
