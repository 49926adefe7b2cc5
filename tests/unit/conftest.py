from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

from tests.fakes import FakeHost

hypothesis.settings.register_profile("untimed", deadline=None)  # how long an example takes says nothing on a busy machine
hypothesis.settings.load_profile("untimed")

ROOT = Path("/home/dev/gdk")


@pytest.fixture
def fake() -> FakeHost:
    """A Linux machine with a root at /home/dev/gdk."""
    host = FakeHost(home="/home/dev")
    host.put(ROOT / "gdk.yml", "")
    host.put("/etc/hosts", "127.0.0.1 localhost\n")
    host.put("/etc/systemd/system/.keep", "")
    return host
