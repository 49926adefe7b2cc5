"""What the journal makes of a run that was killed; how it is kept short; which run an undo takes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gdkreg.errors import DamagedError, GdkregError
from gdkreg.host.base import FileInfo, digest
from gdkreg.plan import ledger, roots
from gdkreg.plan.actions import Action, Fact, RunCommand, Step, WriteFile
from gdkreg.plan.journal import Journal
from gdkreg.plan.ledger import Entry
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import executor, journal

A, STATE = ROOT / "a", ROOT / ".gdkreg"


class Killed(BaseException):
    """As no error of the program."""


def killed(host: FakeHost, action: Action, method: str, monkeypatch: pytest.MonkeyPatch, leaves: Any = None) -> None:
    """A run that dies in the middle of an action, having done to the machine what `leaves` does."""

    def die(path: Any, *_: Any, **__: Any) -> Any:
        if method != "write" or path == A:
            if leaves is not None:
                leaves()
            raise Killed
        return real(path, *_, **__)

    real = getattr(host, method)
    found = journal(host)
    with monkeypatch.context() as dying:
        dying.setattr(host, method, die)
        with pytest.raises(Killed):
            executor(host, found).carry_out([Step("thing", action)])


def change(content: bytes, before: bytes | None, **options: Any) -> WriteFile:
    return WriteFile(path=A, content=content, reason="why", before=before, **options)


def test_a_torn_file_stays_torn_until_it_is_repaired(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.put(A, "old and long")
    killed(fake, change(b"new", b"old and long"), "write", monkeypatch, lambda: fake.put(A, "ne"))
    for _ in range(2):  # the second reads what the first settled
        found = journal(fake)
        assert [(torn.now, torn.whole) for torn in found.torn] == [(b"ne", b"old and long")]
        assert found.unsettled
        assert found.entries == []
    found.repaired(found.torn[0])
    assert (found.torn, found.unsettled) == ([], False)
    assert (journal(fake).torn, journal(fake).unsettled) == ([], False)


def test_two_torn_files_are_repaired_one_by_one(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.put(A, "old and long")
    killed(fake, change(b"new", b"old and long"), "write", monkeypatch, lambda: fake.put(A, "ne"))
    found = journal(fake)
    (one,) = found.torn
    other = begun("other", before=one.entry.before, after=one.entry.after)
    found.begin(other)
    fake.put(ROOT / "other", "ne")
    again = journal(fake)
    assert len(again.torn) == 2
    again.repaired(again.torn[0])
    assert [torn.path for torn in again.torn] == [torn.path for torn in journal(fake).torn] == [ROOT / "other"]
    assert again.unsettled


def begun(name: str, **options: Any) -> Entry:
    known: dict[str, Any] = {
        "run": "killed",
        "seq": 1,
        "command": "up",
        "resource": "thing",
        "kind": "file",
        "target": f"@/{name}",
    }
    return Entry(**(known | options))


@pytest.mark.parametrize("now", [b"", b"n", b"ol", b"x"])
def test_a_secret_is_known_as_torn_only_where_it_is_empty(fake: FakeHost, monkeypatch: pytest.MonkeyPatch, now: bytes) -> None:
    """The new bytes of a secret are kept nowhere."""
    fake.put(A, "old")
    killed(fake, change(b"new", b"old", secret=True), "write", monkeypatch, lambda: fake.put(A, now))
    assert bool(journal(fake).torn) == (now == b"")


def test_a_file_that_is_gone_is_not_torn(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.put(A, "old")
    killed(fake, change(b"new", b"old"), "write", monkeypatch, lambda: fake.remove(A))
    assert (journal(fake).torn, journal(fake).unsettled) == ([], False)


def test_an_owner_that_was_begun_is_ours_where_it_stands(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.put(A, "x")
    fact = Fact(kind="owner", target=str(A), before="0:0", after="7:8")
    action = RunCommand(argv=("chown", "7:8", str(A)), fact=fact, reason="why")
    for leaves, seen in (
        (None, []),
        (lambda: fake.infos.pop(A), []),
        (lambda: fake.infos.update({A: FileInfo("file", 0o644, 7, 8)}), ["@/a"]),
    ):
        killed(fake, action, "run", monkeypatch, leaves)
        assert list(journal(fake).facts("owner")) == seen


@pytest.mark.parametrize("there", [False, True])
def test_a_unit_that_was_begun_is_ours_where_its_link_stands(
    fake: FakeHost, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    unit = "/etc/systemd/system/x.wants/gdkreg.service"
    fact = Fact(kind="unit", target=unit, before="", after="enabled")
    leaves = (lambda: fake.link(unit, "../gdkreg.service")) if there else None
    killed(fake, RunCommand(argv=("systemctl",), fact=fact, reason="why"), "run", monkeypatch, leaves)
    assert list(journal(fake).facts("unit")) == ([unit] if there else [])


def test_a_file_that_cannot_be_read_is_not_taken_for_done(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(fake, change(b"new", None), "write", monkeypatch, lambda: fake.make_folder(A, mode=0o755))
    found = journal(fake)
    assert (found.entries, found.torn, found.unsettled) == ([], [], False)


def test_what_a_killed_run_left_beside_its_files_goes(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    half = [STATE / ".x.gdkreg-new", STATE / "backups/.y.gdkreg-new"]
    killed(fake, change(b"new", None), "write", monkeypatch)
    for path in half:
        fake.put(path, "half", 0o600)
    journal(fake)
    assert not set(half) & set(fake.files)


def test_a_line_of_the_journal_that_is_sealed_but_no_entry(fake: FakeHost) -> None:
    found = journal(fake)
    found._append(b'{"run":' + b"1" * 300 + b"}")
    with pytest.raises(DamagedError, match="is damaged") as error:
        journal(fake)
    assert 0 < len(error.value.why) <= 120


def test_an_edited_file_is_shown_as_it_differs_from_ours(fake: FakeHost) -> None:
    found, hosts = journal(fake), Path("/etc/hosts")
    found.keep(b"ours\n")
    error = found.edited(hosts, digest(b"ours\n"), b"theirs\n", False, "undo")
    assert "-ours" in error.details
    assert "+theirs" in error.details
    assert error.fix == "gdkreg undo --keep-edits leaves it as it is"
    assert found.edited(hosts, digest(b"ours\n"), b"theirs\n", True, "undo").details == "(contents not shown: a secret)"
    assert "-ours" not in found.edited(hosts, digest(b"gone\n"), b"theirs\n", False, "undo").details


def test_a_journal_of_many_marks_is_made_shorter_too(fake: FakeHost) -> None:
    found = journal(fake)
    failed = begun("b", after="y")

    def lines() -> int:
        return sum(bool(line) for line in fake.files[STATE / "journal.jsonl"].split(b"\n"))

    found.note(begun("a", after="x"))
    for number in range(4, 1201, 2):
        found.begin(failed)
        found.finish(failed, done=False)
        if number < 1200:
            found.tidy()
    assert lines() == 1200, "a short journal is left as it is"
    found.tidy()
    assert lines() == 2
    assert [entry.target for entry in journal(fake).entries] == ["@/a"]


def test_backups_that_nobody_needs_go_with_the_lines(fake: FakeHost) -> None:
    found = journal(fake)
    for content in (b"before", b"after", b"nobody's"):
        found.keep(content)
    for seq in range(301):
        found.note(
            Entry(
                run="r",
                seq=seq,
                command="up",
                resource="t",
                kind="file",
                target=f"@/{seq}",
                before=digest(b"before"),
                after=digest(b"after"),
            )
        )
    found.tidy()
    assert fake.entries(STATE / "backups") == sorted([digest(b"before"), digest(b"after")])


def test_a_backup_is_named_by_what_is_in_it(fake: FakeHost) -> None:
    found = journal(fake)
    found.keep(b"x")
    assert found.backup(digest(b"x")) == b"x"
    fake.remove(STATE / "backups" / digest(b"x"))
    with pytest.raises(GdkregError, match="is damaged"):
        found.backup(digest(b"x"))


def test_a_journal_of_another_root_is_empty(fake: FakeHost) -> None:
    found = journal(fake)
    found.note(begun("a", after="x"))
    stranger = roots.Identity(claim=found.identity.claim, known=False)
    assert Journal(ROOT, fake, stranger).entries == []


# the last run


def entry(run: str, kind: str = "file", **options: Any) -> Entry:
    known: dict[str, Any] = {"run": run, "seq": 1, "command": "up", "resource": "t", "kind": kind, "target": "x", "after": "a"}
    return Entry(**(known | options))


@pytest.mark.parametrize(
    ("entries", "last"),
    [
        ([entry("1"), entry("2")], ["2/1"]),
        ([entry("1"), entry("2", final=True)], ["1/1"]),
        ([entry("1"), entry("2", command="undo")], ["1/1"]),
        ([entry("1"), entry("2", undoes="1/1")], []),
        ([entry("1"), entry("1", seq=2), entry("2", undoes="1/2")], ["1/1"]),
        ([entry("base")], []),
        *(([entry("1"), entry("2", kind)], ["1/1"]) for kind in ("edit", "repair", "skip", "login")),
        ([entry("1"), entry("2", "service", before="running", after="running")], ["1/1"]),
        ([entry("1"), entry("2", "service", before="", after="running")], ["2/1"]),
        ([entry("1"), entry("2", "file", before="same", after="same")], ["2/1"]),
        ([entry("1"), entry("2", "service", before="running", after="running"), entry("2", seq=2)], ["2/1", "2/2"]),
        ([], []),
    ],
)
def test_which_run_an_undo_takes_back(entries: list[Entry], last: list[str]) -> None:
    assert [item.key for item in ledger.last_run(entries)] == last


def test_what_is_forgotten_is_known_all_the_same(fake: FakeHost) -> None:
    """One run after another is folded into the first lines; nothing that is ours gets lost, and its owner neither."""
    entries = [
        entry("1", target="@/f", before="theirs", mode=0o600, owner=(7, 8), secret=True, as_root=True),
        entry("1", "folder", seq=2, target="@/d", after="made"),
        entry("1", "address", seq=3, target="1.2.3.4", after="lo"),
        entry("1", "unit", seq=4, target="/u", after="enabled"),
        entry("1", "owner", seq=5, target="@/d", before="0:0", after="7:8"),
        entry("1", "service", seq=6, target="registry", after="running"),
        entry("1", "login", seq=7, target="docker", after="in"),
        *(entry(str(run), target="@/g", after=f"a{run}") for run in range(2, 5)),
    ]
    short = ledger.compact(entries, ROOT, 2)
    assert [item.run for item in short] == ["base"] * 8 + ["3", "4"]
    assert len({item.key for item in short}) == len(short)
    assert ledger.owned(short, ROOT) == ledger.owned(entries, ROOT)
    assert ledger.owned(short, ROOT)[ROOT / "f"].owner == (7, 8)
    for kind in ("folder", "address", "unit", "owner", "service", "login"):
        assert {name: item.after for name, item in ledger.facts(short, kind).items()} == {
            name: item.after for name, item in ledger.facts(entries, kind).items()
        }
