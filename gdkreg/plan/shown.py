"""What a diff shows of a file: its values with the secret ones masked, written anew from what was parsed.

Only what was parsed and is public can be shown then: no comment, no odd spelling, no broken file brings out what it holds.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from gdkreg.masking import public
from gdkreg.masking.structure import CHANGED, Rule, masked, paths
from gdkreg.masking.text import MASK, prose

EXPORTED = ("# Written by gdkreg ci ", "# Written by gdkreg export ")  # how a file begins that a user asked for
# The scripts of `gdk on`, which GDK's supervisor runs: who agrees to them has to see them.
_SCRIPTS = ("# Written by gdkreg (gdk on)", "#!/bin/sh\n# Written by gdkreg (gdk on)")
_OURS = (*EXPORTED, *_SCRIPTS)
_PORTS = {"auto_devops_gitlab_port", "auto_devops_registry_port"}
_NAMED = re.compile(r"([^:=#]*[:=]\s*)(.+)")
_BEGUN = re.compile(r"(\s*(?:#|-|[\w.$'\"\[\]-]+:?)?)(.*)")
_SECRET = re.compile(r"(?i)token|secret|passw|credential|cookie|jwt|_?key\b")


class Sides(msgspec.Struct, frozen=True):
    """The two versions of a file to be compared, as text. `whole`: they are the file's own bytes, else what is shown of them."""

    before: str | None
    after: str | None
    whole: bool


class HiddenError(Exception):
    """Nothing of this file can be shown, and why."""


def sides(path: Path, before: bytes | None, after: bytes | None) -> Sides:
    """Raises `HiddenError`."""
    try:
        old, new = (None if side is None else side.decode("utf-8") for side in (before, after))
    except UnicodeDecodeError:
        raise HiddenError("it is not UTF-8") from None
    if path == Path("/etc/hosts"):
        return Sides(old, new, True)
    if path.suffix in {".crt", ".pem"}:
        return Sides(_certificates(old), _certificates(new, old), True)
    if path.name in _PORTS and all(side is None or side.strip().isdecimal() for side in (old, new)):
        return Sides(old, new, True)
    if any((side or "").startswith(_OURS) for side in (old, new)):
        return Sides(_exported(old, new), _exported(new, old), True)
    kind, parse, dump, rule = _format(path)
    try:
        values = [parse(side) if side else None for side in (old, new)]
        shown = [masked(values[0], rule), masked(values[1], rule) if old is None else masked(values[1], rule, values[0])]
        before_text, after_text = (dump(value) if side else side for side, value in zip((old, new), shown, strict=True))
    except (ValueError, TypeError, RecursionError, AttributeError):
        raise HiddenError(f"it is not valid {kind}") from None
    return Sides(before_text, after_text, False)


def _certificates(text: str | None, was: str | None = None) -> str | None:
    """Certificates, the line that stands for one before it is made, and for every other line a mask."""
    if text is None:
        return None
    known = None if was is None else was.splitlines()
    parts = re.split(r"(-----BEGIN CERTIFICATE-----[\w+/=\s]*-----END CERTIFICATE-----|\(a self-signed [^()\n]*\))", text)

    def mask(line: re.Match[str]) -> str:
        return MASK if known is None or line[0] in known else CHANGED

    return "".join(part if place % 2 else re.sub(r"[^\n]+", mask, part) for place, part in enumerate(parts))


def _exported(text: str | None, other: str | None) -> str | None:
    """A file of such an export as it is, without a secret that somebody wrote into it since. Of what stands in its place the
    lines that both have; of the others how they begin."""
    if text is None:
        return None
    ours, known = text.startswith(_OURS), set((other or "").splitlines())
    shown = prose(text) if ours else text
    return "".join(_line(line, ours=ours, known=known) for line in shown.splitlines(keepends=True))


def _line(line: str, *, ours: bool, known: set[str]) -> str:
    bare = line.rstrip("\r\n")
    if bare in known:
        return line
    if ours:
        named = _NAMED.match(bare)
        is_secret = named is not None and _SECRET.search(named[1]) and not named[2].lstrip("\"'").startswith(("$", "/"))
        return line.replace(bare, f"{named[1]}{MASK}", 1) if named is not None and is_secret else line
    begun = _BEGUN.match(bare)
    return line.replace(bare, f"{begun[1]} {MASK}", 1) if begun is not None and begun[2].strip() else line


def _format(path: Path) -> tuple[str, Callable[[str], Any], Callable[[Any], str], Rule]:
    """What a file is by its name; a runner's may have any."""
    if path.name == "gdk.yml":
        from gdkreg.config.public import rule

        return "YAML", _yaml, lambda value: _yaml_text(value, indented=True), rule()
    if path.suffix in {".yml", ".yaml"}:
        return "YAML", _yaml, _yaml_text, paths(public.DISTRIBUTION)
    if path.suffix == ".json":
        return (
            "JSON",
            json.loads,
            lambda value: json.dumps(value, indent=2, ensure_ascii=False),
            paths(f"{public.JWKS} {public.DAEMON}"),
        )
    if path.suffix == ".service":
        return "unit file", _unit, _yaml_text, paths(public.UNIT)
    if path.suffix == ".plist":
        return "plist", _plist, _yaml_text, paths(public.UNIT)
    return "TOML", _toml, _toml_text, paths(public.RUNNER)


def _yaml(text: str) -> Any:
    """A tag that only Ruby knows stands for a value that nobody sees."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    Loader.add_multi_constructor("", lambda _, suffix, node: {"!": f"{suffix} {node.value}"})
    try:
        return yaml.load(text, Loader=Loader)
    except yaml.YAMLError:
        raise ValueError from None


def _yaml_text(value: Any, *, indented: bool = False) -> str:
    """`indented`: lists as config/edit.py writes them, below their key."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, indentless and not indented)

    text = str(yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1000))
    return text.replace(f"'{CHANGED}'", CHANGED).replace(f"'{MASK}'", MASK)


def _toml(text: str) -> Any:
    if sys.version_info >= (3, 11):  # five times as fast, for a file of hundreds of runners
        import tomllib

        return tomllib.loads(text.replace("\r\n", "\n"))
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(text.replace("\r\n", "\n")).unwrap()
    except TOMLKitError:
        raise ValueError from None


def _toml_text(value: Any) -> str:
    import tomlkit

    return str(tomlkit.dumps(value))


def _unit(text: str) -> dict[str, dict[str, list[str]]]:
    """systemd.syntax(7): a key may stand there more than once."""
    found: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] | None = None
    for line in text.replace("\\\n", " ").splitlines():
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            section = found.setdefault(line[1:-1], {})
        elif line and line[0] not in "#;":
            key, equals, value = line.partition("=")
            if section is None or not equals:
                raise ValueError
            section.setdefault(key.strip(), []).append(value.strip())
    return found


def _plist(text: str) -> Any:
    import plistlib
    from xml.parsers.expat import ExpatError

    try:
        return plistlib.loads(text.encode())
    except ExpatError:
        raise ValueError from None
