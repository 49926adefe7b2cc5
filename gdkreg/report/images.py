"""What is in a registry as text. What stands in an image is a stranger's: no escape character of it reaches the terminal."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from gdkreg.masking.text import visible
from gdkreg.report import out
from gdkreg.units import size

if TYPE_CHECKING:
    from gdkreg.verbs.browsing import Summary
    from gdkreg.verbs.describing import Image, Layer, Tagged

_STEPS = ((365 * 86400, "year"), (30 * 86400, "month"), (7 * 86400, "week"), (86400, "day"), (3600, "hour"), (60, "minute"))


def age(text: str, now: datetime.datetime | None = None) -> str:
    """How long ago a time of an image is; empty where it has none."""
    from gdkreg.verbs.describing import NEVER, moment

    found = moment(text)
    if found == NEVER or found.year <= 1:
        return ""
    seconds = ((now or datetime.datetime.now(datetime.timezone.utc)) - found).total_seconds()
    for length, word in _STEPS:
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {word}{'s' if count > 1 else ''} ago"
    return "just now" if seconds > -60 else "in the future"


def short(digest: str, *, full: bool = False) -> str:
    """The first 12 digits, as docker shows an image's id."""
    return visible(digest if full else digest.partition(":")[2][:12] or digest)


def names(found: Iterable[str]) -> None:
    for name in found:
        out.raw(visible(name))


def remark(text: str) -> None:
    out.note(visible(text))


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows below their headers; nothing is cut off, on a narrow terminal it is folded."""
    listed = [[visible(cell) for cell in row] for row in rows]
    if out.on_terminal():
        _rich(headers, listed)
        return
    listed.insert(0, list(headers))
    widths = [max(len(row[at]) for row in listed) for at in range(len(headers))]
    for row in listed:
        out.raw("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _rich(headers: Sequence[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for header in headers:
        made.add_column(header, overflow="fold", justify="right" if header == "SIZE" else "left")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(made)


def tags(found: Iterable[Tagged], *, full: bool = False) -> None:
    rows = []
    for at, item in enumerate(found, 1):
        what = item.problem or ", ".join(item.platforms) or item.artifact_type
        rows.append([item.tag, short(item.digest, full=full), size(item.size), age(item.created), what])
        out.passing(f"  {at} tags …")
    out.passing("")
    table(("TAG", "DIGEST", "SIZE", "CREATED", "PLATFORMS"), rows)


def summary(found: Summary, *, full: bool = False) -> None:
    at_least = "at least " if found.partly else ""
    _pairs([("repository", found.repository), ("tags", str(found.tags)), ("size", at_least + size(found.size))])
    if found.newest:
        out.raw("")
        tags(found.newest, full=full)


def image(found: Image, *, full: bool = False) -> None:
    """Everything of one image, what there is none of left out."""
    created = f"{found.created}  ({age(found.created)})" if age(found.created) else ""
    command = [(name, _words(words)) for name, words in (("entrypoint", found.entrypoint), ("command", found.cmd))]
    _pairs(
        [
            ("image", found.repository + (f":{found.tag}" if found.tag else "")),
            ("digest", found.digest),
            ("media type", found.media_type),
            ("artifact", found.artifact_type),
            ("size", size(found.size)),
            ("platform", found.platform),
            ("created", created),
            ("author", found.author),
            *command,
            ("user", found.user),
            ("folder", found.workdir),
            ("ports", ", ".join(found.ports)),
            *[("environment" if at == 0 else "", value) for at, value in enumerate(found.env)],
            *[("labels" if at == 0 else "", f"{key}={value}") for at, (key, value) in enumerate(found.labels.items())],
            *[("annotations" if at == 0 else "", f"{key}={value}") for at, (key, value) in enumerate(found.annotations.items())],
            ("refers to", found.subject),
        ]
    )
    if found.platforms:
        rows = [[item.platform, short(item.digest, full=full), size(item.size)] for item in found.platforms]
        _part("platforms", ("PLATFORM", "DIGEST", "SIZE"), rows)
    if found.layers:
        out.raw("")
        layers(found, full=full)
    if found.referrers:
        rows = [[item.artifact_type or item.media_type, short(item.digest, full=full)] for item in found.referrers]
        _part("referrers", ("REFERRER", "DIGEST"), rows)


def layers(found: Image, *, full: bool = False) -> None:
    rows = [[short(item.digest, full=full), size(item.size), _sharing(item), item.made_by[:60]] for item in found.layers]
    table(("LAYER", "SIZE", "ALSO IN", "MADE BY"), rows)
    if found.shares_partly:
        out.note(f"also in: of {found.shares_of} tags that were asked; there are more")


def _sharing(layer: Layer) -> str:
    users = layer.shared_by
    return ", ".join(users[:3]) + (f" and {len(users) - 3} more" if len(users) > 3 else "")


def _part(_name: str, headers: Sequence[str], rows: list[list[str]]) -> None:
    out.raw("")
    table(headers, rows)


def _words(words: list[str]) -> str:
    import shlex

    return shlex.join(words)


def _pairs(pairs: Iterable[tuple[str, str]]) -> None:
    listed = [(name, visible(value)) for name, value in pairs if value]
    width = max((len(name) for name, _ in listed), default=0)
    for name, value in listed:
        out.raw(f"{name.ljust(width)}  {value}")


def manifest(content: bytes) -> None:
    """A manifest laid out for a person, or a program that does not ask for its digest."""
    import msgspec

    for row in msgspec.json.format(content, indent=2).decode("utf-8", "replace").splitlines():
        out.raw(visible(row))


class Bar:
    """How far a transfer has come, on a terminal only."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Bar:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(visible(self._what), total=None)
            self._bar.start()
        return self

    def __call__(self, at: int, whole: int | None) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=at, total=whole)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
