"""The resources of trust of one root: whose it is to be, and by which places and tools."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gdkreg.config.effective import Settings
from gdkreg.engines import stores, trust
from gdkreg.engines.trust import Place, folders
from gdkreg.errors import DamagedError
from gdkreg.host.base import HostReader
from gdkreg.options import Choice, Options
from gdkreg.plan.journal import Journal
from gdkreg.plan.reconcile import Resource
from gdkreg.plan.state import FOLDER
from gdkreg.resources import trust_choice
from gdkreg.resources.docker_trust import BUILDKIT_MARK, DockerTrust
from gdkreg.resources.owned import OwnedFiles
from gdkreg.resources.trust_choice import TrustChoice

if TYPE_CHECKING:
    from gdkreg.engines.api import Api
    from gdkreg.engines.detect import Engine
    from gdkreg.engines.present import Around
    from gdkreg.resources.trust_stores import TrustStores

USUAL = ("docker", "podman", "buildx", "runner")
_AUTHORITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?")


class Trusts:
    """As `Inventory` makes it."""

    def __init__(
        self,
        settings: Settings,
        host: HostReader,
        journal: Journal,
        places: Callable[[], list[Place]],
        options: Options,
        engine: Callable[[], tuple[Engine, Api | None]] | None,
    ) -> None:
        self._settings = settings
        self._host = host
        self._journal = journal
        self._places = places
        self._options = options
        self._engine = engine

    def _files(
        self, resource: str, mine: Callable[[Path], bool], marked: Callable[[bytes], bool] = lambda _: False
    ) -> OwnedFiles:
        return OwnedFiles(resource, self._journal, self._options.keep_edits, mine, marked)

    def docker_trust(self) -> DockerTrust:
        journal, platform = self._journal, self._host.platform
        buildkit, certs_d = self._settings.root / "registry" / "buildkitd.toml", folders(platform)
        above = {folder for leaf in certs_d for folder in (leaf, *leaf.parents[:2])} | {buildkit.parent}

        def mine(path: Path) -> bool:
            authority = path if path.parent in certs_d else path.parent
            is_ours = authority.parent in certs_d and _AUTHORITY.fullmatch(authority.name) is not None
            return path in above | {buildkit} or (is_ours and (path == authority or path.name == "ca.crt"))

        def marked(content: bytes) -> bool:
            from gdkreg.resources import x509

            return content.startswith(BUILDKIT_MARK) or x509.root_of(content) == journal.identity.id

        files = self._files("docker_trust", mine, marked)
        choice = self.choice()
        wanted = tuple((set(USUAL if choice.usual else ()) - set(choice.less)) | set(choice.more))
        places = self._chosen(choice)
        known = {place.folder for place in places}
        named = bool(choice.more or choice.less) or not choice.usual
        kept = set(stores.folders(platform, wanted))
        if named and wanted and self._found()[0].answers:
            kept.discard(platform.home / ".docker/certs.d")  # else Docker Desktop may read it
        for path, owned in journal.owned().items():
            # An engine that does not answer just now keeps its trust.
            if owned.resource == "docker_trust" and path != buildkit and (folder := path.parent.parent) not in known:
                if named and folder not in kept:
                    continue
                known.add(folder)
                places.append(Place(folder, owned.as_root, "the engine used before"))
        builder = "buildx" in wanted
        return DockerTrust(
            authority=self._settings.authority,
            certificate=self._settings.root / "registry_host.crt",
            buildkit=buildkit,
            places=places,
            wanted=bool(places or builder) and self._settings.registry.self_signed,
            files=files,
            builder=builder,
            scanned=() if journal.entries else certs_d,
        )

    def choice(self) -> Choice:
        """Whose trust is to be kept."""
        if self._options.choice is not None:
            return self._options.choice
        found = None
        with contextlib.suppress(DamagedError):  # whoever reads it next tells
            found = trust_choice.read(self._settings.root, self._host)
        if self._options.trust:
            more = found.more if found else ()
            # The engine in docker-machine's VM reads nothing of this machine's.
            return Choice(True, more if "docker" in more or not self._settings.machine else (*more, "docker"))
        made = any(owned.resource == "docker_trust" for owned in self._journal.owned().values())
        return found or Choice(made)

    def _chosen(self, choice: Choice) -> list[Place]:
        """The certs.d folders of the usual clients, then of those that were named."""
        usual = self._places() if choice.usual else []
        places = [place for place in usual if not place.clients or set(place.clients) - set(choice.less)]
        for client in choice.more:
            known = {place.folder for place in places}
            named = trust.chosen(client, self._found()[0], self._host.platform)
            places += [place for place in named if place.folder not in known]
        return places

    def _found(self) -> tuple[Engine, Api | None]:
        assert self._engine is not None
        return self._engine()

    def around(self) -> Around:
        """The machine as the clients' stores are looked for."""
        from gdkreg.engines.present import Around
        from gdkreg.resources.runner_config import usual_places

        engine, api = self._found()
        runners = usual_places(self._settings, self._host)
        return Around(self._host, engine, api, str(runners[0]) if runners else "", {})

    def all(self) -> tuple[Resource, ...]:
        """Everything that trusts registry_host.crt."""
        more: list[Resource] = [self.trust_stores()] if self._has_stores() else []
        chosen = self._settings.root / FOLDER / trust_choice.NAME
        if self._options.choice is not None or self._host.info(chosen) is not None or self.choice().more:
            return (self.trust_choice(), self.docker_trust(), *more)  # first: whoever dies on the way goes on with it
        return (self.docker_trust(), *more)

    def _has_stores(self) -> bool:
        """Whether a chosen client has a store besides certs.d, or one of ours may be left."""
        choice, platform, journal = self.choice(), self._host.platform, self._journal
        if journal.facts("store") or any(owned.resource == "trust_stores" for owned in journal.owned().values()):
            return True
        if not journal.entries and any(self._host.info(path) is not None for path in self._stores_files()):
            return True
        kind = self._found()[0].kind if choice.more else "none"
        rows = [row for row in stores.ROWS if row.how in {"file", "command"}]
        return any(stores.applies(row, client, kind, platform) for row in rows for client in choice.more)

    def _stores_files(self) -> list[Path]:
        """Every file of this registry's that a store may have, whichever system this is."""
        rows = [row for row in stores.ROWS if row.how == "file"]
        return [Path(stores.path_of(row, self._settings.authority, self._host.platform)) for row in rows]

    def trust_stores(self) -> TrustStores:
        from gdkreg.resources import x509
        from gdkreg.resources.trust_stores import TrustStores

        journal, platform = self._journal, self._host.platform
        home = platform.home

        def mine(path: Path) -> bool:
            known = any(stores.parse(f"{row.key} - {path}", platform) for row in stores.ROWS if row.how == "file")
            return known or path in {home / ".minikube", home / ".minikube/certs"}

        files = self._files("trust_stores", mine, lambda content: x509.root_of(content) == journal.identity.id)
        clients = self.choice().more if self._settings.registry.self_signed else ()
        certificate = self._settings.root / "registry_host.crt"
        lost = not journal.entries
        return TrustStores(self._settings.authority, certificate, clients, journal, files, self.around, lost)

    def trust_choice(self) -> TrustChoice:
        path = self._settings.root / FOLDER / trust_choice.NAME
        return TrustChoice(path, self.choice(), self._files("trust_choice", lambda other: other == path))
