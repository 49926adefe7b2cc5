"""services/registry of a GDK: states and actions, both ways back, and what is somebody else's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from gdkreg.errors import GdkregError
from gdkreg.plan import diff
from gdkreg.plan.actions import Control, Leave, MakeFolder, RemoveFile, RemoveFolder, RunCommand, Step, WriteFile, target
from gdkreg.plan.preview import Preview
from gdkreg.plan.reconcile import back
from gdkreg.resources.gdk_service import FILES, MARK, GdkService, is_driven, is_gdk
from gdkreg.resources.owned import OwnedFiles
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import apply, executor, journal, levels, plan

FOLDER = ROOT / "services/registry"
LINK = str(ROOT / "sv/registry")


def resource(
    host: FakeHost, *, wanted: bool = True, keep_edits: bool = False, exports: dict[str, str] | None = None
) -> GdkService:
    known = journal(host)
    names = {ROOT / "services", FOLDER, FOLDER / "log", *(FOLDER / name for name in FILES)}
    files = OwnedFiles("gdk", known, keep_edits, lambda path: path in names, lambda content: MARK in content)
    link = known.facts("link").get("@/services/registry")
    return GdkService(ROOT, wanted, files, exports, link.before if link else "", ROOT / "services" in known.folders())


def linked(host: FakeHost) -> None:
    """As GDK leaves it."""
    host.put(ROOT / "sv/registry/run", "#!/bin/sh\nexec registry\n", 0o755)
    host.put(ROOT / "services/redis", "")
    host.link(str(FOLDER), LINK)


def supervised(host: FakeHost) -> None:
    """As runit and GDK leave it while it runs."""
    for name in ("supervise/lock", "log/supervise/lock"):
        host.put(FOLDER / name, "")
    host.link(str(FOLDER / "registry"), LINK)


def test_in_the_place_of_gdks_link_and_back(fake: FakeHost) -> None:
    linked(fake)
    before = dict(fake.infos)
    done = apply(fake, resource(fake))
    kinds = [type(action) for action in done]
    assert kinds == [RunCommand, MakeFolder, WriteFile, MakeFolder, WriteFile, WriteFile, WriteFile]
    assert [target(action).removeprefix(f"{FOLDER}/") for action in done[2:]] == [
        "down",
        str(FOLDER / "log").removeprefix(f"{FOLDER}/"),
        "log/run",
        "finish",
        "run",
    ]
    assert fake.ran == [(("rm", str(FOLDER)), "")]
    assert fake.infos[FOLDER].kind == "folder"
    assert [fake.infos[FOLDER / name].mode for name in FILES] == [0o644, 0o755, 0o755, 0o755]
    assert is_driven(ROOT, fake)
    assert plan(fake, resource(fake)) == []
    assert levels(fake, resource(fake)) == ["ok"]

    supervised(fake)
    assert plan(fake, resource(fake)) == []
    done = apply(fake, resource(fake), present=False)
    assert isinstance(done[0], Control)
    assert done[0].verb == "let go"
    assert {path: info for path, info in fake.infos.items() if ".gdkreg" not in str(path)} == {
        path: info for path, info in before.items() if ".gdkreg" not in str(path)
    }
    assert fake.infos[FOLDER].target == LINK
    assert plan(fake, resource(fake, wanted=False), present=False) == []


def test_down_does_not_take_gdks_link_for_the_folder(fake: FakeHost) -> None:
    linked(fake)
    apply(fake, resource(fake))
    (made,) = [entry for entry in journal(fake).entries if entry.kind == "folder" and entry.target == "@/services/registry"]
    apply(fake, resource(fake), present=False)
    assert resource(fake).back(made, fake) == []


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_run_that_broke_off_is_taken_back(fake: FakeHost, count: int) -> None:
    linked(fake)
    known = journal(fake)
    steps = [Step("gdk", action) for action in plan(fake, resource(fake))][:count]
    executor(fake, known, "gdk on").carry_out(steps)
    apply(fake, resource(fake, wanted=False))
    assert fake.infos[FOLDER].target == LINK
    assert plan(fake, resource(fake, wanted=False)) == []


def test_before_gdks_first_start(fake: FakeHost) -> None:
    apply(fake, resource(fake))
    assert fake.ran == []
    apply(fake, resource(fake), present=False)
    assert fake.info(ROOT / "services") is None


def test_a_link_that_runs_is_let_go_first(fake: FakeHost) -> None:
    linked(fake)
    fake.put(FOLDER / "supervise", "")
    first = plan(fake, resource(fake))[0]
    assert isinstance(first, Control)
    assert (first.verb, first.reason) == ("let go", "GDK's own registry makes room")


def test_undo_of_each(fake: FakeHost) -> None:
    linked(fake)
    apply(fake, resource(fake), command="gdk on")
    supervised(fake)
    fake.infos.pop(FOLDER / "registry")
    known = journal(fake)
    steps = back(known.last_run(), lambda _: resource(fake), Preview(fake))
    assert [step.action.verb for step in steps if isinstance(step.action, Control)] == ["let go"]
    executor(fake, known, "undo").carry_out(steps)
    assert fake.infos[FOLDER].kind == "symlink"
    assert fake.infos[FOLDER].target == LINK

    apply(fake, resource(fake), command="gdk on")
    apply(fake, resource(fake), present=False, command="gdk off")
    known = journal(fake)
    executor(fake, known, "undo").carry_out(back(known.last_run(), lambda _: resource(fake), Preview(fake)))
    assert is_driven(ROOT, fake)
    assert plan(fake, resource(fake)) == []


def test_what_is_somebody_elses_stays(fake: FakeHost) -> None:
    fake.put(FOLDER / "run", "#!/bin/sh\nexec mine\n")
    with pytest.raises(GdkregError, match="is not gdkreg's"):
        plan(fake, resource(fake))
    assert plan(fake, resource(fake), present=False) == []
    assert not is_driven(ROOT, fake)
    assert levels(fake, resource(fake)) == ["error"]


def test_an_edited_run_file_is_left_whole_and_told(fake: FakeHost) -> None:
    linked(fake)
    apply(fake, resource(fake))
    fake.put(FOLDER / "run", fake.files[FOLDER / "run"] + b"# mine\n", 0o755)
    assert levels(fake, resource(fake)) == ["changed"]
    assert [type(action) for action in plan(fake, resource(fake), present=False)] == [Leave]
    kept = plan(fake, resource(fake, keep_edits=True), present=False)
    assert [type(action) for action in kept] == [RemoveFile] * 3  # its folder stays with it
    fake.put(FOLDER / "control/t", "")
    assert RemoveFolder not in [type(action) for action in kept]


def test_without_a_journal_down_finds_it_by_its_mark(fake: FakeHost) -> None:
    apply(fake, resource(fake))
    for path in [path for path in fake.files if path.name == "journal.jsonl"]:
        fake.remove(path)
    apply(fake, resource(fake, wanted=False), present=False)
    assert fake.info(FOLDER) is None


def test_gdks_link_that_is_back_is_replaced_again(fake: FakeHost) -> None:
    linked(fake)
    apply(fake, resource(fake))
    fake.remove_tree(FOLDER)
    fake.link(str(FOLDER), LINK)
    assert levels(fake, resource(fake)) == ["changed"]
    apply(fake, resource(fake))
    assert is_driven(ROOT, fake)


def test_the_engine_of_the_shell_is_written_down_and_stays(fake: FakeHost) -> None:
    apply(fake, resource(fake, exports={"DOCKER_HOST": "unix:///run/user/7/it's.sock"}))
    text = fake.files[FOLDER / "run"].decode()
    assert "export DOCKER_HOST='unix:///run/user/7/it'\"'\"'s.sock'\n" in text
    assert plan(fake, resource(fake)) == []  # asked from a shell that has none
    assert len(plan(fake, resource(fake, exports={}))) == 1


@pytest.mark.parametrize("name", FILES[1:])
def test_the_scripts_are_shell(fake: FakeHost, name: str) -> None:
    root = Path("/home/dev/g dk")
    text = resource(fake)
    content = msgspec.structs.replace(text, root=root)._contents(text.inspect(fake))[name]
    assert b"@" not in content.replace(b"$@", b"")
    assert subprocess.run(["sh", "-n"], input=content, check=False).returncode == 0
    assert (b"'/home/dev/g dk'" in content) == (name != "log/run")


def test_in_a_copy_of_the_gdk_nothing_of_the_first_one_is_run(fake: FakeHost, tmp_path: Path) -> None:
    first, copy = tmp_path / "gdk", tmp_path / "copy"
    known = msgspec.structs.replace(resource(fake), root=first)
    for root in (first, copy):
        (root / "services/registry/log").mkdir(parents=True)
        for name, content in known._contents(known.inspect(fake)).items():
            script = content.replace(sys.executable.encode(), b"/bin/echo ran").replace(b"exec chpst -P", b"exec echo it runs:")
            (root / "services/registry" / name).write_bytes(script.replace(b"exec svlogd", b"exec echo svlogd"))

    def says(root: Path, name: str, *words: str) -> str:
        argv = ["timeout", "1", "sh", name.rpartition("/")[2], *words]
        folder = (root / "services/registry" / name).parent
        return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False).stdout

    assert "it runs:" in says(first, "run")
    assert "ran -m gdkreg run registry --finish" in says(first, "finish", "-1", "9")
    said = says(copy, "run")
    assert "moved or copied from" in said
    assert "it runs:" not in said
    assert says(copy, "finish", "-1", "9") == ""
    assert says(copy, "log/run") == f"svlogd -tt {copy}/log/registry\n"


def test_a_service_of_ours_that_the_root_knows_nothing_of(fake: FakeHost) -> None:
    linked(fake)
    apply(fake, resource(fake))
    fake.remove(ROOT / ".gdkreg/journal.jsonl")  # as in a copy, whose .gdkreg is set aside
    (note,) = resource(fake, wanted=False).notes(resource(fake, wanted=False).inspect(fake))
    assert (note.level, note.fix) == ("changed", "gdkreg gdk off")
    assert "gdk start drives a registry of gdkreg's" in note.text


def test_whoever_agrees_sees_what_the_supervisor_will_run(fake: FakeHost) -> None:
    linked(fake)
    exports = {"DOCKER_HOST": "tcp://dev:s3cret@far.test:2375"}
    service = resource(fake, exports=exports)
    written = service._contents(service.inspect(fake))["run"]
    shown = diff.unified(str(FOLDER / "run"), None, written)
    assert "-m gdkreg run registry --root" in shown
    assert "s3cret" not in shown
    edited = written + b"export TOKEN=abcdef0123\n"
    assert "abcdef0123" not in diff.unified(str(FOLDER / "run"), edited, None)


@pytest.mark.parametrize("name", ["Procfile", "lib/gdk.rb", "bin/gdk", "sv/redis/run"])
def test_what_a_gdk_is(fake: FakeHost, name: str) -> None:
    assert not is_gdk(ROOT, fake)
    fake.put(ROOT / name, "")
    assert is_gdk(ROOT, fake)
