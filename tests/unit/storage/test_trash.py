"""A run moves what is unused away, and gives it back byte for byte, wherever it was interrupted."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest

from gdkreg.errors import DamagedError, GdkregError
from gdkreg.storage import reader, trash, unused
from gdkreg.storage.layout import Tree
from tests.unit.storage.trees import Registry, digest_of, snapshot

NOW = time.time()
UNUSED = digest_of(b"layer old")


class Stage:
    """A tree from which a collection takes something of every kind."""

    def __init__(self, folder: Path) -> None:
        self.registry = registry = Registry(folder / "storage")
        self.trash, self.run = folder / "trash", folder / "trash/one"
        registry.image("group/app", "old", "v1", ("base", "old"))
        registry.image("group/app", "new", "v1", ("base", "new"))
        registry.image("layers", "other", "_uploads", ("other",))
        registry.image("layers", "another", "_uploads", ("other",))
        registry.data(b"nobody's")
        registry.blob("group/app/deeper", b"of a push that broke off")
        registry.upload("group/app", "stale", "2020-01-01T00:00:00Z")
        os.makedirs(registry.path / Tree.upload("group/app", "empty"))
        os.utime(registry.path / Tree.upload("group/app", "empty"), (0, 0))
        os.unlink(registry.path / Tree.layer("group/app", UNUSED) / "link")
        self.before = self.look()

    def look(self) -> dict[str, tuple[Any, ...]]:
        return snapshot(self.registry.path)

    def collection(self) -> unused.Collection:
        return unused.collectable(reader.read(self.registry.tree), untagged=True, now=NOW)

    def move(self) -> trash.Run:
        return trash.move(self.registry.tree, self.collection(), self.run, now=NOW)

    def found(self) -> trash.Run:
        (run,) = trash.runs(self.trash)
        return run


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_what_was_planned_is_moved_and_nothing_else(stage: Stage) -> None:
    planned = stage.collection()
    kinds = (planned.blobs, planned.revisions, planned.history, planned.layers, planned.uploads)
    assert all(kinds), "something of every kind"
    stage.move()
    gone = set(stage.before) - set(stage.look())
    assert gone == {name for name in stage.before for place in planned.places if name == place or name.startswith(f"{place}/")}
    assert not set(stage.look()) - set(stage.before)
    run = stage.found()
    assert (run.told.state, run.told.bytes, run.told.blobs) == ("done", planned.bytes, len(planned.blobs))
    after = reader.read(stage.registry.tree)
    assert after.problems == []
    assert unused.collectable(after, untagged=True, now=NOW).places == []


def test_a_run_is_given_back_byte_for_byte(stage: Stage) -> None:
    run = stage.move()
    found = trash.restore(stage.registry.tree, run)
    assert stage.look() == stage.before
    assert (found.there, found.left) == (0, [])
    assert list(stage.trash.iterdir()) == []


class KilledError(BaseException):
    """Stands for a kill: nobody catches it."""


CHANGES = ("rename", "replace", "mkdir", "unlink", "rmdir", "fsync")


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int) -> list[int]:
    """Die before the change with this number; the list holds how many there were."""
    count = [0]

    def dying(real: Any) -> Any:
        def change(*arguments: Any, **options: Any) -> Any:
            count[0] += 1
            if count[0] == number:
                raise KilledError
            return real(*arguments, **options)

        return change

    for name in CHANGES:
        monkeypatch.setattr(os, name, dying(getattr(os, name)))
    return count


def changes(work: Any) -> int:
    with pytest.MonkeyPatch.context() as patch:
        count = kill_at(patch, 0)
        work()
    return count[0]


def killed(work: Any, number: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, number)
        with pytest.raises(KilledError):
            work()


def test_a_kill_at_any_change_of_a_move_loses_nothing(tmp_path: Path) -> None:
    total = changes(Stage(tmp_path / "0").move)
    assert total > 40
    for number in range(1, total + 1):
        stage = Stage(tmp_path / str(number))
        killed(stage.move, number)
        for run in trash.runs(stage.trash):
            assert run.told.state in {"moving", "done"}
            if run.told.state == "done":
                trash.restore(stage.registry.tree, run)
            else:
                trash.finish(stage.registry.tree, run)
        assert stage.look() == stage.before, number
        assert not stage.trash.exists() or list(stage.trash.iterdir()) == []


def test_a_run_that_was_killed_tells_what_it_was_to_move(stage: Stage) -> None:
    planned = stage.collection()
    killed(stage.move, 20)
    told = stage.found().told
    assert (told.state, told.made, told.bytes) == ("moving", NOW, planned.bytes)


def test_a_kill_while_giving_back_is_finished_by_the_next(tmp_path: Path) -> None:
    first = Stage(tmp_path / "0")
    run = first.move()
    total = changes(lambda: trash.restore(first.registry.tree, run))
    for number in range(1, total + 1):
        stage = Stage(tmp_path / str(number))
        run = stage.move()
        killed(lambda stage=stage, run=run: trash.restore(stage.registry.tree, run), number)
        for left in trash.runs(stage.trash):
            if left.told.state == "done":
                trash.restore(stage.registry.tree, left)
            else:
                trash.finish(stage.registry.tree, left)
        assert stage.look() == stage.before, number
        assert list(stage.trash.iterdir()) == []


def test_a_kill_while_emptying_never_gives_back_a_part(tmp_path: Path) -> None:
    first = Stage(tmp_path / "0")
    run = first.move()
    total = changes(lambda: trash.empty(run))
    for number in range(1, total + 1):
        stage = Stage(tmp_path / str(number))
        run = stage.move()
        moved = stage.look()
        killed(lambda run=run: trash.empty(run), number)
        for left in trash.runs(stage.trash):
            if left.told.state == "done":
                trash.restore(stage.registry.tree, left)
                assert stage.look() == stage.before, number
            else:
                trash.finish(stage.registry.tree, left)
                assert stage.look() == moved, number
        assert list(stage.trash.iterdir()) == []


@pytest.mark.parametrize("code", [errno.EACCES, errno.ENOSPC, errno.EIO])
def test_what_cannot_be_moved_undoes_the_run(stage: Stage, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    real, count = os.rename, [0]

    def refusing(source: Any, target: Any, **options: Any) -> None:
        count[0] += 1
        if count[0] == 9:
            raise OSError(code, os.strerror(code), source)
        real(source, target, **options)

    monkeypatch.setattr(os, "rename", refusing)
    with pytest.raises(GdkregError) as caught:
        stage.move()
    assert "cannot move" in caught.value.what
    assert stage.look() == stage.before
    assert list(stage.trash.iterdir()) == []


def test_a_trash_on_another_file_system_is_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def over_a_mount(*_: Any, **__: Any) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "rename", over_a_mount)
    with pytest.raises(GdkregError, match="cannot move") as caught:
        stage.move()
    assert "two file systems" in caught.value.why
    assert stage.look() == stage.before


def test_what_was_pushed_since_stays(stage: Stage) -> None:
    run = stage.move()
    stage.registry.image("group/app", "old", "v2", ("base", "old"))  # the same image as was taken
    stage.registry.image("group/app", "newer", "v3", ("newer",))
    since = stage.look()
    found = trash.restore(stage.registry.tree, run)
    assert found.there > 0
    assert found.left == []
    after = stage.look()
    changed = {name for name, what in since.items() if after[name] != what}
    assert not changed
    assert set(after) == set(stage.before) | set(since)
    assert reader.read(stage.registry.tree).problems == []


def test_what_is_not_the_same_is_left_in_the_trash_and_told(stage: Stage) -> None:
    run = stage.move()
    stage.registry.file(f"{Tree.blob(UNUSED)}/data", b"longer than before")
    found = trash.restore(stage.registry.tree, run)
    assert found.left == [Tree.blob(UNUSED)]
    assert stage.found().told.state == "done"
    assert (stage.run / "tree" / Tree.blob(UNUSED) / "data").read_bytes() == b"layer old"


def test_a_folder_that_is_empty_by_now_is_filled_again(stage: Stage) -> None:
    run = stage.move()
    os.makedirs(stage.registry.path / Tree.blob(UNUSED))
    trash.restore(stage.registry.tree, run)
    assert stage.look() == stage.before


def test_a_run_comes_back_after_its_repository_was_removed(stage: Stage) -> None:
    from tests.unit.storage.trees import remove

    run = stage.move()
    remove(stage.registry.path / "repositories/group")
    trash.restore(stage.registry.tree, run)
    assert (stage.registry.path / Tree.blob(UNUSED) / "data").exists()


def test_nothing_is_moved_over_a_symlink(stage: Stage, tmp_path: Path) -> None:
    planned = stage.collection()
    layers = stage.registry.path / "repositories/group/app/_layers"
    os.rename(layers, tmp_path / "elsewhere")
    layers.symlink_to(tmp_path / "elsewhere")
    elsewhere = snapshot(tmp_path / "elsewhere")
    with pytest.raises(GdkregError):
        trash.move(stage.registry.tree, planned, stage.run, now=NOW)
    assert snapshot(tmp_path / "elsewhere") == elsewhere


def test_only_whole_runs_expire(stage: Stage) -> None:
    stage.move()
    assert trash.expired(stage.trash, 7, NOW + 7 * 86400 - 1) == []
    (run,) = trash.expired(stage.trash, 7, NOW + 7 * 86400 + 1)
    trash.empty(run)
    assert trash.runs(stage.trash) == []


def test_a_run_with_a_state_of_somebody_else_is_not_used(stage: Stage) -> None:
    stage.move()
    (stage.run / "run.json").write_text('{"state": "eaten"}')
    assert trash.runs(stage.run.parent) == [], "it is left alone"
    (problem,) = trash.strange(stage.run.parent)
    assert "run.json is damaged" in problem.what
    with pytest.raises(DamagedError):
        raise problem


def test_there_is_no_trash_before_the_first_run(tmp_path: Path) -> None:
    assert trash.runs(tmp_path / "trash") == []
