"""The runner's config.toml: the certs.d mount and the names of the GDK, for every Docker runner in it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.config.values import is_loopback
from gdkreg.errors import ConfigError, GdkregError
from gdkreg.host.base import HostReader, Platform
from gdkreg.plan.actions import Action, ForgetFile, WriteFile
from gdkreg.plan.journal import Journal
from gdkreg.plan.ledger import Entry
from gdkreg.plan.reconcile import Note, foreign
from gdkreg.resources import runner_text
from gdkreg.resources.owned import FileState, OwnedFiles
from gdkreg.resources.runner_lists import WrongValueError
from gdkreg.resources.runner_text import Seen, Wanted


def wanted(settings: Settings, platform: Platform, pull_policy: str = "") -> Wanted:
    """What a job's container needs: the CAs, and the names it cannot look up. A 127.… address would lead it to itself."""
    reachable = {name: address for name, address in settings.names().items() if not is_loopback(address)}
    mount = f"{platform.home}/.docker/certs.d:{runner_text.CERTS_D}"
    return Wanted(mount=mount, hosts=reachable, pull_policy=pull_policy)


def usual_places(settings: Settings, host: HostReader) -> list[Path]:
    """The runner files that are there: the one of gdk.yml alone if it is named there, else GDK's, the user's and root's."""
    own = Path(settings.runner.config_file or "")
    if "runner.config_file" in settings.origin:
        return [own]
    candidates = [own, host.platform.home / ".gitlab-runner/config.toml", Path("/etc/gitlab-runner/config.toml")]
    return [path for path in candidates if host.info(path) is not None or _behind_a_closed_door(path, host)]


def _behind_a_closed_door(path: Path, host: HostReader) -> bool:
    """Whether its folder is root's alone, as Debian's /etc/gitlab-runner: the file may be there."""
    folder = host.info(path.parent)
    return folder is not None and host.platform.uid not in {0, folder.uid} and not folder.mode & 0o005


def why_not(path: Path, host: HostReader) -> str:
    """Why `up` has nothing to patch there; empty where it has."""
    try:
        text = (host.read(path, as_root=True) or b"").decode()
        seen = runner_text.patch(text, Wanted("/x:/y", {}))[1]
    except WrongValueError as error:
        return f"{path}:{error.line}: {error.what}, which the runner refuses too"
    except (GdkregError, UnicodeDecodeError):
        seen = []
    return "" if any(item.patched for item in seen) else f"{path} holds no Docker runner"


class RunnerConfig(msgspec.Struct, frozen=True):
    """One runner file. Refreshed by `reconfigure` once `runner-patch` was asked for; an error is one only where it is `named`."""

    path: Path
    wanted: Wanted
    files: OwnedFiles
    uid: int = 0
    named: bool = True
    name: str = "runner_config"

    def inspect(self, host: HostReader) -> FileState:
        content = host.read(self.path, as_root=True)
        return FileState(self.path, content, host.info(self.path), self.files.journal.owned().get(self.path))

    def plan(self, state: FileState, present: bool) -> list[Action]:
        if state.content is None:
            if present and self.named:
                raise GdkregError(f"there is no {self.path}", fix="gitlab-runner register, or gdkreg runner-patch FILE")
            # The user removed the file; it is not for us to bring it back.
            return [ForgetFile(path=self.path, reason="it is gone")] if state.owned and not present else []
        try:
            return self._patch(state) if present else self._remove(state)
        except WrongValueError as error:
            if present and not self.named:
                return []
            raise ConfigError(f"{self.path}:{error.line}: {error.what}", why="the runner refuses it too", fix=error.fix) from None
        except GdkregError as error:
            if present and not self.named:
                return []
            if error.what.startswith(str(self.path)):
                raise
            raise GdkregError(f"{self.path}: {error.what}", why=error.why, fix=error.fix) from None

    def _patch(self, state: FileState) -> list[Action]:
        text = _text(state)
        if state.owned is None:
            return self._write(state, text, runner_text.patch(text, self.wanted)[0])
        original, written = self._versions(state.owned.original, state.owned.written)
        policy = self.wanted.pull_policy or runner_text.pull_policy_of(original, written)
        wanted_now = msgspec.structs.replace(self.wanted, pull_policy=policy)
        if state.ours:
            return self._write(state, text, runner_text.patch(original, wanted_now)[0])
        # Edited since: give the user's version back first, so that a later --remove leads there.
        clean = runner_text.take_back(text, original, written)
        fresh = runner_text.patch(clean, wanted_now)[0]
        if runner_text.same_items(text, fresh):
            return []
        first = self._write(state, text, clean, release=True)
        return first + self._write(msgspec.structs.replace(state, content=clean.encode()), clean, fresh)

    def _remove(self, state: FileState) -> list[Action]:
        owned = state.owned
        if owned is None:
            return []
        if state.ours:
            return self.files.release(state)
        text = _text(state)
        return self._write(state, text, runner_text.take_back(text, *self._versions(owned.original, owned.written)), release=True)

    def _versions(self, original: str, written: str) -> tuple[str, str]:
        journal: Journal = self.files.journal
        return journal.backup(original).decode(), journal.backup(written).decode()

    def _write(self, state: FileState, old: str, new: str, *, release: bool = False) -> list[Action]:
        if old == new:
            return []
        info = state.info
        return [
            WriteFile(
                path=self.path,
                content=new.encode(),
                reason="what is not ours stays" if release else "certificates and host names for the jobs",
                before=old.encode(),
                mode=info.mode if info and info.kind == "file" else 0o600,
                as_root=info is None or info.uid != self.uid,
                release=release,
            )
        ]

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        """Only what differs by the keys that we write is put back."""
        actions = self.files.back(entry, host)
        for action in actions:
            if not isinstance(action, WriteFile) or callable(action.content):
                raise foreign(entry)
            if not runner_text.differ_by_ours(_text(self.inspect(host)), action.content.decode("utf-8", "replace")):
                raise foreign(entry)
        return actions

    def seen(self, state: FileState) -> list[Seen]:
        """The runners of the file, patched or skipped."""
        return runner_text.patch(_text(state), self.wanted)[1] if state.content is not None else []

    def notes(self, state: FileState) -> list[Note]:
        try:
            pending = msgspec.structs.replace(self, named=True).plan(state, True)
        except GdkregError as error:
            return [Note("error" if self.named else "warning", error.what, error.fix)]
        if not pending:
            return [Note("ok", str(self.path))]
        who = "somebody else wrote over it, perhaps gdk reconfigure" if state.overwritten else "not what gdk.yml says"
        return [Note("changed", f"{self.path}: {who}", "gdkreg reconfigure")]


def _text(state: FileState) -> str:
    try:
        return (state.content or b"").decode("utf-8")
    except UnicodeDecodeError:
        raise GdkregError(f"{state.path} is not UTF-8", fix=f"iconv -f LATIN1 -t UTF-8 {state.path}") from None
