"""catalog, tags, inspect, layers: what is in a registry, as values."""

from __future__ import annotations

import contextlib
import datetime
import difflib
import itertools
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.registry.answers import AnswerError
from gdkreg.registry.images import Images, gather
from gdkreg.registry.manifests import Manifest
from gdkreg.registry.names import Reference, is_repository
from gdkreg.verbs.describing import Describer, Image, Layer, Tagged, moment

Sort = Literal["name", "created", "size"]
_BATCH = 100  # repositories a token
_SUGGEST = 5000  # names that are looked through for one that was meant
_SUMMED = 500  # tags that are looked at for a repository's summary
_SHARED = 200  # tags that are asked whether they share a layer


class Repository(msgspec.Struct, frozen=True):
    """A repository and its tags; `problem` says why these could not be listed."""

    name: str
    tags: list[str]
    problem: str = ""


class Summary(msgspec.Struct, frozen=True):
    """A repository as a whole; `size` is the bytes of all that its tags lead to, each blob once. With `partly` only some of
    the tags were looked at for that and for the newest."""

    repository: str
    tags: int
    size: int
    newest: list[Tagged]
    partly: bool = False


def catalog(images: Images, limit: int | None = None) -> Iterator[str]:
    """The repositories' names as their pages come."""
    return itertools.islice(images.catalog(), limit)


def with_tags(images: Images, limit: int | None = None) -> Iterator[Repository]:
    """The repositories with their tags, in the catalog's order."""
    names = catalog(images, limit)

    def expected() -> Iterator[str]:
        while batch := list(itertools.islice(names, _BATCH)):
            images.expect([name for name in batch if is_repository(name)])
            yield from batch

    def one(name: str) -> Repository:
        if not is_repository(name):
            return Repository(name, [], "its name is none of the distribution spec's")
        try:
            return Repository(name, list(images.tags(name)))
        except AnswerError as error:
            return Repository(name, [], "" if error.status == 404 else error.what)

    return gather(one, expected())


def tags(images: Images, repository: str, limit: int | None = None, *, ordered: bool = False) -> Iterator[str]:
    """The tags' names as their pages come, in the registry's order, or `ordered` by name."""
    found = images.tags(repository)
    return itertools.islice(iter(sorted(found)) if ordered else found, limit)


def described(images: Images, repository: str, sort: Sort | None = None, limit: int | None = None) -> Iterator[Tagged]:
    """The tags with what they lead to: by name, the newest first, or the largest first; as they come without `sort`."""
    found = tags(images, repository, limit if sort in {None, "name"} else None, ordered=sort == "name")
    about = Describer(images, repository)
    seen: Iterator[Tagged] = (item for item in gather(about.tag, found) if item is not None)
    if sort == "created":
        seen = iter(sorted(seen, key=_age, reverse=True))
    elif sort == "size":
        seen = iter(sorted(seen, key=lambda item: (-item.size, item.tag)))
    return itertools.islice(seen, limit)


def _age(item: Tagged) -> tuple[datetime.datetime, str]:
    return moment(item.created), item.tag


def inspect(images: Images, reference: Reference, platform: str = "", *, shared: bool = True) -> Image | Summary:
    """An image; without a tag `latest`, or the repository as a whole where there is none. `shared`: ask who shares its layers."""
    about = Describer(images, reference.repository)
    if not reference.name:
        if images.head(reference.repository, "latest") is None:
            return summary(images, reference.repository)
        reference = Reference(reference.repository, "latest")
    manifest = images.manifest(reference.repository, reference.name)
    image = about.image(manifest, reference, platform)
    return _with_shares(images, image, reference, about) if shared and image.layers else image


def summary(images: Images, repository: str) -> Summary:
    about, names = Describer(images, repository), list(images.tags(repository))
    found = [item for item in gather(about.tag, names[:_SUMMED]) if item is not None]
    newest = sorted(found, key=_age, reverse=True)[:5]
    return Summary(repository, len(names), sum(about.blobs.values()), newest, len(names) > _SUMMED)


def layers(images: Images, reference: Reference, platform: str = "", *, shared: bool = True) -> Image:
    """The image whose `layers` are meant: of an index the one for `platform`, else for this machine."""
    wanted = Reference(reference.repository, reference.tag or ("" if reference.digest else "latest"), reference.digest)
    found = inspect(images, wanted, platform, shared=shared)
    assert isinstance(found, Image)
    return found


def _with_shares(images: Images, image: Image, reference: Reference, about: Describer) -> Image:
    """Which other tags of the repository use its layers, by asking some of them."""
    names = list(itertools.islice(images.tags(reference.repository), _SHARED + 1))
    asked = [name for name in names[:_SHARED] if name != reference.tag]
    users: dict[str, list[str]] = {}
    for name, digests in zip(asked, gather(about.layers_of, asked), strict=True):
        for digest in digests:
            users.setdefault(digest, []).append(name)
    told: list[Layer] = [msgspec.structs.replace(layer, shared_by=users.get(layer.digest, [])) for layer in image.layers]
    partly = len(names) > _SHARED
    return msgspec.structs.replace(image, layers=told, shares_of=len(asked), shares_partly=partly)


# what is not there


@contextlib.contextmanager
def suggesting(images: Images, reference: Reference, option: str = "") -> Iterator[None]:
    """Turns a 404 into what is not there, and what is near. `option` goes with the commands that it names."""
    try:
        yield
    except AnswerError as error:
        if error.status != 404 or error.code == "BLOB_UNKNOWN":
            raise
        raise _missing(images, reference, option) from None


def _missing(images: Images, reference: Reference, option: str) -> GdkregError:
    repository = reference.repository
    try:
        names = list(itertools.islice(images.tags(repository), _SUGGEST))
    except AnswerError:
        near = _near(repository, images.catalog)
        return GdkregError(f"there is no repository {repository}", why=near, fix=f"gdkreg catalog{option}")
    if reference.digest:
        what = f"{repository} has no manifest {reference.digest}"
        return GdkregError(what, fix=f"gdkreg tags {repository}{option}")
    wanted = reference.tag or "latest"
    why = _near(wanted, lambda: iter(names)) if names else "it has no tags"
    return GdkregError(f"{repository} has no tag {wanted}", why=why, fix=f"gdkreg tags {repository}{option}")


def _near(wanted: str, names: Callable[[], Iterator[str]]) -> str:
    try:
        known = list(itertools.islice(names(), _SUGGEST))
    except GdkregError:  # who may pull one repository may not list all
        return ""
    found = difflib.get_close_matches(wanted, known, 3, 0.6)
    found += [name for name in known if wanted in name and name not in found][: 3 - len(found)]
    return f"did you mean {' or '.join(found)}?" if found else ""


def manifest(images: Images, reference: Reference) -> Manifest:
    """The manifest of a tag (without one, of `latest`) or digest, with the registry's very bytes."""
    return images.manifest(reference.repository, reference.name or "latest")
