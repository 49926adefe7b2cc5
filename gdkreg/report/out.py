"""The only place that prints. Text is for a person, `--json` for a program; errors go to stderr."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gdkreg.errors import GdkregError

_COMMANDS = (
    "reconfigure|plan|up|down|undo|status|doctor|start|stop|restart|tail|trust-docker-registry|trust|runner-patch|env|token|login|logout|"
    "user|verify|trace|explain|cert|config|catalog|tags|inspect|manifest|layers|blob|copy|rm|cleanup|usage|"
    "gc|readonly|gdk|run|ci|export|insecure"
)
_OURS = re.compile(rf"(?<![\w./-])gdkreg (?=(?:{_COMMANDS})\b)")
_COLORS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "dim": "2", "bold": "1"}


def colored(text: str, color: str, stream: Any = None) -> str:
    """The text in a colour, on a terminal and without NO_COLOR; else as it is."""
    on_terminal = (stream or sys.stdout).isatty()
    if not on_terminal or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_COLORS[color]}m{text}\x1b[0m"


lost = ""  # why something that was to be told could not be


def line(text: str = "") -> None:
    """A line of the result. Where it cannot be written that is said once, and what is at work goes on; who ends the
    program asks `lost`. Raises `BrokenPipeError` where nobody reads any more."""
    raw(typed(text))


def raw(text: str) -> None:
    """A line as it is, whatever it says."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        lose(error)


def content(content: bytes) -> None:
    """Bytes as they are, without the end of a line."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        lose(error)


def on_terminal() -> bool:
    """Whether a person reads the result as it is printed."""
    return sys.stdout.isatty()


def lose(error: OSError) -> None:
    """From now on the result goes nowhere."""
    global lost
    lost = error.strerror or str(error)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    note(colored("gdkreg: ", "red", sys.stderr) + f"standard output cannot be written: {lost}")


def is_of_stdout(error: BaseException) -> bool:
    """Whether an error is one of writing to stdout, as Typer does with its help: an error of a file names the file."""
    return isinstance(error, OSError) and error.filename is None and error.errno in {errno.EBADF, errno.ENOSPC, errno.EIO}


def note(text: str) -> None:
    """A remark that is not part of the result."""
    with contextlib.suppress(OSError):
        sys.stderr.write(typed(text) + "\n")
        sys.stderr.flush()


def typed(text: str) -> str:
    """A command of ours as it can be typed here: with the whole path where no `gdkreg` is on PATH."""
    return _OURS.sub(f"{_program()} ", text) if _OURS.search(text) else text


@functools.cache
def _program() -> str:
    import shlex
    import shutil

    if shutil.which("gdkreg"):
        return "gdkreg"
    script = Path(sys.executable).parent / "gdkreg"
    return shlex.quote(str(script)) if script.exists() else f"{shlex.quote(sys.executable)} -m gdkreg"


def passing(text: str) -> None:
    """What is going on, on a terminal only; the next call takes it away."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[2K{text}")
        sys.stderr.flush()


def as_json(value: Any) -> None:
    text = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode()
    raw(text)


def diff(text: str) -> None:
    for row in text.splitlines():
        color = {"+": "green", "-": "red", "@": "blue"}.get(row[:1])
        raw("  " + (colored(row, color) if color else row))


def table(rows: Iterable[Sequence[str]], indent: str = "") -> None:
    """Columns, aligned; the last one takes what is left."""
    listed = [list(row) for row in rows]
    if not listed:
        return
    widths = [max(len(_plain(row[at])) for row in listed) for at in range(len(listed[0]) - 1)]
    for row in listed:
        cells = [cell + " " * (width - len(_plain(cell))) for cell, width in zip(row, widths, strict=False)]
        line((indent + "  ".join([*cells, row[-1]])).rstrip())


def _plain(text: str) -> str:
    while "\x1b[" in text:
        start = text.index("\x1b[")
        text = text[:start] + text[text.index("m", start) + 1 :]
    return text


def error(problem: GdkregError) -> None:
    """What happened, why, what helps; details between them as they are."""
    rows = [colored("gdkreg: ", "red", sys.stderr) + problem.what]
    rows += [f"  why: {problem.why}"] if problem.why else []
    rows += [f"  {row}" for row in problem.details.splitlines()]
    rows += [f"  fix: {problem.fix}"] if problem.fix else []
    note("\n".join(rows))


class PullProgress:
    """A bar for an image that is pulled: bytes of all layers, on a terminal only; else one line at the start."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._layers: dict[str, tuple[int, int]] = {}
        self._bar: Any = None
        self._task: Any = None

    def __call__(self, event: dict[str, Any]) -> None:
        if self._bar is None:
            self._begin()
        detail = event.get("progressDetail") or {}
        if event.get("id") and detail.get("total"):
            self._layers[event["id"]] = (int(detail.get("current") or 0), int(detail["total"]))
        if self._task is not None:
            done, total = (sum(pair[at] for pair in self._layers.values()) for at in (0, 1))
            self._bar.update(self._task, completed=done, total=total or None)

    def _begin(self) -> None:
        note(f"pulling {self._image}")
        self._bar = False
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

            self._bar = Progress(
                BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=Console(stderr=True), transient=True
            )
            self._task = self._bar.add_task("", total=None)
            self._bar.start()

    def close(self) -> None:
        if self._bar:
            self._bar.stop()
