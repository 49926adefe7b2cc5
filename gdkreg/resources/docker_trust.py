"""registry_host.crt as ca.crt in the certs.d folders of the runner and of the engine in use."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gdkreg.engines.trust import Place
from gdkreg.host.base import HostReader
from gdkreg.plan.actions import Action, MakeFolder, RemoveFolder
from gdkreg.plan.reconcile import Note
from gdkreg.resources.owned import FileState, OwnedFiles


class TrustState(msgspec.Struct, frozen=True):
    """`folders` maps every folder above the files to whether it is there; `former` are ours of other names or places."""

    certificate: bytes | None
    files: list[tuple[Place, FileState]]
    former: list[FileState]
    folders: dict[Path, int]
    made: list[Path]


class DockerTrust(msgspec.Struct, frozen=True):
    """`wanted`: it was asked for, and the registry has a certificate of its own."""

    authority: str
    certificate: Path
    places: list[Place]
    wanted: bool
    files: OwnedFiles
    name: str = "docker_trust"

    def inspect(self, host: HostReader) -> TrustState:
        paths = [(place, place.folder / self.authority / "ca.crt") for place in self.places]
        files = [(place, self.files.inspect(host, path)) for place, path in paths]
        current = {path for _, path in paths}
        folders = {folder: info.mode for _, path in paths for folder in _above(path) if (info := host.info(folder))}
        return TrustState(
            certificate=host.read(self.certificate),
            files=files,
            former=[self.files.inspect(host, path) for path in self.files.ours() if path not in current],
            folders=folders,
            made=[folder for folder in self.files.journal.folders() if host.info(folder)],
        )

    def plan(self, state: TrustState, present: bool) -> list[Action]:
        wanted = present and self.wanted
        gone = state.former if wanted else [*state.former, *(file for _, file in state.files)]
        actions: list[Action] = []
        for file in gone:
            if released := self.files.release(file, "trust of a former name" if wanted else "trust is no longer wanted"):
                actions += released
                actions += self._folders_of(file, state, only_own=wanted)
        if not wanted:
            return actions
        made: set[Path] = set()
        for place, file in state.files:
            for folder in _above(file.path):
                mode = state.folders.get(folder)
                # An unreadable folder breaks every pull from that registry.
                if folder not in made and (mode is None or (folder == file.path.parent and mode & 0o555 != 0o555)):
                    made.add(folder)
                    actions.append(MakeFolder(path=folder, reason=f"trust for {place.of}", as_root=place.as_root))
            content = state.certificate if state.certificate is not None else (lambda host: host.read(self.certificate) or b"")
            actions += self.files.write(file, content, f"trust for {place.of}", mode=0o644, as_root=place.as_root)
        return actions

    def _folders_of(self, file: FileState, state: TrustState, *, only_own: bool) -> list[Action]:
        as_root = file.owned.as_root if file.owned else False
        folders = [file.path.parent] if only_own else list(reversed(_above(file.path)))
        return [RemoveFolder(path=folder, reason="empty", as_root=as_root) for folder in folders if folder in state.made]

    def notes(self, state: TrustState) -> list[Note]:
        if not self.wanted:
            return [Note("off", "not asked for", "gdkreg trust-docker-registry")]
        wrong = [str(file.path) for _, file in state.files if file.content != state.certificate]
        if wrong:
            return [Note("changed", f"{', '.join(wrong)} is not registry_host.crt", "gdkreg reconfigure")]
        return [Note("ok", ", ".join(str(file.path) for _, file in state.files))]


def _above(path: Path) -> list[Path]:
    """The folders that lead to a ca.crt, outermost first, such as .config, docker, certs.d, HOST:PORT."""
    return list(reversed(path.parents[:4]))
