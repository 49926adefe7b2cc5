"""An installed wheel works from anywhere."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.e2e.test_fresh import clone as clone
from tests.e2e.test_fresh import sh


def test_a_wheel_works_from_anywhere(clone: Path, tmp_path: Path) -> None:
    sh(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(clone), cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    sh(sys.executable, "-m", "venv", "venv", cwd=tmp_path)
    sh("venv/bin/pip", "install", "-q", str(wheel), cwd=tmp_path)
    gdkreg = str(tmp_path / "venv/bin/gdkreg")
    root = tmp_path / "root"
    root.mkdir()
    (root / "gdk.yml").write_text("registry: {enabled: true}\n")
    assert "gdkreg 0." in sh(gdkreg, "--version", cwd=root)
    assert "registry/config.yml" in sh(gdkreg, "plan", cwd=root)
    unit = "from gdkreg.host import support; print(support.text('gdkreg-loopback.service'))"
    assert "ExecStart=ip address replace" in sh("venv/bin/python", "-c", unit, cwd=tmp_path), "support/ is inside the wheel"
