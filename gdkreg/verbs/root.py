"""One root: a folder with its gdk.yml, what was applied of it, and what is known of it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gdkreg.config import settings as configuration
from gdkreg.config.effective import Settings
from gdkreg.config.source import Source
from gdkreg.engines import machine
from gdkreg.errors import ConfigError, DamagedError, GdkregError
from gdkreg.host.base import Host, HostReader
from gdkreg.options import Options
from gdkreg.plan import roots, state
from gdkreg.plan.journal import Journal
from gdkreg.plan.preview import Preview
from gdkreg.plan.reconcile import Note, Resource
from gdkreg.plan.roots import Identity
from gdkreg.resources import applied

if TYPE_CHECKING:
    from gdkreg.engines.api import Api
    from gdkreg.engines.detect import Engine
    from gdkreg.engines.insecure import Seen
    from gdkreg.engines.trust import Place
    from gdkreg.resources.inventory import Inventory
    from gdkreg.services.services import Services

NO_OPTIONS = Options()


class Standing(msgspec.Struct, frozen=True):
    """How one managed thing stands, for `status` and `doctor`."""

    name: str
    notes: list[Note]


class Root:
    """`options` is what the command line adds to gdk.yml. With `lenient` whatever is damaged, gdk.yml too, is done without."""

    def __init__(self, path: Path, host: Host, options: Options = NO_OPTIONS, *, lenient: bool = False) -> None:
        self.path = path
        self.host = host
        self.options = options
        self._lenient = lenient
        self.in_foreground = False  # this very process is what a supervisor runs
        self.settings: Settings = self._settings()
        if self.settings.registry.token_issuer == "auto" and self.applied is not None:
            self.settings = msgspec.structs.replace(self.settings, issuer=self.applied.issuer)

    def _settings(self) -> Settings:
        try:
            return machine.follow(configuration.load(self.path, self.host), self.host.platform.env)
        except ConfigError:
            if not self._lenient or not self.identity.known:
                raise
            nothing = Source(self.path / "gdk.yml", {}, {})
            return self.applied or configuration.resolve(self.path, nothing, {})

    # what is known

    @functools.cached_property
    def identity(self) -> Identity:
        return roots.identify(self.path, self.host)

    @functools.cached_property
    def journal(self) -> Journal:
        return Journal(self.path, self.host, self.identity, lenient=self._lenient)

    @functools.cached_property
    def applied(self) -> Settings | None:
        """The settings of the last reconfigure."""
        return self.applied_in(self.host)

    def applied_in(self, host: HostReader) -> Settings | None:
        """The same on a machine as a plan makes it. Raises `DamagedError`."""
        if not self.identity.known and host is self.host:
            return None
        try:
            return applied.read(self.path, host)
        except DamagedError:
            if not self._lenient:
                raise
            return None

    def read_again(self) -> None:
        """What another run did while this one waited counts."""
        for name in ("journal", "applied", "identity"):
            self.__dict__.pop(name, None)

    @property
    def in_force(self) -> Settings | None:
        """What was applied, with the users of gdk.yml: the issuer reads those at once."""
        if self.applied is None:
            return None
        registry = msgspec.structs.replace(self.applied.registry, users=self.settings.registry.users)
        return msgspec.structs.replace(self.applied, registry=registry)

    @property
    def reader(self) -> HostReader:
        """The machine without a `.gdkreg/` that is not this root's."""
        if not self.identity.foreign:
            return self.host
        preview = Preview(self.host)
        preview.hide(self.path / state.FOLDER)
        return preview

    def set_up(self) -> Settings:
        """What was applied. Raises `GdkregError` before the first reconfigure."""
        if self.applied is not None:
            return self.applied
        if not self.enabled:
            raise self.disabled()
        foreign = self.identity.foreign
        why = f"{self.path / state.FOLDER} is not used: {foreign}" if foreign else "there was no reconfigure"
        raise GdkregError("this machine is not set up yet", why=why, fix="gdkreg reconfigure")

    @property
    def enabled(self) -> bool:
        return self.settings.registry.enabled

    def disabled(self) -> GdkregError:
        fix = "gdkreg config set registry.enabled true; gdkreg reconfigure"
        return GdkregError("registry.enabled is false in gdk.yml, so nothing starts", fix=fix)

    def unapplied(self) -> list[str]:
        return applied.differences(self.applied, self.settings) if self.applied else []

    # the machine

    @functools.cached_property
    def found_engine(self) -> tuple[Engine, Api | None]:
        from gdkreg.engines.detect import find

        return find(self.host)

    @property
    def engine(self) -> Engine:
        return self.found_engine[0]

    def _trust_places(self) -> list[Place]:
        from gdkreg.engines.trust import places

        return places(self.engine, self.host.platform)

    def insecure_list(self) -> tuple[Engine, Seen]:
        """The engine, and how it stands to its list of insecure registries at this moment."""
        from gdkreg.engines.insecure import look

        return self.engine, look(*self.found_engine, self.reader)

    def inventory(self, settings: Settings | None = None, **options: object) -> Inventory:
        """The resources, for these settings (else gdk.yml's) and with changed options."""
        from gdkreg.resources.inventory import Inventory

        wanted = msgspec.structs.replace(self.options, **options) if options else self.options
        return Inventory(
            settings or self.settings, self.reader, self.journal, self._trust_places, wanted, lambda: self.found_engine
        )

    def services(self, settings: Settings, host: HostReader | None = None) -> Services:
        """The services as `settings` want them, on the machine as `host` shows it."""
        from gdkreg.services.services import Services
        from gdkreg.services.supervisor import Supervisor

        supervisor = None if self.in_foreground else Supervisor(self.path, self.host)
        return Services(settings, self.applied, host or self.reader, self.journal, lambda: self.found_engine, supervisor)

    def decide_issuer(self) -> None:
        """With `token_issuer: auto`, ask GitLab whether it answers; other commands go by what was applied."""
        if self.settings.registry.token_issuer != "auto" or not self.settings.registry.auth_enabled:
            return
        from gdkreg.services.auth import choose_issuer

        issuer = choose_issuer(self.settings)
        self.settings = msgspec.structs.replace(self.settings, issuer="local" if issuer == "local" else "gitlab")

    def refuse_other_claims(self) -> None:
        """Raises `GdkregError` where another root serves the same name and port: its trust would be replaced by ours; or where
        the registry would be in a VM that cannot serve it so."""
        machine.refuse(self.settings)
        for claim in roots.others(self.path, self.host):
            if claim.authority == self.settings.authority:
                raise GdkregError(
                    f"{claim.authority} is the registry of {claim.path}",
                    why="engines know one certificate for a name and port",
                    fix=f"gdkreg down --root {claim.path}, or another registry.host or registry.port here",
                )

    # writing itself down

    def begin(self) -> None:
        """Write the root down, before anything else of it is made; and settle what a killed run left open."""
        former = [str(place) for place in self.identity.former if place != self.path]
        claim = msgspec.structs.replace(self.identity.claim, path=str(self.path), former=former)
        if not self.identity.known or claim != self.identity.claim:
            roots.write(self.host, claim)
            state.write(self.host, self.path, "id", claim.id.encode())
        elif self.host.info(self.path / state.FOLDER / "id") is None:
            state.write(self.host, self.path, "id", claim.id.encode())
        state.prepare(self.host, self.path)
        self.journal.recover()
        self.__dict__["identity"] = msgspec.structs.replace(self.identity, claim=claim, known=True, foreign="", moved=False)

    def claim(self) -> None:
        """Write down what this root holds, for the others to see."""
        now, settings, facts = self.identity.claim, self.settings, self.journal.facts("address")
        same = [claim for claim in [now, *roots.others(self.path, self.host)] if claim.address == settings.address]
        alias = settings.address in facts or any(claim.alias for claim in same)
        wanted = msgspec.structs.replace(
            now,
            path=str(self.path),
            address=settings.address,
            port=settings.registry.port,
            authority=settings.authority,
            alias=alias,
        )
        if wanted != now:
            roots.write(self.host, wanted)

    # how it stands

    def standings(self) -> list[Standing]:
        return [self._standing(item) for item in self.inventory().all()]

    def _standing(self, item: Resource) -> Standing:
        """One thing that cannot be looked at must not hide the others."""
        try:
            return Standing(item.name, item.notes(item.inspect(self.reader)))
        except GdkregError as error:
            return Standing(item.name, [Note("error", f"{error.what}: {error.why}" if error.why else error.what, error.fix)])


def open_root(
    start: Path | None = None, host: Host | None = None, options: Options = NO_OPTIONS, *, lenient: bool = False
) -> Root:
    """The root at a folder with a gdk.yml (or below one). Raises `ConfigError`."""
    from gdkreg.host.machine import Machine

    machine = host or Machine()
    return Root(configuration.find_root(start or Path.cwd(), machine), machine, options, lenient=lenient)


def find(start: Path, given: Path | None, host: Host, options: Options = NO_OPTIONS, *, lenient: bool = False) -> Root:
    path = configuration.find_root(start, host, given, sign=state.FOLDER if lenient else "gdk.yml")
    return Root(path, host, options, lenient=lenient)
