"""docs/tour.md: its commands are run in a box, and what they print is what stands there.

`python -m tests.e2e.tour` writes the output anew; `test_tour.py` compares, with numbers that differ
from run to run (times, dates, pids, digests) taken as equal.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from tests.e2e.box import IMAGE, REPO, Box

PAGE = REPO / "docs/tour.md"
_BLOCK = re.compile(r"```console\n(.*?)```\n", re.DOTALL)
_WAVES = [
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "MOMENT"),
    (re.compile(r"\d{8}T\d{6}"), "RUN"),
    (re.compile(r"[\d.]+ (?:B|kB|MB|GB|TB)\b"), "SIZE"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "HEX"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "DATE"),
    (re.compile(r"sha256:[0-9a-f]{64}"), "sha256:HEX"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "HEX"),
    (re.compile(r"pid \d+"), "pid N"),
    (re.compile(r"\d\d/\w{3}/\d{4}:[\d:]+"), "MOMENT"),
    (re.compile(r"\d+\.\d\d s"), "N s"),
    (re.compile(r"\d+ ms"), "N ms"),
    (re.compile(r"Up [^)]*"), "Up"),
    (re.compile(r"gdkreg-registry-[0-9a-f]{8}"), "gdkreg-registry-HEX"),
    (re.compile(r"token = .*"), "token"),
    (re.compile(r"size: \d+"), "size: N"),
    (re.compile(r"\d+\.\d+\.\d+\+(?:dfsg|ds)\d+"), "VERSION"),
    (re.compile(r"password [\w-]+"), "password WORD"),
    (re.compile(r"gdkreg-verify:[0-9a-f]{12}"), "gdkreg-verify:HEX"),
    (re.compile(r"sha256:[0-9a-f]{12}\b"), "sha256:HEX"),
    (re.compile(r"\d+[↑↓]"), "N"),
    (re.compile(r"^(iat|nbf|exp|jti|time left) .*"), r"\1 IT"),
    (re.compile(r"kid=[A-Z0-9:]+"), "kid=KEY"),
    (re.compile(r"for \d+ s\b"), "for N s"),
    (re.compile(r" +"), " "),
]


def prepare(box: Box) -> None:
    """What a reader of the tour has: an engine with an image of the registry, and an image to push."""
    box.import_registry()
    box.run("docker", "tag", IMAGE, "registry:2")
    box.import_small("hello:1")
    runner = box.home / ".gitlab-runner"
    runner.mkdir()
    one = '[[runners]]\n  name = "docker"\n  executor = "docker"\n  [runners.docker]\n    volumes = ["/cache"]\n'
    (runner / "config.toml").write_text(one + '\n[[runners]]\n  name = "shell"\n  executor = "shell"\n')


def commands(text: str) -> list[str]:
    return [line[2:] for block in _BLOCK.findall(text) for line in block.splitlines() if line.startswith("$ ")]


def play(box: Box, command: str) -> str:
    """One command's output with a reader's paths, waiting out the engine's memory of /etc/hosts."""
    result = box.run("sh", "-c", command)
    for _ in range(20):
        if "lookup " not in result.err:
            break
        box.run("sleep", "0.4")
        result = box.run("sh", "-c", command)
    return as_yours(result.out + result.err, box).rstrip("\n")


def as_yours(text: str, box: Box) -> str:
    """With a reader's paths."""
    return text.replace(str(box.root), "/home/you/gdk").replace(str(box.home), "/home/you")


def level(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, word in _WAVES:
        text = pattern.sub(word, text)
    return text.strip()


def render(text: str, box: Box) -> str:
    """The page with every console block's output written anew."""

    def block(found: re.Match[str]) -> str:
        out = ""
        for line in found[1].splitlines():
            if line.startswith("$ "):
                said = play(box, line[2:])
                out += f"{line}\n{said}\n" if said else f"{line}\n"
        return f"```console\n{out}```\n"

    return _BLOCK.sub(block, text)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        box = Box(Path(folder) / "box")
        try:
            prepare(box)
            PAGE.write_text(render(PAGE.read_text(), box))
        finally:
            box.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
