"""How a client sees this registry: what the templates ask for, in words and values."""

from __future__ import annotations

from typing import Literal

from gdkreg.config.effective import Settings

Reach = Literal["public", "self-signed", "plain"]


def reach(settings: Settings) -> Reach:
    """Through the tunnel everybody sees its own TLS, with a certificate that needs no trust, whatever the registry speaks."""
    if settings.auto_devops.enabled:
        return "public"
    return "self-signed" if settings.registry.self_signed else "plain"


def words(settings: Settings) -> set[str]:
    """What holds: public, self-signed or plain; auth; local where the stand-in gives out the tokens."""
    found: set[str] = {reach(settings)}
    if settings.registry.auth_enabled:
        found |= {"auth", "local"} if settings.issuer == "local" else {"auth", "gitlab"}
    return found


def api_url(settings: Settings, host: str) -> str:
    """Where GitLab itself asks the registry that is called `host`: never through a tunnel or a proxy.

    Without registry.api_host that is no name of GitLab's, as GDK has it, but the registry's: its certificate is for that one.
    """
    given = settings.registry.api_host
    name = given if given and (given != settings.hostname or settings.auto_devops.enabled) else host
    return f"{settings.scheme}://{name}:{settings.registry.port}"
