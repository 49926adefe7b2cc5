"""copy: an image to another name, repository or registry."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from gdkreg.cli import session
from gdkreg.cli.options import AsUser, DryRun, Json, RootDir, Yes


def copy(
    source: Annotated[str, typer.Argument(help="[HOST[:PORT]/]REPOSITORY[:TAG|@DIGEST].")],
    target: Annotated[str, typer.Argument(help="[HOST[:PORT]/]REPOSITORY[:TAG].")],
    root_dir: RootDir = None,
    user: AsUser = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Copy an image with all its platforms: inside this registry, or from or to another that is named before the repository.

    Example: gdkreg copy group/app:1.0 group/stable:1.0
    """
    from gdkreg.registry.names import Reference, parse
    from gdkreg.verbs import copying

    own = session.own_authority(root_dir)
    with contextlib.ExitStack() as open_ones:
        places: dict[str, session.Remote] = {}

        def end(text: str) -> tuple[session.Remote, copying.End]:
            registry, rest = copying.split(text, own)
            if registry not in places:
                named = "" if registry == own else registry
                places[registry] = open_ones.enter_context(session.remote(root_dir, named, "" if named else user))
            place = places[registry]
            return place, copying.End(place.images, place.authority, parse(rest))

        (place, begin), (_, to) = end(source), end(target)
        if not begin.reference.name:
            begin = copying.End(begin.images, begin.authority, Reference(begin.reference.repository, "latest"))
        with place.suggesting(begin.reference):
            listener = session.Terminal(yes=yes, quiet=json)
            outcome = copying.copy(begin, to, listener, root=place.root, dry_run=dry_run)
    session.told(outcome, json=json, nothing=f"Nothing to do: {outcome.data['target']} is there already.")


def register(app: typer.Typer) -> None:
    app.command()(copy)
