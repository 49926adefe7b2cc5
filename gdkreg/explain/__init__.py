"""From a pasted error and the machine's present state to the cause, and the command that cures it."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from gdkreg.clients import table
from gdkreg.clients.table import Client
from gdkreg.config.effective import Settings
from gdkreg.config.values import is_loopback
from gdkreg.explain.rules import RULES, Rule
from gdkreg.host.base import HostReader, System
from gdkreg.services import ready

_LONGEST = 8192  # characters; the error itself stands at the end of what a client prints
_HOST = re.compile(
    r"https?://(?:[^/\s@]*@)?(?P<url>[\w.-]+)(?::(?P<port>\d+))?|"
    r"dial tcp (?P<ip>[\d.]+):(?P<ipport>\d+)|\blookup (?P<name>[\w.-]+)|access denied for (?P<image>[^\s,]+),|"
    r"\(host='(?P<pool>[\w.-]+)', port=(?P<poolport>\d+)\)"
)
_RESOLVER = re.compile(r"\blookup [\w.-]+ on (?P<at>[\d.]+):53")
_SLIRP = "10.0.2.3"  # what slirp4netns gives to a rootless engine
_IN_A_CONTAINER = "127.0.0.11"  # Docker's own resolver, in every container on a network of its own
_NO_LOGIN = ("not logged in", "wrong password", "unauthorized")
_DISTRUST = ("unknown authority", "unknown authority in containerd")


class Explained(msgspec.Struct, frozen=True):
    """`name` is the kind of error; `state` is what the machine says about it now; `client` is whose words it is in, or empty."""

    name: str
    cause: str
    remedy: str
    state: str = ""
    client: str = ""


class _Failed(msgspec.Struct, frozen=True):
    """The rule that an error falls under, and the part of the text that it is in."""

    rule: Rule
    said: str


def _failed(text: str, ours: tuple[str, ...] = ()) -> _Failed | None:
    """The last statement that a rule knows; of several hosts' statements one of `ours` counts first."""
    end = text[-_LONGEST:]
    whole = next((rule for rule in RULES if rule.whole and rule.pattern.search(end)), None)
    if whole is not None:
        return _Failed(whole, end)
    known = [_Failed(rule, said) for said in _statements(end) if (rule := _rule(said)) is not None]
    if not known:  # a terminal may have broken the line
        joined = " ".join(end.split())
        rule = _rule(joined)
        return _Failed(rule, joined) if rule else None
    about = [one for one in known if any(name in one.said for name in ours)]
    return (about or known)[-1]


def _statements(text: str) -> list[str]:
    """A line that names a host begins one: a client tells of each host that it tried, and then perhaps where to read more."""
    found: list[list[str]] = [[]]
    for line in text.splitlines():
        if _HOST.search(line) and found[-1]:
            found.append([])
        found[-1].append(line)
    return ["\n".join(lines) for lines in found]


def _rule(said: str) -> Rule | None:
    return next((rule for rule in RULES if rule.pattern.search(said)), None)


def kind_of(text: str) -> str:
    """The name of the rule that an error falls under; empty for one that no rule knows."""
    found = _failed(text)
    return found.rule.name if found else ""


def remedy_of(text: str, settings: Settings, system: System) -> str:
    """Only the command, for `verify`."""
    found = _failed(text, (settings.authority, settings.address))
    return found.rule.remedy_for(settings, system) if found else "gdkreg tail registry --no-follow"


def explain(text: str, settings: Settings, host: HostReader) -> Explained | None:
    """None for an error that no rule knows."""
    realm = urlsplit(settings.realm).hostname or settings.host
    failed = _failed(text, (settings.host, settings.address, realm))
    if failed is None:
        return None
    rule, at = failed.rule, _place(failed.said)
    if at is not None and rule.name == "connection refused" and at[1] == settings.auth_port and settings.issuer == "local":
        rule = next(item for item in RULES if item.name == "realm unreachable")
    answer, client = _ask(settings, host), table.of_error(text[-_LONGEST:])
    found = Explained(
        rule.name,
        rule.cause,
        rule.remedy_for(settings, host.platform.system),
        _state(settings, answer),
        client.name if client else "",
    )
    if at is not None and at[0] not in {settings.host, settings.address, realm}:
        cause = f"{rule.cause}; but it is about {at[0]}, and this registry is {settings.authority}"
        return msgspec.structs.replace(
            found, cause=cause, remedy=f"if you meant this registry: use the name {settings.authority}"
        )
    return _by_now(found, failed.said, client, settings, host, answer)


