"""Completion in bash, which takes a colon for the end of a word: app:1 comes as three, and only the last is replaced."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable

import typer


def carry_out(complete: Callable[[], object]) -> None:
    """Complete with the words put together again, and leave out of each answer what bash has written already."""
    written, answers = _join(), io.StringIO()
    try:
        with contextlib.redirect_stdout(answers):
            complete()
    finally:
        typer.echo("\n".join(name.removeprefix(written) for name in answers.getvalue().splitlines()))


def _join() -> str:
    """What stands before the last colon of the word that is completed; empty where bash has taken nothing apart."""
    env = os.environ
    if env.get("_GDKREG_COMPLETE") != "complete_bash" or not env.get("COMP_CWORD", "").isdigit():
        return ""
    words, at = env.get("COMP_WORDS", "").split("\n"), int(env["COMP_CWORD"])
    if ":" not in words:
        return ""
    words = words[: at + 1] if at < len(words) else [*words, ""]
    joined: list[str] = []
    for word in words:
        if joined and (word == ":" or (word and joined[-1].endswith(":"))):
            joined[-1] += word
        else:
            joined.append(word)
    env["COMP_WORDS"], env["COMP_CWORD"] = "\n".join(joined), str(len(joined) - 1)
    before, colon, _ = joined[-1].rpartition(":")
    return before + colon if words[-1] != joined[-1] else ""
