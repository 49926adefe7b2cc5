"""The contract of `host.base.Host`: the real machine on a temporary folder and the one in memory answer alike."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gdkreg.errors import GdkregError
from gdkreg.host.base import Host
from gdkreg.host.machine import Machine
from tests.fakes import FakeHost


@pytest.fixture(params=["real", "fake"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    if request.param == "real":
        return Machine()
    fake = FakeHost(uid=os.geteuid())
    fake.put(tmp_path / "placeholder", "")
    fake.remove(tmp_path / "placeholder")
    return fake


def test_nothing_there(host: Host, tmp_path: Path) -> None:
    assert host.read(tmp_path / "no") is None
    assert host.info(tmp_path / "no") is None
    assert host.entries(tmp_path / "no") == []
    assert host.changed(tmp_path / "no") == 0
    assert host.read_own(tmp_path / "moved away/.gdkreg/x", tmp_path / "moved away", 10) is None
    host.write(tmp_path / "yes", b"", mode=0o600)
    assert host.changed(tmp_path / "yes") > 0


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "nothing").symlink_to("/dev/null")
    for name in ("pipe", "endless"):
        with pytest.raises(GdkregError, match="cannot read") as error:
            Machine().read(tmp_path / name)
        assert error.value.why == "it is no plain file"
    assert Machine().read(tmp_path / "nothing") == b""
    (tmp_path / "folder").mkdir()
    with pytest.raises(GdkregError, match="cannot read") as error:
        Machine().read(tmp_path / "folder")
    assert error.value.why == "it is a folder"


def test_behind_a_loop_of_symlinks_there_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "services").symlink_to("services")
    assert Machine().info(tmp_path / "services/registry") is None
    found = Machine().info(tmp_path / "services")
    assert found is not None
    assert found.target == "services"


def test_a_command_that_hangs_is_no_answer() -> None:
    done = Machine().query(["sleep", "60"], 0.1)
    assert (done.code, done.err) == (124, "sleep: no answer within 0 s")


def test_write_read_replace(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "file"
    host.write(path, b"one", mode=0o600)
    host.write(path, b"two", mode=0o640)
    info = host.info(path)
    assert host.read(path) == b"two"
    assert info is not None
    assert (info.kind, info.mode, info.uid) == ("file", 0o640, os.geteuid())
    assert host.entries(tmp_path) == ["file"]


def test_a_folder_that_is_missing_is_an_error(host: Host, tmp_path: Path) -> None:
    with pytest.raises(GdkregError, match="cannot write"):
        host.write(tmp_path / "no" / "file", b"", mode=0o600)
    with pytest.raises(GdkregError, match="cannot write"):
        host.make_folder(tmp_path / "no" / "folder", mode=0o700)


def test_reading_a_folder_is_an_error(host: Host, tmp_path: Path) -> None:
    host.make_folder(tmp_path / "folder", mode=0o755)
    with pytest.raises(GdkregError, match="cannot read"):
        host.read(tmp_path / "folder")


def test_folders(host: Host, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    host.make_folder(folder, mode=0o700)
    info = host.info(folder)
    assert info is not None
    assert (info.kind, info.mode) == ("folder", 0o700)
    host.write(folder / "file", b"", mode=0o600)
    host.remove_folder(folder)
    assert host.entries(folder) == ["file"]
    host.remove(folder / "file")
    host.remove(folder / "file")
    host.remove_folder(folder)
    assert host.info(folder) is None


def test_who_may_write_where(host: Host, tmp_path: Path) -> None:
    host.make_folder(tmp_path / "a", mode=0o755)
    assert host.may_write(tmp_path / "a" / "file")
    assert host.may_write(tmp_path / "b" / "c" / "file")


def test_append(host: Host, tmp_path: Path) -> None:
    host.append(tmp_path / "log", b"one", below=tmp_path)
    host.append(tmp_path / "log", b"two", below=tmp_path)
    info = host.info(tmp_path / "log")
    assert host.read(tmp_path / "log") == b"one\ntwo\n"
    assert info is not None
    assert info.mode == 0o600


def test_a_symlink_is_written_through(host: Host, tmp_path: Path) -> None:
    host.write(tmp_path / "real", b"old", mode=0o644)
    if isinstance(host, FakeHost):
        host.link(str(tmp_path / "link"), "real")
    else:
        (tmp_path / "link").symlink_to("real")
    host.write(tmp_path / "link", b"new", mode=0o644)
    info = host.info(tmp_path / "link")
    assert host.read(tmp_path / "real") == b"new"
    assert info is not None
    assert (info.kind, info.target) == ("symlink", "real")


def test_the_lock_is_held_by_one(host: Host, tmp_path: Path) -> None:
    waited: list[str] = []
    with host.lock(tmp_path, lambda: waited.append("waited")):
        pass
    assert waited == []


def test_commands(host: Host) -> None:
    assert host.query(["surely-no-such-command"]).code == 127
    assert any(item.address == "127.0.0.1" and item.prefix == 8 for item in host.interfaces())


# what only the real one can show


def test_a_key_is_private_from_its_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real_open = os.open

    def spy(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        fd = real_open(path, flags, mode, dir_fd=dir_fd)
        if flags & os.O_CREAT:
            seen.append(stat.S_IMODE(os.fstat(fd).st_mode))
        return fd

    monkeypatch.setattr(os, "open", spy)
    old = os.umask(0)
    try:
        Machine().write(tmp_path / "key", b"secret", mode=0o600)
    finally:
        os.umask(old)
    assert seen == [0o600]


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GdkregError) as error:
        Machine().write(path, b"new", mode=0o644)
    assert "the disk is full" in error.value.why
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("number", [1, 13, 28, 30, 122, 21, 20, 2, 5])
def test_every_refusal_is_a_sentence(number: int, tmp_path: Path) -> None:
    from gdkreg.host.files import explain

    error = explain(OSError(number, "x"), tmp_path / "file")
    assert str(tmp_path / "file") in error.what
    assert error.why
