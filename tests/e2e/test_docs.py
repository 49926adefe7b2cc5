"""The script in docs/python.md plans, brings up and takes down a root with verbs alone."""

from __future__ import annotations

import re
import sys

from tests.e2e.box import GDK_YML, REPO, Box


def test_the_script_of_the_documentation(box: Box) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", (REPO / "docs/python.md").read_text(), re.DOTALL)
    assert len(script.splitlines()) <= 16
    path = box.folder / "script.py"
    path.write_text(script)
    box.configure(GDK_YML)
    before = box.hosts.read_bytes()
    result = box.run(sys.executable, str(path), str(box.root), env={"PYTHONPATH": str(REPO)})
    assert result.code == 0, result
    assert "would start registry" in result.out
    assert "'push', 'pull', 'delete'" in result.out
    assert "0 changes the second time" in result.out
    assert "[] left" in result.out
    assert box.hosts.read_bytes() == before
