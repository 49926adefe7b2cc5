"""config get, set, list, example, schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gdkreg.cli.options import DryRun, Json, RootDir, Yes
from gdkreg.errors import ConfigError
from gdkreg.report import out

if TYPE_CHECKING:
    from gdkreg.host.base import Host

configs = typer.Typer(no_args_is_help=True, help="gdk.yml: read, set, document.")


def _load(root_dir: Path | None) -> Any:
    from gdkreg.config import settings
    from gdkreg.host.machine import Machine

    host = Machine()
    return settings.load(settings.find_root(Path.cwd(), host, root_dir), host)


@configs.command()
def get(key: str, root_dir: RootDir = None, json: Json = False) -> None:
    """Print the effective value of a key.

    Example: gdkreg config get registry.port
    """
    from gdkreg.config.settings import flatten

    values = dict(flatten(_load(root_dir)))
    if key not in values:
        block = {name.removeprefix(key + "."): value for name, value in values.items() if name.startswith(key + ".")}
        if not block:
            raise _no_such(key, list(values))
        out.as_json(block) if json else out.table([[name, _text(value)] for name, value in block.items()])
        return
    out.as_json(values[key]) if json else out.line(_text(values[key]))


@configs.command("list")
def list_(root_dir: RootDir = None, json: Json = False) -> None:
    """Print every key with its effective value, and where it comes from.

    Example: gdkreg config list
    """
    from gdkreg.config.settings import flatten

    settings = _load(root_dir)
    rows = [(key, value, settings.origin.get(key, "default")) for key, value in flatten(settings)]
    if json:
        out.as_json([{"key": key, "value": value, "from": origin} for key, value, origin in rows])
    else:
        out.table([[key, _text(value), out.colored(origin, "dim")] for key, value, origin in rows])


@configs.command("set")
def set_(
    key: str,
    value: Annotated[str, typer.Argument(help="The value, as YAML.")],
    root_dir: RootDir = None,
    dry_run: DryRun = False,
    _yes: Yes = False,
) -> None:
    """Set a key in gdk.yml; your comments and everything else stay. Nothing else is changed until reconfigure.

    Example: gdkreg config set registry.port 5001
    """
    from gdkreg.cli import session
    from gdkreg.config import settings
    from gdkreg.host.machine import Machine

    host = Machine()
    root = settings.find_root(Path.cwd(), host, root_dir)
    with session.locked(root, host):
        _set(root, host, key, value, dry_run=dry_run)


def _set(root: Path, host: Host, key: str, value: str, *, dry_run: bool) -> None:
    import yaml

    from gdkreg.config import edit, settings
    from gdkreg.config.source import parse
    from gdkreg.plan import diff

    path = root / "gdk.yml"
    before = host.read(path) or b""
    parse(path, before)
    try:
        wanted = yaml.safe_load(value)
    except yaml.YAMLError:
        wanted = value
    wanted = "" if wanted is None and value == "" else wanted
    known = settings.known_keys()
    if key not in known and not key.startswith("registry.config"):
        raise _no_such(key, known)
    bom = "\ufeff" if before.startswith(b"\xef\xbb\xbf") else ""
    try:
        text = edit.set_value(path, before.decode("utf-8-sig"), tuple(key.split(".")), wanted)
    except ConfigError as error:
        raise ConfigError(
            f"{key}: {error.what.partition(': ')[2] or error.what}",
            why=error.why,
            fix=f"write {key}: {value} into {path} by hand",
        ) from None
    after = (bom + text).encode()
    settings.resolve(root, *settings.filled(parse(path, after), host))
    if before == after:
        out.line(f"{key} is {_text(wanted)} already")
        return
    if dry_run:
        out.diff(diff.unified(str(path), before, after))
        return
    info = host.info(path.resolve())
    host.write(path, after, mode=info.mode if info else 0o644)
    out.line(f"{key}: {_text(wanted)}. Next: gdkreg reconfigure")


@configs.command()
def example() -> None:
    """Print gdk.example.yml: every key, documented.

    Example: gdkreg config example > gdk.yml
    """
    from gdkreg.config import example

    out.line(example.example().rstrip("\n"))


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


def _no_such(key: str, known: list[str]) -> ConfigError:
    import difflib

    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return ConfigError(f"there is no key {key}" + (f"; did you mean {near[0]}?" if near else ""), fix="gdkreg config list")


def register(app: typer.Typer) -> None:
    app.add_typer(configs, name="config")
