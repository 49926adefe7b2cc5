"""GitLab's cleanup policy: which tags of one repository go, and why each stays.

The order of the rules is GitLab's (docs, «Cleanup policy»): latest, the names to remove, the names to retain, then by the image's
creation the newest ones, then the younger ones. Patterns are RE2 and match the whole name, as there.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from gdkreg.config import values
from gdkreg.errors import ConfigError

_OF_SUBJECT = re.compile(r"(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})(\..+)?")  # OCI's fallback tag, and cosign's .sig, .att


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """`keep`: so many of the newest stay; `older_than`: as 30d, "" for any age; `remove` and `retain`: patterns of tags."""

    keep: int = 0
    older_than: str = ""
    remove: str = ".*"
    retain: str = ""


class Candidate(msgspec.Struct, frozen=True):
    """A tag; `created` in seconds since 1970, None where the image does not tell."""

    tag: str
    digest: str
    created: float | None


class Decision(msgspec.Struct, frozen=True):
    tag: str
    digest: str
    removed: bool
    reason: str


def check(policy: Policy) -> None:
    """Raises `ConfigError` for a policy of the command line that nobody can mean."""
    for option, problem in (
        ("--older-than", values.age_problem(policy.older_than)),
        ("--remove", values.tag_pattern_problem(policy.remove) if policy.remove else "'' removes nothing"),
        ("--retain", values.tag_pattern_problem(policy.retain)),
        ("--keep", "" if policy.keep >= 0 else f"{policy.keep} is no number of tags"),
    ):
        if problem:
            raise ConfigError(f"{option}: {problem}", fix="gdkreg cleanup --help")


def decide(candidates: Sequence[Candidate], policy: Policy, now: float, alive: Collection[str] = ()) -> list[Decision]:
    """One decision for every tag, in their order. `alive` are the digests of manifests that are there: as long as one is, the
    tag that lists what refers to it stays."""
    remove, retain = values.compiled(policy.remove), values.compiled(policy.retain) if policy.retain else None
    oldest = now - values.seconds_of(policy.older_than) if policy.older_than else None
    kept: dict[str, str] = {}
    left = []
    for item in candidates:
        if reason := _named(item, policy, remove, retain, alive):
            kept[item.tag] = reason
        else:
            left.append(item)
    # As in GitLab, an image that does not tell its age counts as made now, and is never old enough.
    left.sort(key=lambda item: (-(now if item.created is None else item.created), item.tag))
    for place, item in enumerate(left, start=1):
        if place <= policy.keep:
            kept[item.tag] = f"one of the {policy.keep} newest ({place})"
        elif oldest is not None and item.created is None:
            kept[item.tag] = "the image does not tell when it was made"
        elif oldest is not None and item.created is not None and item.created >= oldest:
            kept[item.tag] = f"younger than {policy.older_than}"
    return [_decision(item, kept.get(item.tag, ""), policy) for item in candidates]


def subject_of(tag: str) -> str:
    """The digest of the image of which a tag lists the referrers; empty for any other tag."""
    found = _OF_SUBJECT.fullmatch(tag)
    return found[1].replace("-", ":", 1) if found else ""


def _named(item: Candidate, policy: Policy, remove: Any, retain: Any, alive: Collection[str]) -> str:
    """Why the name alone keeps a tag; empty where it does not."""
    if (subject := subject_of(item.tag)) in alive:
        return f"it lists what refers to {subject[:19]}…"
    if item.tag == "latest" and policy.remove != "latest":
        return "latest goes only by its own name"
    if not remove.fullmatch(item.tag):
        return f"not one of {policy.remove}"
    if retain is not None and retain.fullmatch(item.tag):
        return f"one of {policy.retain}"
    return ""


def _decision(item: Candidate, kept: str, policy: Policy) -> Decision:
    if kept:
        return Decision(item.tag, item.digest, False, kept)
    age = f", made {datetime.datetime.fromtimestamp(item.created, datetime.timezone.utc):%Y-%m-%d}" if item.created else ""
    beyond = f", not one of the {policy.keep} newest" if policy.keep else ""
    older = f", older than {policy.older_than}" if policy.older_than else ""
    why = f"{'any tag' if policy.remove == '.*' else f'one of {policy.remove}'}{beyond}{older}{age}"
    return Decision(item.tag, item.digest, True, why)
