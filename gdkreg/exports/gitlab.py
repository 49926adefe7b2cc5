"""GitLab's side of the registry: the block of gitlab.yml, and the lines of Omnibus' gitlab.rb."""

from __future__ import annotations

import shlex
from typing import Any, Literal

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.config.values import is_ipv4
from gdkreg.exports import standing, template
from gdkreg.host.base import System
from gdkreg.masking.text import visible

Domain = Literal["own-domain", "gitlab-domain", "external"]


class Place(msgspec.Struct, frozen=True):
    """The registry as GitLab is to call it, and what has to be changed here before it answers to that."""

    domain: Domain
    host: str
    port: int
    api_url: str
    notes: list[str]


def domain_of(settings: Settings) -> Domain:
    """What this root has: a name of the registry's own, or GitLab's name with another port."""
    return "gitlab-domain" if settings.host == settings.hostname else "own-domain"


def place(settings: Settings, domain: Domain, *, bundled: bool = False) -> Place:
    """`bundled`: GitLab's own registry takes the place of this one, so that nothing has to be changed here."""
    host, notes = settings.host, list[str]()
    if domain == "gitlab-domain":
        host = settings.hostname
    elif domain == "own-domain" and host == settings.hostname:
        host = "registry.test" if is_ipv4(host) or host == "localhost" else f"registry.{host}"
    if host != settings.host and not bundled:
        notes.append(f"! the registry here is {settings.host}\n    gdkreg config set registry.host {host}; gdkreg up")
    if standing.issuer(settings) == "local" and not bundled:
        fix = "gdkreg config set registry.token_issuer gitlab; gdkreg reconfigure; gdkreg restart"
        notes.append(f"! the registry sends clients to the stand-in issuer for their tokens, and not to GitLab\n    {fix}")
    api_url = standing.api_url(settings, host)
    name = api_url.partition("://")[2].rpartition(":")[0]
    if settings.scheme == "https" and name not in {host, settings.address} and not bundled:
        fix = f"gdkreg config set registry.api_host {settings.host}; gdkreg reconfigure"
        notes.append(f"! GitLab refuses {api_url}, because registry_host.crt is not for {name}\n    {fix}")
    return Place(domain, host, settings.registry.external_port or settings.registry.port, api_url, notes)


def gitlab_yml(settings: Settings, system: System, at: Place) -> str:
    return template.fill("export/gitlab.yml.j2", **_values(settings, at), trust=_trust(settings, system))


def gitlab_rb(settings: Settings, at: Place) -> str:
    crt = shlex.quote(str(settings.root / "registry_host.crt"))
    root = settings.root
    values = _values(settings, at) | {
        "trust": visible(f"sudo cp {crt} /etc/gitlab/trusted-certs/{at.host}.crt"),
        "key": template.ruby(str(root / "localhost.key")),
        "external_url": f"{_seen_scheme(settings)}://{at.host}" + (f":{at.port}" if at.port != 443 else ""),
        "certificate": template.ruby(str(root / "registry_host.crt")),
        "certificate_key": template.ruby(str(root / "registry_host.key")),
    }
    return template.fill("export/gitlab.rb.j2", **values)


def _values(settings: Settings, at: Place) -> dict[str, Any]:
    own = settings.registry.self_signed and at.host == settings.host
    return {
        "external": at.domain == "external",
        "tls": settings.scheme == "https",
        "covered": _seen_scheme(settings) == "https" and own,
        "uncovered": _seen_scheme(settings) == "https" and not own,
        "clash": at.port == 5000,
        "host": at.host,
        "port": str(at.port) if at.port != 443 else "",
        "api_url": at.api_url,
        "key": template.quoted(str(settings.root / "localhost.key")),
        "storage": template.quoted(str(settings.root / "registry/storage")),
    }


def _seen_scheme(settings: Settings) -> str:
    return "http" if standing.reach(settings) == "plain" else "https"


def _trust(settings: Settings, system: System) -> str:
    """The command after which what asks with the system's certificates, as Rails does, trusts registry_host.crt."""
    crt = shlex.quote(str(settings.root / "registry_host.crt"))
    if system == "darwin":
        return visible(f"sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {crt}")
    return visible(f"sudo cp {crt} /usr/local/share/ca-certificates/{settings.host}.crt && sudo update-ca-certificates")
