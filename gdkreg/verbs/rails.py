"""What GitLab's own gitlab.yml says of the registry: GDK writes `api_url: http://` there, with TLS too."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.plan import diff
from gdkreg.plan.reconcile import Note
from gdkreg.verbs.root import Root

_FILE = "gitlab/config/gitlab.yml"
_BLOCK = re.compile(r"^(?P<indent> *)registry:[ \t]*(?:#.*)?\n(?P<body>(?:(?P=indent) +.*\n|[ \t]*(?:#.*)?\n)*)", re.MULTILINE)
_API_URL = re.compile(r"""^(?P<key> +api_url: *)(?P<quote>["']?)(?P<scheme>https?)://(?P<rest>[^\s"'#]*)""", re.MULTILINE)


class Wrong(msgspec.Struct, frozen=True):
    """`said` stands in `path` and should be `wanted`; `diff` is the whole difference."""

    path: Path
    said: str
    wanted: str
    diff: str

    @property
    def text(self) -> str:
        return f"{self.path} has api_url: {self.said}, and the registry speaks {self.wanted.partition(':')[0].upper()}"

    @property
    def cure(self) -> str:
        return f"sed -i 's|api_url: {self.said}|api_url: {self.wanted}|' {self.path}; gdk restart rails-web"

    @property
    def note(self) -> Note:
        return Note("warning", self.text, self.cure)

    @property
    def lasting(self) -> list[str]:
        """The lines of gdk.yml without which `gdk reconfigure` writes it again as it was."""
        return ["gdk:", "  protected_config_files:", f"    - '{_FILE}'"]


def find(root: Root) -> Wrong | None:
    """Where Rails would speak to the registry by the wrong scheme; None where it is right, or there is no such file."""
    path = root.path / _FILE
    try:
        before = (root.host.read(path) or b"").decode("utf-8", "replace")
    except GdkregError:
        return None
    wanted, found = root.settings.scheme, list[tuple[str, str]]()

    def block(match: re.Match[str]) -> str:
        return match[0].replace(match["body"], _API_URL.sub(one, match["body"]), 1)

    def one(match: re.Match[str]) -> str:
        if match["scheme"] != wanted:
            found.append((f"{match['scheme']}://{match['rest']}", f"{wanted}://{match['rest']}"))
        return f"{match['key']}{match['quote']}{wanted}://{match['rest']}"

    after = _BLOCK.sub(block, before)
    if not found:
        return None
    return Wrong(path, *found[0], diff.unified(str(path), before.encode(), after.encode()))
