"""The executor and the journal: what is written down, what is believed, what is given back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gdkreg.errors import DamagedError, GdkregError, NeedsRootError
from gdkreg.plan import diff, ledger, reconcile
from gdkreg.plan import executor as executors
from gdkreg.plan.actions import (
    Action,
    Control,
    Fact,
    MakeFolder,
    RemoveFile,
    RemoveFolder,
    RunCommand,
    Step,
    WriteFile,
    by_hand,
    sentence,
    target,
)
from gdkreg.plan.preview import Preview
from gdkreg.plan.reconcile import Resource
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import executor, files, journal

A, B = ROOT / "a", ROOT / "b"
STATE = ROOT / ".gdkreg"


def write(path: Path, content: bytes, before: bytes | None, **options: object) -> WriteFile:
    return WriteFile(path=path, content=content, reason="why", before=before, **options)  # type: ignore[arg-type]


def command(*argv: str, **options: object) -> RunCommand:
    fact = Fact(kind="address", target="1.2.3.4", before="", after="lo")
    return RunCommand(argv=argv, fact=fact, reason="why", **options)  # type: ignore[arg-type]


def run(host: FakeHost, *actions: Action, command: str = "reconfigure") -> None:
    executor(host, journal(host), command).carry_out([Step("thing", action) for action in actions])


class Thing:
    """A resource that may have written anything in the root."""

    name = "thing"

    def __init__(self, host: FakeHost, *, keep_edits: bool = False) -> None:
        self._files = files(host, "thing", keep_edits=keep_edits)

    def inspect(self, host: object) -> None: ...

    def plan(self, state: None, present: bool) -> list[Action]:
        return []

    def notes(self, state: None) -> list[reconcile.Note]:
        return []

    def back(self, entry: ledger.Entry, host: object) -> list[Action]:
        return self._files.back(entry, host)  # type: ignore[arg-type]


def undo(host: FakeHost, *, keep_edits: bool = False) -> None:
    found = journal(host)
    thing: Resource = Thing(host, keep_edits=keep_edits)
    steps = reconcile.back(found.last_run(), lambda _: thing, Preview(host))
    executor(host, found, "undo").carry_out(steps)


@pytest.fixture(autouse=True)
def _runs_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(10_000))
    monkeypatch.setattr(executors, "new_run", lambda: f"run{next(numbers)}")


def test_undo_takes_back_the_last_run_then_the_one_before(fake: FakeHost) -> None:
    fake.put(A, "first", 0o640)
    run(fake, write(A, b"second", b"first"), MakeFolder(path=ROOT / "d", reason=""), write(ROOT / "d" / "f", b"x", None))
    run(fake, write(A, b"third", b"second"), write(A, b"fourth", b"third"))
    undo(fake)
    assert fake.files[A] == b"second"
    undo(fake)
    assert (fake.files[A], fake.infos[A].mode) == (b"first", 0o640)
    assert ROOT / "d" not in fake.infos
    assert journal(fake).last_run() == []


def test_undo_of_removals(fake: FakeHost) -> None:
    fake.put(A, "first")
    fake.make_folder(ROOT / "d", mode=0o750)
    run(fake, RemoveFile(path=A, reason="", before=b"first"), RemoveFolder(path=ROOT / "d", reason=""))
    undo(fake)
    assert fake.files[A] == b"first"
    assert fake.infos[ROOT / "d"].mode == 0o750


def test_undo_stops_with_a_diff_where_the_user_edited(fake: FakeHost) -> None:
    run(fake, write(A, b"concurrent = 1\n", None), write(B, b"x", None))
    fake.put(A, "concurrent = 1\nlimit = 2\n")
    with pytest.raises(GdkregError, match="was edited after") as error:
        undo(fake)
    assert "+limit = " in error.value.details
    assert fake.files[B] == b"x", "nothing is touched"
    undo(fake, keep_edits=True)
    assert fake.files[A] == b"concurrent = 1\nlimit = 2\n"
    assert B not in fake.files


def test_a_secret_is_not_shown_where_it_was_edited(fake: FakeHost) -> None:
    run(fake, write(A, b"KEY", None, secret=True))
    fake.put(A, "OTHER")
    with pytest.raises(GdkregError) as error:
        undo(fake)
    assert "KEY" not in error.value.details
    assert b"KEY" not in b"".join(raw for path, raw in fake.files.items() if STATE in path.parents)


def test_what_is_ours_and_what_was_there_before(fake: FakeHost) -> None:
    fake.put(A, "theirs", 0o640)
    run(fake, write(A, b"ours", b"theirs"), write(B, b"b", None))
    owned = journal(fake).owned()
    assert journal(fake).backup(owned[A].original) == b"theirs"
    assert (owned[A].mode, owned[B].original) == (0o640, "")
    fake.put(A, "theirs again", 0o600)
    run(fake, write(A, b"ours", b"theirs again"))
    assert journal(fake).backup(journal(fake).owned()[A].original) == b"theirs again"
    fake.remove(A)
    run(fake, write(A, b"ours", None))
    assert journal(fake).backup(journal(fake).owned()[A].original) == b"theirs again", "a file that was deleted is no original"
    run(fake, write(A, b"theirs again", b"ours"), RemoveFile(path=B, reason="", before=b"b"))
    assert journal(fake).owned() == {}
    run(fake, write(A, b"x", b"theirs again"), write(A, b"y", b"x", release=True))
    assert journal(fake).owned() == {}


class Killed(BaseException):
    """As SIGKILL: nothing is caught."""


def killed_during(fake: FakeHost, action: Action, monkeypatch: pytest.MonkeyPatch, method: str, *, after: bool) -> None:
    """Carry an action out and die in the middle of a method of the machine, before or after its effect."""
    real = getattr(fake, method)

    def die(path: Path, *arguments: object, **options: object) -> None:
        if path != getattr(action, "path", path):
            real(path, *arguments, **options)
            return
        if after:
            real(path, *arguments, **options)
        raise Killed

    run(fake, write(B, b"b", None))
    monkeypatch.setattr(fake, method, die)
    with pytest.raises(Killed):
        run(fake, action)
    monkeypatch.setattr(fake, method, real)


@pytest.mark.parametrize("after", [False, True])
def test_done_is_what_is_seen_to_be_done(fake: FakeHost, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    fake.put(A, "old")
    killed_during(fake, write(A, b"new", b"old"), monkeypatch, "write", after=after)
    fake.put(ROOT / ".a.gdkreg-new", "half")
    found = journal(fake)
    assert (A in found.owned()) == after
    assert journal(fake).owned().keys() == found.owned().keys(), "it is settled once"
    assert ROOT / ".a.gdkreg-new" not in fake.files


@pytest.mark.parametrize("after", [False, True])
def test_a_folder_that_was_begun_is_ours_only_where_it_stands(
    fake: FakeHost, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    folder = MakeFolder(path=ROOT / "d", reason="")
    killed_during(fake, folder, monkeypatch, "make_folder", after=after)
    assert journal(fake).folders() == ([ROOT / "d"] if after else [])


@pytest.mark.parametrize("after", [False, True])
def test_an_address_that_was_begun_is_ours_only_where_it_stands(
    fake: FakeHost, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    killed_during(fake, command("ip", "address", "add", "1.2.3.4/32", "dev", "lo"), monkeypatch, "run", after=after)
    assert list(journal(fake).facts("address")) == (["1.2.3.4"] if after else [])


@pytest.mark.parametrize(
    "left",
    [
        b"old 1\new 2\n\nold 3\n",
        b"old 1\new 2\n",
        b"",
        b"new 1",
        b"new 1new 2",
        b"new 1new 2\nold 3\n",
        b"old 1\nold 2\nold",
    ],
)
def test_a_torn_file_is_seen_and_what_stood_there_is_known(fake: FakeHost, monkeypatch: pytest.MonkeyPatch, left: bytes) -> None:
    old, new = b"old 1\nold 2\nold 3\n", b"new 1new 2\n"
    fake.put(A, old)
    killed_during(fake, write(A, new, old), monkeypatch, "write", after=False)
    is_torn = left != b"old 1\nold 2\nold"
    if left == b"new 1new 2\nold 3\n":
        left = new + old[len(new) :]
    fake.put(A, left)
    (found,) = journal(fake).torn if is_torn else [None]
    assert found is None or (found.path, found.whole) == (A, old)
    if not is_torn:
        assert journal(fake).torn == [], "somebody edited it; it is theirs"


def test_a_line_that_a_crash_cut_off_is_passed_over(fake: FakeHost) -> None:
    run(fake, write(A, b"x", None))
    path = STATE / "journal.jsonl"
    fake.files[path] += fake.files[path].split(b"\n")[0][:60]
    run(fake, write(B, b"y", None))
    assert set(journal(fake).owned()) == {A, B}


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw.replace(b'"target":"@/a"', b'"target":"/etc/cron.d/evil"'),
        lambda raw: raw.replace(b'"seq":1', b'"seq":-1'),
        lambda raw: b"\xff\xfe" + raw,
        lambda raw: b"",
        lambda raw: raw + b'{"run":"r","seq":1,"command":"c","resource":"hosts","kind":"file","target":"/etc/passwd"}\n',
        lambda raw: raw * 100_000,
        lambda raw: b"\0" * 100,
    ],
)
def test_a_journal_that_somebody_else_wrote_is_not_believed(fake: FakeHost, damage: object) -> None:
    run(fake, write(A, b"x", None))
    path = STATE / "journal.jsonl"
    fake.put(path, damage(fake.files[path]), 0o600)  # type: ignore[operator]
    with pytest.raises(DamagedError, match=r"journal\.jsonl is damaged") as error:
        journal(fake)
    assert "gdkreg down" in error.value.fix
    lenient = journal(fake, lenient=True)
    assert lenient.problem is not None
    assert lenient.entries == []


def test_a_backup_that_was_tampered_with_is_refused(fake: FakeHost) -> None:
    fake.put(A, "theirs")
    run(fake, write(A, b"ours", b"theirs"))
    wanted = journal(fake).owned()[A].original
    fake.put(STATE / "backups" / wanted, "evil", 0o600)
    with pytest.raises(GdkregError, match="is damaged"):
        journal(fake).backup(wanted)
    with pytest.raises(GdkregError, match="is damaged"):
        journal(fake).backup("../../../etc/shadow")


def test_the_journal_stays_short_and_knows_the_same(fake: FakeHost) -> None:
    fake.put(A, "theirs", 0o640)
    now = b"theirs"
    run(fake, MakeFolder(path=ROOT / "d", reason=""))
    for number in range(400):
        fresh = b"%d" % number
        run(fake, write(A, fresh, now))
        now = fresh
    before = journal(fake)
    known = (before.owned(), before.folders(), [entry.target for entry in before.last_run()])
    before.tidy()
    after = journal(fake)
    assert (after.owned(), after.folders(), [entry.target for entry in after.last_run()]) == known
    assert len(after.entries) < 60
    assert len([path for path in fake.files if path.parent == STATE / "backups"]) < 60
    undo(fake)
    assert fake.files[A] == b"398"
    assert journal(fake).backup(journal(fake).owned()[A].original) == b"theirs"


def test_a_file_that_changed_since_it_was_planned_is_not_written(fake: FakeHost) -> None:
    fake.put(A, "newer")
    with pytest.raises(GdkregError, match="changed while gdkreg was at work"):
        run(fake, write(A, b"x", b"old"))


def test_without_root_the_commands_to_run_by_hand(fake: FakeHost) -> None:
    journal(fake)
    fake.refuse_root = True
    object.__setattr__(fake, "platform", FakeHost(uid=1000, home="/home/dev").platform)
    for path, info in list(fake.infos.items()):
        fake.infos[path] = type(info)(info.kind, info.mode, 1000, 1000, info.target)
    with pytest.raises(NeedsRootError) as error:
        run(fake, write(A, b"new", None, as_root=True))
    assert error.value.exit_code == 4
    assert error.value.details == f"sudo install -m 644 {STATE}/pending/home-dev-gdk-a {A}"
    assert fake.files[STATE / "pending" / "home-dev-gdk-a"] == b"new"


def test_down_leaves_what_it_cannot_do_and_goes_on(fake: FakeHost) -> None:
    run(fake, write(A, b"a", None), write(B, b"b", None))
    real, found = fake.remove, journal(fake)

    def refuse(path: Path, **options: object) -> None:
        if path == A:
            raise GdkregError("cannot remove it", why="it is on a read-only file system", fix="findmnt")
        real(path, **options)  # type: ignore[arg-type]

    fake.remove = refuse  # type: ignore[method-assign]
    at_work = executor(fake, found, "down", keep_going=True)
    whole = RemoveFolder(path=STATE, reason="journal", whole=True)
    actions: list[Action] = [RemoveFile(path=A, reason="", before=b"a"), RemoveFile(path=B, reason="", before=b"b"), whole]
    at_work.carry_out([Step("thing", action) for action in actions])
    assert [item.status for item in at_work.items] == ["left", "done", "skipped"]
    assert at_work.items[0].detail == "cannot remove it: it is on a read-only file system"
    assert B not in fake.files
    assert A in journal(fake).owned(), "it is kept in mind"


def test_down_needs_no_room_for_its_journal(fake: FakeHost) -> None:
    run(fake, write(A, b"a", None))
    found = journal(fake)

    def full(*_: object, **__: object) -> None:
        raise GdkregError("cannot write", why="the disk is full")

    fake.append = fake.write = full  # type: ignore[method-assign]
    at_work = executor(fake, found, "down", keep_going=True)
    at_work.carry_out([Step("thing", RemoveFile(path=A, reason="", before=b"a"))])
    assert [item.status for item in at_work.items] == ["done"]
    assert A not in fake.files


def test_a_folder_that_is_not_empty_is_not_counted_as_removed(fake: FakeHost) -> None:
    fake.put(ROOT / "d" / "theirs", "x")
    at_work = executor(fake, journal(fake))
    at_work.carry_out([Step("thing", RemoveFolder(path=ROOT / "d", reason=""))])
    assert [item.status for item in at_work.items] == ["skipped"]


@pytest.mark.parametrize(
    ("action", "command_", "text"),
    [
        (write(A, b"", b"old", as_root=True), f"sudo cp /p {A}", f"replace {A}  (why)"),
        (RemoveFile(path=A, reason="why", before=b""), f"sudo rm {A}", f"remove {A}  (why)"),
        (MakeFolder(path=A, reason="why"), f"sudo install -d -m 755 {A}", f"make folder {A}  (why)"),
        (RemoveFolder(path=A, reason="why"), f"sudo rmdir {A}", f"remove folder {A}  (why)"),
        (command("ip", "x y"), "sudo ip 'x y'", "run ip 'x y'  (why)"),
        (
            command("ip", "-batch", "-", stdin="a b\nc\n"),
            "printf '%s\\n' 'a b' c | sudo ip -batch -",
            "run ip -batch - <<< 'a b; c'  (why)",
        ),
    ],
)
def test_every_action_in_words_and_by_hand(action: Action, command_: str, text: str) -> None:
    assert by_hand(action, Path("/p")) == command_
    assert sentence(action) == text
    assert target(action) in {str(A), "address 1.2.3.4"}


def test_a_service_in_words() -> None:
    control = Control(service="registry", verb="recreate", reason="older settings")
    assert (sentence(control), target(control)) == ("recreate registry  (older settings)", "registry")


def test_a_command_that_fails(fake: FakeHost) -> None:
    fake.fail.add("ip")
    with pytest.raises(GdkregError, match="ip x failed"):
        run(fake, command("ip", "x"))
    run(fake, command("ip", "x", may_fail=True))


def test_a_resource_that_does_not_converge_is_an_error(fake: FakeHost) -> None:
    class Stubborn(Thing):
        def plan(self, state: None, present: bool) -> list[Action]:
            return [command("true")]

    with pytest.raises(GdkregError, match="did not take the change"):
        reconcile.check([Stubborn(fake)], fake, [Step("thing", command("true"))], present=True)


def test_the_journal_holds_no_command(fake: FakeHost) -> None:
    run(fake, command("ip", "address", "add", "1.2.3.4/32", "dev", "lo"), write(A, b"x", None))
    lines = fake.files[STATE / "journal.jsonl"].split(b"\n")
    entries = [json.loads(line.partition(b" ")[2]) for line in lines if b'"kind"' in line]
    assert [entry["kind"] for entry in entries] == ["address", "file"]
    assert not any({"argv", "undo", "stdin"} & set(entry) for entry in entries)


# diffs


def test_diffs_are_short_and_numbered() -> None:
    hosts = "/etc/hosts"
    before = b"".join(b"line %d\n" % number for number in range(1000))
    after = before.replace(b"line 500\n", b"line five hundred\n")
    text = diff.unified(hosts, before, after)
    assert len(text.splitlines()) == 11
    assert "@@ -498,7 +498,7 @@" in text
    assert diff.unified(hosts, before, before) == ""
    assert "(no newline at the end)" in diff.unified(hosts, b"a\n", b"a")
    assert "␍" in diff.unified(hosts, b"a\n", b"a\r\n")
    assert diff.unified(hosts, None, b"a" * 1000).endswith("…")


def test_a_diff_of_each_kind_of_action() -> None:
    assert diff.of(command("x")) == ""
    assert "-x" in diff.of(RemoveFile(path=Path("/etc/hosts"), reason="", before=b"x\n"))
    assert diff.of(write(A, b"", None, secret=True)) == "(contents not shown: a secret)"
    assert diff.of(WriteFile(path=A, content=lambda _: b"", reason="", before=None)) == "(contents made when it is written)"
    assert diff.of(write(STATE / "x", b"x", None)) == ""
