from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _nowhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no gdk.yml is, of this checkout or of the developer's."""
    monkeypatch.chdir(tmp_path_factory.mktemp("nowhere"))
    for name in ("GDKREG_ROOT", "ROOT"):
        monkeypatch.delenv(name, raising=False)
