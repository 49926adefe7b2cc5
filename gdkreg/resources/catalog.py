"""The fixed tuple of resources, in the order of `reconfigure`; `down` goes through it backwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gdkreg.config.settings import Settings
from gdkreg.engines.trust import Place
from gdkreg.host.base import HostReader
from gdkreg.options import Options
from gdkreg.plan.journal import FOLDER, Journal
from gdkreg.plan.reconcile import Resource
from gdkreg.resources import hosts_text
from gdkreg.resources.applied import Applied
from gdkreg.resources.certificates import Certificate, Jwks
from gdkreg.resources.container_files import ContainerFiles
from gdkreg.resources.docker_trust import DockerTrust
from gdkreg.resources.first_user import FirstUserFile
from gdkreg.resources.hosts import HOSTS, Hosts
from gdkreg.resources.loopback import Loopback
from gdkreg.resources.owned import OwnedFiles
from gdkreg.resources.persist_alias import PersistAlias
from gdkreg.resources.registry_config import RegistryConfig

if TYPE_CHECKING:
    from gdkreg.resources.runner_config import RunnerConfig


class Catalog:
    """Makes the resources of one root. `places` gives the certs.d folders; it asks the engine, so only when needed."""

    def __init__(
        self, settings: Settings, host: HostReader, journal: Journal, places: Callable[[], list[Place]], options: Options
    ) -> None:
        self._settings = settings
        self._host = host
        self._journal = journal
        self._places = places
        self._options = options

    def _files(self, resource: str) -> OwnedFiles:
        return OwnedFiles(resource, self._journal, self._options.keep_edits)

    def all(self) -> tuple[Resource, ...]:
        return (
            *self.address(),
            *self.certificates(),
            self.jwks(),
            *self.of_the_issuer(),
            self.docker_trust(),
            *self.runners(),
            self.applied(),
        )

    def of_the_issuer(self) -> tuple[Resource, ...]:
        """What depends on who gives out the tokens."""
        config = RegistryConfig(self._settings, self._files("registry/config.yml"))
        return config, self.container_files(), self.first_user()

    def applied(self) -> Applied:
        return Applied(self._settings, self._files("applied"))

    def address(self) -> tuple[Resource, ...]:
        settings, system = self._settings, self._host.platform.system
        added = tuple(entry.target.removeprefix("address ") for entry in self._journal.commands("loopback"))
        shared = hosts_text.others(self._host.read(HOSTS) or b"", str(settings.root))
        loopback = Loopback(settings.address, system, added, persisted=settings.registry.persist_alias, shared=shared)
        return (
            loopback,
            PersistAlias(
                settings.address, system, settings.registry.persist_alias and loopback.needed, self._files("persist_alias")
            ),
            Hosts(settings.names(), settings.root, self._options.take_over),
        )

    def certificates(self) -> tuple[Certificate, Certificate]:
        settings, days = self._settings, self._settings.registry.certificate_days
        names = tuple(dict.fromkeys([settings.host, settings.address]))
        tls = Certificate(
            "registry_host",
            "tls",
            settings.host,
            names,
            days,
            settings.root,
            self._files("registry_host.crt"),
            wanted=settings.registry.self_signed,
            renew="tls" in self._options.renew,
        )
        token = Certificate(
            "localhost",
            "token",
            "gitlab-issuer",
            (),
            days,
            settings.root,
            self._files("localhost.crt"),
            renew="token" in self._options.renew,
        )
        return tls, token

    def jwks(self) -> Jwks:
        root = self._settings.root
        return Jwks(root / "localhost.crt", root / "jwks.json", self._files("jwks.json"))

    def container_files(self) -> ContainerFiles:
        settings, platform = self._settings, self._host.platform
        registry, own = settings.registry, (platform.uid, platform.gid)
        uid = platform.uid if registry.uid == "" else int(registry.uid)
        gid = platform.gid if registry.gid == "" else int(registry.gid)
        secret = [settings.root / "registry" / "config.yml"]
        if registry.self_signed:
            secret.append(settings.root / "registry_host.key")
        return ContainerFiles(
            folder=settings.root / FOLDER / "mounts",
            sources=tuple(secret),
            storage=settings.root / "registry" / "storage",
            own=own,
            owner=None if uid == platform.uid else (uid, gid),
            files=self._files("container_files"),
        )

    def first_user(self) -> FirstUserFile:
        settings = self._settings
        possible = settings.registry.auth_enabled and not settings.registry.users
        wanted, kept = possible and settings.issuer == "local", possible and settings.registry.token_issuer == "auto"
        return FirstUserFile(settings.root / FOLDER / "first_user", wanted, kept, self._files("first_user"))

    def docker_trust(self) -> DockerTrust:
        files, buildkit = self._files("docker_trust"), self._settings.root / "registry" / "buildkitd.toml"
        asked = self._options.trust or bool(files.ours())
        places = self._places() if asked else []
        known = {place.folder for place in places}
        for path, owned in self._journal.owned().items():
            # An engine that does not answer just now keeps its trust.
            if owned.resource == "docker_trust" and path != buildkit and (folder := path.parent.parent) not in known:
                known.add(folder)
                places.append(Place(folder, owned.as_root, "the engine used before"))
        return DockerTrust(
            authority=self._settings.authority,
            certificate=self._settings.root / "registry_host.crt",
            buildkit=buildkit,
            places=places,
            wanted=asked and self._settings.registry.self_signed,
            files=files,
        )

    def runners(self) -> tuple[RunnerConfig, ...]:
        """The runner files that were asked for; without one, TOML is not even loaded."""
        files = self._files("runner_config")
        paths = dict.fromkeys([*files.ours(), *([self._options.runner] if self._options.runner else [])])
        if not paths:
            return ()
        from gdkreg.resources import runner_config

        wanted = runner_config.wanted(self._settings, self._host.platform, self._options.pull_policy)
        uid, named = self._host.platform.uid, self._options.runner
        return tuple(runner_config.RunnerConfig(path, wanted, files, uid, path == named) for path in paths)
