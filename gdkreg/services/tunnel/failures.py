"""From what ssh said to what happened: one sentence, its reason and what helps. Every failure of ssh's is exit code 255."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.services.tunnel.command import far_name, far_place, far_port
from gdkreg.services.tunnel.told import one_line

Kind = Literal["denied", "unknown host", "changed host", "taken", "away", "lost", "key", "ended", "open"]
LISTENS = re.compile(r"remote forward success for: listen")


class Failure(msgspec.Struct, frozen=True):
    """`lasting`: it stays until somebody does something, so it is not tried again."""

    kind: Kind
    what: str
    why: str
    fix: str
    lasting: bool = False


def of(said: Sequence[str], code: int, settings: Settings, key: str, known_hosts: str) -> Failure:
    """Of an ssh that ended; `said` are its last lines."""
    told = [line for line in said if not re.match(r"debug\d: |OpenSSH_|Authenticated to ", line)]
    text = "\n".join(told)
    for kind, pattern, make in _RULES:
        if found := re.search(pattern, text):
            return make(_Case(kind, one_line(found[0]), settings, key, known_hosts))
    why = one_line(told[-1]) if told else f"exit code {code}, without a word"
    return _Case("ended", why, settings, key, known_hosts).failure("ssh ended", "gdkreg tail tunnel --no-follow")


class _Case(msgspec.Struct, frozen=True):
    """One failure: the words of ssh that told it, and what the sentences on it name."""

    kind: Kind
    said: str
    settings: Settings
    key: str
    known_hosts: str

    @property
    def far(self) -> str:
        return far_place(self.settings)

    def failure(self, what: str, fix: str, *, why: str = "", lasting: bool = False) -> Failure:
        return Failure(self.kind, what, why or self.said.rstrip("."), fix, lasting)


def _denied(case: _Case) -> Failure:
    user = "" if case.settings.auto_devops.tunnel.user else " (or .user NAME)"
    fix = f"have {case.key}.pub taken there, or gdkreg config set auto_devops.tunnel.key PATH{user}; gdkreg reconfigure"
    return case.failure(f"{case.far} does not take the key {case.key}", fix, lasting=True)


def _unusable(case: _Case) -> Failure:
    return case.failure(f"the key {case.key} cannot be used", f"chmod 600 {case.key}", lasting=True)


def _unknown(case: _Case) -> Failure:
    return case.failure(f"the host key of {case.far} is not known", "gdkreg start tunnel shows it", lasting=True)


def _changed(case: _Case) -> Failure:
    name, file = far_name(case.settings), case.known_hosts
    return case.failure(
        f"{case.far} shows another host key than {file} has: somebody may be in between",
        f"ask who keeps it; only if the new key is theirs: ssh-keygen -R '{name}' -f {file}",
        why="a changed key is never taken",
        lasting=True,
    )


def _taken(case: _Case) -> Failure:
    port, others = (
        far_port(case.settings),
        "GDK's own tunnel, one of before whose end was not noticed there yet, or somebody else",
    )
    return case.failure(
        f"port {port} of {case.settings.auto_devops.tunnel.host} cannot be had",
        f"gdk stop tunnel_registry, or gdkreg config set auto_devops.registry.port {port + 1}; gdkreg reconfigure",
        why=f"{others} has it; or that sshd forwards no ports",
    )


def _away(case: _Case) -> Failure:
    return case.failure(f"{case.far} cannot be reached", "see your network, and gdkreg config get auto_devops.tunnel.host")


def _lost(case: _Case) -> Failure:
    return case.failure(f"the connection to {case.far} was lost", "it is made again by itself")


_CHANGED = r"REMOTE HOST IDENTIFICATION HAS CHANGED|.*host key for .* has changed.*|.*key .*marked as revoked.*"
_LOST = r"Timeout, server .*|.*[Cc]onnection (?:to|closed|reset|timed).*|.*Broken pipe.*|kex_exchange.*|client_loop.*"
_RULES: tuple[tuple[Kind, str, Callable[[_Case], Failure]], ...] = (
    ("changed host", _CHANGED, _changed),
    ("unknown host", r"No .* host key is known for .*|Host key verification failed.*", _unknown),
    ("taken", r"remote port forwarding failed for listen.*", _taken),
    ("key", r".*UNPROTECTED PRIVATE KEY FILE.*|Load key .*|.*no such identity.*", _unusable),
    ("denied", r".*[Pp]ermission denied.*|.*Too many authentication failures.*|.*No supported authentication.*", _denied),
    ("away", r"Could not resolve hostname.*|(?:ssh: )?connect to host .*|.*Connection timed out during banner.*", _away),
    ("lost", _LOST, _lost),
)
