"""registry/config.yml: built as a value and dumped; one file for Distribution 2.8, Distribution 3 and GitLab's registry."""

from __future__ import annotations

import copy
import re
import secrets
from pathlib import Path
from typing import Any

import msgspec
import yaml

from gdkreg.config.effective import Settings
from gdkreg.errors import DamagedError
from gdkreg.host.base import HostReader
from gdkreg.plan import state as states
from gdkreg.plan.actions import Action, Leave, MakeFolder, RemoveFolder, WriteFile, is_pending
from gdkreg.plan.ledger import Entry
from gdkreg.plan.reconcile import Note
from gdkreg.plan.state import FOLDER
from gdkreg.resources.owned import FileState, OwnedFiles

# Where the files lie inside a container; the process runtime gets the host's paths by REGISTRY_… variables.
INSIDE = Path("/etc/docker/registry")
STORAGE_INSIDE = Path("/var/lib/registry")
TLS_CERTIFICATE = INSIDE / "registry_host.crt"
TLS_KEY = INSIDE / "registry_host.key"
TOKEN_CERTIFICATE = INSIDE / "localhost.crt"
JWKS = INSIDE / "jwks.json"
CONFIG = INSIDE / "config.yml"

_NO_DRIVERS = {"cache", "filesystem", "delete", "maintenance", "redirect", "tag"}
_SECRET = re.compile(rb"[0-9a-f]{64}")
_HEAD = "# Written by gdkreg from gdk.yml: change it there (registry.config) and run gdkreg reconfigure.\n"


