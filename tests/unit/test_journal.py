from __future__ import annotations

from pathlib import Path

import pytest

from gdkreg.errors import GdkregError, NeedsRootError
from gdkreg.plan import diff, executor, reconcile
from gdkreg.plan.actions import (
    Action,
    MakeFolder,
    RemoveFile,
    RemoveFolder,
    RunCommand,
    WriteFile,
    by_hand,
    sentence,
    target,
)
from gdkreg.plan.executor import Executor
from gdkreg.plan.journal import Journal, key
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import journal

A, B = ROOT / "a", ROOT / "b"


def write(path: Path, content: bytes, before: bytes | None, **options: object) -> WriteFile:
    return WriteFile(path=path, content=content, reason="why", before=before, **options)  # type: ignore[arg-type]


def run(host: FakeHost, *actions: Action, command: str = "reconfigure") -> None:
    at_work = Executor(host, journal(host), command, lambda _: None)
    for action in actions:
        at_work.execute("thing", action)


def undo(host: FakeHost, *, keep_edits: bool = False) -> None:
    found = journal(host)
    at_work = Executor(host, found, "undo", lambda _: None)
    for entry, action in executor.undo(found, host, keep_edits):
        at_work.execute(entry.resource, action, undoes=key(entry))


@pytest.fixture(autouse=True)
def _runs_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(100))
    monkeypatch.setattr(executor, "new_run", lambda: f"run{next(numbers)}")


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


def test_undo_of_commands_and_removals(fake: FakeHost) -> None:
    fake.put(A, "first")
    command = RunCommand(
        argv=("ip", "address", "add", "1.2.3.4/32", "dev", "lo"),
        undo=("ip", "address", "del", "1.2.3.4/32"),
        target="x",
        reason="",
    )
    fake.make_folder(ROOT / "d", mode=0o750)
    run(fake, command, RemoveFile(path=A, reason="", before=b"first"), RemoveFolder(path=ROOT / "d", reason=""))
    assert [entry.target for entry in journal(fake).commands("thing")] == ["x"]
    undo(fake)
    assert fake.files[A] == b"first"
    assert fake.infos[ROOT / "d"].mode == 0o750
    assert len(fake.net) == 1
    assert journal(fake).commands("thing") == []


def test_undo_stops_with_a_diff_where_the_user_edited(fake: FakeHost) -> None:
    run(fake, write(A, b"ours\n", None), write(B, b"x", None))
    fake.put(A, "ours\nmine\n")
    with pytest.raises(GdkregError, match="was edited after") as error:
        undo(fake)
    assert "+mine" in error.value.details
    assert fake.files[B] == b"x", "nothing is touched"
    undo(fake, keep_edits=True)
    assert fake.files[A] == b"ours\nmine\n"
    assert B not in fake.files


def test_a_secret_is_not_shown_where_it_was_edited(fake: FakeHost) -> None:
    run(fake, write(A, b"KEY", None, secret=True))
    fake.put(A, "OTHER")
    with pytest.raises(GdkregError) as error:
        undo(fake)
    assert "KEY" not in error.value.details
    assert b"KEY" not in b"".join(raw for path, raw in fake.files.items() if ".gdkreg" in path.parts)


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
    assert journal(fake).backup(journal(fake).owned()[A].original) == b"theirs again", (
        "a file that was deleted is not an original"
    )
    run(fake, write(A, b"theirs again", b"ours"), RemoveFile(path=B, reason="", before=b"b"))
    assert journal(fake).owned() == {}
    run(fake, write(A, b"x", b"theirs again"), write(A, b"y", b"x", release=True))
    assert journal(fake).owned() == {}


