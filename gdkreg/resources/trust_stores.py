"""registry_host.crt in the stores that a client was chosen for by name, and that are no certs.d folder of this machine: inside a
VM or a node, in the operating system's own store, in a macOS keychain."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from gdkreg.engines import present, stores
from gdkreg.engines.present import Around
from gdkreg.engines.stores import Store
from gdkreg.errors import GdkregError
from gdkreg.host.base import HostReader, digest
from gdkreg.plan import ledger
from gdkreg.plan.actions import Action, Fact, ForgetFact, Leave, MakeFolder, RemoveFile, RunCommand, WriteFile, is_pending
from gdkreg.plan.journal import Journal
from gdkreg.plan.ledger import Entry
from gdkreg.plan.reconcile import Note, foreign
from gdkreg.resources.owned import OwnedFiles
from gdkreg.resources.store_seen import PEM, Seen, body, der, look

_FILES = [row for row in stores.ROWS if row.how == "file"]
_KEYS = [row.key for row in _FILES]


class StoresState(msgspec.Struct, frozen=True):
    """`wanted` are those of the chosen clients, `former` others that hold ours. `kept` are of a chosen client, too, in a VM or
    node that is not in use just now: they stay as they are until it is again, or until `down`."""

    certificate: bytes | None
    wanted: list[Seen]
    former: list[Seen]
    kept: list[Seen] = []


class TrustStores(msgspec.Struct, frozen=True):
    """`clients` are those that were chosen. With `lost` the journal does not tell which files are ours, so the
    mark has to."""

    authority: str
    certificate: Path
    clients: tuple[str, ...]
    journal: Journal
    files: OwnedFiles
    around: Callable[[], Around]
    lost: bool = False
    name: str = "trust_stores"

    def inspect(self, host: HostReader) -> StoresState:
        around = msgspec.structs.replace(self.around(), host=host)
        chosen = [store for client in self.clients for store in present.stores_of(client, self.authority, around)]
        known = {store.target for store in chosen}
        made = [self._parsed(target, around) for target, entry in self._facts().items() if entry.after]
        made += [self._parsed(f"{key} - {path}", around) for path in self.files.ours() for key in _KEYS]
        if self.lost:
            made += [self._parsed(f"{row.key} - {stores.path_of(row, self.authority, host.platform)}", around) for row in _FILES]
        others = {store.target: store for store in made if store is not None and store.target not in known}
        ours = [seen for store in others.values() if self._is_former(seen := self._seen(store, host, around))]
        return StoresState(
            host.read(self.certificate),
            [self._seen(store, host, around) for store in chosen],
            [seen for seen in ours if not self._stays(seen)],
            [seen for seen in ours if self._stays(seen)],
        )

    def _stays(self, seen: Seen) -> bool:
        """Whether another engine is in use, as after docker-machine was left, and nobody took its trust back."""
        row = seen.store.row
        return (
            row.how == "command" and row.client in self.clients and seen.store.authority in {"", self.authority} and not seen.gone
        )

    def _facts(self) -> dict[str, Entry]:
        return self.journal.facts("store")

    def _parsed(self, target: str, around: Around) -> Store | None:
        return stores.parse(target, around.host.platform, around.program)

    def _seen(self, store: Store, host: HostReader, around: Around) -> Seen:
        if store.row.how == "command":
            seen = look(store, host, self.certificate)
            gone = not seen.answers and present.is_gone(store, around)
            return msgspec.structs.replace(seen, gone=gone)
        path = Path(store.path)
        file = self.files.inspect(host, path)
        bundle = (host.read(Path(store.row.bundle)) or b"") if store.row.bundle else b""
        taken = not store.row.bundle or (file.content is not None and body(file.content) in body(bundle))
        home = host.platform.home
        above = [at for at in reversed(path.parents) if at.is_relative_to(home) and at != home]
        return Seen(store, file=file, taken=taken, missing=tuple(at for at in above if host.info(at) is None))

    def _is_former(self, seen: Seen) -> bool:
        """Whether something of ours may be there."""
        if seen.store.target in self._facts():
            return True
        return seen.file.owned is not None if seen.file is not None else any(self._is_ours(seen, pem) for pem in seen.pems)

    def _is_ours(self, seen: Seen, pem: bytes) -> bool:
        """By the journal, or by the mark that it carries."""
        from gdkreg.resources import x509

        entry = self._facts().get(seen.store.target)
        return (entry is not None and digest(pem) == entry.after) or x509.root_of(pem) == self.journal.identity.id

    # what is to be done

    def plan(self, state: StoresState, present: bool) -> list[Action]:
        wanted = state.wanted if present else []
        wants_all_back = [] if present else [*state.kept, *(seen for seen in state.wanted if self._is_former(seen))]
        gone = [*state.former, *wants_all_back]
        actions = [action for seen in gone for action in self._take_back(seen)]
        for seen in wanted:
            actions += self._give_file(seen, state) if seen.file is not None else self._give(seen, state)
        return actions

    def _give(self, seen: Seen, state: StoresState) -> list[Action]:
        """Into a VM, a node or a keychain. One that does not answer now is told by `notes`."""
        wanted, store = state.certificate, seen.store
        if not seen.answers or (wanted is not None and any(der(pem) == der(wanted) for pem in seen.pems)):
            return []
        ours = [pem for pem in seen.pems if self._is_ours(seen, pem)]
        if store.row.fed and seen.pems and not ours:
            raise GdkregError(
                f"{store.file} of {store.title} is somebody else's",
                why="gdkreg writes over what it made itself only",
                fix=f"look at it, then: {_typed(self._words(store, 'back'))}",
            )
        actions = [] if store.row.fed else [self._remove(store, pem, "an older one") for pem in ours]
        return [*actions, self._put(store, self.certificate, digest(ours[0]) if ours and store.row.fed else "", wanted)]

    def _put(self, store: Store, source: Path, before: str, content: bytes | None, reason: str = "") -> RunCommand:
        known = digest(content) if content is not None and not is_pending(content) else "made"
        return RunCommand(
            argv=self._words(store, "put", source=source),
            fact=Fact(kind="store", target=store.target, before=before, after=known),
            reason=reason or f"trust for {store.title}",
            feed=source if store.row.fed else None,
        )

    def _remove(self, store: Store, pem: bytes, reason: str) -> RunCommand:
        sha1 = hashlib.sha1(der(pem), usedforsecurity=False).hexdigest().upper()  # as a keychain names it
        fact = Fact(kind="store", target=store.target, before=digest(pem), after="")
        return RunCommand(argv=self._words(store, "back", sha1=sha1), fact=fact, reason=reason)

    def _words(self, store: Store, what: str, source: Path | None = None, sha1: str = "") -> tuple[str, ...]:
        more = {"certificate": str(source or self.certificate), "host": self.authority.partition(":")[0], "sha1": sha1}
        return store.words(getattr(store.row, what), more)

    def _give_file(self, seen: Seen, state: StoresState) -> list[Action]:
        assert seen.file is not None
        wanted, store = state.certificate, seen.store
        known = wanted is not None and not is_pending(wanted)
        content = wanted if wanted is not None and known else (lambda host: host.read(self.certificate) or b"")
        reason = f"trust for {store.title}"
        actions: list[Action] = [MakeFolder(path=path, reason=reason) for path in seen.missing]
        writes = self.files.write(seen.file, content, reason, mode=0o644, as_root=store.row.as_root)
        again = store.row.refresh and (writes or not seen.taken)
        before = digest(seen.file.content) if seen.file.owned else ""
        after = digest(wanted) if known else "made"
        return [*actions, *writes, *([self._refresh(store, before, after)] if again else [])]

    def _refresh(self, store: Store, before: str, after: str) -> RunCommand:
        fact = Fact(kind="store", target=store.target, before=before, after=after)
        reason = f"{store.row.bundle} is made of such files"
        return RunCommand(argv=store.row.refresh if after else store.row.back, fact=fact, reason=reason, as_root=True)

    def _take_back(self, seen: Seen) -> list[Action]:
        store, entry = seen.store, self._facts().get(seen.store.target)
        was = entry.after if entry is not None else ""
        forgotten = Fact(kind="store", target=store.target, before=was, after="")
        if seen.file is not None:
            return self._take_file_back(seen, was)
        if not seen.answers:
            if seen.gone:
                return [ForgetFact(fact=forgotten, reason=f"{store.title} is gone, and our certificate with it")]
            fix = f"start {store.title}, then the same again"
            return [Leave(target=f"{store.file} of {store.title}", reason=f"it does not answer: {seen.why}", fix=fix)]
        ours = [pem for pem in seen.pems if self._is_ours(seen, pem)]
        if not ours:
            return [ForgetFact(fact=forgotten, reason="ours is not there any more")] if was else []
        return [self._remove(store, pem, "trust is no longer wanted") for pem in ours]

    def _take_file_back(self, seen: Seen, was: str) -> list[Action]:
        assert seen.file is not None
        released = self.files.release(seen.file)
        if any(isinstance(action, Leave) for action in released) or not seen.store.row.refresh:
            return released
        before = was or digest(seen.file.content)
        return [*released, self._refresh(seen.store, before, "")] if released or was else released

    # undo

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        around = msgspec.structs.replace(self.around(), host=host)
        if entry.kind != "store":
            return self._file_back(entry, host, around)
        store = self._parsed(entry.target, around)
        if store is None:
            raise foreign(entry)
        if store.row.how == "file":
            return []  # with its file
        seen = self._seen(store, host, around)
        if not seen.answers and not entry.after:
            reason, fix = f"it does not answer: {seen.why}", "start it, then: gdkreg undo"
            return [] if seen.gone else [Leave(target=store.title, reason=reason, fix=fix)]
        if not seen.answers:
            return self._take_back(seen)
        ours = [pem for pem in seen.pems if self._is_ours(seen, pem) or digest(pem) == entry.after]
        if not entry.before:
            return [self._remove(store, pem, "undo") for pem in ours]
        return self._as_before(store, entry)

    def _as_before(self, store: Store, entry: Entry) -> list[Action]:
        """The certificate of then, from the backups."""
        content = self.journal.backup(entry.before)
        if not PEM.search(content):
            raise foreign(entry)
        source = self.journal.folder / "backups" / entry.before
        return [self._put(store, source, entry.after, content, "undo")]

    def _file_back(self, entry: Entry, host: HostReader, around: Around) -> list[Action]:
        actions = self.files.back(entry, host)
        path = ledger.place(self.files.root, entry.target)
        for action in actions:
            if isinstance(action, WriteFile) and not (isinstance(action.content, bytes) and PEM.search(action.content)):
                raise foreign(entry)
        store = next((found for key in _KEYS if (found := self._parsed(f"{key} - {path}", around))), None)
        if store is not None and store.row.refresh and any(isinstance(action, (WriteFile, RemoveFile)) for action in actions):
            actions.append(self._refresh(store, entry.after, entry.before))
        return actions

    # how it stands

    def notes(self, state: StoresState) -> list[Note]:
        notes = [self._note(seen, state) for seen in state.wanted]
        for client in self.clients:
            if not any(seen.store.row.client == client for seen in state.wanted) and client in {"kind", "minikube", "system"}:
                notes.append(Note("warning", f"{client}: there is nothing to give trust to now", "gdkreg trust"))
        left = [
            Note("changed", f"{seen.store.title}: {seen.store.file} is left of before", "gdkreg reconfigure")
            for seen in state.former
        ]
        notes += [Note("ok", f"{seen.store.title}: {seen.store.file}, which stays for when it is in use") for seen in state.kept]
        return [*notes, *left] or [Note("off", "not asked for")]

    def _note(self, seen: Seen, state: StoresState) -> Note:
        store = seen.store
        what = f"{store.title}: {store.file}"
        if not seen.answers:
            return Note("warning", f"{store.title} does not answer: {seen.why}", "start it, then: gdkreg reconfigure")
        if seen.instead:
            why = f"{what} does not count: {seen.instead} does"
            return Note("warning", why, f'add to it: ca = "{store.file}"')
        return (
            Note("ok", what)
            if self.is_current(seen, state.certificate)
            else Note("changed", f"{what} is not registry_host.crt", "gdkreg reconfigure")
        )

    def is_current(self, seen: Seen, certificate: bytes | None) -> bool:
        """Whether a store holds registry_host.crt, and what reads it has it."""
        if certificate is None:
            return False
        if seen.file is not None:
            return seen.file.content == certificate and seen.taken
        return any(der(pem) == der(certificate) for pem in seen.pems)


def _typed(words: Sequence[str]) -> str:
    import shlex

    return shlex.join(words)
