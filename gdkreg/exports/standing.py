"""How a client sees this registry, as the templates ask for it."""

from __future__ import annotations

from typing import Any, Literal

from gdkreg.config.effective import Settings

Reach = Literal["public", "self-signed", "plain"]


def reach(settings: Settings) -> Reach:
    """Through the tunnel everybody sees its own TLS, with a certificate that needs no trust, whatever the registry speaks."""
    if settings.auto_devops.enabled:
        return "public"
    return "self-signed" if settings.registry.self_signed else "plain"


def values(settings: Settings) -> dict[str, Any]:
    """What every template may ask: the name in images, how it is reached, and who gives out its tokens, "" for nobody."""
    return {
        "authority": settings.authority,
        "reach": reach(settings),
        "auth": settings.registry.auth_enabled,
        "issuer": issuer(settings),
    }


def issuer(settings: Settings) -> Literal["local", "gitlab", ""]:
    if not settings.registry.auth_enabled:
        return ""
    return "local" if settings.issuer == "local" else "gitlab"


def api_url(settings: Settings, host: str) -> str:
    """Where GitLab itself asks the registry that is called `host`: never through a tunnel or a proxy.

    Without registry.api_host that is no name of GitLab's, as GDK has it, but the registry's: its certificate is for that one.
    """
    given = settings.registry.api_host
    name = given if given and (given != settings.hostname or settings.auto_devops.enabled) else host
    return f"{settings.scheme}://{name}:{settings.registry.port}"
