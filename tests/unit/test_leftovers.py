"""What is left when a step half works: a file beside the one that was written, a port that is being let go of."""

from __future__ import annotations

import errno
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from gdkreg.errors import GdkregError
from gdkreg.host import files
from gdkreg.services import place
from tests.fakes import FakeHost


@pytest.mark.parametrize("failures", [1, 100])
def test_a_file_beside_that_cannot_be_removed_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """On a mount point, as a bound /etc/hosts; at first, or whenever it is tried."""
    path, unlink, left = tmp_path / "hosts", os.unlink, [failures]
    path.write_text("old\n")

    def busy(*_: Any, **__: Any) -> None:
        raise OSError(errno.EBUSY, "busy")

    def refused(name: Any, **options: Any) -> None:
        if (tmp_path / name).exists() and left[0]:
            left[0] -= 1
            raise OSError(errno.EIO, "no")
        unlink(name, **options)

    monkeypatch.setattr(os, "replace", busy)
    monkeypatch.setattr(os, "unlink", refused)
    if failures == 1:
        files.write_whole(path, b"new\n", mode=0o644, owner=None)
        assert os.listdir(tmp_path) == ["hosts"]
    else:
        with pytest.raises(GdkregError):
            files.write_whole(path, b"new\n", mode=0o644, owner=None)
    assert path.read_bytes() == b"new\n"


def test_a_port_that_is_being_let_go_of_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        assert place.stays_taken("127.0.0.1", port, "registry.port", FakeHost(), leaving=False)
        threading.Timer(0.1, holder.close).start()
        assert not place.stays_taken("127.0.0.1", port, "registry.port", FakeHost(), leaving=True)
