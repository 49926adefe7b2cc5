"""From a pasted error and the machine's present state to the cause, and the command that cures it."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from gdkreg.config.settings import Settings
from gdkreg.host.base import HostReader
from gdkreg.services import ready


class Explained(msgspec.Struct, frozen=True):
    """`name` is the kind of error; `state` is what the machine says about it now."""

    name: str
    cause: str
    remedy: str
    state: str = ""


class Rule(msgspec.Struct, frozen=True):
    """The first rule whose pattern is in the text counts, so the special ones stand first."""

    name: str
    pattern: str
    cause: str
    remedy: str | Callable[[Settings], str]


def _read_only(_: Settings) -> str:
    key = "registry.read_only_maintenance_enabled"
    return f"gdkreg config set {key} false; gdkreg reconfigure; gdkreg start"


def _port(settings: Settings) -> str:
    return f"gdkreg config set registry.port {settings.registry.port + 1}; gdkreg reconfigure"


def _plain(settings: Settings) -> str:
    if settings.registry.self_signed:
        return "gdkreg start"
    line = f'"insecure-registries": ["{settings.authority}"]'
    return f"gdkreg config set registry.self_signed true; gdkreg up, or {line} in daemon.json"


def _realm(settings: Settings) -> str:
    if settings.issuer != "local":
        return "trust GitLab's certificate on this machine, e.g. mkcert -install"
    file = settings.root / "registry_host.crt"
    return f"export SSL_CERT_FILE={file} (on a Mac: security add-trusted-cert -r trustRoot {file})"


def _storage(settings: Settings) -> str:
    return f"ls -ld {settings.root}/registry/storage; gdkreg reconfigure; gdkreg start"


RULES = (
    Rule(
        "expired",
        r"certificate has expired|certificate is expired|after \S+Z? is expired",
        "the registry's certificate ran out",
        "gdkreg cert renew tls; gdkreg start",
    ),
    Rule(
        "clock skew",
        r"not yet valid|token used before issued|certificate is not valid before",
        "a certificate or token begins in the future: the clocks differ",
        "set the clocks: timedatectl set-ntp true",
    ),
    Rule(
        "name mismatch",
        r"certificate is valid for .*, not |doesn.t contain any (IP )?SANs|"
        r"cannot validate certificate for|Hostname mismatch|no alternative certificate subject name|"
        r"IP address mismatch",
        "the certificate is for another name than the one in the image reference",
        "gdkreg reconfigure; gdkreg start; use the name of gdkreg config get registry.host",
    ),
    Rule(
        "realm not trusted",
        r"/jwt/auth[^\n]*(unknown authority|failed to verify certificate|self[- ]signed)",
        "the client does not trust the realm, which gives out the tokens: docker buildx asks it by itself, "
        "and knows only the certificates of the system",
        _realm,
    ),
    Rule(
        "unknown authority in a build",
        r"failed to (solve|resolve source metadata|do request)[^\n]*(unknown authority|failed to verify certificate)",
        "BuildKit does not trust registry_host.crt: a builder in a container has trust of its own, "
        "and Docker Engine's may read certs.d only when the engine starts",
        "gdkreg verify --client buildx says which command cures it",
    ),
    Rule(
        "unknown authority",
        r"certificate signed by unknown authority|self[- ]signed certificate|unable to get local issuer|"
        r"certificate is not trusted|failed to verify certificate",
        "the client does not trust registry_host.crt",
        "gdkreg trust-docker-registry",
    ),
    Rule(
        "http answer to an https client",
        r"server gave HTTP response to HTTPS client|wrong version number|"
        r"first record does not look like a TLS handshake|WRONG_VERSION_NUMBER|packet length too long",
        "the client speaks TLS and the registry plain HTTP",
        _plain,
    ),
    Rule(
        "https answer to an http client",
        r"Client sent an HTTP request to an HTTPS server|malformed HTTP response \"\\x15",
        "the client speaks plain HTTP and the registry TLS",
        "use https://, and take the registry out of insecure-registries",
    ),
    Rule(
        "no such host",
        r"no such host|Name or service not known|Could not resolve host|nodename nor servname|"
        r"Temporary failure in name resolution|lookup \S+( on \S+)?:",
        "the name cannot be looked up; Docker remembers /etc/hosts for 5 seconds",
        "gdkreg reconfigure",
    ),
    Rule(
        "cannot assign requested address",
        r"cannot assign requested address|EADDRNOTAVAIL",
        "the loopback alias is gone",
        "gdkreg reconfigure",
    ),
    Rule(
        "port in use", r"address already in use|port is already allocated|bind: .*in use", "another program holds the port", _port
    ),
    Rule(
        "connection refused",
        r"[Cc]onnection refused|no route to host|i/o timeout|[Cc]ouldn.t connect to server",
        "nothing listens at the registry's address",
        "gdkreg start registry",
    ),
    Rule(
        "read-only",
        r"\b405\b|unsupported: The operation is unsupported|Method Not Allowed|operation is unsupported",
        "the registry is read-only, or deleting is switched off",
        _read_only,
    ),
    Rule(
        "token expired on a large push",
        r"unauthorized.*(upload|blob)|(upload|blob|layer).*(unauthorized|authentication required)|"
        r"token (is|has) expired|is expired by",
        "the token ran out while a large layer was on its way: it lives 5 minutes",
        "push again: layers that are there are not sent twice",
    ),
    Rule(
        "wrong password",
        r"HTTP Basic: Access denied|incorrect username or password|invalid username/password|wrong name or password",
        "the realm does not know this name and password",
        "gdkreg login",
    ),
    Rule(
        "insufficient scope",
        r"insufficient[_ ]scope|requested access to the resource is denied|\bdenied\b",
        "the user may not do this with this repository",
        "gdkreg user list shows who may what; gdkreg login -u another user",
    ),
    Rule(
        "invalid token",
        r"invalid[_ ]token|error=\"invalid",
        "the registry refuses the token: another key, issuer or audience",
        "gdkreg token inspect - says which; gdkreg reconfigure; gdkreg start",
    ),
    Rule(
        "unauthorized",
        r"unauthorized|authentication required|\b401\b|no basic auth credentials",
        "the client sent no token, or one that does not hold",
        "gdkreg login",
    ),
    Rule(
        "storage not writable",
        r"permission denied|unknown: unknown error|500 Internal Server Error|\b500\b|no space left|filesystem:",
        "the registry cannot write to its storage",
        _storage,
    ),
    Rule(
        "blob upload invalid",
        r"blob upload (invalid|unknown)|BLOB_UPLOAD_(INVALID|UNKNOWN)",
        "the upload was begun with another registry or another http.secret, or was cut off",
        "push again; gdkreg reconfigure keeps the secret",
    ),
    Rule(
        "manifest unknown",
        r"manifest unknown|MANIFEST_UNKNOWN|manifest for .* not found|name unknown|NAME_UNKNOWN|repository name not known",
        "there is no such image or tag in this registry",
        "gdkreg token --curl 'registry:catalog:*' lists what is there",
    ),
)


def _rule(text: str) -> Rule | None:
    return next((rule for rule in RULES if re.search(rule.pattern, text, re.IGNORECASE | re.DOTALL)), None)


def explain(text: str, settings: Settings, host: HostReader) -> Explained | None:
    """None for an error that no rule knows."""
    rule = _rule(text)
    return Explained(rule.name, rule.cause, remedy_of(text, settings), _state(settings, host)) if rule else None


def kind_of(text: str) -> str:
    """The name of the rule that an error falls under; empty for one that no rule knows."""
    rule = _rule(text)
    return rule.name if rule else ""


def remedy_of(text: str, settings: Settings) -> str:
    """Only the command, for `verify`."""
    rule = _rule(text)
    if rule is None:
        return "gdkreg tail registry --no-follow"
    return rule.remedy(settings) if callable(rule.remedy) else rule.remedy


def _state(settings: Settings, host: HostReader) -> str:
    """One sentence on how the registry stands now."""
    certificate = settings.root / "registry_host.crt" if settings.registry.self_signed else None
    if certificate is not None and host.info(certificate) is None:
        return "there is no registry_host.crt yet"
    answer = ready.ask(settings.address, settings.registry.port, certificate)
    where = f"{settings.address}:{settings.registry.port}"
    return (
        f"the registry answers at {where}" if answer.verdict == "ready" else f"at {where} now: {answer.detail or answer.verdict}"
    )
