"""The cleanup policy, rule by rule as GitLab has them."""

from __future__ import annotations

import time
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdkreg.errors import ConfigError
from gdkreg.registry.policy import Candidate, Policy, check, decide

NOW = 1_700_000_000.0
DAY = 86400.0


def gone(policy: Policy, *tags: str, alive: Collection[str] = (), **ages: float | None) -> list[str]:
    """The tags that go; `ages` in days, None for an image that does not tell."""
    found = [Candidate(tag, f"sha256:{tag}", NOW - DAY) for tag in tags]
    found += [Candidate(tag, f"sha256:{tag}", None if age is None else NOW - age * DAY) for tag, age in ages.items()]
    decisions = decide(found, policy, NOW, alive)
    assert [item.tag for item in decisions] == [item.tag for item in found]
    assert all(item.reason for item in decisions)
    return [item.tag for item in decisions if item.removed]


def test_latest_goes_only_by_its_own_name() -> None:
    assert gone(Policy(), "latest", "a") == ["a"]
    assert gone(Policy(remove="latest"), "latest", "a") == ["latest"]
    assert gone(Policy(remove="latest|a"), "latest", "a") == ["a"]


def test_patterns_are_of_whole_names() -> None:
    assert gone(Policy(remove="v1"), "v1", "v1.0", "xv1") == ["v1"]
    assert gone(Policy(remove="v.*", retain="v1.*"), "v1", "v10", "v2") == ["v2"], "what is to stay stays whatever else is said"


def test_the_newest_stay_by_the_images_creation() -> None:
    assert gone(Policy(keep=2), a=5, b=1, c=3, d=9) == ["a", "d"]
    assert gone(Policy(keep=1), latest=0, a=2, b=1) == ["a"], "latest does not count"
    assert gone(Policy(keep=1), a=None, b=1) == ["b"], "one that does not tell counts as made now"


def test_what_is_younger_stays() -> None:
    assert gone(Policy(older_than="7d"), a=8, b=6, c=None) == ["a"]
    assert gone(Policy(older_than="12h"), a=1, b=0.4) == ["a"]
    assert gone(Policy(older_than="2w", keep=1), a=15, b=16, c=17) == ["b", "c"]


def test_what_lists_referrers_stays_while_its_subject_does() -> None:
    subject = f"sha256-{'a' * 64}"
    alive = (f"sha256:{'a' * 64}",)
    assert gone(Policy(keep=1), subject, f"{subject}.sig", alive=alive, a=2, b=1) == ["a"], "nor does it count"
    assert gone(Policy(), subject, f"{subject}.att") == [subject, f"{subject}.att"]


@pytest.mark.parametrize(
    "policy", [Policy(older_than="a month"), Policy(remove="("), Policy(retain="(?=x)"), Policy(remove=""), Policy(keep=-1)]
)
def test_what_nobody_can_mean_is_refused(policy: Policy) -> None:
    with pytest.raises(ConfigError, match="--"):
        check(policy)


def test_no_pattern_makes_it_slow() -> None:
    begin = time.monotonic()
    gone(Policy(remove="(a*)*b|(a|a)*c|(.*.*)*d"), *(["a" * 120] * 200))
    assert time.monotonic() - begin < 5, "an engine that tries every way would take for ever"


TAGS = st.lists(st.tuples(st.from_regex(r"[a-z]{1,4}", fullmatch=True), st.integers(0, 50)), unique_by=lambda item: item[0])


@given(TAGS, st.integers(0, 5), st.sampled_from(["", "10d"]), st.sampled_from([".*", "a.*"]), st.sampled_from(["", "b.*|a"]))
def test_no_more_goes_than_every_rule_lets_go(
    tags: list[tuple[str, int]], keep: int, older: str, remove: str, retain: str
) -> None:
    policy = Policy(keep=keep, older_than=older, remove=remove, retain=retain)
    found = [Candidate(tag, f"sha256:{tag}", NOW - age * DAY) for tag, age in tags]
    went = {item.tag for item in decide(found, policy, NOW) if item.removed}
    ages = dict(tags)
    assert all(not older or ages[tag] > 10 for tag in went)
    assert all(remove == ".*" or tag.startswith("a") for tag in went)
    assert not retain or not any(tag.startswith("b") or tag == "a" for tag in went)
    could = [tag for tag in ages if (remove == ".*" or tag.startswith("a")) and not (retain and (tag[0] == "b" or tag == "a"))]
    assert len(set(could) - went) >= min(keep, len(could))
