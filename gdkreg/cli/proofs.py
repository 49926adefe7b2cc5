"""verify, explain, trace."""

from __future__ import annotations

import contextlib
import gc
import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from gdkreg.cli import session
from gdkreg.cli.options import Json, RootDir
from gdkreg.errors import FAILED
from gdkreg.report import out

ClientName = Literal["http", "docker", "podman", "skopeo", "buildx", "dind", "all"]


def verify(
    root_dir: RootDir = None,
    client: Annotated[ClientName, typer.Option("--client", help="Which client to go the way with.")] = "http",
    json: Json = False,
) -> None:
    """Prove it: every hop from the client to the registry, then a real push, pull and delete.

    Example: gdkreg verify --client docker
    """
    from gdkreg.verbs import proving

    root = session.open_root(root_dir)
    results = proving.verify(root, client, session.Terminal(quiet=json), out.passing)
    if json:
        out.as_json({"command": "verify", "root": str(root.path), **results})
    # A client that is not here is no fault, unless it was the one that was asked for.
    bad = {"broken"} if client == "all" else {"broken", "absent"}
    if any(hop.verdict in bad for hops in results.values() for hop in hops):
        raise typer.Exit(FAILED)


def explain(
    text: Annotated[str | None, typer.Argument(help="The error, or nothing to read it from stdin.", show_default=False)] = None,
    root_dir: RootDir = None,
    json: Json = False,
) -> None:
    """Say what a pasted error means here, and the command that cures it.

    Example: gdkreg explain 'x509: certificate signed by unknown authority'
    """
    from gdkreg.explain import explain as find

    root = session.open_root(root_dir)
    said = text if text is not None and text != "-" else sys.stdin.read()
    found = find(said, root.applied or root.settings, root.host)
    if json:
        told = msgspec.structs.asdict(found) if found else {}
        out.as_json({"command": "explain", "root": str(root.path), "known": found is not None, **told})
    elif found is not None:
        out.table([["error", found.name], ["cause", found.cause], ["now", found.state], ["do", found.remedy]])
    else:
        out.line("This error is not known here. What the chain says: gdkreg verify --client docker")
    if found is None:
        raise typer.Exit(FAILED)


def trace(
    command: Annotated[
        list[str] | None, typer.Argument(help="-- COMMAND…; without it, until Ctrl-C.", show_default=False)
    ] = None,
    root_dir: RootDir = None,
    har: Annotated[Path | None, typer.Option("--har", help="Also write a HAR file.", show_default=False)] = None,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Do not mask passwords and tokens.")] = False,
) -> None:
    """Show the dialog between a client and the registry, each request as a line, and what the tokens mean.

    Example: gdkreg trace -- docker push registry.test:5000/group/hello:1
    """
    from gdkreg.host import commands
    from gdkreg.proof.recording import Recording
    from gdkreg.proof.trace import Tracer

    root = session.open_root(root_dir)
    applied = root.set_up()
    gc.enable()
    code = 0
    base = f"{applied.scheme}://{applied.authority}"
    with contextlib.ExitStack() as stack:
        recording = stack.enter_context(Recording(har.absolute(), base, show_secrets=show_secrets)) if har else None
        record = recording.add if recording else None
        program = Path(command[0]).name if command else ""
        tracer = Tracer(applied, root.identity.id, root.host, out.line, show_secrets=show_secrets, record=record, program=program)
        with tracer:
            out.note(f"tracing {applied.authority}" + ("" if command else "; Ctrl-C ends it"))
            try:
                code = commands.run_attached(command) if command else tracer.wait()
            except KeyboardInterrupt:
                out.note("")
        if recording is not None:  # now that the last exchange is told
            recording.finish()
            out.note(f"wrote {har}")
    if code:
        raise typer.Exit(code)


def register(app: typer.Typer) -> None:
    for command in (verify, trace, explain):
        app.command()(command)
