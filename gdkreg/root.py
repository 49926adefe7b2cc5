"""One root with its gdk.yml: what the commands of the command line do, as methods that return values."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gdkreg.config import settings as configuration
from gdkreg.config.settings import Settings
from gdkreg.errors import GdkregError
from gdkreg.host.base import Host
from gdkreg.options import Options
from gdkreg.plan import executor, reconcile
from gdkreg.plan.actions import Action
from gdkreg.plan.journal import FOLDER, Journal, key
from gdkreg.plan.reconcile import Note, Resource, Step
from gdkreg.resources import applied

if TYPE_CHECKING:
    from gdkreg.engines.trust import Place
    from gdkreg.resources.catalog import Catalog

NO_OPTIONS = Options()
Announce = Callable[[Action], None]


class Standing(msgspec.Struct, frozen=True):
    """How one managed thing stands, for `status` and `doctor`."""

    name: str
    notes: list[Note]


class Root:
    """`options` is what the command line adds to gdk.yml."""

    def __init__(self, path: Path, host: Host, options: Options = NO_OPTIONS) -> None:
        self.path = path
        self.host = host
        self.options = options
        self.settings: Settings = configuration.load(path, host)
        if self.settings.registry.token_issuer == "auto" and self.applied is not None:
            self.settings = msgspec.structs.replace(self.settings, issuer=self.applied.issuer)

    @functools.cached_property
    def journal(self) -> Journal:
        return Journal(self.path, self.host)

    @functools.cached_property
    def engine(self) -> Any:
        from gdkreg.engines.detect import detect

        return detect(self.host)[0]

    def _trust_places(self) -> list[Place]:
        from gdkreg.engines.trust import places

        return places(self.engine, self.host.platform)

    @property
    def catalog(self) -> Catalog:
        from gdkreg.resources.catalog import Catalog

        return Catalog(self.settings, self.host, self.journal, self._trust_places, self.options)

    @property
    def enabled(self) -> bool:
        return self.settings.registry.enabled

    @functools.cached_property
    def applied(self) -> Settings | None:
        """The settings of the last reconfigure."""
        return applied.read(self.path, self.host)

    @property
    def in_force(self) -> Settings | None:
        """What was applied, with the users of gdk.yml: the issuer reads those at once."""
        if self.applied is None:
            return None
        registry = msgspec.structs.replace(self.applied.registry, users=self.settings.registry.users)
        return msgspec.structs.replace(self.applied, registry=registry)

    def decide_issuer(self) -> None:
        """With `token_issuer: auto`, ask GitLab whether it answers; other commands go by what was applied."""
        if self.settings.registry.token_issuer != "auto" or not self.settings.registry.auth_enabled:
            return
        from gdkreg.services.auth import choose_issuer

        issuer = choose_issuer(self.settings)
        self.settings = msgspec.structs.replace(self.settings, issuer="local" if issuer == "local" else "gitlab")

    # planning

    def plan(self) -> list[Step]:
        """What reconfigure would do; conflicts are raised."""
        return reconcile.plan(self.catalog.all(), self.host, present=self.enabled)

    def plan_of(self, resources: Sequence[Resource], *, present: bool) -> list[Step]:
        return reconcile.plan(resources, self.host, present=present)

    # changing

    def run(self, command: str, announce: Announce, waiting: Callable[[], None]) -> Run:
        """A run holds the lock: two at once would plan on each other's half-made changes."""
        return Run(self, command, announce, waiting)

    def standings(self) -> list[Standing]:
        return [self._standing(item) for item in self.catalog.all()]

    def _standing(self, item: Resource) -> Standing:
        """One thing that cannot be looked at must not hide the others."""
        try:
            return Standing(item.name, item.notes(item.inspect(self.host)))
        except GdkregError as error:
            return Standing(item.name, [Note("error", error.what, error.fix)])

    def unapplied(self) -> list[str]:
        return applied.differences(self.applied, self.settings) if self.applied else []


