from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _nowhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no gdk.yml is, of this checkout or of the developer's; `gdkreg` is a command, as after make up."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path_factory.mktemp("nowhere"))
    for name in ("GDKREG_ROOT", "ROOT"):
        monkeypatch.delenv(name, raising=False)
