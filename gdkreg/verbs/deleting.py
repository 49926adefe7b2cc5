"""rm: tags go, and nothing else; what they leave behind, `gc` collects."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.errors import ConfigError, GdkregError
from gdkreg.plan.actions import Action, Control, Leave, Step
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.plan.preview import Preview
from gdkreg.registry import untagging
from gdkreg.registry.answers import AnswerError
from gdkreg.registry.images import Images
from gdkreg.registry.names import Reference, parse
from gdkreg.registry.remote import AskPassword, connect
from gdkreg.registry.untagging import Removal, Tagged
from gdkreg.storage import usage
from gdkreg.storage.graph import Graph
from gdkreg.units import size
from gdkreg.verbs import storing, untagged
from gdkreg.verbs.dropping import drop
from gdkreg.verbs.root import Root
from gdkreg.verbs.untagged import Mark
from gdkreg.verbs.work import SILENT, Work

NOTHING = f"sha256:{'0' * 64}"  # a digest that no manifest has
_TOLD = 20  # removals of which each one's bytes are worked out
_STALE = 1.0  # seconds after which tags are looked at again before a digest goes


class Place(msgspec.Struct, frozen=True):
    """The registry to remove from, and what its folder tells; None where the images lie elsewhere."""

    images: Images
    graph: Graph | None

    def look(self, repository: str) -> Tagged:
        """Raises `GdkregError` where there is no such repository."""
        try:
            found = untagging.look(self.images, repository, self._parents(repository))
        except AnswerError as error:
            if error.status == 404:
                raise GdkregError(f"there is no repository {repository}", fix="gdkreg catalog") from None
            raise
        known = self.graph.repositories.get(repository) if self.graph else None
        damaged = self.graph is not None and (self.graph.held or known is None or known.held)
        return msgspec.structs.replace(found, certain=not damaged)

    def _parents(self, repository: str) -> dict[str, frozenset[str]]:
        """The indexes that the folder holds, those without a tag too, by the digest of a child."""
        found: dict[str, frozenset[str]] = {}
        known = self.graph.repositories.get(repository) if self.graph else None
        for digest in known.revisions if known else ():
            node = self.graph.manifests.get(digest) if self.graph else None
            for child in node.children if node else ():
                found[child] = found.get(child, frozenset()) | {digest}
        return found

    def freed(self, removals: Iterable[Removal]) -> int:
        """The bytes that a later collection frees, as far as the storage tells; without what several repositories share."""
        tags: dict[str, list[str]] = {}
        for removal in removals:
            tags.setdefault(removal.repository, []).extend(removal.tags)
        known = self.graph.repositories if self.graph else {}
        return sum(usage.freed_by(self.graph, name, names).plain for name, names in tags.items() if self.graph and name in known)


def rm(
    root: Root,
    names: Sequence[str],
    listener: Listener = SILENT,
    *,
    user: str = "",
    ask: AskPassword | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Take tags away (REPO:TAG), or a manifest with all of its tags (REPO@DIGEST). As `user`, only what that user may."""
    settings = root.set_up()
    wanted = [parse(name, authority=settings.authority) for name in names]
    refuse_where_nothing_goes(settings)
    whole = [item.repository for item in wanted if not item.name]
    if whole and not user and storing.tree_of(settings) is not None:
        if len(whole) < len(wanted):
            raise ConfigError("rm takes tags or whole repositories, not both at once", fix=f"gdkreg rm {' '.join(whole)}")
        return drop(root, whole, listener, dry_run=dry_run)
    with connect(settings, root.host, user=user, ask=ask) as images:
        place = Place(images, storing.graph_of(root))

        def find() -> tuple[list[Removal], list[Leave]]:
            if user:
                _refuse_ungranted(images, wanted)
            return _wanted(place, wanted), []

        return carry_out(root, "rm", find, place, listener, dry_run=dry_run)


def refuse_where_nothing_goes(settings: Settings) -> None:
    """Raises `GdkregError` with the setting that keeps everything where it is."""
    if settings.registry.read_only_maintenance_enabled:
        raise GdkregError(
            "the registry is read-only", why="registry.read_only_maintenance_enabled is true", fix="gdkreg readonly off"
        )
    storage = settings.registry.config.get("storage")
    given = storage.get("delete") if isinstance(storage, dict) else None
    if isinstance(storage, dict) and "delete" in storage and not (isinstance(given, dict) and given.get("enabled")):
        raise GdkregError(
            "the registry deletes nothing",
            why="registry.config.storage.delete.enabled is not true in gdk.yml",
            fix="gdkreg config set registry.config.storage.delete.enabled true; gdkreg reconfigure; gdkreg start",
        )


