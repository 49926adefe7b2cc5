"""docs/up.svg: what `gdkreg up` and `gdkreg verify` print on a terminal of 100 columns, recorded in a box.

`python -m tests.e2e.picture` draws it anew; `test_tour.py` compares what stands in it.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import pty
import struct
import sys
import tempfile
import termios
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console
from rich.text import Text

from tests.e2e import tour
from tests.e2e.box import REPO, Box

PICTURE = REPO / "docs/up.svg"
COMMANDS = ("gdkreg up", "gdkreg verify --client docker")
COLUMNS = 100
# Rich's own, without the web font.
_FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">{matrix}</g>
</g>
</svg>
"""


def record(box: Box, command: str) -> str:
    """What a command prints on a terminal, with a reader's paths; a question is answered with Return."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    running = box.popen("env", "TERM=xterm-256color", "NO_COLOR=", "sh", "-c", command, terminal=theirs)
    os.close(theirs)
    said = b""
    while chunk := _read(ours):
        said += chunk
        if said.endswith(b"[Y/n]: "):
            os.write(ours, b"\n")
    os.close(ours)
    assert running.wait() == 0, said.decode()
    return tour.as_yours(said.decode(), box)


def _read(terminal: int) -> bytes:
    """The next bytes; none once nobody writes there any more."""
    try:
        return os.read(terminal, 4096)
    except OSError as error:
        if error.errno == errno.EIO:
            return b""
        raise


def draw(box: Box) -> str:
    """The recording as SVG, on a box where nothing was done yet."""
    tour.prepare(box)
    box.configure(box.ok("config", "example").out)
    box.ok("config", "set", "registry.image", "registry:2")
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for command in COMMANDS:
        lines = [Text(f"$ {command}", style="bold")]
        lines += [Text.from_ansi(line.rstrip("\r")) for line in record(box, command).rstrip().split("\n")]
        for line in lines:
            for row in line.divide(range(COLUMNS, len(line), COLUMNS)):  # as a terminal does, in the midst of a word
                console.print(row, no_wrap=True, highlight=False)
    return console.export_svg(title="", code_format=_FORMAT, unique_id="up")


def rows(picture: str) -> list[str]:
    """The rows of text in a picture, without spaces."""
    found: dict[str, str] = {}
    for part in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text"):
        found[part.attrib["y"]] = found.get(part.attrib["y"], "") + (part.text or "")
    return ["".join(tour.level(row.replace("\xa0", " ")).split()) for row in found.values()]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        box = Box(Path(folder) / "box")
        try:
            PICTURE.write_text(draw(box))
        finally:
            box.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
