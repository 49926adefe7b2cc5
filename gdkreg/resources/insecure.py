"""`insecure on`: the registry in the engine's insecure-registries, in Podman's registries.conf.d, and for BuildKit.
dockerd reads its file again on SIGHUP. A list that is gone from the file is not read as an empty one: the engine keeps what it
had. So where the list goes as a whole, the engine reads an empty one first.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec

from gdkreg.engines.insecure import KEY, Seen
from gdkreg.errors import ConfigError, GdkregError
from gdkreg.host.base import HostReader, digest
from gdkreg.plan import ledger
from gdkreg.plan.actions import Action, Control, ForgetFile, Leave, MakeFolder, RemoveFile, RemoveFolder, WriteFile
from gdkreg.plan.ledger import Entry
from gdkreg.plan.reconcile import Note, foreign
from gdkreg.resources import json_list
from gdkreg.resources.json_list import WrongJsonError
from gdkreg.resources.owned import FileState, OwnedFiles

MARK = b"# Written by gdkreg (insecure on)"
_WHY = "no TLS is asked of the registry"


def podman_file(folder: Path, id_: str) -> Path:
    return folder / f"gdkreg-{id_}.conf"


class InsecureState(msgspec.Struct, frozen=True):
    """`daemon`: the engine's file; `former`: files of ours that another engine reads; `tables`: those that are ours whole.
    `folders` are those above all of them, with the names in each."""

    seen: Seen
    daemon: FileState | None
    former: list[FileState]
    tables: list[FileState]
    folders: dict[Path, list[str]]


class Insecure(msgspec.Struct, frozen=True):
    """`wanted`: it was asked for, and the registry speaks plain HTTP at an address where that is refused. `look` asks the engine.
    `podman` is that file and whether it is root's, `buildkit` the file for builders. `lost`: only marks tell that it is on."""

    authority: str
    address: str
    wanted: bool
    files: OwnedFiles
    look: Callable[[], Seen]
    podman: tuple[Path, bool] | None
    buildkit: Path
    named: bool = False
    lost: bool = False
    name: str = "insecure"

    def inspect(self, host: HostReader) -> InsecureState:
        seen = self.look() if self.wanted or self.lost or self.files.ours() else Seen()
        daemon = self._file(host, seen.config, seen.as_root) if seen.config is not None else None
        current = {self.buildkit, *([self.podman[0]] if self.podman else []), *([seen.config] if seen.config else [])}
        owned = self.files.journal.owned()
        former = [self._file(host, path, owned[path].as_root) for path in self.files.ours() if path not in current]
        tables = [self._file(host, path, as_root) for path, as_root in self._tables()]
        paths = [file.path for file in [*([daemon] if daemon else []), *former, *tables]]
        above = {folder for path in paths for folder in path.parents[:3]}
        return InsecureState(
            seen, daemon, former, tables, {folder: host.entries(folder) for folder in above if host.info(folder) is not None}
        )

    def _file(self, host: HostReader, path: Path, as_root: bool) -> FileState:
        """A file that docker_trust writes for the same builders is not ours."""
        found = self.files.inspect(host, path, as_root=as_root)
        theirs = found.owned is not None and found.owned.resource != self.name
        return msgspec.structs.replace(found, owned=None) if theirs else found

    def _tables(self) -> list[tuple[Path, bool]]:
        return [*([self.podman] if self.podman else []), (self.buildkit, False)]

    def _content(self, path: Path) -> bytes:
        name = json.dumps(self.authority)
        if path == self.buildkit:
            return MARK + f", for docker buildx create --buildkitd-config\n[registry.{name}]\n  http = true\n".encode()
        return MARK + f"\n[[registry]]\nlocation = {name}\ninsecure = true\n".encode()

    # planning

    def plan(self, state: InsecureState, present: bool) -> list[Action]:
        if not (present and self.wanted):
            files = [*state.former, *([state.daemon] if state.daemon else []), *state.tables]
            return [*self._untold(state), *(action for file in files for action in self._release(file, state))]
        away = [] if not state.seen.answers else state.former  # an engine that does not answer just now keeps its list
        actions = [action for file in away for action in self._release(file, state)]
        if state.daemon is not None and state.seen.answers:
            try:
                actions += self._list(state.daemon, state)
            except ConfigError:
                if self.named:
                    raise
        for (path, as_root), file in zip(self._tables(), state.tables, strict=True):
            actions += self._folders(path, state, as_root=as_root)
            written = self.files.write(file, self._content(path), _WHY, mode=0o644, as_root=as_root)
            actions += written
            if self._serves(path, state.seen) and (written or self.authority not in (state.seen.listed or ())):
                actions.append(self._reload(state.seen, takes=self.authority, gives_up=[]))
        return actions

    def _serves(self, path: Path, seen: Seen) -> bool:
        """Whether a service of Podman's has to read this file again."""
        return seen.podman and bool(seen.reload) and path.suffix == ".conf"

    def _list(self, file: FileState, state: InsecureState) -> list[Action]:
        seen, text = state.seen, _text(file)
        if file.owned is None and seen.takes(self.authority, self.address):
            return []  # somebody else saw to that
        names = self._ours_in(file)
        former = [name for name in names if name != self.authority]
        new = _of(file, lambda: json_list.add(json_list.remove(text, KEY, former), KEY, self.authority))
        actions: list[Action] = []
        if new != text:
            actions += self._folders(file.path, state, as_root=seen.as_root)
            actions.append(self._write(file, file.content, new, f"the engine takes {self.authority} without TLS", seen.as_root))
        stale = any(name in (seen.listed or ()) for name in former)
        if new != text or stale or self.authority not in (seen.listed or ()):
            actions.append(self._reload(seen, takes=self.authority, gives_up=former))
        return actions

    def _folders(self, path: Path, state: InsecureState, *, as_root: bool) -> list[Action]:
        missing = [folder for folder in reversed(path.parents[:3]) if folder not in state.folders]
        return [MakeFolder(path=folder, reason=_WHY, as_root=as_root) for folder in missing]

    def _write(
        self, file: FileState, before: bytes | None, new: str, reason: str, as_root: bool, *, release: bool = False
    ) -> WriteFile:
        bom = (file.content or b"").startswith(b"\xef\xbb\xbf")
        content = (b"\xef\xbb\xbf" if bom else b"") + new.encode()
        mode = file.info.mode if file.info is not None and file.info.kind == "file" else 0o644
        return WriteFile(
            path=file.path, content=content, reason=reason, before=before, mode=mode, as_root=as_root, release=release
        )

    def _reload(self, seen: Seen, *, takes: str, gives_up: list[str]) -> Control:
        return Control(
            service="engine",
            verb="reload",
            reason=f"it reads its list of insecure registries again: {' '.join(seen.reload)}",
            before=",".join(gives_up),
            after=takes,
            as_root=seen.as_root,
        )

    def _ours_in(self, file: FileState) -> list[str]:
        """The names that we put into a file's list."""
        if file.owned is None:
            return []
        backup = self.files.journal.backup
        before, written = (_list_of(backup(name)) if name else None for name in (file.owned.original, file.owned.written))
        return [name for name in dict.fromkeys([*(written or []), self.authority]) if name not in (before or [])]

    # taking back

    def _release(self, file: FileState, state: InsecureState) -> list[Action]:
        owned = file.owned
        if owned is None:
            return []
        if file.content is None:  # as after the engine was purged: it is not for us to bring it back
            return [ForgetFile(path=file.path, reason="it is gone"), *self._empty_folders(file, {file.path}, state)]
        actions = self.files.release(file)
        if self._serves(file.path, state.seen) and (listed := self._former(file, state.seen)):
            actions.append(self._reload(state.seen, takes="", gives_up=listed))
        if file.path.name.endswith(".json") and digest(file.content) != owned.original:
            names = self._ours_in(file)
            last = actions[0] if file.ours else self._edited(file, names)
            actions = [*self._through_empty(file, last, names, state.seen)]
        gone = {action.path for action in actions if isinstance(action, RemoveFile)}
        return actions + self._empty_folders(file, gone, state)

    def _former(self, file: FileState, seen: Seen) -> list[str]:
        """The names of Podman's file that its service takes now."""
        text = (file.content or b"").decode("utf-8", "replace")
        return [name for name in seen.listed or () if json.dumps(name) in text]

    def _untold(self, state: InsecureState) -> list[Action]:
        """A name in JSON carries no mark: without the journal nobody knows whose it is."""
        if not self.lost or state.daemon is None or self.authority not in (_list_of(state.daemon.content) or []):
            return []
        reason = f"it lists {self.authority}, and there is no journal to tell whether gdkreg put it there"
        fix = f"take {self.authority} out of it, then restart the engine"
        return [Leave(target=str(state.daemon.path), reason=reason, fix=fix)]

    def _edited(self, file: FileState, names: list[str]) -> WriteFile:
        """Gives back a file that somebody edited since without our names; without the list where it came with them."""
        assert file.owned is not None
        text = _of(file, lambda: json_list.remove(_text(file), KEY, names))
        original = self.files.journal.backup(file.owned.original) if file.owned.original else b""
        if _list_of(original) is None and not json_list.read(text, KEY):
            text = json_list.drop(text, KEY)
        return self._write(file, file.content, text, "without our name; what you edited stays", file.owned.as_root, release=True)

    def _through_empty(self, file: FileState, last: Action, names: list[str], seen: Seen) -> list[Action]:
        """`last` gives the file back; the engine reads it again, or before it an empty list where there will be none."""
        if not isinstance(last, (WriteFile, RemoveFile)):
            return [last]
        listed = [name for name in names if name in (seen.listed or ())]
        if seen.config != file.path or not seen.reload or not listed:
            return [last]
        reload = self._reload(seen, takes="", gives_up=listed)
        if isinstance(last, WriteFile) and isinstance(last.content, bytes) and _list_of(last.content) is not None:
            return [last, reload]
        empty = _of(file, lambda: json_list.remove(json_list.add(_text(file), KEY, listed[0]), KEY, names))
        step = self._write(file, file.content, empty, "an empty list first: the engine keeps one that is gone", last.as_root)
        first = [step] if step.content != file.content else []
        assert isinstance(step.content, bytes)
        return [*first, reload, msgspec.structs.replace(last, before=step.content)]

    def _empty_folders(self, file: FileState, gone: set[Path], state: InsecureState) -> list[Action]:
        """Folders that we made for it, innermost first, where nothing else is in them."""
        made, actions = set(self.files.journal.folders()), list[Action]()
        for folder in file.path.parents[:3]:
            inside = state.folders.get(folder)
            if folder not in made or inside is None or not gone or any(folder / name not in gone for name in inside):
                break
            gone = {*gone, folder}
            as_root = file.owned.as_root if file.owned is not None else False
            actions.append(RemoveFolder(path=folder, reason="empty", as_root=as_root))
        return actions

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        """In the engine's file nothing but the list comes back, whatever the backups hold."""
        path = ledger.place(self.files.root, entry.target)
        actions = self.files.back(entry, host)
        if path.suffix == ".conf" and actions and self._serves(path, seen := self.look()):
            listed = self._former(self._file(host, path, entry.as_root), seen)
            again = [] if listed else [self.authority]
            return [*actions, self._reload(seen, takes="".join(again), gives_up=listed)]
        if entry.kind != "file" or path.suffix != ".json" or not actions:
            return actions
        (last,) = actions
        file = self._file(host, path, entry.as_root)
        content = last.content if isinstance(last, WriteFile) and isinstance(last.content, bytes) else None
        if not _differ_by_list(file.content, content):
            raise foreign(entry)
        seen, now, then = self.look(), _list_of(file.content) or [], _list_of(content) or []
        steps = self._through_empty(file, last, [name for name in now if name not in then], seen)
        if seen.config == path and seen.reload and (added := [name for name in then if name not in now]):
            steps.append(self._reload(seen, takes=added[0], gives_up=[]))
        return steps

    # how it stands

    def notes(self, state: InsecureState) -> list[Note]:
        if not self.wanted:
            still = ", ".join(map(str, self.files.ours()))
            on = Note("changed", f"it is still taken without TLS: {still}", "gdkreg reconfigure")
            return [on if still else Note("off", f"{self.authority} is asked for TLS")]
        try:
            left = msgspec.structs.replace(self, named=True).plan(state, True)
        except GdkregError as error:
            return [Note("error", f"{error.what}: {error.why}" if error.why else error.what, error.fix)]
        if left:
            why = f"{self.authority} is no longer listed as it should be: {left[0].reason}"
            return [Note("changed", why, "gdkreg reconfigure")]
        places = [file.path for file in [*([state.daemon] if state.daemon else []), *state.tables] if file.owned is not None]
        text = f"on: {self.authority} is taken without TLS, whoever answers there ({', '.join(map(str, places))})"
        return [Note("warning", text, "gdkreg insecure off")]


def _text(file: FileState) -> str:
    try:
        return (file.content or b"").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        why = f"byte {error.start}: {error.reason}"
        raise ConfigError(f"{file.path} is not UTF-8", why=why, fix=f"edit {file.path}") from None


def _of(file: FileState, edit: Callable[[], str]) -> str:
    """An edit of a file; what is wrong with the file in one sentence. Raises `ConfigError`."""
    try:
        return edit()
    except WrongJsonError as error:
        place = f"{file.path}:{error.line}:{error.column}"
        why = "the engine would not start with it either; it was not touched"
        raise ConfigError(f"{place}: {error.what}", why=why, fix=f"correct {file.path}, then try again") from None


def _list_of(content: bytes | None) -> list[str] | None:
    try:
        return json_list.read((content or b"").decode("utf-8-sig", "replace"), KEY)
    except WrongJsonError:
        return None


def _differ_by_list(one: bytes | None, other: bytes | None) -> bool:
    """Whether two versions of daemon.json say the same but for the list."""
    try:
        values = [json_list.parse((side or b"").decode("utf-8-sig", "replace")) for side in (one, other)]
    except WrongJsonError:
        return False
    return all(left.get(key) == right.get(key) for left, right in (values, values[::-1]) for key in left if key != KEY)
