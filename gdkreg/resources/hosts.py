"""/etc/hosts: one managed block with the names of this root, and nothing else changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.host.base import FileInfo, HostReader, digest
from gdkreg.plan.actions import Action, WriteFile
from gdkreg.plan.journal import Journal
from gdkreg.plan.ledger import Entry
from gdkreg.plan.reconcile import Note, foreign
from gdkreg.resources import hosts_text

HOSTS = Path("/etc/hosts")


class HostsState(msgspec.Struct, frozen=True):
    """`regenerated`: WSL writes the file anew at each start."""

    content: bytes
    info: FileInfo | None
    regenerated: bool


class Hosts(msgspec.Struct, frozen=True):
    """`names` maps each host name to its address. `take_over` may take a name out of the user's own lines.

    `former` are the places where the root stood before it was moved: their blocks are ours too.
    """

    names: Mapping[str, str]
    root: Path
    journal: Journal
    former: tuple[Path, ...] = ()
    take_over: bool = False
    path: Path = HOSTS
    name: str = "hosts"

    def inspect(self, host: HostReader) -> HostsState:
        wsl = b"microsoft" in (host.read(Path("/proc/sys/kernel/osrelease")) or b"").lower()
        kept = b"generatehosts=false" in (host.read(Path("/etc/wsl.conf")) or b"").lower().replace(b" ", b"")
        return HostsState(host.read(self.path) or b"", host.info(self.path), wsl and not kept)

    def plan(self, state: HostsState, present: bool) -> list[Action]:
        root = str(self.root)
        content, moved = state.content, frozenset[str]()
        for place in self.former:
            old = hosts_text.split(content, str(place))
            content, moved = old.before + old.after, moved | old.taken
        parts = hosts_text.split(content, root)
        if not (present and self.names):
            wanted = hosts_text.remove(content, root)
            return self._write(state, wanted, "our names are no longer wanted", release=True)
        mapped = hosts_text.mapped(parts.before, self.names)
        above = content.count(b"\n") - parts.after.count(b"\n")
        for item in hosts_text.mapped(parts.after, self.names):
            mapped.append(msgspec.structs.replace(item, number=item.number + above))
        take = self._to_take(mapped, parts.taken | moved)
        satisfied = {item.name for item in mapped if item.address == self.names[item.name] and not item.root}
        needed = {name: address for name, address in self.names.items() if name in take or name not in satisfied}
        wanted = hosts_text.add(parts, needed, root, take)
        return self._write(state, wanted, f"{', '.join(needed or self.names)} must lead here")

    def _to_take(self, mapped: list[hosts_text.Mapped], before: frozenset[str]) -> frozenset[str]:
        """The names to take over; an error for one that leads elsewhere and may not be taken."""
        elsewhere = [item for item in mapped if item.address != self.names[item.name]]
        taken = {name.lower() for name in before}
        for item in elsewhere:
            if item.root:
                raise GdkregError(
                    f"{self.path}:{item.number}: {item.name} leads to {item.address} for {item.root}",
                    why="two roots give the same name to different addresses",
                    fix=f"gdkreg down --root {item.root}, or another registry.host in one of them",
                )
            if not self.take_over and item.name.lower() not in taken:
                raise GdkregError(
                    f"{self.path}:{item.number}: {item.name} already leads to {item.address}",
                    why=f"the line is: {item.text}",
                    fix="gdkreg reconfigure --take-over takes the name out of that line (gdkreg down gives it back)",
                )
        return frozenset(item.name for item in elsewhere)

    def _write(self, state: HostsState, wanted: bytes, reason: str, *, release: bool = False) -> list[Action]:
        if wanted == state.content:
            return []
        if state.info is not None and state.info.kind == "symlink":
            raise GdkregError(
                f"{self.path} is a symlink to {state.info.target}",
                why="another tool makes it, as on NixOS, and would undo an edit",
                fix=f"set it there, on NixOS: networking.hosts = {_nix(self.names)};",
            )
        mode = state.info.mode if state.info else 0o644
        return [
            WriteFile(
                path=self.path,
                content=wanted,
                reason=reason,
                before=state.content if state.info else None,
                mode=mode,
                as_root=True,
                release=release,
            )
        ]

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        """Only what differs by our block alone is put back; lines that the user wrote since stay."""
        if entry.kind != "file" or entry.target != str(self.path):
            raise foreign(entry)
        state, root = self.inspect(host), str(self.root)
        if digest(state.content) == entry.before:
            return []
        wanted = self.journal.backup(entry.before)
        if digest(state.content) != entry.after:
            parts, old = hosts_text.split(state.content, root), hosts_text.split(wanted, root)
            wanted = hosts_text.add(parts, hosts_text.block(wanted, root), root, old.taken)
        elif self._without_ours(state.content) != self._without_ours(wanted):
            raise foreign(entry)
        return self._write(state, wanted, "undo")

    def _without_ours(self, content: bytes) -> bytes:
        for root in (self.root, *self.former):
            content = hosts_text.remove(content, str(root))
        return content

    def notes(self, state: HostsState) -> list[Note]:
        if not self.names:
            return [Note("off", "no host name needs an entry")]
        shown = ", ".join(f"{name} → {address}" for name, address in self.names.items())
        try:
            pending = self.plan(state, True)
        except GdkregError as error:
            return [Note("error", error.what, error.fix)]
        notes = [Note("changed", f"{shown} is missing", "gdkreg reconfigure") if pending else Note("ok", shown)]
        if state.regenerated:
            notes.append(
                Note(
                    "warning",
                    "WSL writes this file anew at each start",
                    "set generateHosts=false under [network] in /etc/wsl.conf",
                )
            )
        return notes


def _nix(names: Mapping[str, str]) -> str:
    return "{ " + " ".join(f'"{address}" = [ "{name}" ];' for name, address in names.items()) + " }"
