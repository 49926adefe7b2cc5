"""The GDK around: its own registry, its Procfile and hooks, and what it told GitLab of this registry."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import yaml

from gdkreg.errors import GdkregError
from gdkreg.host import runit
from gdkreg.resources.gdk_service import is_driven, is_gdk, place
from gdkreg.verbs import rails
from gdkreg.verbs.checks.seen import Finding, Seen, text_of

_HOOKS = [("start_hooks", "before"), ("start_hooks", "after"), ("stop_hooks", "before"), ("stop_hooks", "after")]
_HOOKS += [("update_hooks", "before"), ("update_hooks", "after")]
_BOTH = "both would serve one port and one storage"


def own_registry(seen: Seen) -> list[Finding]:
    """GDK's own, as a container or under its supervisor."""
    found = seen.problems("gdk", "gdk start does not drive this registry")
    if seen.services is not None and seen.engine.answers and seen.engine.local:
        try:
            name, other = seen.services.rival()
        except GdkregError:
            name, other = "", ""
        if name and not other:
            return [*found, Finding("error", f"GDK's own registry runs, container {name}", _BOTH, "gdk stop registry")]
    looked = runit.look(place(seen.root.path))
    if looked is not None and looked.state == "run" and not is_driven(seen.root.path, seen.host):
        return [
            *found,
            Finding("error", f"GDK's own registry runs (pid {looked.pid})", _BOTH, "gdk stop registry; gdkreg gdk on"),
        ]
    if "gdk" in seen.notes and not found and is_driven(seen.root.path, seen.host):
        found.append(Finding("ok", "gdk start drives this registry"))
    return found


def procfile(seen: Seen) -> list[Finding]:
    path = seen.root.path / "Procfile"
    if not is_gdk(seen.root.path, seen.host) or seen.host.info(path) is None:
        return []
    try:
        rows = (seen.host.read(path) or b"").decode().splitlines()
    except GdkregError as error:
        return [Finding("error", error.what, "gdk starts nothing without it", "gdk reconfigure")]
    except UnicodeDecodeError:
        return [Finding("error", f"{path} is not UTF-8", "gdk starts nothing without it", "gdk reconfigure")]
    for number, row in enumerate(rows, 1):
        if row.strip() and not row.lstrip().startswith("#") and not re.match(r"[\w-]+ *: *\S", row):
            text = f"{path}:{number} is no line of the form NAME: COMMAND"
            return [Finding("warning", text, "gdk start has no such service", "gdk reconfigure")]
    return []


def hooks(seen: Seen) -> list[Finding]:
    """A list of hooks that is none, or whose program is gone, stops every gdk start."""
    path = seen.root.path / "gdk.yml"
    if not is_gdk(seen.root.path, seen.host):
        return []
    try:
        text = text_of(seen.host, path) or ""
        block = (yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}).get("gdk")
    except (GdkregError, yaml.YAMLError, AttributeError, ValueError, RecursionError):
        return []  # every command says so, with the line
    if block is None:
        return []
    if not isinstance(block, dict):
        return [Finding("error", f"{path}:{_line(text, 'gdk')}: gdk: expected keys and values", _STOPS, f"edit {path}")]
    return [item for group, name in _HOOKS for item in _hook(seen, text, block.get(group), group, name)]


_STOPS = "every gdk command stops there"


def _hook(seen: Seen, text: str, group: Any, block: str, name: str) -> list[Finding]:
    path = seen.root.path / "gdk.yml"
    listed = group.get(name) if isinstance(group, dict) else group
    key, line = f"gdk.{block}.{name}" if isinstance(group, dict) else f"gdk.{block}", _line(text, block)
    if listed is None or (not isinstance(group, dict) and name == "after"):
        return []
    edit = f"edit {path}, line {line}"
    if not isinstance(group, dict):
        return [Finding("error", f"{path}:{line}: {key}: expected before: and after:", _STOPS, edit)]
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        return [Finding("error", f"{path}:{line}: {key}: expected a list of commands", _STOPS, edit)]
    gone = [program for item in listed if (program := _program(seen, item)) is not None and seen.host.info(program) is None]
    why = "a hook that fails stops every gdk start" if block == "start_hooks" else "a hook that fails stops gdk"
    return [Finding("error", f"{path}:{line}: {key}: there is no {gone[0]}", why, edit)] if gone else []


def _program(seen: Seen, command: str) -> Path | None:
    """The file that a hook runs, where it says so by a path; anything else is the shell's to find."""
    try:
        first = (shlex.split(command) or [""])[0]
    except ValueError:
        return None
    plain = "/" in first and not re.search(r"[$~*?`(;&|<>]", first)
    return seen.root.path / first if plain else None


def _line(text: str, key: str) -> int:
    found = re.search(rf"^\s*{key} *:", text, re.MULTILINE)
    return text.count("\n", 0, found.end()) + 1 if found else 1


def api_url(seen: Seen) -> list[Finding]:
    wrong = rails.find(seen.root)
    if wrong is None:
        return []
    return [Finding(wrong.note.level, wrong.note.text, "GitLab then shows no image, and deletes none", wrong.note.fix)]
