"""registry_host.crt as ca.crt in the certs.d folders of the runner and of the engine in use, and buildkitd.toml for builders."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from gdkreg.engines.trust import Place
from gdkreg.errors import GdkregError
from gdkreg.host.base import HostReader
from gdkreg.plan.actions import Action, MakeFolder, RemoveFile, RemoveFolder, WriteFile, is_pending
from gdkreg.plan.ledger import Entry
from gdkreg.plan.reconcile import Note, foreign
from gdkreg.resources.owned import FileState, OwnedFiles

BUILDKIT_MARK = b"# Written by gdkreg, for docker buildx create --buildkitd-config\n"


class TrustState(msgspec.Struct, frozen=True):
    """`folders` maps every folder above the files to its mode; `former` are ours of other names or places.

    `inside` are the names in each folder that we made, `closed` the files that this user may not write.
    """

    certificate: bytes | None
    files: list[tuple[Place, FileState]]
    buildkit: FileState
    former: list[FileState]
    folders: dict[Path, int]
    inside: dict[Path, list[str]]
    closed: frozenset[Path]


class DockerTrust(msgspec.Struct, frozen=True):
    """`wanted`: it was asked for, and the registry has a certificate of its own.

    `buildkit` is the file for `docker buildx create --buildkitd-config`: a builder in a container reads no certs.d. It is wanted
    with `builder`. `scanned` are the certs.d folders to look for our mark in, where the journal does not tell what is ours.
    """

    authority: str
    certificate: Path
    buildkit: Path
    places: list[Place]
    wanted: bool
    files: OwnedFiles
    builder: bool = True
    scanned: tuple[Path, ...] = ()
    name: str = "docker_trust"

    def inspect(self, host: HostReader) -> TrustState:
        paths = [(place, place.folder / self.authority / "ca.crt") for place in self.places]
        files = [(place, self.files.inspect(host, path)) for place, path in paths]
        current = {self.buildkit, *(path for _, path in paths)}
        above = [self.buildkit.parent, *(folder for _, path in paths for folder in _above(path))]
        folders = {folder: info.mode for folder in above if (info := host.info(folder))}
        marked = [folder / name / "ca.crt" for folder in self.scanned for name in host.entries(folder)]
        former = [self.files.inspect(host, path) for path in dict.fromkeys([*self.files.ours(), *marked]) if path not in current]
        # What was made for a certificate that only its mark tells of was made for nothing else.
        known = self.files.journal.owned()
        lone = [
            file.path.parent for _, file in [*files, *((None, file) for file in former)] if file.owned and file.path not in known
        ]
        return TrustState(
            certificate=host.read(self.certificate),
            files=files,
            buildkit=self.files.inspect(host, self.buildkit),
            former=[file for file in former if file.owned],
            folders=folders,
            closed=frozenset(path for place, path in paths if not place.as_root and not host.may_write(path)),
            inside={folder: host.entries(folder) for folder in [*self.files.journal.folders(), *lone] if host.info(folder)},
        )

    def plan(self, state: TrustState, present: bool) -> list[Action]:
        wanted = present and self.wanted
        gone = state.former if wanted else [*state.former, *(file for _, file in state.files)]
        reason = "trust of a former name" if wanted else "trust is no longer wanted"
        actions: list[Action] = []
        removed: set[Path] = set()
        for file in gone:
            released = self.files.release(file, reason)
            actions += released
            removed |= {action.path for action in released if isinstance(action, RemoveFile)}
        for file in gone:
            actions += self._folders_of(file, state, removed, only_own=wanted)
        if not wanted:
            theirs = state.buildkit.owned is not None and state.buildkit.owned.resource != self.name  # insecure's
            return [*actions, *([] if theirs else self.files.release(state.buildkit, reason))]
        made: set[Path] = set()
        for place, file in state.files:
            actions += self._trust(place, file, state, made)
        if not self.builder:
            return [*actions, *self.files.release(state.buildkit, reason)]
        if self.buildkit.parent not in state.folders:
            actions.append(MakeFolder(path=self.buildkit.parent, reason="holds buildkitd.toml"))
        return [*actions, *self.files.write(state.buildkit, self._buildkitd_toml(), "trust for buildx builders", mode=0o644)]

    def _trust(self, place: Place, file: FileState, state: TrustState, made: set[Path]) -> list[Action]:
        actions: list[Action] = []
        if file.path in state.closed and file.content != state.certificate:
            if place.spare:
                return []
            raise GdkregError(
                f"{file.path} cannot be written", why=f"{place.of} reads its trust there", fix=f"make {place.folder} writable"
            )
        for folder in _above(file.path):
            mode = state.folders.get(folder)
            # An unreadable folder breaks every pull from that registry.
            if folder not in made and (mode is None or (folder == file.path.parent and mode & 0o555 != 0o555)):
                made.add(folder)
                actions.append(MakeFolder(path=folder, reason=f"trust for {place.of}", as_root=place.as_root))
        known = state.certificate is not None and not is_pending(state.certificate)
        content = (
            state.certificate if state.certificate is not None and known else (lambda host: host.read(self.certificate) or b"")
        )
        return [*actions, *self.files.write(file, content, f"trust for {place.of}", mode=0o644, as_root=place.as_root)]

    def _buildkitd_toml(self) -> bytes:
        """The registry's section of BuildKit's buildkitd.toml; `docker buildx create` copies the certificate from there."""
        section = f"[registry.{json.dumps(self.authority)}]\n"
        return BUILDKIT_MARK + f"{section}  ca = [{json.dumps(str(self.certificate), ensure_ascii=False)}]\n".encode()

    def _folders_of(self, file: FileState, state: TrustState, removed: set[Path], *, only_own: bool) -> list[Action]:
        """The folders of ours that are empty once the files are gone, innermost first."""
        as_root = file.owned.as_root if file.owned else False
        actions: list[Action] = []
        for folder in [file.path.parent] if only_own else list(reversed(_above(file.path))):
            names = state.inside.get(folder)
            if names is not None and folder not in removed and all(folder / name in removed for name in names):
                removed.add(folder)
                actions.append(RemoveFolder(path=folder, reason="empty", as_root=as_root))
        return actions

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        """What comes back as trust has to be a certificate, whatever the backups hold."""
        actions = self.files.back(entry, host)
        for action in actions:
            is_trust = isinstance(action, WriteFile) and action.path.suffix == ".crt"
            if is_trust and b"-----BEGIN CERTIFICATE-----" not in _bytes_of(action):
                raise foreign(entry)
        return actions

    def notes(self, state: TrustState) -> list[Note]:
        if not self.wanted:
            return [Note("off", "not asked for", "gdkreg trust-docker-registry")]
        left_out = self.left_out(state)
        without = [
            Note(
                "warning",
                f"{file.path} cannot be written, so {place.of} will not trust the registry",
                f"make {place.folder} writable, then: gdkreg trust-docker-registry",
            )
            for place, file in left_out
        ]
        wrong = [
            str(file.path) for place, file in state.files if file.content != state.certificate and (place, file) not in left_out
        ]
        if wrong:
            return [Note("changed", f"{', '.join(wrong)} is not registry_host.crt", "gdkreg reconfigure"), *without]
        if self.builder and state.buildkit.content != self._buildkitd_toml():
            return [Note("changed", f"{self.buildkit} is not as gdkreg writes it", "gdkreg reconfigure"), *without]
        here = [str(file.path) for _, file in state.files if file.content == state.certificate]
        return [Note("ok", ", ".join(here) or str(self.buildkit)), *without]

    def left_out(self, state: TrustState) -> list[tuple[Place, FileState]]:
        """The places that cannot be written and that the engine in use does without."""
        return [
            (place, file)
            for place, file in state.files
            if self.wanted and place.spare and file.path in state.closed and file.content != state.certificate
        ]


def _bytes_of(action: Action) -> bytes:
    return action.content if isinstance(action, WriteFile) and isinstance(action.content, bytes) else b""


def _above(path: Path) -> list[Path]:
    """The folders that lead to a ca.crt, outermost first, such as .config, docker, certs.d, HOST:PORT."""
    return list(reversed(path.parents[:4]))
