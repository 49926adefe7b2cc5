"""cert show, cert renew."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gdkreg.cli import session
from gdkreg.cli.options import DryRun, Json, RootDir, Yes
from gdkreg.report import out

certs = typer.Typer(no_args_is_help=True, help="The certificates beside gdk.yml.")
_NAMES = {"tls": "registry_host.crt", "token": "localhost.crt"}


@certs.command()
def show(root_dir: RootDir = None, json: Json = False) -> None:
    """Show both certificates: for which names, until when, their fingerprints.

    Example: gdkreg cert show
    """
    from gdkreg.resources import x509

    root = session.open_root(root_dir)
    found = {name: x509.facts(raw) for name in _NAMES.values() if (raw := root.host.read(root.path / name)) is not None}
    if json:
        out.as_json({"command": "cert show", "root": str(root.path), **found})
        return
    if not found:
        out.line("There are no certificates yet: gdkreg reconfigure")
    for name, facts in found.items():
        out.line(out.colored(str(root.path / name), "bold"))
        if facts is None:
            out.line("  not a certificate")
            continue
        out.table(
            [
                ["subject", facts.subject],
                ["names", ", ".join(facts.names) or "none"],
                ["key", facts.kind],
                ["valid", f"{facts.not_before:%Y-%m-%d} to {facts.not_after:%Y-%m-%d} ({facts.days_left} days left)"],
                ["sha256", facts.fingerprint],
            ],
            indent="  ",
        )


@certs.command()
def renew(
    which: Annotated[
        Literal["tls", "token"] | None, typer.Argument(help="One of them; both without it.", show_default=False)
    ] = None,
    root_dir: RootDir = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Make the certificates anew now, and renew the trust in them. The key that signs tokens stays.

    Example: gdkreg cert renew tls
    """
    from gdkreg.verbs import certs as verb

    root = session.open_root(root_dir)
    names = (which,) if which else ("tls", "token")
    session.told(verb.renew(root, names, session.Terminal(yes=yes, quiet=json), dry_run=dry_run), json=json)


def register(app: typer.Typer) -> None:
    app.add_typer(certs, name="cert")