def build(settings: Settings, secret: str) -> dict[str, Any]:
    """The whole configuration as Distribution reads it; unknown keys are ignored by each of the three."""
    registry = settings.registry
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "info", "formatter": "text", "fields": {"service": "registry"}},
        "storage": {
            "cache": {"blobdescriptor": "inmemory"},
            "filesystem": {"rootdirectory": str(STORAGE_INSIDE)},
            "delete": {"enabled": True},
        },
        "http": {
            "addr": f":{registry.port}",
            "secret": secret,
            "headers": {"X-Content-Type-Options": ["nosniff"]},
        },
        "health": {"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
        "validation": {"disabled": True},
        "compatibility": {"schema1": {"enabled": registry.compatibility_schema1_enabled}},
        # GitLab's registry may default to its metadata database, and then refuses to collect offline.
        "database": {"enabled": False},
    }
    if registry.read_only_maintenance_enabled:
        config["storage"]["maintenance"] = {"readonly": {"enabled": True}}
    if settings.auto_devops.enabled:
        config["http"]["relativeurls"] = True  # a front that ends TLS may not say so, and a push would be led to http://
    if registry.self_signed:
        config["http"]["tls"] = {"certificate": str(TLS_CERTIFICATE), "key": str(TLS_KEY)}
    if registry.auth_enabled:
        config["auth"] = {
            "token": {
                "autoredirect": False,
                "realm": settings.realm,
                "service": "container_registry",
                "issuer": "gitlab-issuer",
                "rootcertbundle": str(TOKEN_CERTIFICATE),
                "jwks": str(JWKS),
            }
        }
    merged = merge(config, registry.config)
    storage, given = merged.get("storage"), registry.config.get("storage")
    if isinstance(storage, dict) and isinstance(given, dict) and set(storage) - _NO_DRIVERS and "filesystem" not in given:
        storage.pop("filesystem", None)  # Distribution takes one driver, and the user named another
    return merged


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid deep over `base`: blocks are merged, everything else is replaced, null takes a key out."""
    merged = copy.deepcopy(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def marked(content: bytes) -> bool:
    """Whether gdkreg wrote this configuration."""
    return content.startswith(_HEAD.encode())


def _secret_of(host: HostReader, root: Path) -> bytes | None:
    """http.secret, kept in `.gdkreg`. Raises `DamagedError` where it is not one of ours."""
    secret = states.read(host, root, "http_secret")
    if secret is not None and not is_pending(secret) and not _SECRET.fullmatch(secret):
        raise states.damaged(root / FOLDER / "http_secret", "it is not what gdkreg writes")
    return secret


def dump(config: dict[str, Any]) -> bytes:
    return (_HEAD + yaml.safe_dump(config, sort_keys=False, allow_unicode=True)).encode()


class ConfigState(msgspec.Struct, frozen=True):
    """`empty` are those of our folders that nothing but our file is in; `problem` is set where the secret is damaged."""

    file: FileState
    secret: bytes | None
    problem: DamagedError | None
    folder: bool
    storage: bool
    empty: list[Path]


class RegistryConfig(msgspec.Struct, frozen=True):
    """The configuration, its secret (kept in `.gdkreg`, so that a restart breaks no upload), and the storage folder."""

    settings: Settings
    files: OwnedFiles
    name: str = "registry/config.yml"

    @property
    def path(self) -> Path:
        return self.settings.root / "registry" / "config.yml"

    @property
    def _secret(self) -> Path:
        return self.settings.root / FOLDER / "http_secret"

    def inspect(self, host: HostReader) -> ConfigState:
        secret, problem = None, None
        try:
            secret = _secret_of(host, self.settings.root)
        except DamagedError as error:
            problem = error
        return ConfigState(
            file=self.files.inspect(host, self.path),
            secret=secret,
            problem=problem,
            folder=host.info(self.path.parent) is not None,
            storage=host.info(self.path.parent / "storage") is not None,
            empty=self._empty(host),
        )

    def plan(self, state: ConfigState, present: bool) -> list[Action]:
        if not present:
            released = self.files.release(state.file)
            left_there = any(isinstance(action, Leave) for action in released)
            return [*released, *(RemoveFolder(path=path, reason="empty") for path in state.empty if not left_there)]
        if state.problem is not None:
            raise state.problem
        actions: list[Action] = []
        if not state.folder:
            actions.append(MakeFolder(path=self.path.parent, reason="holds the registry's configuration and storage"))
        if not state.storage:
            actions.append(MakeFolder(path=self.path.parent / "storage", reason="holds the images", mode=0o700))
        if state.secret is None:
            actions.append(
                WriteFile(
                    path=self._secret,
                    content=lambda _: secrets.token_hex(32).encode(),
                    reason="http.secret, kept over restarts",
                    before=None,
                    mode=0o600,
                    secret=True,
                )
            )
        reason = "somebody else wrote over it" if state.file.overwritten else "from gdk.yml"
        if state.secret is not None and not is_pending(state.secret):
            return actions + self.files.write(state.file, self._content(state.secret), reason, mode=0o600)
        preview = self._content(b"made when it is written")
        return actions + self.files.write(state.file, self._made, reason, mode=0o600, preview=preview)

    def _made(self, host: HostReader) -> bytes:
        return self._content(_secret_of(host, self.settings.root) or b"")

    def _empty(self, host: HostReader) -> list[Path]:
        """Innermost first; the storage only while there is no image in it."""
        made, gone, found = set(self.files.journal.folders()), {self.path}, list[Path]()
        for folder in (self.path.parent / "storage", self.path.parent):
            info = host.info(folder)
            plain = folder in made and info is not None and info.kind == "folder"
            if plain and all(folder / name in gone for name in host.entries(folder)):
                gone.add(folder)
                found.append(folder)
        return found

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        return self.files.back(entry, host)

    def _content(self, secret: bytes) -> bytes:
        return dump(build(self.settings, secret.decode()))

    def notes(self, state: ConfigState) -> list[Note]:
        if not self.plan(state, True):
            return [Note("ok", str(self.path))]
        if state.file.overwritten:
            return [
                Note(
                    "changed",
                    "somebody else wrote over it, perhaps gdk reconfigure",
                    "gdkreg reconfigure; to keep it: protected_config_files: ['registry/config.yml'] under gdk: in gdk.yml",
                )
            ]
        return [Note("changed", "not what gdk.yml says" if state.file.content else "missing", "gdkreg reconfigure")]