class Run:
    """One locked run of a command that changes the machine; a context manager."""

    def __init__(self, root: Root, command: str, announce: Announce, waiting: Callable[[], None]) -> None:
        self._root = root
        self._command = command
        self._announce = announce
        self._waiting = waiting

    def __enter__(self) -> Run:
        host, folder = self._root.host, self._root.path / FOLDER
        if host.info(folder) is None:
            host.make_folder(folder, mode=0o700)
        self._lock = host.lock(folder / "lock", self._waiting)
        self._lock.__enter__()
        # What another run did while this one waited counts.
        for name in ("journal", "applied"):
            self._root.__dict__.pop(name, None)
        self._root.journal.recover()
        self.executor = executor.Executor(host, self._root.journal, self._command, self._announce)
        return self

    def __exit__(self, *failure: object) -> None:
        self._lock.__exit__(None, None, None)

    @property
    def done(self) -> list[Action]:
        return self.executor.done

    def apply(self, resources: Sequence[Resource], *, present: bool) -> None:
        reconcile.apply(resources, self._root.host, self.executor, present=present)

    def reconfigure(self) -> None:
        root = self._root
        self.apply(root.catalog.all(), present=root.enabled)

    def follow_issuer(self) -> None:
        """At `start`: GitLab came up or went away since the last reconfigure, so the realm follows. Nothing else is applied."""
        root, wanted = self._root, self._root.settings
        assert root.applied is not None
        root.settings = msgspec.structs.replace(root.applied, issuer=wanted.issuer)
        catalog = root.catalog
        self.apply((*catalog.of_the_issuer(), catalog.applied()), present=True)
        root.settings = wanted
        root.__dict__.pop("applied", None)

    def renew(self) -> None:
        """Make the certificates of `options.renew` anew, then what follows from them: jwks.json, copies, trust."""
        root = self._root
        for certificate in root.catalog.certificates():
            for action in certificate.plan(certificate.inspect(root.host), True):
                self.executor.execute(certificate.name, action)
        root.options = msgspec.structs.replace(root.options, renew=())
        catalog = root.catalog
        self.apply((catalog.jwks(), catalog.container_files(), catalog.docker_trust()), present=True)

    def undo(self) -> None:
        """Take the last run back. What it set up to run is stopped first: afterwards nothing would know of it."""
        root = self._root
        last = root.journal.last_run()
        steps = executor.undo(root.journal, root.host, root.options.keep_edits)
        if any(entry.resource == "applied" and not entry.before for entry in last):
            self._stop_services()
        for entry, action in steps:
            self.executor.execute(entry.resource, action, undoes=key(entry))
        acted = {key(entry) for entry, _ in steps}
        for entry in last:
            if key(entry) not in acted:
                self.executor.skip(entry)

    def _stop_services(self) -> None:
        from gdkreg.services.auth import Auth
        from gdkreg.services.registry import Registry
        from gdkreg.services.tracing import refuse_while_traced

        refuse_while_traced(self._root.path)
        settings = self._root.applied or self._root.settings
        Auth(settings, self._root.host).remove()
        Registry(settings, self._root.host).remove()

    def take_back(self) -> None:
        """Remove everything of ours but the images; raises before anything is touched where a file was edited."""
        root = self._root
        resources = root.catalog.all()
        reconcile.plan(resources, root.host, present=False)
        self._stop_services()
        self.apply(resources, present=False)
        for folder in reversed(root.journal.folders()):
            if folder.is_relative_to(root.path):
                root.host.remove_folder(folder)

    def forget(self) -> None:
        """Remove `.gdkreg` itself, unless it still holds what an edited file was before."""
        kept = [
            path for path, owned in self._root.journal.owned().items() if FOLDER not in path.parts and owned.resource != "hosts"
        ]
        if not kept:
            shutil.rmtree(self._root.path / FOLDER, ignore_errors=True)


def find(start: Path, given: Path | None, host: Host, options: Options = NO_OPTIONS) -> Root:
    return Root(configuration.find_root(start, host, given), host, options)
