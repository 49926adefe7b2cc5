"""rm and cleanup: tags go, and nothing else; what they leave behind, `gc` collects."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.errors import ConfigError, GdkregError
from gdkreg.plan.actions import Control, Step
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.plan.preview import Preview
from gdkreg.registry import policy as policies
from gdkreg.registry import untagging
from gdkreg.registry.answers import AnswerError
from gdkreg.registry.images import Images, gather
from gdkreg.registry.names import Reference, parse
from gdkreg.registry.policy import Candidate, Decision, Policy
from gdkreg.registry.remote import AskPassword, connect
from gdkreg.registry.untagging import Removal, Tagged
from gdkreg.storage import usage
from gdkreg.storage.graph import Graph
from gdkreg.verbs import storing, untagged
from gdkreg.verbs.describing import NEVER, Describer, moment
from gdkreg.verbs.dropping import drop
from gdkreg.verbs.root import Root
from gdkreg.verbs.untagged import Mark
from gdkreg.verbs.work import SILENT, Work

NOTHING = f"sha256:{'0' * 64}"  # a digest that no manifest has
_NO_TIME = NEVER.replace(year=2)  # Go's zero time is in the year 1


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
        for name in dict.fromkeys(item.repository for item in wanted):
            images.delete(name, NOTHING)  # who may not delete there is refused before the first change
        graph = storing.graph_of(root)
        known = _known(graph)
        return _carry_out(root, "rm", lambda: _wanted(images, wanted, known), images, graph, listener, dry_run=dry_run)


def cleanup(
    root: Root,
    repositories: Sequence[str],
    policy: Policy | None,
    listener: Listener = SILENT,
    *,
    dry_run: bool = False,
) -> Outcome:
    """Take away what a policy lets go, of these repositories or of all; without `policy` that of gdk.yml."""
    settings = root.set_up()
    chosen = policy or _of_gdk_yml(root)
    policies.check(chosen)
    wanted = [parse(name, authority=settings.authority) for name in repositories]
    if named := next((item for item in wanted if item.name), None):
        raise ConfigError(f"cleanup takes repositories, not {named}", fix=f"gdkreg rm {named}")
    refuse_where_nothing_goes(settings)
    with connect(settings, root.host) as images:
        graph = storing.graph_of(root)
        known, decisions = _known(graph), dict[str, list[Decision]]()

        def find() -> list[Removal]:
            found = []
            for name in [item.repository for item in wanted] or list(images.catalog()):
                tagged = _look(images, name, known)
                decisions[name] = _decide(images, tagged, chosen)
                found += untagging.removals(tagged, [item.tag for item in decisions[name] if item.removed])
            return found

        outcome = _carry_out(root, "cleanup", find, images, graph, listener, dry_run=dry_run)
    outcome.data["policy"] = msgspec.to_builtins(chosen)
    outcome.data["decisions"] = {name: msgspec.to_builtins(found) for name, found in decisions.items()}
    return outcome


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


# what goes


def _known(graph: Graph | None) -> Mapping[str, Mapping[str, frozenset[str]]]:
    """By repository, the indexes that its folder holds by a child's digest: those without a tag too."""
    found: dict[str, dict[str, frozenset[str]]] = {}
    for name, repository in graph.repositories.items() if graph else ():
        for digest in repository.revisions:
            node = graph.manifests.get(digest) if graph else None
            for child in node.children if node else ():
                of_child = found.setdefault(name, {})
                of_child[child] = of_child.get(child, frozenset()) | {digest}
    return found


def _look(images: Images, repository: str, known: Mapping[str, Mapping[str, frozenset[str]]]) -> Tagged:
    try:
        return untagging.look(images, repository, known.get(repository))
    except AnswerError as error:
        if error.status == 404:
            raise GdkregError(f"there is no repository {repository}", fix="gdkreg catalog") from None
        raise


