"""A machine as it will be: what a later plan is made on, and what each planned action does to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdkreg.errors import DamagedError
from gdkreg.host.base import Completed, FileInfo, Interface
from gdkreg.plan.actions import (
    Action,
    Control,
    Fact,
    MakeFolder,
    RemoveFile,
    RemoveFolder,
    RunCommand,
    SetAside,
    WriteFile,
    is_pending,
)
from gdkreg.plan.preview import Preview
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT

A, D = ROOT / "a", ROOT / "d"
UNIT = Path("/etc/systemd/system/x.wants/gdkreg.service")


def fact(kind: str, target: str, after: str) -> RunCommand:
    told = Fact(kind=kind, target=target, before="", after=after)  # type: ignore[arg-type]
    return RunCommand(argv=("x",), fact=told, reason="why")


def after(host: FakeHost, *actions: Action) -> Preview:
    seen = Preview(host)
    files = dict(host.files)
    for action in actions:
        seen.take(action)
    assert host.files == files
    return seen


def test_nothing_planned_shows_the_machine(fake: FakeHost) -> None:
    fake.put(A, "x", 0o600)
    fake.answers[("id",)] = Completed(0, "7")
    fake.neighbours.add("1.1.1.1")
    seen = after(fake)
    assert (seen.read(A), seen.read_own(A, ROOT, 10), seen.info(A)) == (b"x", b"x", fake.infos[A])
    assert seen.entries(ROOT) == ["a", "gdk.yml"]
    assert (seen.query(["id"]).out, seen.is_neighbour("1.1.1.1"), seen.is_neighbour("1.1.1.2")) == ("7", True, False)
    assert seen.interfaces() == fake.net
    with pytest.raises(DamagedError):
        seen.read_own(A, ROOT, 0)


def test_a_file_that_will_be_written(fake: FakeHost) -> None:
    fake.put(A, "old", 0o600)
    fake.infos[A] = FileInfo("file", 0o600, 3, 4)
    write = WriteFile(path=A, content=b"new", reason="why", before=b"old", mode=0o640)
    seen = after(fake, write, WriteFile(path=D / "f", content=lambda _: b"later", reason="why", before=None, owner=(5, 6)))
    assert (seen.read(A), seen.read_own(A, ROOT, 10)) == (b"new", b"new")
    assert seen.info(A) == FileInfo("file", 0o640, 3, 4)
    assert is_pending(seen.read(D / "f"))
    assert seen.info(D / "f") == FileInfo("file", 0o644, 5, 6)
    assert seen.entries(D) == ["f"]


def test_a_link_that_is_written_through_stays_a_link(fake: FakeHost) -> None:
    fake.put(ROOT / "real", "old")
    fake.link(str(A), "real")
    seen = after(fake, WriteFile(path=A, content=b"new", reason="why", before=b"old"))
    assert (seen.read(A), seen.info(A)) == (b"new", fake.infos[A])


def test_what_root_makes_in_a_plan_is_whose_the_plan_says(fake: FakeHost) -> None:
    user = FakeHost(uid=1000, home="/home/dev")
    made = (MakeFolder(path=D, reason="why", mode=0o700), MakeFolder(path=ROOT, reason="why", owner=(5, 6)))
    seen = after(user, *made, WriteFile(path=A, content=b"", reason="why", before=None))
    assert seen.info(D) == FileInfo("folder", 0o700, 1000, 1000)
    assert seen.info(ROOT) == FileInfo("folder", 0o755, 5, 6)
    assert seen.info(A) == FileInfo("file", 0o644, 1000, 1000)


def test_what_will_be_gone(fake: FakeHost) -> None:
    fake.put(A, "x")
    for name in ("one", "two"):
        fake.put(D / name / "f", "x")
    seen = after(fake, RemoveFile(path=A, reason="why", before=b"x"), RemoveFolder(path=D / "one", reason="why"))
    assert (seen.read(A), seen.read_own(A, ROOT, 9), seen.info(A), seen.entries(ROOT)) == (None, None, None, ["d", "gdk.yml"])
    assert seen.entries(D) == ["two"]
    assert (seen.info(D / "one/f"), seen.read(D / "one/f"), seen.entries(D / "one")) == (None, None, [])
    assert seen.read_own(D / "one/f", ROOT, 9) is None
    assert seen.read(D / "two/f") == b"x"


def test_what_is_set_aside_is_not_there_any_more(fake: FakeHost) -> None:
    fake.put(D / "f", "x")
    seen = after(fake, SetAside(path=D, to=ROOT / "d.old", reason="why"))
    assert (seen.info(D), seen.entries(D), seen.read(D / "f")) == (None, [], None)


def test_a_file_that_was_removed_hides_nothing_below_its_name(fake: FakeHost) -> None:
    """A removed file is no removed folder: what is made at its place is seen."""
    fake.put(D, "a file")
    fake.put(D / "f", "x")
    seen = after(fake, RemoveFile(path=D, reason="why", before=b"a file"))
    assert seen.entries(D) == ["f"]


def test_what_stands_where_a_link_led_is_not_in_what_takes_its_place(fake: FakeHost) -> None:
    fake.put(D / "f", "as the system shows it below the link")
    seen = after(fake, fact("link", str(D), ""), MakeFolder(path=D, reason="why"))
    assert (seen.read(D / "f"), seen.info(D / "f")) == (None, None)
    assert after(fake, fact("link", str(D), "/elsewhere")).read(D / "f") is not None


def test_what_goes_with_a_login(fake: FakeHost) -> None:
    fake.put(A, "x")
    control = Control(service="docker r:1", verb="logout", reason="why", removes=A)
    seen = after(fake, control)
    assert (seen.read(A), seen.info(A)) == (None, None)
    stays = after(fake, Control(service="registry", verb="stop", reason="why"))
    assert stays.read(A) == b"x"


def test_addresses_units_and_owners(fake: FakeHost) -> None:
    fake.net.append(Interface("lo", "1.1.1.1", 8))
    fake.put(A, "x", 0o640)
    on = after(fake, fact("address", "2.2.2.2", "lo:gdkreg"), fact("unit", str(UNIT), "enabled"), fact("owner", str(A), "7:8"))
    assert on.interfaces() == [*fake.net, Interface("lo:gdkreg", "2.2.2.2", 32)]
    found = on.info(UNIT)
    assert found is not None
    assert found.kind == "symlink"
    assert on.info(A) == FileInfo("file", 0o640, 7, 8)
    off = after(fake, fact("address", "1.1.1.1", ""), fact("unit", str(UNIT), ""), fact("owner", "/gone", "7:8"))
    assert [item.address for item in off.interfaces()] == ["127.0.0.1"]
    assert (off.info(UNIT), off.info(Path("/gone"))) == (None, None)
    again = after(fake, fact("address", "1.1.1.1", "lo:gdkreg"))
    assert [item.name for item in again.interfaces() if item.address == "1.1.1.1"] == ["lo:gdkreg"]
