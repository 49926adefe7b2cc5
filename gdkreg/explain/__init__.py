"""From a pasted error and the machine's present state to the cause, and the command that cures it."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from gdkreg.config.settings import Settings
from gdkreg.explain.rules import RULES, Rule
from gdkreg.host.base import HostReader
from gdkreg.services import ready

_LONGEST = 8192  # characters; the error itself stands at the end of what a client prints
_HOST = re.compile(
    r"https?://(?:[^/\s@]*@)?(?P<url>[\w.-]+)(?::(?P<port>\d+))?|"
    r"dial tcp (?P<ip>[\d.]+):(?P<ipport>\d+)|\blookup (?P<name>[\w.-]+)|access denied for (?P<image>[^\s,]+),"
)


class Explained(msgspec.Struct, frozen=True):
    """`name` is the kind of error; `state` is what the machine says about it now."""

    name: str
    cause: str
    remedy: str
    state: str = ""


def _rule(text: str) -> Rule | None:
    return next((rule for rule in RULES if rule.pattern.search(text[-_LONGEST:])), None)


def kind_of(text: str) -> str:
    """The name of the rule that an error falls under; empty for one that no rule knows."""
    rule = _rule(text)
    return rule.name if rule else ""


def remedy_of(text: str, settings: Settings) -> str:
    """Only the command, for `verify`."""
    rule = _rule(text)
    return rule.remedy_for(settings) if rule else "gdkreg tail registry --no-follow"


def explain(text: str, settings: Settings, host: HostReader) -> Explained | None:
    """None for an error that no rule knows."""
    rule = _rule(text)
    if rule is None:
        return None
    at = _place(text[-_LONGEST:])
    if at is not None and rule.name == "connection refused" and at[1] == settings.auth_port and settings.issuer == "local":
        rule = next(item for item in RULES if item.name == "realm unreachable")
    answer = _ask(settings, host)
    found = Explained(rule.name, rule.cause, rule.remedy_for(settings), _state(settings, answer))
    names = {settings.host, settings.address, urlsplit(settings.realm).hostname}
    if at is not None and at[0] not in names:
        cause = f"{rule.cause}; but it is about {at[0]}, and this registry is {settings.authority}"
        return msgspec.structs.replace(
            found, cause=cause, remedy=f"if you meant this registry: use the name {settings.authority}"
        )
    return msgspec.structs.replace(found, remedy=_by_now(rule.name, settings, host, answer) or found.remedy)


def _place(text: str) -> tuple[str, int] | None:
    """The host and port that an error is about: the last that is told. 0 for a port that is not."""
    found = list(_HOST.finditer(text))
    if not found:
        return None
    last = found[-1]
    if last["image"]:
        first, slash, _ = last["image"].partition("/")
        name, _, port = first.partition(":")
        return (name, int(port or 0)) if slash and ("." in first or ":" in first) else ("docker.io", 0)
    return last["url"] or last["ip"] or last["name"], int(last["port"] or last["ipport"] or 0)


def _ask(settings: Settings, host: HostReader) -> ready.Answer | None:
    """How the registry answers now; None where its certificate is not even made."""
    certificate = settings.root / "registry_host.crt" if settings.registry.self_signed else None
    if certificate is not None and host.info(certificate) is None:
        return None
    return ready.ask(settings.address, settings.registry.port, certificate)


def _state(settings: Settings, answer: ready.Answer | None) -> str:
    """One sentence on how the registry stands now."""
    if answer is None:
        return "there is no registry_host.crt yet"
    where = f"{settings.address}:{settings.registry.port}"
    return (
        f"the registry answers at {where}" if answer.verdict == "ready" else f"at {where} now: {answer.detail or answer.verdict}"
    )


def _by_now(kind: str, settings: Settings, host: HostReader, answer: ready.Answer | None) -> str:
    """A better remedy, where the machine shows that what the rule would cure is cured already; else empty."""
    if answer is None:
        return "gdkreg up: this registry was not set up yet"
    if kind == "connection refused" and answer.verdict == "ready":
        return "try again: it answers now; if it does not for you, gdkreg verify --client docker"
    if kind == "no such host" and _leads_here(settings):
        return "try again: the name leads here now, and Docker remembers /etc/hosts for 5 seconds"
    if kind == "unknown authority" and _is_trusted(settings, host):
        return "gdkreg verify --client docker (the certificate is where it belongs; this tells who does not read it)"
    return ""


def _leads_here(settings: Settings) -> bool:
    try:
        return socket.gethostbyname(settings.host) == settings.address
    except OSError:
        return False


def _is_trusted(settings: Settings, host: HostReader) -> bool:
    """Whether the certificate is where Docker Engine on Linux, and Docker Desktop, look for it."""
    own = host.read(settings.root / "registry_host.crt")
    home = "/etc/docker" if host.platform.system == "linux" else f"{host.platform.home}/.docker"
    return own is not None and host.read(Path(home) / "certs.d" / settings.authority / "ca.crt") == own
