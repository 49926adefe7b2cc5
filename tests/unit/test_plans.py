"""What is planned and told: conflicts, refusals, counts, the sentence of each action."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdkreg.errors import GdkregError
from gdkreg.plan import outcome, reconcile
from gdkreg.plan.actions import Action, Fact, Leave, MakeFolder, RunCommand, Step, WriteFile, by_hand, left, shown
from gdkreg.plan.ledger import Entry
from gdkreg.plan.outcome import Item, Outcome
from gdkreg.plan.preview import Preview
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT


class Thing:
    def __init__(self, name: str, *actions: Action | GdkregError) -> None:
        self.name = name
        self._actions = actions

    def inspect(self, host: object) -> None: ...

    def plan(self, state: None, present: bool) -> list[Action]:
        for item in self._actions:
            if isinstance(item, GdkregError):
                raise item
        return [item for item in self._actions if not isinstance(item, GdkregError)]

    def back(self, entry: Entry, host: object) -> list[Action]:
        return self.plan(None, True)

    def notes(self, state: None) -> list[reconcile.Note]:
        return []


def folder(name: str) -> MakeFolder:
    return MakeFolder(path=ROOT / name, reason="why")


# plans


def test_a_conflict_stops_the_plan_or_is_left_with_its_way_out(fake: FakeHost) -> None:
    conflict = GdkregError("taken", why="by you", fix="free it", details="+yours")
    things = [Thing("one", folder("a")), Thing("two", conflict), Thing("three", folder("b"))]
    with pytest.raises(GdkregError, match="taken"):
        reconcile.plan(things, Preview(fake), present=True)
    steps = reconcile.plan(things, Preview(fake), present=False, lenient=True)
    assert [step.resource for step in steps] == ["three", "two", "one"], "what was made last goes first"
    assert steps[1].action == Leave(target="two", reason="taken: by you", fix="free it", details="+yours")
    assert left(GdkregError("taken"), "x").reason == "taken"


def test_what_took_is_not_asked_of_others(fake: FakeHost) -> None:
    things = [Thing("one"), Thing("two", folder("a"))]
    reconcile.check(things, fake, [Step("one", folder("x"))], present=True)
    with pytest.raises(GdkregError, match="two did not take the change") as error:
        reconcile.check(things, fake, [Step("two", folder("x"))], present=True)
    assert error.value.why == "still to do: why"


def test_changes_are_taken_back_newest_first_and_never_by_a_stranger(fake: FakeHost) -> None:
    entries = [Entry(run="r", seq=seq, command="c", resource=f"t{seq}", kind="folder", target=f"@/{seq}") for seq in (1, 2)]
    steps = reconcile.back(entries, lambda entry: Thing(entry.resource, folder(entry.resource)), Preview(fake))
    assert [(step.resource, step.undoes) for step in steps] == [("t2", "r/2"), ("t1", "r/1")]
    with pytest.raises(GdkregError, match="a change to @/2 that gdkreg does not make") as error:
        reconcile.back(entries, lambda _: None, Preview(fake))
    assert error.value.why == "t2 has no folder of that name"


def test_what_an_outcome_counts() -> None:
    leave = Leave(target="x", reason="busy", fix="wait")
    steps = [Step("one", folder("a")), Step("two", leave), Step("three", folder("b"))]
    items = outcome.planned(steps)
    assert [(item.status, item.detail, item.fix) for item in items] == [
        ("planned", "", ""),
        ("left", "busy", "wait"),
        ("planned", "", ""),
    ]
    dry = Outcome(command="plan", root="/r", dry_run=True, items=items)
    assert (dry.changes, dry.as_data()["left"], [item.step for item in dry.left]) == (2, 1, [steps[1]])
    done = Outcome(command="up", root="/r", items=[Item(step=steps[0], status="done"), Item(step=steps[2], status="skipped")])
    assert (done.changes, done.as_data()["left"], done.left) == (1, 0, [])


def test_the_sentence_of_a_command_with_lines() -> None:
    fact = Fact(kind="address", target="1.2.3.4", before="", after="lo")
    action = RunCommand(argv=("ip", "-batch", "-"), fact=fact, reason="why", stdin="a b\nc")
    assert shown(action) == "ip -batch - <<< 'a b; c'"
    assert by_hand(action, Path("/ready")) == "printf '%s\\n' 'a b' c | sudo ip -batch -"


def test_a_file_by_hand_is_whose_it_should_be() -> None:
    write = WriteFile(path=Path("/etc/f"), content=b"", reason="why", before=None, mode=0o640, owner=(5, 6))
    assert by_hand(write, Path("/ready")) == "sudo install -m 640 -o 5 -g 6 /ready /etc/f"
