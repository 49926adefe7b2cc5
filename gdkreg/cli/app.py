"""The Typer application, and the boundary where errors become sentences and exit codes."""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from gdkreg.cli.options import RootDir
from gdkreg.errors import FAILED, GdkregError


class Boundary(TyperGroup):
    """The one place that catches `GdkregError` and Ctrl-C."""

    def invoke(self, ctx: Any) -> Any:
        json = "--json" in [*ctx.args, *getattr(ctx, "_protected_args", ())]
        try:
            return super().invoke(ctx)
        except GdkregError as problem:
            told(problem, json=json)
            raise typer.Exit(problem.exit_code) from None
        except (KeyboardInterrupt, typer.Abort):  # Ctrl-C, at a question too
            from gdkreg.cli.session import interrupted

            interrupted()
            raise typer.Exit(130) from None
        except typer.Exit:
            raise
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except Exception as bug:
            from gdkreg.report import out

            if out.is_of_stdout(bug):
                raise
            usage = getattr(bug, "exit_code", None)
            if usage is not None and json:
                told(GdkregError(str(getattr(bug, "message", bug)), fix="gdkreg --help"), json=True)
                raise typer.Exit(usage) from None
            if usage is not None or os.environ.get("GDKREG_TRACEBACK"):
                raise  # Typer's own usage errors; and a developer who wants to see
            fix = "please report it; GDKREG_TRACEBACK=1 shows where it happened"
            told(GdkregError("this is a bug in gdkreg", why=f"{type(bug).__name__}: {bug}", fix=fix), json=json)
            raise typer.Exit(FAILED) from None


def told(problem: GdkregError, *, json: bool) -> None:
    """An error for a person on stderr; with --json for a program on stdout, with what was done by then."""
    from gdkreg.report import out

    out.passing("")
    if json:
        done = problem.outcome.as_data() if problem.outcome is not None else {}
        out.as_json({**done, "error": problem.as_data()})
    else:
        out.error(problem)


# Which module of this package defines which commands, and under which heading --help shows them.
_MODULES = {
    "machine": ("This machine", ("reconfigure", "plan", "up", "down", "undo")),
    "standing": ("This machine", ("status", "doctor")),
    "services": ("The registry and its issuer", ("start", "stop", "restart", "tail")),
    "gdk": ("In the GDK", ("gdk", "run")),
    "trusts": ("Clients and runners", ("trust-docker-registry", "trust", "runner-patch", "env")),
    "insecure": ("Clients and runners", ("insecure",)),
    "images": ("What is in it", ("catalog", "tags", "inspect", "manifest", "layers", "blob")),
    "copies": ("What is in it", ("copy",)),
    "removals": ("What is in it", ("rm", "cleanup")),
    "storage": ("The room it takes", ("usage", "gc", "readonly")),
    "logins": ("Clients and runners", ("login", "logout")),
    "exports": ("GitLab and others", ("ci", "export")),
    "proofs": ("When something fails", ("verify", "trace", "explain")),
    "tokens": ("Users and tokens", ("token",)),
    "users": ("Users and tokens", ("user",)),
    "configs": ("Configuration", ("config",)),
    "certs": ("Configuration", ("cert",)),
}


def build(command: str | None = None) -> typer.Typer:
    """The application. Typer makes every command's parser at start, so for a known command only its module is taken."""
    app = typer.Typer(
        name="gdkreg",
        cls=Boundary,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="A trusted container registry on this machine, from the registry: block of a gdk.yml.",
        epilog="Exit codes: 0 done, 1 failed, 2 the configuration or command line is wrong, 3 there are changes, 4 needs root.",
    )
    app.callback()(_main)
    only = next((name for name, (_, commands) in _MODULES.items() if command in commands), None)
    for name in [only] if only else _MODULES:
        commands, groups = len(app.registered_commands), len(app.registered_groups)
        importlib.import_module(f"gdkreg.cli.{name}").register(app)
        for command_info in app.registered_commands[commands:]:
            command_info.rich_help_panel = _MODULES[name][0]
        for group_info in app.registered_groups[groups:]:
            group_info.rich_help_panel = _MODULES[name][0]
    return app


def _print_version(value: bool) -> None:
    if value:
        from gdkreg import __version__

        typer.echo(f"gdkreg {__version__}")
        raise typer.Exit()


def _main(
    _version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    root_dir: RootDir = None,
) -> None:
    if root_dir is not None:
        os.environ["GDKREG_ROOT"] = str(root_dir.absolute())  # a --root of the command itself goes before it


def _command(words: list[str]) -> str | None:
    """The first word that is a command; what stands before it is for all of them."""
    before = words[:2] if words[:1] == ["--root"] else words[:1] if words[:1] and words[0].startswith("--root=") else []
    return next(iter(words[len(before) :]), None)


def main() -> None:
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no ✓ shows a ?
    for ending in (signal.SIGTERM, signal.SIGHUP):  # whoever ends us: what is half done is put right first, as for Ctrl-C
        if signal.getsignal(ending) is signal.SIG_DFL:
            signal.signal(ending, signal.default_int_handler)
    completing = "_GDKREG_COMPLETE" in os.environ
    from gdkreg.report import out

    code: Any = 0
    try:
        if completing:
            from gdkreg.cli import completion

            completion.carry_out(build())
        else:
            build(_command(sys.argv[1:]))()
    except SystemExit as end:
        code = end.code
    except OSError as error:
        if not out.is_of_stdout(error):
            raise
        out.lose(error)
    sys.exit(FAILED if out.lost and not code else code)


def _open_streams() -> None:
    """Who closes a standard stream gives its number to the next file that is opened: it gets the null device instead.

    What is written to a closed stdout fails there, as it would have.
    """
    for number, name, how in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)
            os.dup2(opened, number)
            setattr(sys, name, os.fdopen(number, how, encoding="utf-8", closefd=False))