def test_a_run_that_was_killed_before_or_after_its_change(fake: FakeHost) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    for moment in ("before", "after"):
        host = FakeHost(home="/home/dev")
        host.put(A, "old")
        if moment == "before":
            host.write = die  # type: ignore[method-assign]
        found = Journal(ROOT, host)
        original_write = FakeHost.write
        if moment == "before":
            found._prepare = lambda: None  # type: ignore[method-assign]
            found.keep = lambda content: ""  # type: ignore[method-assign]
            host.put(ROOT / ".gdkreg" / ".gitignore", "*\n")
        else:
            found.finish = die  # type: ignore[method-assign]
        with pytest.raises(Killed):
            Executor(host, found, "reconfigure", lambda _: None).execute("thing", write(A, b"new", b"old"))
        host.write = original_write.__get__(host)  # type: ignore[method-assign]
        host.put(ROOT / ".a.gdkreg-new", "half")
        after = journal(host)
        assert (A in after.owned()) == (moment == "after")
        assert journal(host).owned().keys() == after.owned().keys(), "it is settled once"
        assert ROOT / ".a.gdkreg-new" not in host.files or moment == "settled"


def test_a_torn_line_is_passed_over(fake: FakeHost) -> None:
    run(fake, write(A, b"x", None))
    path = ROOT / ".gdkreg" / "journal.jsonl"
    fake.files[path] += b'{"run":"r","seq":1,"comm'
    run(fake, write(B, b"y", None))
    assert set(journal(fake).owned()) == {A, B}


def test_a_backup_that_was_tampered_with_is_refused(fake: FakeHost) -> None:
    fake.put(A, "theirs")
    run(fake, write(A, b"ours", b"theirs"))
    wanted = journal(fake).owned()[A].original
    fake.put(ROOT / ".gdkreg" / "backups" / wanted, "evil")
    with pytest.raises(GdkregError, match="missing or damaged"):
        journal(fake).backup(wanted)


def test_a_file_that_changed_since_it_was_planned_is_not_written(fake: FakeHost) -> None:
    fake.put(A, "newer")
    with pytest.raises(GdkregError, match="changed while gdkreg was at work"):
        run(fake, write(A, b"x", b"old"))


def test_without_root_the_commands_to_run_by_hand(fake: FakeHost) -> None:
    fake.refuse_root = True
    object.__setattr__(fake, "platform", FakeHost(uid=1000, home="/home/dev").platform)
    with pytest.raises(NeedsRootError) as error:
        run(fake, write(A, b"new", None, as_root=True))
    assert error.value.exit_code == 4
    assert error.value.details == f"sudo install -m 644 {ROOT}/.gdkreg/pending/home-dev-gdk-a {A}"
    assert fake.files[ROOT / ".gdkreg" / "pending" / "home-dev-gdk-a"] == b"new"


@pytest.mark.parametrize(
    ("action", "command", "text"),
    [
        (write(A, b"", b"old", as_root=True), f"sudo cp /p {A}", f"replace {A}  (why)"),
        (RemoveFile(path=A, reason="why", before=b""), f"sudo rm {A}", f"remove {A}  (why)"),
        (MakeFolder(path=A, reason="why"), f"sudo install -d -m 755 {A}", f"make folder {A}  (why)"),
        (RemoveFolder(path=A, reason="why"), f"sudo rmdir {A}", f"remove folder {A}  (why)"),
        (RunCommand(argv=("ip", "x y"), target="t", reason="why"), "sudo ip 'x y'", "run ip 'x y'  (why)"),
        (
            RunCommand(argv=("ip", "-batch", "-"), stdin="a b\nc\n", target="t", reason="why"),
            "printf '%s\\n' 'a b' c | sudo ip -batch -",
            "run ip -batch - <<< 'a b; c'  (why)",
        ),
    ],
)
def test_every_action_in_words_and_by_hand(action: Action, command: str, text: str) -> None:
    assert by_hand(action, Path("/p")) == command
    assert sentence(action) == text
    assert target(action) in {str(A), "t"}


