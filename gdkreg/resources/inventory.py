"""The fixed tuple of resources, in the order of `reconfigure`; `down` goes through it backwards."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gdkreg.config.effective import Settings
from gdkreg.engines.trust import Place
from gdkreg.host.base import HostReader
from gdkreg.options import Options
from gdkreg.plan import ledger, roots, state
from gdkreg.plan.journal import Journal
from gdkreg.plan.ledger import Entry
from gdkreg.plan.reconcile import Resource
from gdkreg.plan.state import FOLDER
from gdkreg.resources import gdk_service, git_exclude, hosts_text, published, registry_config, tunnel_ports, units
from gdkreg.resources.applied import Applied
from gdkreg.resources.certificates import Certificate, Jwks
from gdkreg.resources.container_files import ContainerFiles
from gdkreg.resources.first_user import FirstUserFile
from gdkreg.resources.hosts import HOSTS, Hosts
from gdkreg.resources.loopback import Loopback
from gdkreg.resources.owned import OwnedFiles
from gdkreg.resources.registry_config import RegistryConfig
from gdkreg.resources.trusts import Trusts

if TYPE_CHECKING:
    from gdkreg.engines.api import Api
    from gdkreg.engines.detect import Engine
    from gdkreg.engines.insecure import Seen
    from gdkreg.resources.docker_trust import DockerTrust
    from gdkreg.resources.export_file import ExportFile
    from gdkreg.resources.insecure import Insecure
    from gdkreg.resources.runner_config import RunnerConfig

_COLLECTION = re.compile(r"gdkreg-gc-[0-9a-f]{16}\.(service|timer)|dev\.gdkreg\.gc\.[0-9a-f]{16}\.plist")
_UNIT = re.compile(r"(gdkreg-(loopback-[0-9.]+|[0-9a-f]{16})\.service|dev\.gdkreg\.(loopback\.[0-9.]+|[0-9a-f]{16})\.plist)")


class Inventory:
    """Makes the resources of one root. `places` gives the certs.d folders, and `engine` the engine itself; both ask it, so only
    when needed."""

    def __init__(
        self,
        settings: Settings,
        host: HostReader,
        journal: Journal,
        places: Callable[[], list[Place]],
        options: Options,
        engine: Callable[[], tuple[Engine, Api | None]] | None = None,
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

    def _own(self, resource: str, *names: str, marked: Callable[[bytes], bool] = lambda _: False) -> OwnedFiles:
        """Files and folders of these names in the root."""
        paths = {self._settings.root / name for name in names}
        return self._files(resource, lambda path: path in paths, marked)

    def all(self) -> tuple[Resource, ...]:
        # Who gives up buildkitd.toml comes before who gets it.
        insecure = self.insecure_if_on()
        return (
            *self.address(),
            *self.certificates(),
            self.jwks(),
            *self.of_the_issuer(),
            *(item for item in insecure if not item.wanted),
            *self.trusts().all(),
            *(item for item in insecure if item.wanted),
            *self.runners(),
            *self.checkout(),
            *self.in_gdk(),
            *self.tunnel_ports(),
            self.schedule(),
            self.applied(),
        )

    def outside_state(self) -> tuple[Resource, ...]:
        """All but what lies in `.gdkreg` alone, and goes with it."""
        return tuple(item for item in self.all() if item.name not in {"applied", "first_user", "trust_choice"})

    def owner(self, entry: Entry) -> Resource | None:
        """The resource that can have made a change; None where none can."""
        if entry.resource == "runner_config":
            return self.runner(ledger.place(self._settings.root, entry.target))
        if entry.resource == "insecure":
            return self.insecure()
        if entry.resource == "export":
            return self.export_file(ledger.place(self._settings.root, entry.target), None)
        if entry.resource == "trust_choice":
            return self.trusts().trust_choice()
        if entry.resource == "trust_stores":
            return self.trusts().trust_stores()
        if entry.resource == published.NAME:
            return self.published()
        return next((item for item in self.all() if item.name == entry.resource), None)

    def of_the_issuer(self) -> tuple[Resource, ...]:
        """What depends on who gives out the tokens."""
        own = ("registry", "registry/storage", "registry/config.yml", f"{FOLDER}/http_secret")
        files = self._own("registry/config.yml", *own, marked=registry_config.marked)
        return RegistryConfig(self._settings, files), self.container_files(), self.first_user()

    def checkout(self) -> tuple[Resource, ...]:
        """What a root that is a checkout of git's has besides."""
        path = git_exclude.place(self._settings.root)
        here = self._host.info(path) is not None or path in self._journal.owned()
        return (git_exclude.GitExclude(path, self._journal),) if here else ()

    def in_gdk(self) -> tuple[gdk_service.GdkService, ...]:
        """What a GDK has besides."""
        service = self.gdk_service()
        here = service.wanted or gdk_service.is_gdk(self._settings.root, self._host)
        return (service,) if here else ()

    def gdk_service(self) -> gdk_service.GdkService:
        root, env = self._settings.root, self._host.platform.env
        folders = ("services", "services/registry", "services/registry/log")
        names = (*folders, *(f"services/registry/{name}" for name in gdk_service.FILES))
        files = self._own("gdk", *names, marked=lambda content: gdk_service.MARK in content)
        link = self._journal.facts("link").get(ledger.written(root, gdk_service.place(root)))
        return gdk_service.GdkService(
            root,
            self._options.gdk or bool(files.ours()),
            files,
            {name: env[name] for name in gdk_service.ENGINE if env.get(name)} if self._options.gdk else None,
            link.before if link is not None else "",
            root / "services" in self._journal.folders(),
        )

    def applied(self) -> Applied:
        return Applied(self._settings, self._own("applied", f"{FOLDER}/applied.json"))

    def published(self) -> published.Published:
        return published.Published(self._settings, self._own(published.NAME, f"{FOLDER}/{published.NAME}"))

    def tunnel_ports(self) -> tuple[tunnel_ports.TunnelPorts, ...]:
        """What a GDK with Auto DevOps has besides."""
        files = self._own("tunnel_ports", *tunnel_ports.FILES)
        here = self._settings.auto_devops.enabled or bool(files.ours())
        return (tunnel_ports.TunnelPorts(self._settings, files),) if here else ()

    def loopback(self) -> Loopback:
        settings, journal = self._settings, self._journal
        added = [target for target, entry in journal.facts("address").items() if entry.after]
        if journal.identity.claim.alias:
            added.append(journal.identity.claim.address)
        shared = hosts_text.others(
            self._host.read(HOSTS) or b"", {str(place) for place in (settings.root, *journal.identity.former)}
        )
        shared |= {claim.address for claim in roots.others(settings.root, self._host)}
        system = self._host.platform.system
        address = "127.0.0.1" if settings.machine else settings.address  # a VM has its address by itself
        return Loopback(address, system, tuple(dict.fromkeys(added)), settings.registry.persist, shared)

    def address(self) -> tuple[Resource, ...]:
        settings, former = self._settings, self._journal.identity.former
        loopback = self.loopback()
        hosts = Hosts(settings.names(), settings.root, self._journal, former, self._options.take_over)
        return loopback, self.persist(loopback), hosts

    def persist(self, loopback: Loopback) -> units.Units:
        settings, platform, id_ = self._settings, self._host.platform, self._journal.identity.id
        command = (sys.executable, "-m", "gdkreg", "start", "--root", str(settings.root), "--again")
        user = platform.env.get("USER") or str(platform.uid)
        wanted = [
            units.services_unit(
                settings.root, id_, settings.address, command, platform, user, system=loopback.needed or platform.uid == 0
            )
        ]
        shared = frozenset[Path]()
        if loopback.needed:
            wanted.insert(0, units.alias_unit(settings.address, platform))
            shared = frozenset([wanted[0].path] if settings.address in loopback.shared else [])
        files = self._units("persist", _UNIT)
        return units.Units(tuple(wanted), platform, settings.registry.persist, files, shared)

    def schedule(self) -> units.Units:
        """What collects by itself."""
        settings, platform, id_ = self._settings, self._host.platform, self._journal.identity.id
        often = settings.registry.gc_schedule
        command = (sys.executable, "-m", "gdkreg", "gc", "--cleanup", "--yes", "--root", str(settings.root))
        wanted = units.collection_units(settings.root, id_, command, platform, "daily" if often == "daily" else "weekly")
        line = f"{'5 4 * * *' if often == 'daily' else '5 4 * * 0'} {shlex.join(command)}"
        return units.Units(
            wanted,
            platform,
            often != "never",
            self._units("gc_schedule", _COLLECTION),
            name="gc_schedule",
            off="nothing is collected by itself",
            otherwise=f"add this to crontab -e: {line}",
        )

    def _units(self, resource: str, name: re.Pattern[str]) -> OwnedFiles:
        home = self._host.platform.home
        own = (home / ".config/systemd/user", home / "Library/LaunchAgents")
        above = {folder for leaf in own for folder in (leaf, *leaf.parents) if folder.is_relative_to(home)} - {home}

        def mine(path: Path) -> bool:
            fits = path.parent in (units.SYSTEMD, units.LAUNCHD, *own) and name.fullmatch(path.name) is not None
            return path in above or fits

        return self._files(resource, mine, lambda content: units.MARK in content)

    def certificates(self) -> tuple[Certificate, Certificate]:
        settings, days, id_ = self._settings, self._settings.registry.certificate_days, self._journal.identity.id
        names = tuple(dict.fromkeys([settings.host, settings.address]))
        tls = Certificate(
            "registry_host",
            "tls",
            settings.host,
            names,
            days,
            settings.root,
            id_,
            self._own("registry_host.crt", "registry_host.crt", "registry_host.key", marked=_is_certificate_of_ours),
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
            id_,
            self._own("localhost.crt", "localhost.crt", "localhost.key", marked=_is_certificate_of_ours),
            renew="token" in self._options.renew,
        )
        return tls, token

    def jwks(self) -> Jwks:
        root = self._settings.root
        return Jwks(root / "localhost.crt", root / "jwks.json", self._own("jwks.json", "jwks.json"))

    def container_files(self) -> ContainerFiles:
        settings, platform = self._settings, self._host.platform
        registry, own = settings.registry, (platform.uid, platform.gid)
        uid = platform.uid if registry.uid == "" else int(registry.uid)
        gid = platform.gid if registry.gid == "" else int(registry.gid)
        secret = [settings.root / "registry" / "config.yml"]
        if registry.self_signed:
            secret.append(settings.root / "registry_host.key")
        mounts = f"{FOLDER}/mounts"
        return ContainerFiles(
            folder=settings.root / mounts,
            sources=tuple(secret),
            storage=settings.root / "registry" / "storage",
            own=own,
            owner=None if uid == platform.uid else (uid, gid),
            foreign_root=state.owner_of(self._host, settings.root) is not None,
            files=self._own("container_files", mounts, f"{mounts}/config.yml", f"{mounts}/registry_host.key"),
        )

    def first_user(self) -> FirstUserFile:
        settings = self._settings
        possible = settings.registry.auth_enabled and not settings.registry.users
        wanted, kept = possible and settings.issuer == "local", possible and settings.registry.token_issuer == "auto"
        files = self._own("first_user", f"{FOLDER}/first_user")
        return FirstUserFile(settings.root / FOLDER / "first_user", wanted, kept, files)

    def trusts(self) -> Trusts:
        return Trusts(self._settings, self._host, self._journal, self._places, self._options, self._engine)

    def docker_trust(self) -> DockerTrust:
        return self.trusts().docker_trust()

    def insecure_if_on(self) -> tuple[Insecure, ...]:
        """Without it the engine is not even asked."""
        asked = self._options.insecure or any(owned.resource == "insecure" for owned in self._journal.owned().values())
        if not asked and not self._journal.entries:
            from gdkreg.resources import insecure_files

            asked = bool(insecure_files.marked(self._settings, self._host, self._journal))
        return (self.insecure(),) if asked else ()

    def insecure(self) -> Insecure:
        from gdkreg.engines.insecure import look
        from gdkreg.resources import insecure_files

        def ask() -> tuple[Engine, Seen]:
            assert self._engine is not None
            engine, api = self._engine()
            return engine, look(engine, api, self._host)

        return insecure_files.insecure(self._settings, self._host, self._journal, self._options, self._files, ask)

    def export_file(self, path: Path, content: bytes | None) -> ExportFile:
        from gdkreg.resources.export_file import ExportFile

        return ExportFile(path, content, self._files("export", lambda other: other == path))

    def runner(self, path: Path) -> RunnerConfig:
        from gdkreg.resources import runner_config

        wanted = runner_config.wanted(self._settings, self._host.platform, self._options.pull_policy)
        files = self._files("runner_config", lambda other: other == path)
        return runner_config.RunnerConfig(path, wanted, files, self._host.platform.uid, path == self._options.runner)

    def runners(self) -> tuple[RunnerConfig, ...]:
        """The runner files that were asked for; without one, TOML is not even loaded."""
        ours = self._files("runner_config", lambda _: True).ours()
        paths = dict.fromkeys([*ours, *([self._options.runner] if self._options.runner else [])])
        return tuple(self.runner(path) for path in paths)


def _is_certificate_of_ours(content: bytes) -> bool:
    from gdkreg.resources import x509

    return x509.root_of(content) != ""
