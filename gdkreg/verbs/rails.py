"""What GitLab's own gitlab.yml says of the registry: GDK writes `api_url: http://` there, with TLS too."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.plan.reconcile import Note
from gdkreg.verbs.root import Root

FILE = "gitlab/config/gitlab.yml"
_START = re.compile(r"^( *)registry: *(#.*)?$")
# Only what GDK can have written: a URL with a name and password in it is not shown.
_API_URL = re.compile(r"""^( +api_url: *["']?)(https?)(://[^\s"'#@]*)(["']?\s*(#.*)?)$""")


class Wrong(msgspec.Struct, frozen=True):
    """Line `line` of `path` is `said` and should be `wanted`."""

    path: Path
    line: int
    said: str
    wanted: str
    scheme: str

    @property
    def diff(self) -> str:
        return f"--- {self.path}\n+++ {self.path}\n@@ -{self.line} +{self.line} @@\n-{self.said}\n+{self.wanted}"

    @property
    def note(self) -> Note:
        speaks = "HTTPS" if self.scheme == "https" else "plain HTTP"
        return Note("warning", f"{self.path}:{self.line} says {self.said.strip()}, and the registry speaks {speaks}", self.cure)

    @property
    def cure(self) -> str:
        other = "http" if self.scheme == "https" else "https"
        return f"sed -i.bak '{self.line}s|{other}:|{self.scheme}:|' {shlex.quote(str(self.path))} && gdk restart rails-web"

    @property
    def lasting(self) -> list[str]:
        """The lines of gdk.yml without which `gdk reconfigure` writes it again as it was."""
        return ["gdk:", "  protected_config_files:", f"    - '{FILE}'"]


def find(root: Root) -> Wrong | None:
    """Where Rails would speak to the registry by the wrong scheme; None where it is right, or there is no such file."""
    path, scheme = root.path / FILE, root.settings.scheme
    for number, line in _block(root):
        if (url := _API_URL.match(line)) and url[2] != scheme:
            return Wrong(path, number, line, f"{url[1]}{scheme}{url[3]}{url[4]}", scheme)
    return None


def setting(root: Root, key: str) -> tuple[int, str]:
    """The line of a key of the registry's block, and what it says; 0 and nothing where it is not there."""
    for number, line in _block(root):
        if found := re.match(rf"""^ +{key}: *["']?([^\s"'#]*)""", line):
            return number, found[1]
    return 0, ""


def _block(root: Root) -> Iterator[tuple[int, str]]:
    """The lines of the registry's block, with their numbers."""
    try:
        lines = (root.host.read(root.path / FILE) or b"").decode("utf-8", "replace").splitlines()
    except GdkregError:
        return
    inside: int | None = None
    for number, line in enumerate(lines, 1):
        indent = len(line) - len(line.lstrip())
        if found := _START.match(line):
            inside = len(found[1])
        elif inside is not None and line.strip() and indent <= inside:
            inside = None
        elif inside is not None:
            yield number, line