def _refuse_ungranted(images: Images, wanted: Sequence[Reference]) -> None:
    """Who may not delete somewhere is refused before the first change."""
    for name in dict.fromkeys(item.repository for item in wanted):
        try:
            images.delete(name, NOTHING)
        except AnswerError as error:
            if error.status != 405:  # what is read-only now may be so only until this begins
                raise


def _wanted(place: Place, wanted: Sequence[Reference]) -> list[Removal]:
    found: list[Removal] = []
    for name in dict.fromkeys(item.repository for item in wanted):
        tagged, tags = place.look(name), list[str]()
        for item in (item for item in wanted if item.repository == name):
            if item.tag:
                tags.append(_tag(tagged, item))
            elif item.digest:
                found.append(_whole(place.images, tagged, item))
            else:
                tags += tagged.tags
        whole = {removal.digest for removal in found}
        found += untagging.removals(tagged, [tag for tag in tags if tagged.tags[tag] not in whole])
    return found


def _tag(tagged: Tagged, item: Reference) -> str:
    """One tag that is there, on the digest that is named where one is."""
    if why := tagged.unread.get(item.tag):
        raise GdkregError(f"{item} cannot be read", why=why, fix="push it again, then remove it")
    digest = tagged.tags.get(item.tag)
    if digest is None:
        import difflib

        near = difflib.get_close_matches(item.tag, tagged.tags, n=1)
        what = f"there is no {item}" + (f"; did you mean {near[0]}?" if near else "")
        raise GdkregError(what, fix=f"gdkreg tags {item.repository}")
    if item.digest and item.digest != digest:
        raise GdkregError(f"{item.repository}:{item.tag} is another image", why=f"it is {digest}", fix="name the tag alone")
    return item.tag


def _whole(images: Images, tagged: Tagged, item: Reference) -> Removal:
    """A manifest by its digest, with every tag on it. Raises `GdkregError` where an index needs it."""
    if images.head(item.repository, item.digest) is None:
        raise GdkregError(f"there is no {item}", fix=f"gdkreg tags {item.repository}")
    if parents := untagging.parents(tagged).get(item.digest):
        named = [f"{tagged.repository}:{tag}" for tag, digest in tagged.tags.items() if digest in parents]
        of = named[0] if named else f"{tagged.repository}@{min(parents)}"
        raise GdkregError(f"{item} is part of {of}", why="that would not pull any more", fix=f"gdkreg rm {of}, and then this")
    tags = tuple(tag for tag, digest in tagged.tags.items() if digest == item.digest)
    return Removal(item.repository, tags, item.digest, "digest")


# carrying it out

Find = Callable[[], "tuple[list[Removal], list[Leave]]"]


def carry_out(root: Root, command: str, find: Find, place: Place, listener: Listener, *, dry_run: bool) -> Outcome:
    """What `find` gives, told and done; a tag that somebody puts on a digest in between is not taken with it."""
    removals: dict[str, Removal] = {}
    mark, seen = Mark(root, command), Seen(place.images)

    def plan(_: Preview) -> list[Step]:
        found, left = find()
        removals.clear()
        removals.update((removal.name, removal) for removal in found)
        own = len(found) <= _TOLD
        steps: list[Action] = [_control(removal, place.freed([removal]) if own else 0) for removal in found]
        return [Step("tags", action) for action in (*steps, *left)]

    def untag(control: Control) -> str:
        if control.service not in removals:  # of a run before this one
            return untagged.finish(root)
        mark.begin(removals.values())
        removal = removals[control.service]
        words = [untagging.remove(place.images, item) for item in untagging.again(removal, seen.now(removal.repository))]
        return ", ".join(word for word in words if word)

    work = Work(root, command, listener, writes=True)
    work.controls["untag"] = untag
    outcome = work.carry_out(plan, dry_run=dry_run, finish=lambda _: mark.end())
    outcome.data["frees"] = freed = place.freed(removals.values())
    if freed and dry_run:
        outcome.notes.append(f"A later gdkreg gc frees {size(freed)}.")
    return outcome


class Seen:
    """The tags of a repository as they were a moment ago; a look that takes long is not taken at every step."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self._found: dict[str, tuple[float, dict[str, str]]] = {}

    def now(self, repository: str) -> dict[str, str]:
        until, found = self._found.get(repository, (0.0, {}))
        if time.monotonic() >= until:
            begin = time.monotonic()
            found = untagging.standing(self._images, repository)
            taken = time.monotonic() - begin
            self._found[repository] = (time.monotonic() + max(_STALE, 10 * taken) if taken > 0.1 else 0.0, found)
        return found


def _control(removal: Removal, freed: int) -> Control:
    reason = f"{removal.reason}; gc then frees {size(freed)}" if freed else removal.reason
    return Control(service=removal.name, verb="untag", reason=reason, before=removal.digest)
