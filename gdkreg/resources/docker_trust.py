"""registry_host.crt as ca.crt in the certs.d folders of the runner and of the engine in use, and buildkitd.toml for builders."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from gdkreg.engines.trust import Place
from gdkreg.host.base import HostReader
from gdkreg.plan.actions import Action, MakeFolder, RemoveFolder
from gdkreg.plan.reconcile import Note
from gdkreg.resources.owned import FileState, OwnedFiles


class TrustState(msgspec.Struct, frozen=True):
    """`folders` maps every folder above the files to its mode; `former` are ours of other names or places."""

    certificate: bytes | None
    files: list[tuple[Place, FileState]]
    buildkit: FileState
    former: list[FileState]
    folders: dict[Path, int]
    made: list[Path]


class DockerTrust(msgspec.Struct, frozen=True):
    """`wanted`: it was asked for, and the registry has a certificate of its own.

    `buildkit` is the file for `docker buildx create --buildkitd-config`: a builder in a container reads no certs.d.
    """

    authority: str
    certificate: Path
    buildkit: Path
    places: list[Place]
    wanted: bool
    files: OwnedFiles
    name: str = "docker_trust"

    def inspect(self, host: HostReader) -> TrustState:
        paths = [(place, place.folder / self.authority / "ca.crt") for place in self.places]
        files = [(place, self.files.inspect(host, path)) for place, path in paths]
        current = {self.buildkit, *(path for _, path in paths)}
        above = [self.buildkit.parent, *(folder for _, path in paths for folder in _above(path))]
        folders = {folder: info.mode for folder in above if (info := host.info(folder))}
        return TrustState(
            certificate=host.read(self.certificate),
            files=files,
            buildkit=self.files.inspect(host, self.buildkit),
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
            return [*actions, *self.files.release(state.buildkit, "trust is no longer wanted")]
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
        if self.buildkit.parent not in state.folders:
            actions.append(MakeFolder(path=self.buildkit.parent, reason="holds buildkitd.toml"))
        return [*actions, *self.files.write(state.buildkit, self._buildkitd_toml(), "trust for buildx builders", mode=0o644)]

    def _buildkitd_toml(self) -> bytes:
        """The registry's section of BuildKit's buildkitd.toml; `docker buildx create` copies the certificate from there."""
        return (
            "# For docker buildx create --buildkitd-config\n"
            f"[registry.{json.dumps(self.authority)}]\n  ca = [{json.dumps(str(self.certificate), ensure_ascii=False)}]\n"
        ).encode()

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
        if state.buildkit.content != self._buildkitd_toml():
            return [Note("changed", f"{self.buildkit} is not as gdkreg writes it", "gdkreg reconfigure")]
        return [Note("ok", ", ".join(str(file.path) for _, file in state.files))]


def _above(path: Path) -> list[Path]:
    """The folders that lead to a ca.crt, outermost first, such as .config, docker, certs.d, HOST:PORT."""
    return list(reversed(path.parents[:4]))
