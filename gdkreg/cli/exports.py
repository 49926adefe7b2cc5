"""ci, export."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gdkreg.cli import session
from gdkreg.cli.options import DryRun, Json, RootDir, Yes
from gdkreg.errors import GdkregError
from gdkreg.report import out

if TYPE_CHECKING:
    from gdkreg.plan.outcome import Item
    from gdkreg.verbs.exporting import Text
    from gdkreg.verbs.root import Root

pipelines = typer.Typer(no_args_is_help=True, help="A .gitlab-ci.yml for this registry, as it is configured.")
exports = typer.Typer(no_args_is_help=True, help="This registry for GitLab's settings, NGINX, compose, curl.")

Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write it to this file (else to stdout).", show_default=False)
]
Analyzer = Annotated[Literal["cs", "klar"], typer.Option("--analyzer", help="cs: today's; klar: that of GitLab before 14.0.")]
NoCertificate = Annotated[
    bool, typer.Option("--no-certificate", help="Have the scanner check no certificate, instead of giving it registry_host.crt.")
]
Domain = Annotated[
    Literal["own-domain", "gitlab-domain", "external"] | None,
    typer.Option("--as", help="A name of its own, GitLab's with another port, or external (else as it is).", show_default=False),
]


@pipelines.command()
def image(
    name: Annotated[str, typer.Option("--image", help="The repository, with its tag.")] = "custom-docker-image",
    output: Output = None,
    root_dir: RootDir = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """A job that runs in an image of this registry.

    Example: gdkreg ci image --image group/app:1
    """
    root = session.open_root(root_dir)
    _put(root, _ci(root, "image", image=name), output, dry_run=dry_run, yes=yes, json=json)


@pipelines.command()
def build(output: Output = None, root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, json: Json = False) -> None:
    """A job that builds an image in Docker-in-Docker and pushes it.

    Example: gdkreg ci build -o .gitlab-ci.yml
    """
    root = session.open_root(root_dir)
    _put(root, _ci(root, "build"), output, dry_run=dry_run, yes=yes, json=json)


@pipelines.command()
def scan(
    analyzer: Analyzer = "cs",
    no_certificate: NoCertificate = False,
    output: Output = None,
    root_dir: RootDir = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Build and push, and container scanning of what was pushed.

    Example: gdkreg ci scan -o .gitlab-ci.yml
    """
    root = session.open_root(root_dir)
    text = _ci(root, "scan", analyzer=analyzer, certificate=not no_certificate)
    _put(root, text, output, dry_run=dry_run, yes=yes, json=json)


@pipelines.command("auto-devops")
def auto_devops(
    analyzer: Analyzer = "cs",
    no_certificate: NoCertificate = False,
    output: Output = None,
    root_dir: RootDir = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Auto DevOps, with what its jobs need for this registry.

    Example: gdkreg ci auto-devops -o .gitlab-ci.yml
    """
    root = session.open_root(root_dir)
    text = _ci(root, "auto-devops", analyzer=analyzer, certificate=not no_certificate)
    _put(root, text, output, dry_run=dry_run, yes=yes, json=json)


@exports.command("gitlab-yml")
def gitlab_yml(
    domain: Domain = None,
    output: Output = None,
    root_dir: RootDir = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """The registry: block of GitLab's gitlab.yml.

    Example: gdkreg export gitlab-yml --as external
    """
    root = session.open_root(root_dir)
    _put(root, _gitlab(root, "gitlab-yml", domain), output, dry_run=dry_run, yes=yes, json=json)


@exports.command("gitlab-rb")
def gitlab_rb(
    domain: Domain = None,
    output: Output = None,
    root_dir: RootDir = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """The registry's lines of Omnibus' gitlab.rb. Without --as: external, because gdkreg runs the registry.

    Example: gdkreg export gitlab-rb
    """
    root = session.open_root(root_dir)
    _put(root, _gitlab(root, "gitlab-rb", domain), output, dry_run=dry_run, yes=yes, json=json)


@exports.command()
def nginx(output: Output = None, root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, json: Json = False) -> None:
    """A server of NGINX's that ends TLS before the registry.

    Example: gdkreg export nginx -o registry.conf
    """
    root = session.open_root(root_dir)
    _put(root, _other(root, "nginx"), output, dry_run=dry_run, yes=yes, json=json)


@exports.command()
def compose(
    output: Output = None, root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, json: Json = False
) -> None:
    """A compose file that runs the same registry without gdkreg.

    Example: gdkreg export compose -o docker-compose.yml
    """
    root = session.open_root(root_dir)
    _put(root, _other(root, "compose"), output, dry_run=dry_run, yes=yes, json=json)


@exports.command()
def curl(output: Output = None, root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, json: Json = False) -> None:
    """A script that goes through the registry with curl: repositories, tags, a manifest, a layer.

    Example: gdkreg export curl | sh -s group/app 1
    """
    root = session.open_root(root_dir)
    _put(root, _other(root, "curl"), output, dry_run=dry_run, yes=yes, json=json)


def _ci(root: Root, kind: Any, **options: Any) -> Text:
    from gdkreg.verbs import exporting

    return exporting.ci(root, kind, **options)


def _gitlab(root: Root, form: Any, domain: Any) -> Text:
    from gdkreg.verbs import exporting

    return exporting.export_gitlab(root, form, domain)


def _other(root: Root, kind: Any) -> Text:
    from gdkreg.verbs import exporting

    return exporting.export(root, kind)


def _put(root: Root, text: Text, output: Path | None, *, dry_run: bool, yes: bool, json: bool) -> None:
    """To stdout with what is to be done on stderr; or into a file, as a verb that changes something."""
    from gdkreg.verbs import exporting

    if output is not None:
        listener = _Careful(yes=yes, quiet=True)
        file = Path(os.path.realpath(output))
        outcome = exporting.write(root, text, file, listener, dry_run=dry_run)
        session.told(outcome, json=json, nothing=f"{file} says so already", done=f"wrote {file}")
    elif json:
        out.as_json({"command": text.command, "root": str(root.path), "content": text.content, "notes": text.notes})
    else:
        out.raw(text.content.rstrip("\n"))
        for note in text.notes:
            out.note(note)


class _Careful(session.Terminal):
    """A file that is there is replaced only by who has seen what it loses: a person who says yes, or --yes."""

    def __init__(self, *, yes: bool, quiet: bool) -> None:
        super().__init__(yes=yes, quiet=quiet)
        self._agreed = yes

    def agree(self, items: Sequence[Item], *, ask: bool) -> bool:
        from gdkreg.plan import diff
        from gdkreg.plan.actions import WriteFile

        replaced = [item.action for item in items if isinstance(item.action, WriteFile) and item.action.before is not None]
        if not replaced or self._agreed:
            return super().agree(items, ask=ask)
        shown = "\n".join(diff.of(action) for action in replaced)
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise GdkregError(f"{replaced[0].path} is there already", fix="the same with --yes replaces it", details=shown)
        out.diff(shown)
        return super().agree(items, ask=True)


def register(app: typer.Typer) -> None:
    app.add_typer(pipelines, name="ci")
    app.add_typer(exports, name="export")