def _place(line: str) -> tuple[str, int] | None:
    """The host and port that an error is about: the last that is told. 0 for a port that is not."""
    found = list(_HOST.finditer(line))
    if not found:
        return None
    last = found[-1]
    if last["image"]:
        first, slash, _ = last["image"].partition("/")
        name, _, port = first.partition(":")
        return (name, int(port or 0)) if slash and ("." in first or ":" in first) else ("docker.io", 0)
    name = last["url"] or last["ip"] or last["name"] or last["pool"]
    return name, int(last["port"] or last["ipport"] or last["poolport"] or 0)


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


def _by_now(
    found: Explained, line: str, client: Client | None, settings: Settings, host: HostReader, answer: ready.Answer | None
) -> Explained:
    """A better answer, where the machine shows that what the rule would cure is cured already, or who it was that failed."""
    if answer is None:
        return msgspec.structs.replace(found, remedy="gdkreg up: this registry was not set up yet")
    cause, remedy = found.cause, found.remedy
    if found.name in _DISTRUST:
        cause, remedy = _of_trust(found, line, client, settings, host)
    elif found.name == "connection refused" and answer.verdict == "ready":
        remedy = "try again: it answers now; if it does not for you, gdkreg verify --client docker"
    elif found.name == "expired" and answer.verdict == "ready":
        cause, remedy = f"{cause}, and has been renewed since", "try again"
    elif found.name == "no such host":
        cause, remedy = _of_name(found, line, settings, host)
    elif found.name in _NO_LOGIN and client is not None and client.login and client.name != "docker":
        remedy = remedy.replace("gdkreg login", f"gdkreg login --client {client.name}", 1)
    elif found.name == "read-only" and settings.registry.config.get("proxy"):
        cause = "the registry is a pull-through cache (registry.config.proxy), which takes no pushes"
    return msgspec.structs.replace(found, cause=cause, remedy=remedy)


def _of_trust(found: Explained, line: str, client: Client | None, settings: Settings, host: HostReader) -> tuple[str, str]:
    """Who does not trust the certificate, and what this one reads."""
    system = host.platform.system
    if client is not None and client.trust != "certs.d":
        asked = re.search(rf"{re.escape(settings.authority)}/[\w./-]+(?::[\w.-]+)?(?:@sha256:\w+)?", line)
        does = f"{client.name} reads no certs.d" if client.trust == "variable" else found.cause
        return does, table.trusting(client, settings, system, asked[0] if asked and "/v2/" not in asked[0] else "")
    if not _is_trusted(settings, host):
        return found.cause, found.remedy
    if client is None:
        does = "the certificate is where Docker reads it, so this is a client that reads it elsewhere (crane, oras, helm …)"
        return does, table.trusting(table.BY_NAME["crane"], settings, system)
    return f"{found.cause}, though it is where {client.name} reads it", f"gdkreg verify --client {_provable(client)}"


def _provable(client: Client) -> str:
    return client.name if client.name in {"docker", "podman", "skopeo"} else {"nerdctl": "docker"}.get(client.name, "podman")


def _of_name(found: Explained, line: str, settings: Settings, host: HostReader) -> tuple[str, str]:
    """Who looked the name up: a resolver that is not this machine's never reads this /etc/hosts."""
    asked = _RESOLVER.search(line)
    own = re.findall(r"^nameserver\s+(\S+)", (host.read(Path("/etc/resolv.conf")) or b"").decode(errors="replace"), re.MULTILINE)
    if asked is not None and asked["at"] not in {*own, "127.0.0.1", "127.0.0.53"}:
        alias = "gdkreg config set registry.listen_address 172.16.123.1; gdkreg up" if is_loopback(settings.address) else ""
        if asked["at"] == _SLIRP:
            return "rootless Docker keeps /etc/hosts as it was when it started", "systemctl --user restart docker; gdkreg start"
        if asked["at"] == _IN_A_CONTAINER:
            jobs = f"docker run --add-host {settings.host}:{settings.address} …; for a runner's jobs gdkreg runner-patch"
            return "a container looked the name up, and it does not read this machine's /etc/hosts", alias or jobs
        where = f"{asked['at']} looked the name up, in a VM or on another machine, and never reads this machine's /etc/hosts"
        return where, alias or f"gdkreg config set registry.host {settings.address}; gdkreg up"
    if _leads_here(settings):
        return found.cause, "try again: the name leads here now, and Docker remembers /etc/hosts for 5 seconds"
    return found.cause, found.remedy


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
