"""The tunnel's life: a keeper of ours that has ssh publish the registry at another machine."""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.errors import DamagedError, GdkregError
from gdkreg.host.base import Host, HostReader
from gdkreg.host.environment import of_a_service
from gdkreg.plan.actions import Control, Leave, left
from gdkreg.services.daemon import Daemon
from gdkreg.services.registry import State
from gdkreg.services.tunnel import command, reach, told
from gdkreg.services.tunnel.told import Told

_SIGN = "gdkreg.services.tunnel.serve"
PATIENCE = 45.0  # seconds until a keeper that says nothing is given up: ssh's own time, and that of the questions afterwards
HOLD = 12.0  # seconds in which the far side may still let go of the port that an earlier tunnel had
SHORT = 5.0  # seconds that a start waits where nobody asked for the tunnel by name


class Tunnel:
    """The tunnel of one root, as it was applied last."""

    def __init__(self, settings: Settings, host: HostReader) -> None:
        self._settings = settings
        self._host = host
        self._daemon = Daemon(settings.root, "tunnel", host, settings.root, _SIGN)

    @property
    def runs(self) -> bool:
        """Raises `DamagedError` where its pid file is damaged."""
        return self._daemon.running() is not None

    @property
    def way(self) -> str:
        """From where to where, in words."""
        near, port = command.inner(self._settings)
        return f"https://{self._settings.authority} → {near}:{port}, through {command.far_place(self._settings)}"

    def _digest(self) -> str:
        settings = self._settings
        parts = [command.argv("ssh", settings, self._host), settings.realm, settings.authority, settings.registry.self_signed]
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]

    def is_current(self) -> bool:
        """Whether a keeper runs as it would be started, and has not given up."""
        return self._daemon.running() == self._digest()

    # what keeps it from starting

    @property
    def refused(self) -> str:
        """Why it may not run at all, by the settings alone; empty where it may."""
        if not self._settings.auto_devops.enabled:
            return "auto_devops.enabled is false"
        return "" if self._settings.registry.auth_enabled else "registry.auth_enabled is false"

    def check(self) -> None:
        """Raises `GdkregError` for all that can be seen from here."""
        if self.refused:
            switch = "registry.auth_enabled" if self._settings.auto_devops.enabled else "auto_devops.enabled"
            open_ = switch == "registry.auth_enabled"
            raise GdkregError(
                "the tunnel would let everybody on the internet read and write" if open_ else "there is no tunnel to start",
                why=self.refused,
                fix=f"gdkreg config set {switch} true; gdkreg reconfigure" + ("; gdkreg start" if open_ else ""),
            )
        self._program()
        self._check_key()
        self._check_far_key()

    def check_registry(self) -> None:
        """What runs now, whatever the settings say, has to ask for tokens. Raises `GdkregError`."""
        asks = reach.asks_for_tokens(self._settings)
        near, port = command.inner(self._settings)
        if asks is None:
            raise GdkregError(
                "no registry answers that the tunnel could lead to", why=f"at {near}:{port}", fix="gdkreg start registry"
            )
        if not asks:
            why = f"what runs at {near}:{port} asks nobody for a token"
            raise GdkregError(
                "the tunnel would let everybody on the internet read and write", why=why, fix="gdkreg start registry"
            )

    def _program(self) -> str:
        program = shutil.which("ssh", path=self._host.platform.env.get("PATH"))
        if program is None:
            raise GdkregError("ssh is not installed", why="the tunnel is an ssh", fix="sudo apt-get install openssh-client")
        return program

    def _check_key(self) -> None:
        if command.key(self._settings, self._host) is None:
            given = self._settings.auto_devops.tunnel.key
            raise GdkregError(
                "there is no key to log in with",
                why=f"{given} is not there" if given else "~/.ssh has no id_ed25519, id_ecdsa or id_rsa",
                fix="ssh-keygen -t ed25519, or gdkreg config set auto_devops.tunnel.key PATH; gdkreg reconfigure",
            )

    def _check_far_key(self) -> None:
        """ssh would refuse, too, but could not say which key is shown."""
        name, host = command.far_name(self._settings), self._host
        known = [host.query(["ssh-keygen", "-F", name, "-f", str(path)]) for path in command.known_places(self._settings, host)]
        if any(found.code in {0, 127} for found in known):
            return
        tunnel, file = self._settings.auto_devops.tunnel, command.known_hosts(self._settings, host)
        shown = host.query(["ssh-keyscan", "-T", "5", "-p", str(tunnel.port), tunnel.host])
        line = _best(shown.out)
        if not line:
            raise GdkregError(
                f"the host key of {name} is not known, and it cannot be asked for it",
                why=(shown.err.strip().splitlines() or ["it does not answer"])[-1],
                fix=f"see your network and auto_devops.tunnel.host; then: ssh-keyscan -p {tunnel.port} {tunnel.host}",
            )
        kind, key = line.split()[1:3]
        raise GdkregError(
            f"the host key of {name} is not known",
            why=f"it shows {kind} {_fingerprint(key)}; {file} has none of it",
            fix="compare it with what its owner says, then: "
            f"mkdir -p {shlex.quote(str(file.parent))}; echo {shlex.quote(f'{name} {kind} {key}')} >> {shlex.quote(str(file))}",
        )

    # its life

    def actions(self, *, alone: bool) -> list[Control | Leave]:
        """What starting it does. Where it is not `alone`, the registry is not to wait for it: what would keep it from starting
        leaves it out, and a far side that is away is waited for later.

        Raises `GdkregError` for all that would keep it from starting alone.
        """
        if not self.refused and self.is_current():
            return []
        try:
            self.check()
            if alone:
                self.check_registry()
        except GdkregError as error:
            if alone:
                raise
            return [left(error, "tunnel")]
        runs = self.runs
        verb: Literal["recreate", "start", "resume"] = "resume" if not alone else "recreate" if runs else "start"
        before = "running" if runs else "stopped"
        return [Control(service="tunnel", verb=verb, reason=self.way, before=before, after="running")]

    def perform(self, verb: str, host: Host) -> str:
        """One of these controls, or the end of it; a word on what came of it."""
        if verb in {"start", "recreate", "resume"}:
            return self.start(host, patient=verb == "resume")
        (self.remove if verb == "remove" else self.stop)(host)
        return ""

    def exists(self) -> bool:
        return self._daemon.exists()

    def start(self, host: Host, *, patient: bool = False) -> str:
        """Start it, or replace what runs; a word on what came of it. `patient`: a far side that is away is waited for later.

        Raises `GdkregError` where it does not come up; then nothing of it runs.
        """
        self._program()
        self._daemon.stop(host)
        told.forget(self._settings.root, host)
        env = {
            **of_a_service(self._host.platform.env),
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), *sys.path[1:]]),
        }
        if agent := self._host.platform.env.get("SSH_AUTH_SOCK"):  # a key with a passphrase is used through it alone
            env["SSH_AUTH_SOCK"] = agent
        self._daemon.start(host, [sys.executable, "-m", _SIGN, str(self._settings.root)], env, self._digest())
        try:
            return self._settled(patient)
        except BaseException:
            self._daemon.stop(host)
            raise

    def _settled(self, patient: bool) -> str:
        began = time.monotonic()
        while True:
            now, spent = self._told(), time.monotonic() - began
            if now is not None and now.state == "connected":
                return f"and {now.url} is public" if now.url else "and connected, but nobody outside reaches it"
            failed = now is not None and now.state == "failed"
            hopes = now is None or now.state == "connecting" or now.kind == "taken"
            if patient and not failed and spent > SHORT:
                return "but is not connected yet"
            if now is not None and (failed or (not patient and (not hopes or spent > HOLD) and now.state == "waiting")):
                raise GdkregError(now.what, why=now.why, fix=now.fix)
            if (how := self._daemon.died()) or spent > PATIENCE:
                details = "\n".join(self._daemon.last_lines(10))
                raise GdkregError("the tunnel did not come up", why=how or "no answer", fix="gdkreg tail tunnel", details=details)
            time.sleep(0.05)

    def _told(self) -> Told | None:
        recorded, now = self._daemon.recorded(), told.read(self._settings.root, self._host)
        return now if now is not None and recorded is not None and now.pid == recorded.pid else None

    def stop(self, host: Host) -> None:
        self._daemon.stop(host)
        told.forget(self._settings.root, host)

    def remove(self, host: Host) -> None:
        self._daemon.remove(host)
        told.forget(self._settings.root, host)

    def state(self) -> State:
        try:
            digest, now = self._daemon.running(), self._told()
        except DamagedError:
            return State(False, "process", "its pid file is damaged", self.way)
        if digest is None:
            why = f"{now.what}: {now.why}" if now is not None and now.state == "failed" else self.refused
            return State(False, "process", why, self.way)
        verdict, url = "no answer", self.way
        if now is not None and now.state == "connected":
            verdict, url = ("ready", now.url) if now.url else (f"connected, and {now.why.partition('; ')[0]}", self.way)
        elif now is not None:
            verdict = f"{now.what}: {now.why}" if now.what else now.state
        since = f", since {now.since}" if now is not None and now.state == "connected" else ""
        return State(True, "process", self._daemon.describe() + since, url, verdict, digest == self._digest())

    def notes(self) -> list[str]:
        """What is not as it should be while it runs, and what helps."""
        now = self._told() if self.runs else None
        if now is None or not (now.what or now.why):
            return []
        sentence = f"{now.what}: {now.why}; it goes on trying" if now.what else told.sentence(now)
        return [f"! {sentence}" + (f"\n    {now.fix}" if now.fix else "")]

    def lines(self, count: int | None, *, follow: bool, since: float | None) -> Iterator[str]:
        return self._daemon.lines(count, follow=follow, since=since)


def _best(scanned: str) -> str:
    """The line of ssh-keyscan with the key that ssh would ask for first."""
    lines = [line for line in scanned.splitlines() if len(line.split()) == 3 and not line.startswith("#")]
    order = ("ssh-ed25519", "ecdsa-sha2-nistp256")
    return next((line for kind in order for line in lines if line.split()[1] == kind), lines[0] if lines else "")


def _fingerprint(key: str) -> str:
    """As ssh shows it."""
    try:
        return "SHA256:" + base64.b64encode(hashlib.sha256(base64.b64decode(key)).digest()).decode().rstrip("=")
    except ValueError:
        return "a key that cannot be read"
