"""The walk through the registry's API by curl, as a script that can be run."""

from __future__ import annotations

import shlex

from gdkreg.config.effective import Settings
from gdkreg.exports import standing, template


def render(settings: Settings) -> str:
    tls = settings.scheme == "https"
    root = shlex.quote(str(settings.root))
    values = {
        "AUTHORITY": settings.authority,
        "REPOSITORY": "custom-docker-image",
        "REGISTRY": f"{settings.scheme}://{settings.near_host}:{settings.registry.port}",
        "CA": shlex.quote(str(settings.root / "registry_host.crt")),
        "REALM": shlex.quote(settings.realm),
        "TRUST": '--cacert "$CA" ' if tls else "",
        "GDKREG": f"gdkreg --root {root}",
    }
    return template.fill("export/curl.sh", values, standing.words(settings) | ({"tls"} if tls else set()))
