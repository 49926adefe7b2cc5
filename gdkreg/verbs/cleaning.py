"""cleanup: GitLab's cleanup policy over one repository or all, with a reason for every tag."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from gdkreg.errors import ConfigError
from gdkreg.plan.actions import Leave
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.registry import policy as policies
from gdkreg.registry import untagging
from gdkreg.registry.images import gather
from gdkreg.registry.names import parse
from gdkreg.registry.policy import Candidate, Decision, Policy
from gdkreg.registry.remote import connect
from gdkreg.registry.untagging import Removal, Tagged
from gdkreg.verbs import storing
from gdkreg.verbs.deleting import Place, carry_out, refuse_where_nothing_goes
from gdkreg.verbs.describing import NEVER, Describer, moment
from gdkreg.verbs.root import Root
from gdkreg.verbs.work import SILENT

_NO_TIME = NEVER.replace(year=2)  # Go's zero time is in the year 1


def cleanup(
    root: Root,
    repositories: Sequence[str],
    policy: Policy | None,
    listener: Listener = SILENT,
    *,
    dry_run: bool = False,
) -> Outcome:
    """Take away what a policy lets go, of these repositories or of all; without `policy` that of gdk.yml. What cannot be read
    is left, and told."""
    settings = root.set_up()
    chosen = policy or _of_gdk_yml(root)
    policies.check(chosen)
    wanted = [parse(name, authority=settings.authority) for name in repositories]
    if named := next((item for item in wanted if item.name), None):
        raise ConfigError(f"cleanup takes repositories, not {named}", fix=f"gdkreg rm {named}")
    refuse_where_nothing_goes(settings)
    with connect(settings, root.host) as images:
        place, decisions = Place(images, storing.graph_of(root)), dict[str, list[Decision]]()

        def find() -> tuple[list[Removal], list[Leave]]:
            found, left = list[Removal](), list[Leave]()
            for name in [item.repository for item in wanted] or list(images.catalog()):
                tagged = place.look(name)
                decisions[name], removals = _decide(place, tagged, chosen)
                found += removals
                left += [_unread(name, tag, why) for tag, why in tagged.unread.items()]
            return found, left

        outcome = carry_out(root, "cleanup", find, place, listener, dry_run=dry_run)
    outcome.data["policy"] = msgspec.to_builtins(chosen)
    outcome.data["decisions"] = {name: msgspec.to_builtins(found) for name, found in decisions.items()}
    return outcome


def planned(outcome: Outcome) -> dict[str, list[str]]:
    """The tags that a dry run would remove, by repository: a run has removed them by then."""
    decisions = outcome.data["decisions"] if outcome.dry_run else {}
    return {name: [item["tag"] for item in found if item["removed"]] for name, found in decisions.items()}


def has_policy(root: Root) -> bool:
    return bool(root.settings.registry.cleanup.remove)


def _unread(repository: str, tag: str, why: str) -> Leave:
    return Leave(target=f"{repository}:{tag}", reason=f"it cannot be read: {why}", fix="push it again, or gdkreg gc --dry-run")


def _of_gdk_yml(root: Root) -> Policy:
    given = root.settings.registry.cleanup
    if not has_policy(root):
        raise ConfigError(
            "there is no policy",
            why="registry.cleanup.remove is not set in gdk.yml, and no option says one",
            fix="gdkreg cleanup --keep 10 --older-than 30d --dry-run",
        )
    return Policy(keep=given.keep, older_than=given.older_than, remove=given.remove, retain=given.retain)


def _decide(place: Place, tagged: Tagged, policy: Policy) -> tuple[list[Decision], list[Removal]]:
    """A tag that lists referrers goes only once its subject is gone, or goes in this very run."""
    about = Describer(place.images, tagged.repository)
    made = {item.tag: moment(item.created) for item in gather(about.tag, tagged.tags) if item is not None}
    candidates = [
        Candidate(tag, digest, made[tag].timestamp() if made.get(tag, NEVER) > _NO_TIME else None)
        for tag, digest in sorted(tagged.tags.items())
    ]
    alive, now = _alive(place, tagged), time.time()
    deleted: set[str] = set()
    for _ in range(2):
        decisions = policies.decide(candidates, policy, now, alive - deleted)
        removals = untagging.removals(tagged, [item.tag for item in decisions if item.removed])
        deleted = {removal.digest for removal in removals if removal.by == "digest"}
    return decisions, removals


def _alive(place: Place, tagged: Tagged) -> set[str]:
    """Those manifests that a tag names as a subject, and that are there."""
    subjects = {subject for tag in tagged.tags if (subject := policies.subject_of(tag))}
    known = place.graph.repositories.get(tagged.repository) if place.graph is not None else None
    if known is not None:
        return subjects & known.revisions
    return {digest for digest in subjects if place.images.head(tagged.repository, digest) is not None}
