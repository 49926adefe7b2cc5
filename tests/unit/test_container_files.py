"""Copies of secrets for the registry's own user, and whose the storage is."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gdkreg.errors import GdkregError
from gdkreg.host.base import FileInfo
from gdkreg.plan.actions import Action, MakeFolder, RemoveFile, RunCommand, WriteFile
from gdkreg.plan.ledger import Entry
from gdkreg.resources.container_files import ContainerFiles
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import apply, files, plan

MOUNTS = ROOT / ".gdkreg/mounts"
STORAGE = ROOT / "registry/storage"
CONFIG, KEY = ROOT / "registry/config.yml", ROOT / "registry_host.key"


def copies(host: FakeHost, owner: tuple[int, int] | None = (1000, 1001), *, foreign_root: bool = False) -> ContainerFiles:
    return ContainerFiles(
        folder=MOUNTS,
        sources=(CONFIG, KEY),
        storage=STORAGE,
        own=(0, 0),
        owner=owner,
        files=files(host, "container_files"),
        foreign_root=foreign_root,
    )


@pytest.fixture
def ready(fake: FakeHost) -> FakeHost:
    fake.put(CONFIG, "version: 0.1\n", 0o600)
    fake.put(KEY, "KEY", 0o600)
    fake.make_folder(STORAGE, mode=0o700)
    for folder in (ROOT / ".gdkreg", ROOT / ".gdkreg/backups"):
        fake.make_folder(folder, mode=0o700)
    return fake


def chowns(actions: list[Action]) -> list[str]:
    return [f"{' '.join(action.argv)} ({action.reason})" for action in actions if isinstance(action, RunCommand)]


def test_what_a_first_run_does(ready: FakeHost) -> None:
    done = plan(ready, copies(ready))
    folder, config, key, chown = done
    assert isinstance(folder, MakeFolder)
    assert (folder.path, folder.mode, folder.reason) == (MOUNTS, 0o700, "holds the copies")
    for action, content in ((config, b"version: 0.1\n"), (key, b"KEY")):
        assert isinstance(action, WriteFile)
        assert (action.content, action.mode, action.owner) == (content, 0o400, (1000, 1001))
        assert (action.as_root, action.secret, action.blind) == (True, True, False)
        assert action.reason == "only user 1000 may read it"
    assert chowns([chown]) == [f"chown -R 1000:1001 {STORAGE}/. (the registry writes there)"]
    assert chown.as_root


def test_what_is_not_made_yet_is_copied_when_it_is(ready: FakeHost) -> None:
    ready.remove(KEY)
    key = plan(ready, copies(ready))[2]
    assert isinstance(key, WriteFile)
    assert callable(key.content)
    assert key.content(ready) == b""
    ready.put(KEY, "LATER", 0o600)
    assert key.content(ready) == b"LATER"


def test_the_storage_stays_whose_it_should_be(ready: FakeHost) -> None:
    ready.infos[STORAGE] = FileInfo("folder", 0o700, 1000, 1001)
    assert chowns(plan(ready, copies(ready))) == []
    ready.infos[STORAGE] = FileInfo("folder", 0o700, 1000, 0)
    assert len(chowns(plan(ready, copies(ready)))) == 1
    ready.remove_tree(STORAGE)
    assert chowns(plan(ready, copies(ready))) == [], "there is none yet"


def test_nobody_asked_for_another_owner(ready: FakeHost) -> None:
    ready.infos[STORAGE] = FileInfo("folder", 0o700, 7, 7)
    assert plan(ready, copies(ready, None)) == [], "whoever made it so may have had a reason"


def test_down_takes_copies_away_that_it_cannot_read_and_gives_the_storage_back(ready: FakeHost) -> None:
    apply(ready, copies(ready))
    ready.unreadable = {MOUNTS / "config.yml", MOUNTS / "registry_host.key"}
    gone = plan(ready, copies(ready, None))
    assert [action.path.name for action in gone if isinstance(action, RemoveFile)] == ["config.yml", "registry_host.key"]
    assert chowns(gone) == [f"chown -R 0:0 {STORAGE}/. (the registry writes there)"]


def test_a_copy_that_somebody_else_wrote_and_nobody_can_read_is_written_over(ready: FakeHost) -> None:
    apply(ready, copies(ready))
    ready.unreadable = {MOUNTS / "config.yml"}
    ready.put(CONFIG, "other\n", 0o600)
    (action,) = plan(ready, copies(ready))
    assert isinstance(action, WriteFile)
    assert (action.path.name, action.blind, action.content) == ("config.yml", True, b"other\n")


def test_a_storage_behind_a_link_is_judged_where_it_leads(ready: FakeHost) -> None:
    ready.remove_tree(STORAGE)
    ready.link(str(STORAGE), "../images")
    ready.infos[STORAGE.parent / "../images"] = FileInfo("folder", 0o700, 1000, 1001)
    assert chowns(plan(ready, copies(ready))) == []
    ready.infos[STORAGE.parent / "../images"] = FileInfo("folder", 0o700, 0, 0)
    assert len(chowns(plan(ready, copies(ready)))) == 1, "one's own link is one's own affair"
    with pytest.raises(GdkregError, match=f"{STORAGE} is a symlink") as error:
        plan(ready, copies(ready, foreign_root=True))
    assert error.value.fix == f"look at it: ls -l {STORAGE}"


def test_root_gives_a_plain_folder_to_another_user(ready: FakeHost) -> None:
    assert len(chowns(plan(ready, copies(ready, foreign_root=True)))) == 1
    ready.link(str(STORAGE.parent), "elsewhere")
    with pytest.raises(GdkregError, match=f"{STORAGE.parent} is a symlink"):
        plan(ready, copies(ready, foreign_root=True))


def test_how_it_stands_in_words(ready: FakeHost) -> None:
    def said(resource: ContainerFiles) -> str:
        return resource.notes(resource.inspect(ready))[0].text

    assert said(copies(ready, None)) == "the registry runs as you"
    assert said(copies(ready)) == "copies for user 1000 are missing or old"
    apply(ready, copies(ready))
    assert said(copies(ready)) == "copies for user 1000:1001"


def given(before: str, after: str) -> Entry:
    known = ("r", 1, "up", "container_files", "owner", "@/registry/storage", before, after)
    names = ("run", "seq", "command", "resource", "kind", "target", "before", "after")
    return msgspec.convert(dict(zip(names, known, strict=True)), Entry)


@pytest.mark.parametrize(
    ("before", "after"),
    [("0:0", ""), ("", "0:0"), ("0:0:0", "1:1"), ("0:x", "1:1"), ("0", "1:1"), ("-1:0", "1:1")],
)
def test_owners_that_gdkreg_does_not_write(ready: FakeHost, before: str, after: str) -> None:
    with pytest.raises(GdkregError, match="that gdkreg does not make"):
        copies(ready).back(given(before, after), ready)


def test_a_change_of_owner_is_taken_back_where_it_was_made(ready: FakeHost) -> None:
    (action,) = copies(ready).back(given("7:8", "1:2"), ready)
    assert isinstance(action, RunCommand)
    assert (action.argv[2], action.fact.before, action.fact.after) == ("7:8", "1:2", "7:8")
    assert Path(action.fact.target) == STORAGE
