"""How each action is carried out: whose a file is afterwards, what is refused, what the journal then says."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from gdkreg.errors import GdkregError, NeedsRootError
from gdkreg.host.base import Completed, FileInfo, digest
from gdkreg.plan.actions import (
    Action,
    Control,
    Fact,
    ForgetFile,
    Leave,
    MakeFolder,
    RemoveFile,
    RemoveFolder,
    RunCommand,
    SetAside,
    Step,
    WriteFile,
    pending,
)
from gdkreg.plan.executor import Executor
from gdkreg.plan.outcome import Item, Silent
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import executor, journal

A = ROOT / "a"
UNIT = Path("/etc/systemd/system/x.wants/gdkreg.service")


def write(path: Path, content: bytes = b"new", before: bytes | None = None, **options: object) -> WriteFile:
    return WriteFile(path=path, content=content, reason="why", before=before, **options)  # type: ignore[arg-type]


def command(kind: str = "address", target: str = "1.2.3.4", before: str = "", after: str = "lo", **options: object) -> RunCommand:
    fact = Fact(kind=kind, target=target, before=before, after=after)  # type: ignore[arg-type]
    return RunCommand(argv=("ip", "x"), fact=fact, reason="why", **options)  # type: ignore[arg-type]


def run(host: FakeHost, *actions: Action, resource: str = "thing", keep_going: bool = False) -> list[Item]:
    at_work = executor(host, journal(host), keep_going=keep_going)
    at_work.carry_out([Step(resource, action) for action in actions])
    return at_work.items


def unwritten(host: FakeHost, resource: str, *actions: Action) -> None:
    """As before any set-up: without a journal."""
    Executor(ROOT, host, None, "up", Silent(), lambda control: "").carry_out([Step(resource, action) for action in actions])


def ends(host: FakeHost, monkeypatch: pytest.MonkeyPatch, code: int, out: str = "", err: str = "") -> None:
    """Every command ends so, having done nothing."""
    monkeypatch.setattr(host, "run", lambda argv, **_: Completed(code, out, err))


# what is left behind by a `down` that goes on


def test_what_is_left_says_why_and_what_helps(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.put(A, "mine")
    (changed,) = run(fake, write(A, before=b"theirs"), keep_going=True)
    assert (changed.status, changed.detail) == ("left", f"{A} changed while gdkreg was at work")
    assert changed.fix == "gdkreg reconfigure"
    ends(fake, monkeypatch, 1, err="RTNETLINK: no\n")
    (failed,) = run(fake, command(), keep_going=True)
    assert failed.detail == "ip x failed: RTNETLINK: no"


def test_what_needs_root_is_left_with_the_command_to_run() -> None:
    host = FakeHost(uid=1000, home="/home/dev")
    host.make_folder(ROOT, mode=0o755)
    host.put("/etc/hosts", "x")
    at_work = executor(host, journal(host), "down", keep_going=True)
    host.refuse_root = True
    at_work.carry_out([Step("hosts", write(Path("/etc/hosts"), b"y\n", b"x", as_root=True))])
    (item,) = at_work.items
    assert item.status == "left"
    assert item.detail == "this step needs root: there is no sudo on this machine"
    assert item.fix == f"sudo cp {ROOT}/.gdkreg/pending/etc-hosts /etc/hosts"
    ready = ROOT / ".gdkreg/pending/etc-hosts"
    assert (host.files[ready], host.infos[ready].mode, host.infos[ready.parent].mode) == (b"y\n", 0o600, 0o700)


def test_what_fails_without_a_word_leads_to_doctor(fake: FakeHost) -> None:
    def perform(control: Control) -> str:
        raise GdkregError("the engine is gone")

    at_work = Executor(ROOT, fake, journal(fake), "down", Silent(), perform, keep_going=True)
    at_work.carry_out([Step("registry", Control(service="registry", verb="stop", reason="why"))])
    assert (at_work.items[0].detail, at_work.items[0].fix) == ("the engine is gone", "gdkreg doctor")


# one root at a time at a file that all share


class Locking(FakeHost):
    locked: list[Path]

    @contextlib.contextmanager
    def lock(self, folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
        self.locked.append(folder)
        yield


def test_files_outside_the_root_are_locked_while_they_are_written(tmp_path: Path) -> None:
    host = Locking(home="/home/dev")
    host.locked = []
    host.put(ROOT / "gdk.yml", "")
    host.put("/etc/hosts", "x")
    run(host, write(A), MakeFolder(path=Path("/etc/d"), reason="why"), write(Path("/etc/d/new")))
    assert host.locked == [], "nothing of another root can lie in a folder that is empty"
    run(host, write(Path("/etc/hosts"), before=b"x"), RemoveFile(path=Path("/etc/d/new"), reason="why", before=b"new"))
    assert host.locked == [Path("/etc"), Path("/etc/d")]


def test_a_way_round_into_the_root_needs_no_second_lock(tmp_path: Path) -> None:
    host = Locking(home="/home/dev")
    host.locked = []
    root, way = tmp_path / "root", tmp_path / "way"
    root.mkdir()
    way.symlink_to(root)
    for folder in (root, way):
        host.put(folder / "there", "x")
    found = Executor(root, host, None, "config set", Silent(), lambda control: "")
    found.carry_out([Step("gdk.yml", write(way / "f"))])
    assert host.locked == []


# symlinks


def test_only_a_gdk_yml_may_be_a_symlink(fake: FakeHost) -> None:
    fake.put(ROOT / "real.yml", "old")
    fake.link(str(ROOT / "gdk.yml"), "real.yml")
    with pytest.raises(GdkregError, match="cannot write") as error:
        run(fake, write(ROOT / "gdk.yml", before=b"old"), resource="registry_config")
    assert "symlink" in error.value.why
    run(fake, write(ROOT / "gdk.yml", before=b"old"), resource="gdk.yml")
    assert fake.files[ROOT / "real.yml"] == b"new"
    fake.link("/etc/link", "hosts")
    run(fake, write(Path("/etc/link"), b"all", b"127.0.0.1 localhost\n"))
    assert fake.files[Path("/etc/hosts")] == b"all", "outside of the root it is the system's own affair"


def test_root_follows_no_symlink_of_somebody_else(fake: FakeHost) -> None:
    fake.put(ROOT / "real.yml", "old")
    fake.link(str(ROOT / "gdk.yml"), "real.yml")
    fake.infos[ROOT] = FileInfo("folder", 0o755, 1000, 1000)
    with pytest.raises(GdkregError, match="cannot write"):
        unwritten(fake, "gdk.yml", write(ROOT / "gdk.yml", before=b"old"))


# whose it is


def test_root_makes_files_for_whom_the_folder_belongs_to(fake: FakeHost) -> None:
    fake.put(ROOT / "theirs", "x")
    fake.infos[ROOT / "theirs"] = FileInfo("file", 0o600, 7, 8)
    fake.infos[ROOT] = FileInfo("folder", 0o755, 1000, 1001)
    made: list[Action] = [write(A), MakeFolder(path=ROOT / "d", reason="why"), write(ROOT / "theirs", before=b"x")]
    given = [write(ROOT / "b", owner=(5, 6)), write(ROOT / "c", owner=(-1, -1))]
    unwritten(fake, "thing", *made, *given, MakeFolder(path=ROOT / "e", reason="why", owner=(5, 6)), write(Path("/etc/new")))

    def owner(path: Path) -> tuple[int, int]:
        return fake.infos[path].uid, fake.infos[path].gid

    assert owner(A) == owner(ROOT / "d") == owner(ROOT / "c") == (1000, 1001)
    assert owner(ROOT / "theirs") == (7, 8), "who owned a file keeps it"
    assert owner(ROOT / "b") == owner(ROOT / "e") == (5, 6)
    assert owner(Path("/etc/new")) == (0, 0)


# what the journal then says


def test_the_journal_tells_what_stood_there_before(fake: FakeHost) -> None:
    fake.put(A, "old", 0o640)
    fake.link(str(ROOT / "link"), "a")
    fake.make_folder(ROOT / "d", mode=0o750, owner=(3, 4))
    chown = command("owner", str(ROOT / "d"), before="3:4", after="5:6")
    run(
        fake,
        write(A, before=b"old"),
        write(ROOT / "b", release=True),
        ForgetFile(path=ROOT / "link", reason="why"),
        MakeFolder(path=ROOT / "new", reason="why"),
        chown,
        RemoveFolder(path=ROOT / "d", reason="why"),
        MakeFolder(path=ROOT / "new", reason="why"),
    )
    a, b, link, new, owner, gone, again = journal(fake).entries
    assert (a.target, a.mode, a.owner, a.before, a.after) == ("@/a", 0o640, (0, 0), digest(b"old"), digest(b"new"))
    assert (b.mode, b.owner, b.before, a.release, b.release) == (0o644, (-1, -1), "", False, True)
    assert (link.kind, link.mode, link.owner) == ("forget", 0o644, (0, 0)), "a link's own mode says nothing"
    assert (new.before, new.after, again.before, again.after) == ("", "made", "made", "made")
    assert (gone.mode, gone.owner, gone.before, gone.after) == (0o750, (3, 4), "made", "")
    assert (owner.kind, owner.target, owner.before, owner.after) == ("owner", "@/d", "3:4", "5:6")
    assert [entry.seq for entry in journal(fake).entries] == list(range(1, 8))


def test_addresses_are_no_paths_and_services_no_logins(fake: FakeHost) -> None:
    start = Control(service="registry", verb="start", reason="why", after="running")
    login = Control(service="docker", verb="login", reason="why", after="in")
    logout = Control(service="docker", verb="logout", reason="why", before="in")
    passing = [Control(service="x", verb=verb, reason="why") for verb in ("pull", "prove")]
    items = run(fake, command(), start, *passing, login, logout)
    assert [item.status for item in items] == ["done"] * 6
    assert [item.detail for item in items] == ["", "start", "pull", "prove", "login", "logout"]
    told = [(entry.kind, entry.target, entry.before, entry.after) for entry in journal(fake).entries]
    assert told == [
        ("address", "1.2.3.4", "", "lo"),
        ("service", "registry", "", "running"),
        ("login", "docker", "", "in"),
        ("login", "docker", "in", ""),
    ]


def fails(host: FakeHost, monkeypatch: pytest.MonkeyPatch, left: bytes | None) -> None:
    """A write that breaks off, having left these bytes."""

    def broken(path: Path, *_: object, **__: object) -> None:
        if left is not None:
            host.put(path, left)
        raise GdkregError("the disk is full")

    real = host.write
    monkeypatch.setattr(host, "write", lambda path, *rest, **more: (broken if path == A else real)(path, *rest, **more))


@pytest.mark.parametrize(("left", "open_"), [(None, False), (b"new", False), (b"ne", True)])
def test_a_write_that_failed_stays_open_only_in_between(
    fake: FakeHost, monkeypatch: pytest.MonkeyPatch, left: bytes | None, open_: bool
) -> None:
    fake.put(A, "old, and longer")
    found = journal(fake)
    with monkeypatch.context() as broken:
        fails(fake, broken, left)
        with pytest.raises(GdkregError, match="disk is full"):
            executor(fake, found).carry_out([Step("thing", write(A, before=b"old, and longer"))])
    after = journal(fake)
    assert [entry.target for entry in after.entries] == (["@/a"] if left == b"new" else [])
    assert after.unsettled == open_
    assert [(torn.path, torn.now, torn.whole) for torn in after.torn] == ([(A, b"ne", b"old, and longer")] if open_ else [])


def test_a_service_that_failed_to_start_is_no_change(fake: FakeHost) -> None:
    def perform(control: Control) -> str:
        raise GdkregError("no image")

    found = journal(fake)
    at_work = Executor(ROOT, fake, found, "up", Silent(), perform)
    start = Control(service="registry", verb="start", reason="why", after="running")
    with pytest.raises(GdkregError, match="no image"):
        at_work.carry_out([Step("registry", start)])
    assert (journal(fake).entries, journal(fake).unsettled) == ([], False)


def test_a_command_that_failed_may_have_done_it_all_the_same(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(argv: Sequence[str], **_: object) -> Completed:
        fake.net.append(fake.net[0].__class__("lo", "1.2.3.4", 32))
        return Completed(2, "", "RTNETLINK answers: File exists")

    monkeypatch.setattr(fake, "run", half)
    with pytest.raises(GdkregError, match="ip x failed"):
        run(fake, command())
    assert [entry.target for entry in journal(fake).entries] == ["1.2.3.4"]


# commands


@pytest.mark.parametrize(
    ("out", "err", "why"),
    [("said", "wrong\n", "wrong"), ("said\n", "", "said"), ("", "", "exit code 3"), (" ", " ", "exit code 3")],
)
def test_why_a_command_failed(fake: FakeHost, monkeypatch: pytest.MonkeyPatch, out: str, err: str, why: str) -> None:
    ends(fake, monkeypatch, 3, out, err)
    with pytest.raises(GdkregError, match="ip x failed") as error:
        run(fake, command())
    assert (error.value.why, error.value.fix) == (why, "gdkreg reconfigure")


def test_a_command_that_may_fail_did_not_where_its_link_still_stands(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    ends(fake, monkeypatch, 1, err="no such unit")
    off = command("unit", str(UNIT), before="enabled", after="", may_fail=True)
    assert run(fake, off)[0].status == "done"
    assert run(fake, command(may_fail=True))[0].status == "done"
    fake.link(str(UNIT), "../gdkreg.service")
    with pytest.raises(GdkregError, match="ip x failed"):
        run(fake, off)
    on = command("unit", str(UNIT), before="", after="enabled", may_fail=True)
    assert run(fake, on)[0].status == "done", "enabled twice is enabled"
    ends(fake, monkeypatch, 0)
    assert run(fake, off)[0].status == "done"


def test_where_one_command_fails_the_other_is_tried(fake: FakeHost) -> None:
    fake.fail.add("ip")
    other = RunCommand(argv=("ifconfig", "lo", "alias", "1.2.3.4"), fact=command().fact, reason="why")
    (item,) = run(fake, command(otherwise=other))
    assert (item.status, [argv[0] for argv, _ in fake.ran]) == ("done", ["ip", "ifconfig"])
    assert [entry.target for entry in journal(fake).entries] == ["1.2.3.4"]


# the rest


def test_content_that_could_not_be_seen_is_written_over(fake: FakeHost) -> None:
    fake.put(A, "unseen")
    for action in (write(A, before=None, blind=True), write(A, b"newer", before=pending(A))):
        run(fake, action)
    assert fake.files[A] == b"newer"
    with pytest.raises(GdkregError, match="changed while gdkreg was at work"):
        run(fake, RemoveFile(path=A, reason="why", before=b"other"))


def test_a_folder_that_is_not_empty_stays(fake: FakeHost) -> None:
    fake.put(ROOT / "d/f", "x")
    (item,) = run(fake, RemoveFolder(path=ROOT / "d", reason="why"))
    assert (item.status, item.detail) == ("skipped", "it is not empty")
    assert journal(fake).facts("folder") == {}


def test_our_own_folder_goes_last_and_only_if_nothing_is_left(fake: FakeHost) -> None:
    journal(fake)
    whole = RemoveFolder(path=ROOT / ".gdkreg", reason="why", whole=True)
    left, kept = run(fake, Leave(target="x", reason="busy", fix="wait"), whole, keep_going=True)
    assert (left.status, left.detail, left.fix) == ("left", "busy", "wait")
    assert (kept.status, kept.detail) == ("skipped", "it knows what is left")
    assert ROOT / ".gdkreg" in fake.infos
    assert run(fake, whole, keep_going=True)[0].status == "done"
    assert ROOT / ".gdkreg" not in fake.infos


def test_what_is_set_aside_keeps_all_that_is_in_it(fake: FakeHost) -> None:
    fake.put(ROOT / "d/f", "x")
    unwritten(fake, "root", SetAside(path=ROOT / "d", to=ROOT / "d.old", reason="why"))
    assert fake.files[ROOT / "d.old/f"] == b"x"
    assert ROOT / "d" not in fake.infos


def test_the_way_out_without_sudo_names_owner_and_mode() -> None:
    host = FakeHost(uid=1000, home="/home/dev")
    host.make_folder(ROOT, mode=0o755)
    host.put("/etc/d/keep", "x")
    host.refuse_root = True
    with pytest.raises(NeedsRootError) as error:
        run(host, write(Path("/etc/d/f"), b"y", mode=0o600, owner=(5, 6), as_root=True))
    assert error.value.details == f"sudo install -m 600 -o 5 -g 6 {ROOT}/.gdkreg/pending/etc-d-f /etc/d/f"
    assert error.value.fix == "run this, then gdkreg reconfigure again"
