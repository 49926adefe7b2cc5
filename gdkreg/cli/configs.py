"""config get, set, list, example, schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gdkreg.cli.options import DryRun, Json, Key, RootDir, Yes
from gdkreg.report import out

configs = typer.Typer(no_args_is_help=True, help="gdk.yml: read, set, document.")


def _load(root_dir: Path | None) -> Any:
    from gdkreg.config import settings
    from gdkreg.host.machine import Machine

    host = Machine()
    return settings.load(settings.find_root(Path.cwd(), host, root_dir), host)


def _told(settings: Any, command: str, **data: Any) -> None:
    out.as_json({"command": command, "root": str(settings.root), **data})


@configs.command()
def get(key: Key, root_dir: RootDir = None, json: Json = False) -> None:
    """Print the effective value of a key; of a whole block, and in config list, secrets are masked.

    Example: gdkreg config get registry.port
    """
    from gdkreg.config.public import shown
    from gdkreg.config.settings import known_keys, lookup

    settings = _load(root_dir)
    try:
        value = lookup(settings, key)
    except KeyError:
        from gdkreg.verbs.editing import no_such_key

        raise no_such_key(key, known_keys()) from None
    if isinstance(value, dict):
        value = {name: shown(f"{key}.{name}", below) for name, below in value.items()}
    if json:
        _told(settings, "config get", key=key, value=value)
    elif isinstance(value, dict) and not key.startswith("registry.config"):
        out.table([[name, _text(below)] for name, below in value.items()])
    else:
        out.raw(_text(value))


@configs.command("list")
def list_(root_dir: RootDir = None, json: Json = False) -> None:
    """Print every key with its effective value, and where it comes from.

    Example: gdkreg config list
    """
    from gdkreg.config.public import shown
    from gdkreg.config.settings import flatten

    settings = _load(root_dir)
    rows = [(key, shown(key, value), settings.origin.get(key, "default")) for key, value in flatten(settings)]
    if json:
        keys = [{"key": key, "value": value, "from": origin} for key, value, origin in rows]
        _told(settings, "config list", keys=keys)
    else:
        out.table([[key, _text(value), out.colored(origin, "dim")] for key, value, origin in rows])


@configs.command("set")
def set_(
    key: Key,
    value: Annotated[str, typer.Argument(help="The value, as YAML.")],
    root_dir: RootDir = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Set a key in gdk.yml; your comments and everything else stay. Nothing else is changed until reconfigure.

    Example: gdkreg config set registry.port 5001
    """
    from gdkreg.cli import session
    from gdkreg.verbs import editing

    outcome = editing.config_set(session.open_root(root_dir), key, value, session.Terminal(yes=yes, quiet=True), dry_run=dry_run)
    text = _text(outcome.data["value"])
    session.told(outcome, json=json, nothing=f"{key} is {text} already", done=f"{key}: {text}")


@configs.command()
def example() -> None:
    """Print gdk.example.yml: every key, documented.

    Example: gdkreg config example > gdk.yml
    """
    from gdkreg.config import example

    out.raw(example.example().rstrip("\n"))  # the same file wherever gdkreg is


@configs.command()
def schema() -> None:
    """Print the JSON Schema of gdk.yml, for editors.

    Example: gdkreg config schema > gdk.schema.json
    """
    from gdkreg.config import example

    out.as_json(example.json_schema())


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        import msgspec

        return msgspec.json.encode(value).decode()
    return str(value)


def register(app: typer.Typer) -> None:
    app.add_typer(configs, name="config")