def test_a_command_that_fails(fake: FakeHost) -> None:
    fake.fail.add("ip")
    with pytest.raises(GdkregError, match="ip x failed"):
        run(fake, RunCommand(argv=("ip", "x"), target="t", reason=""))
    run(fake, RunCommand(argv=("ip", "x"), target="t", reason="", may_fail=True))


def test_a_resource_that_does_not_converge_is_an_error(fake: FakeHost) -> None:
    class Stubborn:
        name = "stubborn"

        def inspect(self, host: object) -> None:
            return None

        def plan(self, state: None, present: bool) -> list[Action]:
            return [RunCommand(argv=("true",), target="t", reason="again")]

        def notes(self, state: None) -> list[reconcile.Note]:
            return []

    with pytest.raises(GdkregError, match="did not take the change"):
        reconcile.apply([Stubborn()], fake, Executor(fake, journal(fake), "x", lambda _: None), present=True)


# diffs


def test_diffs_are_short_masked_and_numbered() -> None:
    before = b"".join(b"line %d\n" % number for number in range(1000))
    after = before.replace(b"line 500\n", b'  token = "glrt-abc"\n')
    text = diff.unified("f", before, after)
    assert len(text.splitlines()) == 11
    assert "@@ -498,7 +498,7 @@" in text
    assert "glrt" not in text
    assert diff.unified("f", before, before) == ""
    assert "(no newline at the end)" in diff.unified("f", b"a\n", b"a")
    assert "␍" in diff.unified("f", b"a\n", b"a\r\n")
    assert diff.unified("f", None, b"a" * 1000).endswith("…")


def test_a_diff_of_each_kind_of_action() -> None:
    assert diff.of(RunCommand(argv=("x",), target="t", reason="")) == ""
    assert "-x" in diff.of(RemoveFile(path=A, reason="", before=b"x\n"))
    assert diff.of(write(A, b"", None, secret=True)) == "(contents not shown: a secret)"
    assert diff.of(WriteFile(path=A, content=lambda _: b"", reason="", before=None)) == "(contents made when it is written)"
    assert diff.of(write(ROOT / ".gdkreg" / "x", b"x", None)) == ""
    assert diff.mask("  password: hunter2\n  realm: x") == "  password: ********\n  realm: x"


# the alias at boot


def test_the_alias_at_boot(fake: FakeHost) -> None:
    from gdkreg.resources.persist_alias import PersistAlias
    from tests.unit.helpers import apply, files, levels, plan

    def resource(address: str = "172.16.123.1", *, wanted: bool = True) -> PersistAlias:
        return PersistAlias(address, fake.platform.system, wanted, files(fake, "persist_alias"))

    assert levels(fake, resource()) == ["warning"], "no systemd"
    assert plan(fake, resource()) == []
    fake.put("/run/systemd/system/.keep", "")
    apply(fake, resource())
    unit = Path("/etc/systemd/system/gdkreg-loopback-172.16.123.1.service")
    assert b"ip address replace 172.16.123.1/32 dev lo" in fake.files[unit]
    assert levels(fake, resource()) == ["ok"]
    apply(fake, resource("172.16.123.2"))
    assert unit not in fake.files
    assert levels(fake, resource("172.16.123.3")) == ["changed"]
    apply(fake, resource("172.16.123.2"), present=False)
    assert not [path for path in fake.infos if "gdkreg-loopback" in path.name]
    assert levels(fake, resource(wanted=False)) == ["off"]

    mac = FakeHost("darwin", home="/Users/dev")
    mac.put(ROOT / "gdk.yml", "")
    mac.put("/Library/LaunchDaemons/.keep", "")
    on_mac = PersistAlias("172.16.123.1", "darwin", True, files(mac, "persist_alias"))
    apply(mac, on_mac)
    plist = mac.files[Path("/Library/LaunchDaemons/dev.gdkreg.loopback.172.16.123.1.plist")]
    assert b"<string>172.16.123.1</string>" in plist
    import plistlib

    assert plistlib.loads(plist)["RunAtLoad"] is True
