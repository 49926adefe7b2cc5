"""docs/commands.md: what stands above the mark is written by hand, what is below it is made of the options' own help.

`python -m tests.pages` writes it anew; `tests/unit/test_docs.py` compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from gdkreg.cli.app import build

PAGE = Path(__file__).resolve().parents[1] / "docs/commands.md"
MARK = "<!-- From here on written by make pages. -->\n"
SHARED = ("root_dir", "json", "dry_run", "yes")  # described once, above


def commands(group: Any = None, name: str = "gdkreg") -> Iterator[tuple[str, Any]]:
    """Each command that `--help` shows, with its whole name."""
    group = group or typer.main.get_command(build())
    for word, command in group.commands.items():
        if command.hidden:
            continue
        if getattr(command, "invoke_without_command", True):
            yield f"{name} {word}", command
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {word}")


def panels() -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """The same under the headings of `--help`."""
    below: dict[str, list[tuple[str, Any]]] = {}
    group: Any = typer.main.get_command(build())
    heading = {word: command.rich_help_panel for word, command in group.commands.items()}
    for name, command in commands():
        below.setdefault(heading[name.split()[1]], []).append((name, command))
    yield from below.items()


def options(command: Any) -> list[Any]:
    """What `--help` shows of a command, its arguments too."""
    return [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]


def page() -> str:
    head = PAGE.read_text().partition(MARK)[0]
    below = (f"\n## {panel}\n" + "".join(_section(*named) for named in found) for panel, found in panels())
    return head + MARK + "".join(below)


def _section(name: str, command: Any) -> str:
    words, _, example = (command.help or "").partition("Example: ")
    shown = options(command)
    own = [f"- {_names(parameter)}: {_help(parameter)}".removesuffix(": ") for parameter in shown if parameter.name not in SHARED]
    shared = [_names(parameter) for parameter in shown if parameter.name in SHARED]
    usage = f"```shell\n{example.strip()}\n```" if example else ""
    parts = [f"### {name}", " ".join(words.split()), usage, "\n".join(own), f"Also takes {', '.join(shared)}." if shared else ""]
    return "\n" + "\n\n".join(part for part in parts if part) + "\n"


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.strip('_').upper()}`" + ("" if parameter.required else " (optional)")
    return ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])


def _help(parameter: Any) -> str:
    text = " ".join((getattr(parameter, "help", None) or "").split())
    choices = getattr(parameter.type, "choices", None)
    if choices:
        text += f" One of {', '.join(f'`{choice}`' for choice in choices)}."
    if isinstance(parameter.default, (str, int)) and not isinstance(parameter.default, bool):
        text += f" Default: `{parameter.default}`."
    return text.strip()


def main() -> int:
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
