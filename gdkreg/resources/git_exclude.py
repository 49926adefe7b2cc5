"""`.git/info/exclude` of a checkout: one managed block, so that `git status` shows nothing of what is made beside gdk.yml."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gdkreg.host.base import FileInfo, HostReader, digest
from gdkreg.plan.actions import Action, ForgetFile, WriteFile
from gdkreg.plan.journal import Journal
from gdkreg.plan.ledger import Entry
from gdkreg.plan.reconcile import Note, foreign

_NAMES = ("jwks.json", "localhost.*", "registry_host.*", "registry/config.yml", "registry/buildkitd.toml", "registry/storage/")
_BEGIN, _END = b"# >>> gdkreg >>> managed\n", b"# <<< gdkreg <<<\n"
_OPEN = b"\n# (the line above had no end)\n"
_BLOCK = _BEGIN + "".join(f"/{name}\n" for name in _NAMES).encode() + _END


def place(root: Path) -> Path:
    return root / ".git" / "info" / "exclude"


class ExcludeState(msgspec.Struct, frozen=True):
    content: bytes | None
    info: FileInfo | None


class GitExclude(msgspec.Struct, frozen=True):
    """git makes the file with every checkout; where there is none, nothing is kept out."""

    path: Path
    journal: Journal
    name: str = "git_exclude"

    def inspect(self, host: HostReader) -> ExcludeState:
        info = host.info(self.path)
        return ExcludeState(host.read(self.path) if info is not None and info.kind == "file" else None, info)

    def plan(self, state: ExcludeState, present: bool) -> list[Action]:
        if state.content is None or state.info is None:
            gone = not present and self.path in self.journal.owned()
            return [ForgetFile(path=self.path, reason="it is gone")] if gone else []
        wanted = _with_block(state.content) if present else _without(state.content)
        return self._write(
            state, wanted, "git is not to show what gdkreg makes" if present else "no longer wanted", present=present
        )

    def _write(self, state: ExcludeState, wanted: bytes, reason: str, *, present: bool) -> list[Action]:
        if wanted == state.content or state.info is None:
            return []
        return [
            WriteFile(
                path=self.path, content=wanted, reason=reason, before=state.content, mode=state.info.mode, release=not present
            )
        ]

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        """Our block goes or comes; every other line stays as it is by now."""
        if entry.kind not in {"file", "forget"} or not entry.target.endswith(".git/info/exclude"):
            raise foreign(entry)
        state = self.inspect(host)
        if state.content is None or entry.kind == "forget" or digest(state.content) == entry.before:
            return []
        had = _BEGIN in self.journal.backup(entry.before)
        return self._write(state, _with_block(state.content) if had else _without(state.content), "undo", present=had)

    def notes(self, state: ExcludeState) -> list[Note]:
        if self.plan(state, True):
            return [Note("changed", f"git status shows what gdkreg makes; {self.path} is to keep it out", "gdkreg reconfigure")]
        return [Note("ok", str(self.path))] if state.content is not None else [Note("off", "there is no such file")]


def _without(content: bytes) -> bytes:
    """Without our block, and without the end of line that was put before it."""
    begin = content.find(_BEGIN)
    end = content.find(_END, begin)
    if begin < 0 or end < 0:
        return content
    before, after = content[:begin], content[end + len(_END) :]
    return before.removesuffix(_OPEN) + after


def _with_block(content: bytes) -> bytes:
    rest = _without(content)
    if _BLOCK in content and _with(rest) != content:
        return content  # lines were added behind it
    return _with(rest)


def _with(rest: bytes) -> bytes:
    return rest + (_OPEN if rest and not rest.endswith(b"\n") else b"") + _BLOCK
