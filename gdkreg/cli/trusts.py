"""trust-docker-registry, runner-patch, env."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gdkreg.cli import session
from gdkreg.cli.options import DryRun, Json, KeepEdits, RootDir, Yes
from gdkreg.errors import FAILED, ConfigError
from gdkreg.options import Options
from gdkreg.report import out

if TYPE_CHECKING:
    from gdkreg.clients.table import Client
    from gdkreg.verbs.root import Root

ClientName = Literal[
    "docker",
    "podman",
    "buildah",
    "skopeo",
    "containerd",
    "nerdctl",
    "buildx",
    "crane",
    "regctl",
    "oras",
    "oras-py",
    "helm",
    "dxf",
    "npm",
    "curl",
    "requests",
]
Remove = Annotated[bool, typer.Option("--remove", help="Take it back.")]
Clients = Annotated[
    str,
    typer.Option(
        "--client",
        help="docker, podman, buildx, containerd, kind, minikube, runner, system, or all that are here but system.",
        show_default=False,
        metavar="NAME,...",
    ),
]


def trust_docker_registry(
    root_dir: RootDir = None,
    client: Clients = "",
    remove: Remove = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    keep_edits: KeepEdits = False,
    json: Json = False,
) -> None:
    """Have the container engine and the runner trust registry_host.crt.

    Example: gdkreg trust-docker-registry --client containerd,kind
    """
    from gdkreg.verbs import trusting

    root = session.open_root(root_dir, Options(keep_edits=keep_edits))
    clients = trusting.named(client, root, remove=remove) if client else ()
    listener = session.Terminal(yes=yes, quiet=json)
    outcome = trusting.trust(root, listener, clients=clients, remove=remove, dry_run=dry_run)
    session.told(outcome, json=json)


def trust(root_dir: RootDir = None, json: Json = False) -> None:
    """Show who on this machine trusts registry_host.crt: which file each reads, and whether a restart is due.

    Example: gdkreg trust
    """
    from gdkreg.report import trust as shown
    from gdkreg.verbs import trusted

    found = trusted.look(session.open_root(root_dir))
    if json:
        out.as_json(trusted.as_data(found))
    else:
        shown.show(found)


def runner_patch(
    file: Annotated[
        Path | None, typer.Argument(help="The runner's config.toml (else the usual places).", show_default=False, readable=False)
    ] = None,
    root_dir: RootDir = None,
    remove: Remove = False,
    pull_policy: Annotated[
        Literal["if-not-present", "always", "never"] | None,
        typer.Option(
            "--pull-policy", help="Also set the pull policy; if-not-present spares a push per change.", show_default=False
        ),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only tell, in one line: exit 0 if it is patched, else 1.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Give every Docker runner in config.toml the trusted certificates and the GDK's host names.

    Example: gdkreg runner-patch ~/.gitlab-runner/config.toml --dry-run
    """
    from gdkreg.verbs import runners

    root = session.open_root(root_dir)
    path = _one_of(runners.runner_files(root, file, remove=remove))
    if check:
        _check_runner(root, path, remove=remove, pull_policy=pull_policy or "", json=json)
        return
    listener = session.Terminal(yes=yes, quiet=json)
    outcome = runners.runner_patch(root, path, listener, remove=remove, pull_policy=pull_policy or "", dry_run=dry_run)
    for item in outcome.data["runners"] if not (dry_run or json) else []:
        out.line(f"  {item.name} ({item.executor}): {'patched' if item.patched else 'skipped, it runs no containers'}")
    nothing = f"{path} holds nothing of ours" if remove else f"{path} needs no change"
    done = f"{path} is as it was" if remove else f"{path} is patched; the runner reads it anew within 3 seconds"
    session.told(outcome, json=json, nothing=nothing, done=done)


def _check_runner(root: Root, path: Path, *, remove: bool, pull_policy: str, json: bool) -> None:
    from gdkreg.verbs import runners

    if remove:
        raise ConfigError("--check and --remove do not go together", fix="gdkreg runner-patch --check")
    found = runners.check(root, path, pull_policy)
    if json:
        out.as_json({"command": "runner-patch", "root": str(root.path), **runners.as_data(found)})
    else:
        out.line(found.why)
    if not found.patched:
        raise typer.Exit(FAILED)


def env(
    client: Annotated[
        ClientName | None, typer.Argument(help="Whose environment (else docker-machine's: to it or away).", show_default=False)
    ] = None,
    root_dir: RootDir = None,
    json: Json = False,
) -> None:
    """Print the line after which a client that reads no certs.d trusts registry_host.crt; without a client, the lines that switch
    from docker-machine to the local engine, or back.

    Example: gdkreg env crane, as in: eval "$(gdkreg env crane)"
    """
    if client is None:
        _switch(root_dir, json=json)
        return
    from gdkreg.clients import table

    root = session.open_root(root_dir)
    settings, row = root.set_up(), table.BY_NAME[client]
    line = table.export(row, settings) if settings.registry.self_signed else ""
    if json:
        value = str(root.path / "registry_host.crt") if line else ""
        out.as_json(
            {"command": "env", "root": str(root.path), "client": client, "variables": {row.variable: value} if line else {}}
        )
    else:
        out.line(line or f"# {client} needs no variable: {_instead(row, root)}")


def _switch(root_dir: Path | None, *, json: bool) -> None:
    from gdkreg.host.machine import Machine
    from gdkreg.verbs import switching_engine

    found = switching_engine.find(Machine())
    if json:
        data = switching_engine.as_data(found)
        out.as_json({"command": "env", "root": session.own_path(root_dir), "client": "", "variables": {}, **data})
        return
    for line in found.lines:
        out.line(line)


def _instead(row: Client, root: Root) -> str:
    settings = root.set_up()
    if not settings.registry.self_signed:
        return "registry.self_signed is false"
    from gdkreg.clients import table

    return table.trusting(row, settings, root.host.platform.system)


def _one_of(found: list[Path]) -> Path:
    if len(found) == 1:
        return found[0]
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError(
            "there is more than one runner configuration: " + ", ".join(map(str, found)), fix=f"gdkreg runner-patch {found[0]}"
        )
    for number, path in enumerate(found, start=1):
        out.line(f"  {number}  {path}")
    choice = int(typer.prompt("Which one", type=int, default=1))
    if not 1 <= choice <= len(found):
        raise ConfigError(f"there is no number {choice}")
    return found[choice - 1]


def register(app: typer.Typer) -> None:
    app.command("trust-docker-registry")(trust_docker_registry)
    app.command()(trust)
    app.command("runner-patch")(runner_patch)
    app.command()(env)