def _wanted(images: Images, wanted: Sequence[Reference], known: Mapping[str, Mapping[str, frozenset[str]]]) -> list[Removal]:
    found: list[Removal] = []
    for name in dict.fromkeys(item.repository for item in wanted):
        tagged, tags = _look(images, name, known), list[str]()
        for item in (item for item in wanted if item.repository == name):
            if item.digest:
                found.append(_whole(images, tagged, item))
            elif item.tag:
                tags += [item.tag] if item.tag in tagged.tags else _absent(tagged, item)
            else:
                tags += tagged.tags
        whole = {removal.digest for removal in found}
        found += untagging.removals(tagged, [tag for tag in tags if tagged.tags[tag] not in whole])
    return found


def _absent(tagged: Tagged, item: Reference) -> list[str]:
    import difflib

    near = difflib.get_close_matches(item.tag, tagged.tags, n=1)
    what = f"there is no {item}" + (f"; did you mean {near[0]}?" if near else "")
    raise GdkregError(what, fix=f"gdkreg tags {item.repository}")


def _whole(images: Images, tagged: Tagged, item: Reference) -> Removal:
    """A manifest by its digest, with every tag on it."""
    if images.head(item.repository, item.digest) is None:
        raise GdkregError(f"there is no {item}", fix=f"gdkreg tags {item.repository}")
    tags = tuple(tag for tag, digest in tagged.tags.items() if digest == item.digest)
    return Removal(item.repository, tags, item.digest, "digest")


def _of_gdk_yml(root: Root) -> Policy:
    given = root.settings.registry.cleanup
    if not given.remove:
        raise ConfigError(
            "there is no policy",
            why="registry.cleanup.remove is not set in gdk.yml, and no option says one",
            fix="gdkreg cleanup --keep 10 --older-than 30d --dry-run",
        )
    return Policy(keep=given.keep, older_than=given.older_than, remove=given.remove, retain=given.retain)


def _decide(images: Images, tagged: Tagged, policy: Policy) -> list[Decision]:
    about = Describer(images, tagged.repository)
    made = {item.tag: moment(item.created) for item in gather(about.tag, tagged.tags) if item is not None}
    candidates = [
        Candidate(tag, digest, made[tag].timestamp() if made.get(tag, NEVER) > _NO_TIME else None)
        for tag, digest in sorted(tagged.tags.items())
    ]
    decisions = policies.decide(candidates, policy, time.time(), _alive(tagged, []))
    gone = [item.tag for item in decisions if item.removed]
    return policies.decide(candidates, policy, time.time(), _alive(tagged, gone))


def _alive(tagged: Tagged, gone: Sequence[str]) -> set[str]:
    """The manifests that are there once these tags are gone, as far as tags and indexes tell."""
    staying = {digest for tag, digest in tagged.tags.items() if tag not in set(gone)}
    children = {child.digest for digest in staying if digest in tagged.manifests for child in tagged.manifests[digest].manifests}
    return staying | children


# carrying it out


def _carry_out(
    root: Root,
    command: str,
    find: Callable[[], list[Removal]],
    images: Images,
    graph: Graph | None,
    listener: Listener,
    *,
    dry_run: bool,
) -> Outcome:
    removals: dict[str, Removal] = {}
    mark = Mark(root, command)

    def plan(_: Preview) -> list[Step]:
        removals.clear()
        removals.update((removal.name, removal) for removal in find())
        return [Step("tags", _control(removal)) for removal in removals.values()]

    def untag(control: Control) -> str:
        if control.service not in removals:  # of a run before this one
            return untagged.finish(root)
        mark.begin(removals.values())
        return untagging.remove(images, removals[control.service])

    work = Work(root, command, listener)
    work.controls["untag"] = untag
    outcome = work.carry_out(plan, dry_run=dry_run, finish=lambda _: mark.end())
    outcome.data["frees"] = _freed(graph, removals.values())
    return outcome


def _freed(graph: Graph | None, removals: Iterable[Removal]) -> int:
    """The bytes that a later collection frees, as far as the storage tells; without what several repositories share."""
    tags: dict[str, list[str]] = {}
    for removal in removals:
        tags.setdefault(removal.repository, []).extend(removal.tags)
    known = graph.repositories if graph is not None else {}
    return sum(usage.freed_by(graph, name, names).plain for name, names in tags.items() if graph is not None and name in known)


def _control(removal: Removal) -> Control:
    return Control(service=removal.name, verb="untag", reason=removal.reason, before=removal.digest)
