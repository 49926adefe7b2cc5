"""`services/registry` of a GDK: a real directory in the place of GDK's link, so that `gdk start` drives this registry.

GDK makes its links anew at every command, and takes away stale links only: a directory of this name stays. What it drops
into it on the way, a link `services/registry/registry`, is as harmless as what runit keeps in `supervise`.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.host import support
from gdkreg.host.base import HostReader
from gdkreg.plan import ledger
from gdkreg.plan.actions import Action, Control, Fact, Leave, MakeFolder, RemoveFile, RemoveFolder, RunCommand
from gdkreg.plan.ledger import Entry
from gdkreg.plan.reconcile import Note, foreign
from gdkreg.resources.owned import FileState, OwnedFiles

MARK = b"# Written by gdkreg (gdk on)"
# The one that makes it start comes last, and goes first; until then `down` keeps it from being started.
FILES = ("down", "log/run", "finish", "run")
# runsvdir keeps the environment of the first gdk command, which may have been another shell's.
ENGINE = (
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "XDG_RUNTIME_DIR",
    "DOCKER_CERT_PATH",
    "DOCKER_MACHINE_NAME",
    "DOCKER_TLS_VERIFY",
)
_EXPORT = re.compile(rf"^export ({'|'.join(ENGINE)})=(.*)$", re.MULTILINE)
_GDK = ("lib/gdk.rb", "bin/gdk", "Procfile", "sv")
_RUNITS = "supervise"


def place(root: Path) -> Path:
    return root / "services" / "registry"


def is_gdk(root: Path, host: HostReader) -> bool:
    """Whether a GitLab Development Kit lives here."""
    return any(host.info(root / name) is not None for name in _GDK)


def is_driven(root: Path, host: HostReader) -> bool:
    """Whether `gdk start registry` would start ours."""
    info = host.info(place(root))
    return info is not None and info.kind == "folder" and MARK in (host.read(place(root) / "run") or b"")


class GdkState(msgspec.Struct, frozen=True):
    """`link`: where GDK's link leads; `kind` of what stands there, "" for nothing; `foreign` are names in the folder that are
    neither ours nor runit's nor GDK's; `dropped` is GDK's link in it; `kept` are folders of runit's."""

    link: str
    kind: str
    services: bool
    log: bool
    files: list[FileState]
    foreign: list[str]
    dropped: str
    kept: list[Path]
    supervised: bool

    @property
    def ours(self) -> bool:
        return any(file.owned is not None for file in self.files)


class GdkService(msgspec.Struct, frozen=True):
    """`exports` is what the run file is to say of the engine; None leaves what it says. `original` is where GDK's link led
    before us, `made` whether `services` is a folder that we made."""

    root: Path
    wanted: bool
    files: OwnedFiles
    exports: Mapping[str, str] | None = None
    original: str = ""
    made: bool = False
    name: str = "gdk"

    @property
    def folder(self) -> Path:
        return place(self.root)

    def inspect(self, host: HostReader) -> GdkState:
        info = host.info(self.folder)
        folder = info is not None and info.kind == "folder"
        names = set(host.entries(self.folder)) if folder else set[str]()
        inner = host.info(self.folder / "registry") if folder else None
        dropped = inner.target if inner is not None and inner.kind == "symlink" else ""
        known = {*(name.partition("/")[0] for name in FILES), _RUNITS, *(["registry"] if dropped else [])}
        log = set(host.entries(self.folder / "log")) if folder else set[str]()
        places = [self.folder / name for name in FILES]
        kept = [self.folder / "log" / _RUNITS, self.folder / _RUNITS] if folder else []
        return GdkState(
            link=info.target if info is not None and info.kind == "symlink" else "",
            kind=info.kind if info is not None else "",
            services=host.info(self.folder.parent) is not None,
            log=folder and host.info(self.folder / "log") is not None,
            # Below GDK's link they are GDK's own.
            files=[self.files.inspect(host, path) if folder else FileState(path, None, None, None) for path in places],
            foreign=sorted(names - known) + [f"log/{name}" for name in sorted(log - {"run", _RUNITS})],
            dropped=dropped,
            kept=[path for path in kept if host.info(path) is not None],
            supervised=host.info(self.folder / _RUNITS) is not None,
        )

    def plan(self, state: GdkState, present: bool) -> list[Action]:
        if not (present and self.wanted):
            return self._release(state)
        self._refuse_foreign(state)
        why = "gdk start drives this registry"
        actions: list[Action] = []
        if not state.services:
            actions.append(MakeFolder(path=self.folder.parent, reason=why))
        if state.link:
            if state.supervised:
                actions.append(_let_go("GDK's own registry makes room"))
            actions.append(_remove_link(self.folder, state.link, why))
        if state.kind != "folder":
            actions.append(MakeFolder(path=self.folder, reason=why))
        contents = self._contents(state)
        for name, file in zip(FILES, state.files, strict=True):
            if name == "log/run" and not state.log:
                actions.append(MakeFolder(path=self.folder / "log", reason="holds what writes log/registry"))
            mode = 0o644 if name == "down" else 0o755
            actions += self.files.write(file, contents[name], why, mode=mode)
        return actions

    def _refuse_foreign(self, state: GdkState) -> None:
        """What somebody else put there is theirs."""
        theirs = [file.path for file in state.files if file.content is not None and file.owned is None]
        if theirs or state.kind in {"file", "other"} or (state.kind == "folder" and state.foreign and not state.ours):
            raise GdkregError(
                f"{self.folder} is not gdkreg's, nor GDK's link",
                why=f"{theirs[0] if theirs else self.folder} was made by somebody else",
                fix=f"look at it, then: mv {self.folder} {self.root / 'registry-service-of-mine'}; gdkreg gdk on",
            )

    def _contents(self, state: GdkState) -> dict[str, bytes]:
        """What each file is to say."""
        exports = self.exports if self.exports is not None else _exports(state.files[-1].content)
        lines = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in exports.items())
        values = {"@ROOT@": shlex.quote(str(self.root)), "@PYTHON@": shlex.quote(sys.executable), "@EXPORTS@\n": lines}
        found = {"down": MARK + b": gdk start starts it\n"}
        for name in FILES[1:]:
            text = support.text(f"gdk-service-{name.replace('/', '-')}")
            for word, value in values.items():
                text = text.replace(word, value)
            found[name] = text.encode()
        return found

    def _release(self, state: GdkState) -> list[Action]:
        theirs = any(file.content is not None and file.owned is None for file in state.files)
        began = (
            bool(self.original) and state.services and not theirs and not state.foreign
        )  # and was killed before the first file
        if state.link or not (state.ours or began):
            return []
        released = [action for file in reversed(state.files) for action in self.files.release(file)]
        if edited := [action for action in released if isinstance(action, Leave)]:
            return list[Action](edited)
        stay = {file.path for file in state.files if file.content is not None} - {
            action.path for action in released if isinstance(action, RemoveFile)
        }
        actions: list[Action] = [_let_go("GDK has its own registry back")] if state.supervised else []
        if stay or state.foreign:
            return actions + released
        if state.dropped:
            released.append(_remove_link(self.folder / "registry", state.dropped, "GDK dropped it here"))
        released += [RemoveFolder(path=path, reason="what runit keeps", whole=True) for path in state.kept]
        if state.log:
            released.append(RemoveFolder(path=self.folder / "log", reason="no longer wanted"))
        if state.kind == "folder":
            released.append(RemoveFolder(path=self.folder, reason="no longer wanted"))
        if self.original:
            released.append(_make_link(self.folder, self.original))
        if self.made:
            released.append(RemoveFolder(path=self.folder.parent, reason="no longer wanted"))
        return actions + released

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        path = ledger.place(self.root, entry.target)
        if entry.kind == "link":
            return self._link_back(path, entry, host)
        if entry.kind != "folder":
            going = path.name == "run" and path.parent == self.folder and bool(entry.after)
            first: list[Action] = [_let_go("undo")] if going and host.info(self.folder / _RUNITS) is not None else []
            return first + self.files.back(entry, host)
        if not self.files.mine(path):
            raise foreign(entry)
        info = host.info(path)
        if info is not None and info.kind != "folder":
            return []  # GDK's link, that is back
        if entry.after and not entry.before and info is not None and path != self.folder.parent:
            kept = [path / _RUNITS] if host.info(path / _RUNITS) is not None else []
            return [
                *(RemoveFolder(path=one, reason="what runit keeps", whole=True) for one in kept),
                RemoveFolder(path=path, reason="undo"),
            ]
        return self.files.back(entry, host)

    def _link_back(self, path: Path, entry: Entry, host: HostReader) -> list[Action]:
        if path not in {self.folder, self.folder / "registry"}:
            raise foreign(entry)
        info = host.info(path)
        if path == self.folder and entry.before and info is None:
            return [_make_link(path, entry.before)]
        if path == self.folder and not entry.before and info is not None and info.kind == "symlink":
            return [_remove_link(path, info.target, "undo")]
        return []  # GDK drops the other one again by itself

    def notes(self, state: GdkState) -> list[Note]:
        if not self.wanted and state.ours:  # it came with a copy of another root, or the journal is lost
            text = f"gdk start drives a registry of gdkreg's, and this root knows nothing of it ({self.folder})"
            return [Note("changed", text, "gdkreg gdk off")]
        if not self.wanted:
            return [Note("off", "gdk start runs GDK's own registry", "gdkreg gdk on")]
        try:
            left = self.plan(state, True)
        except GdkregError as error:
            return [Note("error", f"{error.what}: {error.why}", error.fix)]
        if state.link:
            return [Note("changed", f"{self.folder} is GDK's link again", "gdkreg reconfigure")]
        if left:
            return [Note("changed", f"{self.folder} is not as gdkreg made it", "gdkreg reconfigure")]
        return [Note("ok", f"gdk start, stop, restart and tail drive this registry ({self.folder})")]


def _exports(run: bytes | None) -> dict[str, str]:
    """What our run file says of the engine."""
    found = {}
    for name, value in _EXPORT.findall((run or b"").decode("utf-8", "replace")):
        try:
            found[name] = "".join(shlex.split(value))
        except ValueError:
            continue
    return found


def _let_go(reason: str) -> Control:
    return Control(service="registry", verb="let go", reason=reason)


def _remove_link(path: Path, leads: str, reason: str) -> RunCommand:
    fact = Fact(kind="link", target=str(path), before=leads, after="")
    return RunCommand(argv=("rm", str(path)), fact=fact, reason=reason)


def _make_link(path: Path, leads: str) -> RunCommand:
    fact = Fact(kind="link", target=str(path), before="", after=leads)
    return RunCommand(argv=("ln", "-s", leads, str(path)), fact=fact, reason="as it was before gdkreg")
