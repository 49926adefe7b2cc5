"""The errors of real clients that are known, each with its cause and the command that cures it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

import msgspec

from gdkreg.clients.table import BY_NAME, trusting
from gdkreg.config.effective import Settings
from gdkreg.host.base import System
from gdkreg.plan.state import FOLDER

Remedy = str | Callable[[Settings, System], str]
# So that neither «405 MB» nor «exit status 1» is an HTTP status.
_STATUS = r"(?:(?<!exit )status(?: code)?(?: from registry)?|answered|returned error|HTTP(?:/[\d.]+)?):? "
_DISTRUST = r"[^\n]*(?:unknown authority|failed to verify certificate|certificate verify failed|self[- ]signed)"


class Rule(msgspec.Struct, frozen=True):
    """The first rule whose pattern is in the failing line counts, so the special ones stand first. `whole`: one that needs
    what stands before that line."""

    name: str
    pattern: re.Pattern[str]
    cause: str
    remedy: Remedy
    whole: bool = False

    def remedy_for(self, settings: Settings, system: System) -> str:
        return self.remedy(settings, system) if callable(self.remedy) else self.remedy


def _rule(name: str, pattern: str, cause: str, remedy: Remedy, *, whole: bool = False) -> Rule:
    return Rule(name, re.compile(pattern, re.IGNORECASE), cause, remedy, whole)


def _read_only(settings: Settings, _: System) -> str:
    if settings.registry.config.get("proxy"):
        return "take proxy out of registry.config in gdk.yml; gdkreg reconfigure; gdkreg start"
    if not settings.registry.read_only_maintenance_enabled and "storage" in settings.registry.config:
        return "take what forbids it out of registry.config.storage in gdk.yml; gdkreg reconfigure; gdkreg start"
    return "gdkreg readonly off"


def _port(settings: Settings, _: System) -> str:
    free = settings.registry.port + 1
    free += free == settings.auth_port
    return f"gdkreg config set registry.port {free}; gdkreg reconfigure; gdkreg start"


def _plain(settings: Settings, _: System) -> str:
    if settings.registry.self_signed:
        return "gdkreg start"
    return "gdkreg config set registry.self_signed true; gdkreg up, or without TLS: gdkreg insecure on"


def _realm_trust(settings: Settings, system: System) -> str:
    if settings.issuer != "local":
        return "trust GitLab's certificate on this machine, e.g. mkcert -install"
    return trusting(BY_NAME["crane"], settings, system)


def _realm_start(settings: Settings, _: System) -> str:
    if settings.issuer == "local":
        return "gdkreg start auth"
    return "start GitLab, or do without: gdkreg config set registry.token_issuer local; gdkreg reconfigure; gdkreg start"


def _storage(settings: Settings) -> str:
    return shlex.quote(f"{settings.root}/registry/storage")


RULES = (
    _rule(
        "engine",
        r"docker daemon (?:socket|running)|cannot connect to the docker daemon|connect to podman|dial unix \S+\.sock",
        "the container engine does not answer, or you may not ask it",
        "gdkreg doctor",
    ),
    _rule(
        "credential helper",
        r"error (?:storing|getting) credentials|docker-credential-[\w-]+[^\n]*(?:not found|exit)",
        "the client's helper for credentials is broken",
        lambda settings, _: f"gdkreg login --config-dir {settings.root / FOLDER / 'docker'}",
    ),
    _rule(
        "clock skew",
        r"current time \S+ is before|certificate is not yet valid|token used before issued|certificate is not valid before",
        "a certificate or token begins in the future: the clocks differ",
        "set the clocks: timedatectl set-ntp true",
    ),
    _rule(
        "expired",
        r"certificate has expired|certificate is expired|current time \S+ is after",
        "the registry's certificate ran out",
        "gdkreg cert renew tls; gdkreg start",
    ),
    _rule(
        "name mismatch",
        r"certificate is valid for .*, not |doesn.t contain any (?:IP )?SANs|relies on legacy Common Name|"
        r"cannot validate certificate for|Hostname mismatch|no alternative certificate subject name|IP address mismatch",
        "the certificate is for another name than the one in the image reference",
        lambda settings, _: f"gdkreg reconfigure; gdkreg start; and use the name {settings.authority}",
    ),
    _rule(
        "realm not trusted",
        rf"/jwt/auth{_DISTRUST}",
        "the client does not trust the realm, which gives out the tokens: docker buildx asks it by itself, "
        "and knows only the certificates of the system",
        _realm_trust,
    ),
    _rule(
        "realm unreachable",
        r"/jwt/auth[^\n]*(?:connection refused|no such host|no route to host|timeout|timed out|reset by peer|\bEOF\b)",
        "the realm, which gives out the tokens, does not answer",
        _realm_start,
    ),
    _rule(
        "unknown authority in containerd",
        rf"failed to (?:pull and unpack image|resolve reference){_DISTRUST}",
        "containerd (ctr, kind, kubelet) reads certificates of its own, and only where it is told to",
        lambda settings, system: trusting(BY_NAME["containerd"], settings, system),
    ),
    _rule(
        "unknown authority in a build",
        rf"failed to (?:solve|resolve source metadata|push \S+:){_DISTRUST}",
        "BuildKit does not trust registry_host.crt: a builder in a container has trust of its own, "
        "and Docker Engine's may read certs.d only when the engine starts",
        "gdkreg verify --client buildx says which command cures it",
    ),
    _rule(
        "unknown authority",
        r"signed by unknown authority|self[- ]signed certificate|unable to get local issuer|"
        r"certificate is not trusted|failed to verify certificate",
        "the client does not trust registry_host.crt",
        "gdkreg trust-docker-registry",
    ),
    _rule(
        "http answer to an https client",
        r"server gave HTTP response to HTTPS client|wrong version number|"
        r"first record does not look like a TLS handshake|WRONG_VERSION_NUMBER|packet length too long",
        "the client speaks TLS and the registry plain HTTP",
        _plain,
    ),
    _rule(
        "https answer to an http client",
        r"Client sent an HTTP request to an HTTPS server|malformed HTTP response \"\\x15",
        "the client speaks plain HTTP and the registry TLS",
        "use https://, and take the registry out of insecure-registries",
    ),
    _rule(
        "no such host",
        r"no such host|Name or service not known|Could not resolve host|nodename nor servname|"
        r"Temporary failure in name resolution|\blookup [\w.-]+(?: on \S+)?:",
        "the name cannot be looked up; Docker remembers /etc/hosts for 5 seconds",
        "gdkreg reconfigure",
    ),
    _rule(
        "cannot assign requested address",
        r"cannot assign requested address|EADDRNOTAVAIL",
        "the loopback alias is gone",
        "gdkreg reconfigure",
    ),
    _rule(
        "port in use",
        r"address already in use|port is already allocated|bind: .*in use",
        "another program holds the port",
        _port,
    ),
    _rule(
        "connection refused",
        r"connection refused|no route to host|could(?:n.t| not) connect to server",
        "nothing listens at the registry's address",
        "gdkreg start registry",
    ),
    _rule(
        "no answer",
        r"Client\.Timeout|TLS handshake timeout|i/o timeout|deadline exceeded|timed out|connection reset by peer|\bEOF\b",
        "no whole answer came in time: a firewall, or the registry died meanwhile",
        "gdkreg verify --client docker; gdkreg tail registry --no-follow",
    ),
    _rule(
        "trust not readable",
        r"(?:certs\.d|ca\.crt)[^\n]*permission denied",
        "the client cannot read the certificate in its certs.d",
        "gdkreg trust-docker-registry",
    ),
    _rule(
        "read-only",
        rf"\bunsupported(?:: The operation|\s*$)|operation is unsupported|405 Method Not Allowed|{_STATUS}405\b"
        r"|StatusCode: 405|parsing HTTP 405|unknown: Method not allowed",
        "the registry is read-only, as while gdkreg gc collects; or deletes nothing; or is a pull-through cache",
        _read_only,
    ),
    _rule(
        "wrong password",
        r"HTTP Basic: Access denied|incorrect username or password|invalid username/password: (?!errors)|wrong name or password",
        "the realm does not know this name and password",
        "gdkreg login",
    ),
    _rule(
        "catalog refused",
        r"error getting search results|search registry|/v2/_catalog[^\n]*(?:\b40[13]\b|unauthorized|denied|forbidden)",
        "only a user with --admin may list or search the whole registry",
        "gdkreg user list shows who is admin; gdkreg login -u another user",
    ),
    _rule(
        "token expired on a large push",
        r"(?:(?:patch|put) \"?https?://[^\n]*/blobs/uploads/|uploading layer|Pushing)[\s\S]{0,2000}"
        r"(?:unauthorized|authentication required)|token (?:is|has) expired|is expired by",
        "the token ran out while a large layer was on its way: it lives 5 minutes",
        "push again: layers that are there are not sent twice",
        whole=True,
    ),
    _rule(
        "insufficient scope",
        r"insufficient[_ ]scope|requested access to the resource is denied",
        "the user may not do this with this repository",
        "gdkreg user list shows who may what; gdkreg login -u another user",
    ),
    _rule(
        "not logged in",
        r"access forbidden|/jwt/auth[^\n]*\b403\b|\b403\b[^\n]*/jwt/auth|no basic auth credentials|"
        r"bearer token: invalid status code from registry 40[13]|"
        r"failed to fetch (?:anonymous|oauth) token[^\n]*\b40[13]\b",
        "the client has no name and password for this registry",
        "gdkreg login",
    ),
    _rule(
        "invalid token",
        r"invalid[_ ]token|error=\"invalid",
        "the registry refuses the token: another key, issuer or audience",
        "gdkreg reconfigure; gdkreg start; and what is wrong with a token says: gdkreg token inspect TOKEN",
    ),
    _rule(
        "unauthorized",
        rf"unauthorized|authentication required|{_STATUS}401\b",
        "the client sent no token, or one that does not hold for this",
        "gdkreg login; gdkreg user list shows who may what",
    ),
    _rule(
        "disk full",
        r"no space left on device|disk quota exceeded",
        "a disk is full: the registry's storage, or where the client keeps its images",
        lambda settings, _: f"df -h {_storage(settings)} /var/lib",
    ),
    _rule(
        "storage not writable",
        r"read-only file system|filesystem: |unknown error|500 Internal Server Error|"
        rf"{_STATUS}500\b|/var/lib/registry[^\n]*permission denied",
        "the registry cannot write to its storage",
        lambda settings, _: f"ls -ld {_storage(settings)}; gdkreg reconfigure; gdkreg start",
    ),
    _rule(
        "denied",
        r"(?<!permission )\bdenied: ",
        "the user may not do this with this repository",
        "gdkreg user list shows who may what; gdkreg login -u another user",
    ),
    _rule(
        "digest mismatch",
        r"DIGEST_INVALID|provided digest did not match|digest invalid|unexpected commit digest|"
        r"(?:content|manifest) digest [^\n]*(?:mismatch|does not match)",
        "what arrived is not what its digest says: cut off or changed on the way, or pushed by two at once",
        "push again; if it stays so, gdkreg trace -- and the command shows what is sent",
    ),
    _rule(
        "blob upload invalid",
        r"blob upload (?:invalid|unknown)|BLOB_UPLOAD_(?:INVALID|UNKNOWN)",
        "the upload was begun with another registry or another http.secret, or was cut off",
        "push again; gdkreg reconfigure keeps the secret",
    ),
    _rule(
        "manifest unknown",
        r"manifest unknown|MANIFEST_UNKNOWN|manifest for .* not found|name unknown|NAME_UNKNOWN|repository name not known|"
        r"failed to resolve reference[^\n]*not found",
        "there is no such image or tag in this registry",
        "gdkreg catalog --tags lists what is there",
    ),
)
