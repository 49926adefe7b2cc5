"""config set, user add, user remove: gdk.yml, with every other byte as the user wrote it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gdkreg.config import edit, public, settings
from gdkreg.config.convert import typed
from gdkreg.config.source import BadValueError, KeyPath, parse
from gdkreg.errors import ConfigError
from gdkreg.plan.actions import Step, WriteFile
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.plan.preview import Preview
from gdkreg.verbs.root import Root
from gdkreg.verbs.work import SILENT, Work

Entries = list[dict[str, Any]]
_BOM = b"\xef\xbb\xbf"


def config_set(root: Root, key: str, value: str, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Set one key in gdk.yml; nothing else is changed until reconfigure."""
    known, parts = settings.known_keys(), tuple(key.split("."))
    if key not in known and not (key.startswith("registry.config.") and all(parts)):
        raise no_such_key(key, known)
    wanted = typed(parts, value)
    masked = public.shown(key, wanted)
    told = value if masked == wanted else masked

    def change(path: Path, text: str) -> str:
        try:
            return edit.set_value(path, text, parts, wanted)
        except ConfigError as error:
            what = f"{key}: {error.what.partition(': ')[2] or error.what}"
            raise ConfigError(what, why=error.why, fix=f"write {key}: {told} into {path} by hand") from None

    outcome = _edit(root, "config set", key, parts, change, listener, dry_run=dry_run)
    outcome.data |= {"key": key, "value": masked}
    if outcome.items and not dry_run:
        outcome.next = "gdkreg reconfigure"
    return outcome


def user_add(root: Root, entry: dict[str, Any], listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Write a user of the stand-in issuer, with a bcrypt hash; the running issuer takes it at once."""
    name = entry["name"]
    before: Entries = []

    def change(given: Entries) -> Entries:
        before[:] = given
        return [*[item for item in given if item.get("name") != name], entry]

    outcome = _edit_users(root, "user add", f"user {name}", change, listener, dry_run=dry_run)
    outcome.data |= {"user": name, "replaced": any(item.get("name") == name for item in before), "first": not before}
    if not dry_run:
        outcome.next = f"gdkreg login -u {name}"
        if not before:
            outcome.notes.append(
                "! gdk.yml names users now, so the first user counts no longer: gdkreg user add developer --admin"
            )
    return outcome


def user_remove(root: Root, name: str, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Take a user out of gdk.yml."""

    def change(given: Entries) -> Entries:
        kept = [item for item in given if item.get("name") != name]
        if len(kept) == len(given):
            raise ConfigError(f"there is no user {name}", fix="gdkreg user list")
        return kept

    outcome = _edit_users(root, "user remove", f"user {name} goes", change, listener, dry_run=dry_run)
    outcome.data["user"] = name
    return outcome


def _edit_users(
    root: Root, command: str, reason: str, change: Callable[[Entries], Entries], listener: Listener, *, dry_run: bool
) -> Outcome:
    def rewrite(path: Path, text: str) -> str:
        source = parse(path, text.encode())
        given = list((source.values.get("registry") or {}).get("users") or [])
        return edit.set_list(path, text, ("registry", "users"), change(given))

    return _edit(root, command, reason, ("registry", "users"), rewrite, listener, dry_run=dry_run)


def _edit(
    root: Root,
    command: str,
    reason: str,
    key: KeyPath,
    change: Callable[[Path, str], str],
    listener: Listener,
    *,
    dry_run: bool,
) -> Outcome:
    """Rewrite gdk.yml; what comes out has to be a gdk.yml that holds."""
    path = root.path / "gdk.yml"

    def plan(preview: Preview) -> list[Step]:
        before = preview.read(path) or b""
        _holds(root, path, before)
        bom = _BOM if before.startswith(_BOM) else b""
        after = bom + change(path, before.decode("utf-8-sig")).encode()
        if after == before:
            return []
        try:
            _holds(root, path, after)
        except BadValueError as error:
            raise _of_the_command_line(command, key, error) from None
        info = root.host.info(path.resolve()) if root.host.info(path) else None
        mode = info.mode if info else 0o644
        return [Step("gdk.yml", WriteFile(path=path, content=after, reason=reason, before=before, mode=mode, release=True))]

    return Work(root, command, listener, bare=True).carry_out(plan, dry_run=dry_run)


def _holds(root: Root, path: Path, content: bytes) -> None:
    """Raises `ConfigError` for a gdk.yml of that content that does not hold."""
    settings.resolve(root.path, *settings.filled(parse(path, content), root.host))


def _of_the_command_line(command: str, key: KeyPath, wrong: BadValueError) -> ConfigError:
    """gdk.yml held before, so what is wrong was said on the command line, and stands in no line of gdk.yml."""
    return ConfigError(
        f"{'.'.join(wrong.key)}: {wrong.problem}",
        why=f"{command} was told so on the command line; gdk.yml is as it was",
        fix=wrong.command or f"give another value; gdkreg config example tells what {'.'.join(key)} takes",
    )


def no_such_key(key: str, known: list[str]) -> ConfigError:
    import difflib

    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return ConfigError(f"there is no key {key}" + (f"; did you mean {near[0]}?" if near else ""), fix="gdkreg config list")
