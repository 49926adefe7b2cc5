"""The stand-in issuer's life: a process of ours beside the registry."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.errors import GdkregError
from gdkreg.host.base import Host, HostReader
from gdkreg.host.environment import of_a_service
from gdkreg.plan import roots
from gdkreg.plan.actions import is_pending
from gdkreg.services.daemon import Daemon
from gdkreg.services.place import stays_taken, taken
from gdkreg.services.registry import State

PATIENCE = 15.0  # seconds


class Auth:
    """The issuer of one root, as it was applied last."""

    def __init__(self, settings: Settings, host: HostReader) -> None:
        self._settings = settings
        self._host = host
        self._daemon = Daemon(settings.root, "auth", host, settings.root, "gdkreg.issuer.serve")

    @property
    def wanted(self) -> bool:
        """Whether tokens are asked for and this root gives them out itself."""
        return self._settings.registry.auth_enabled and self._settings.issuer == "local"

    @property
    def runs(self) -> bool:
        """Raises `DamagedError` where its pid file is damaged."""
        return self._daemon.running() is not None

    @property
    def url(self) -> str:
        return self._settings.realm

    def _digest(self) -> str:
        """Of what it was started with; users and key are read anew while it runs."""
        certificate = self._host.read(self._settings.root / "registry_host.crt") or b""
        settings = self._settings
        parts = [settings.address, settings.auth_port, settings.registry.self_signed, certificate]
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]

    def check_wanted(self) -> None:
        """Raises `GdkregError` where nobody would ask it."""
        if not self.wanted:
            off = not self._settings.registry.auth_enabled
            raise GdkregError(
                "there is no issuer to start",
                why="registry.auth_enabled is false" if off else f"GitLab gives out the tokens ({self.url})",
                fix=f"gdkreg config set registry.{'auth_enabled true' if off else 'token_issuer local'}; gdkreg reconfigure",
            )

    def is_current(self) -> bool:
        """Whether it runs as it would be started."""
        certificate = self._host.read(self._settings.root / "registry_host.crt")
        return not is_pending(certificate) and self._daemon.running() == self._digest() and self.answers()

    def exists(self) -> bool:
        return self._daemon.exists()

    def start(self, host: Host) -> None:
        """Start it, or replace what runs; returns once it answers. Raises `GdkregError`."""
        ran = self._daemon.stop(host)
        place = (self._settings.address, self._settings.auth_port, "registry.auth_port")
        if stays_taken(*place, host, leaving=ran):
            raise taken(*place, roots.others(self._settings.root, host))
        env = {
            **of_a_service(self._host.platform.env),
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path[1:]]),
        }
        self._daemon.start(host, [sys.executable, "-m", "gdkreg.issuer.serve", str(self._settings.root)], env, self._digest())
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            if (how := self._daemon.died()) or time.monotonic() > deadline:
                details = "\n".join(self._daemon.last_lines(10))
                raise GdkregError(
                    "the issuer died while starting",
                    why=how or "it does not answer",
                    fix="gdkreg tail auth --no-follow",
                    details=details,
                )
            time.sleep(0.02)

    def answers(self) -> bool:
        """Whether a GitLab-like /jwt/auth answers at its place."""
        return asks_for_tokens(self._settings.scheme, self._settings.address, self._settings.auth_port, "/jwt/auth")

    def stop(self, host: Host) -> None:
        self._daemon.stop(host)

    def remove(self, host: Host) -> None:
        self._daemon.remove(host)

    def state(self) -> State:
        digest = self._daemon.running()
        if digest is None:
            return State(False, "process", "", self.url)
        verdict = "ready" if self.answers() else "no answer"
        return State(True, "process", self._daemon.describe(), self.url, verdict, digest == self._digest())

    def lines(self, count: int | None, *, follow: bool, since: float | None) -> Iterator[str]:
        from gdkreg.masking.text import prose

        return map(prose, self._daemon.lines(count, follow=follow, since=since))


def asks_for_tokens(scheme: str, host: str, port: int, path: str, timeout: float = 1.0) -> bool:
    """Whether GET on this /jwt/auth answers as GitLab does: with a token, or with its form of an error; no page of a proxy."""
    context = ssl._create_unverified_context() if scheme == "https" else None  # only whether somebody is there
    connection: http.client.HTTPConnection
    if context is not None:
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", f"{path}?service=container_registry")
        answer = connection.getresponse()
        body = json.loads(answer.read(64 * 1024))
        told = body.get("token" if answer.status == 200 else "errors") if isinstance(body, dict) else None
        return answer.status in {200, 401, 403} and bool(told)
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def choose_issuer(settings: Settings) -> str:
    """`registry.token_issuer`, with auto decided: local where GitLab's own /jwt/auth does not answer."""
    registry = settings.registry
    if not registry.auth_enabled or registry.token_issuer == "gitlab":
        return "gitlab"
    if registry.token_issuer == "auto" and settings.auto_devops.enabled:
        return "gitlab"  # from outside nobody reaches the stand-in
    if registry.token_issuer == "local":
        return "local"
    scheme, _, rest = settings.gitlab_url.partition("://")
    authority, _, path = rest.partition("/")
    host, _, port = authority.partition(":")
    number = int(port or (443 if scheme == "https" else 80))
    return "gitlab" if asks_for_tokens(scheme, host, number, f"/{path}/jwt/auth".replace("//", "/")) else "local"
