"""catalog, tags, inspect, manifest, layers, blob: what is in a registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from gdkreg.cli import session
from gdkreg.cli.options import AsUser, ForPlatform, Json, Limit, NoTrunc, Reference, Registry, Repository, RootDir
from gdkreg.report import images as report
from gdkreg.report import out
from gdkreg.units import size

Raw = Annotated[bool, typer.Option("--raw", help="The manifest's very bytes, whose SHA-256 is its digest.")]
Sort = Annotated[
    Literal["name", "created", "size"] | None,
    typer.Option("--sort", help="By name, the newest or the largest first (else as the registry has them).", show_default=False),
]


def catalog(
    root_dir: RootDir = None,
    registry: Registry = "",
    user: AsUser = "",
    tags: Annotated[bool, typer.Option("--tags", help="Each with its tags, as REPOSITORY:TAG.")] = False,
    limit: Limit = None,
    json: Json = False,
) -> None:
    """List the repositories, one a line.

    Example: gdkreg catalog --tags
    """
    from gdkreg.verbs import browsing

    with session.remote(root_dir, registry, user) as place:
        head = {"command": "catalog", "root": place.root, "registry": place.authority}
        if tags and json:
            out.as_json({**head, "repositories": list(browsing.with_tags(place.images, limit))})
        elif tags:
            for item in browsing.with_tags(place.images, limit):
                report.names(f"{item.name}:{tag}" for tag in item.tags)
                if item.problem:
                    report.remark(f"{item.name}: {item.problem}")
        elif json:
            out.as_json({**head, "repositories": [{"name": name} for name in browsing.catalog(place.images, limit)]})
        else:
            report.names(browsing.catalog(place.images, limit))


def tags(
    repository: Repository,
    root_dir: RootDir = None,
    registry: Registry = "",
    user: AsUser = "",
    sort: Sort = None,
    limit: Limit = None,
    no_trunc: NoTrunc = False,
    json: Json = False,
) -> None:
    """List a repository's tags: on a terminal with digest, size, age and platforms, else the names, one a line.

    Example: gdkreg tags group/app --sort created --limit 10
    """
    from gdkreg.registry.names import repository as checked
    from gdkreg.verbs import browsing

    with session.remote(root_dir, registry, user) as place:
        reference = place.parse(checked(repository.removeprefix(f"{place.authority}/")))
        with place.suggesting(reference):
            name = reference.repository
            if json:
                found = list(browsing.described(place.images, name, sort, limit))
                head = {"command": "tags", "root": place.root, "registry": place.authority, "repository": name}
                out.as_json({**head, "tags": found})
            elif out.on_terminal():
                report.tags(browsing.described(place.images, name, sort, limit), full=no_trunc)
            elif sort in {"created", "size"}:
                report.names(item.tag for item in browsing.described(place.images, name, sort, limit))
            else:
                report.names(browsing.tags(place.images, name, limit, ordered=sort == "name"))


def inspect(
    reference: Reference,
    root_dir: RootDir = None,
    registry: Registry = "",
    user: AsUser = "",
    platform: ForPlatform = "",
    no_trunc: NoTrunc = False,
    raw: Raw = False,
    json: Json = False,
) -> None:
    """Show an image: platforms, configuration, layers and who shares them, referrers. Without a tag: latest, or the repository.

    Example: gdkreg inspect group/app:1.0
    """
    from gdkreg.verbs import browsing
    from gdkreg.verbs.describing import Image

    if raw:
        manifest(reference, root_dir, registry, user, raw=True)
        return
    with session.remote(root_dir, registry, user) as place:
        wanted = place.parse(reference)
        with place.suggesting(wanted):
            found = browsing.inspect(place.images, wanted, platform, shared=place.own)
        if json:
            head = {"command": "inspect", "root": place.root, "registry": place.authority}
            out.as_json({**head, **msgspec.structs.asdict(found)})
        elif isinstance(found, Image):
            report.image(found, full=no_trunc)
        else:
            report.summary(found, full=no_trunc)


def manifest(
    reference: Reference,
    root_dir: RootDir = None,
    registry: Registry = "",
    user: AsUser = "",
    raw: Raw = False,
    json: Json = False,
) -> None:
    """Print a manifest: laid out, or with --raw byte for byte.

    Example: gdkreg manifest --raw group/app:1.0 | sha256sum
    """
    from gdkreg.verbs import browsing

    with session.remote(root_dir, registry, user) as place:
        wanted = place.parse(reference)
        with place.suggesting(wanted):
            found = browsing.manifest(place.images, wanted)
        if raw:
            out.content(found.content)
        elif json:
            head = {"command": "manifest", "root": place.root, "registry": place.authority, "repository": wanted.repository}
            told = {"digest": found.digest, "media_type": found.media_type, "size": len(found.content)}
            out.as_json({**head, **told, "manifest": msgspec.json.decode(found.content)})
        else:
            report.manifest(found.content)


def layers(
    reference: Reference,
    root_dir: RootDir = None,
    registry: Registry = "",
    user: AsUser = "",
    platform: ForPlatform = "",
    no_trunc: NoTrunc = False,
    json: Json = False,
) -> None:
    """List an image's layers: digest, size, which other tags use it, what made it.

    Example: gdkreg layers --no-trunc group/app:1.0
    """
    from gdkreg.verbs import browsing

    with session.remote(root_dir, registry, user) as place:
        wanted = place.parse(reference)
        with place.suggesting(wanted):
            found = browsing.layers(place.images, wanted, platform, shared=place.own)
        if json:
            head = {"command": "layers", "root": place.root, "registry": place.authority, "repository": wanted.repository}
            out.as_json({**head, "digest": found.digest, "platform": found.platform, "layers": found.layers})
        else:
            report.layers(found, full=no_trunc)


def blob(
    reference: Annotated[str, typer.Argument(help="REPOSITORY@DIGEST.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.", show_default=False)],
    root_dir: RootDir = None,
    registry: Registry = "",
    user: AsUser = "",
    json: Json = False,
) -> None:
    """Download a blob and check it against its digest; what was interrupted goes on where it broke off.

    Example: gdkreg blob group/app@sha256:… -o layer.tar.gz
    """
    from gdkreg.verbs import blobs

    with session.remote(root_dir, registry, user) as place:
        wanted = place.parse(reference)
        with place.suggesting(wanted), report.Bar(output.name) as bar:
            saved = blobs.save(place.images, wanted, output, bar)
        if json:
            head = {"command": "blob", "root": place.root, "registry": place.authority, "repository": wanted.repository}
            out.as_json({**head, **msgspec.structs.asdict(saved)})
        else:
            again = f", {size(saved.resumed_at)} of it from before" if saved.resumed_at else ""
            out.line(f"{saved.file}: {size(saved.size)}{again}, and it is {saved.digest}")


def register(app: typer.Typer) -> None:
    for command in (catalog, tags, inspect, manifest, layers, blob):
        app.command()(command)
