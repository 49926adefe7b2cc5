"""The walk through the registry's API by curl, as a script that can be run."""

from __future__ import annotations

import shlex

from gdkreg.config.effective import Settings
from gdkreg.exports import standing, template


def render(settings: Settings) -> str:
    tls = settings.scheme == "https"
    root = shlex.quote(str(settings.root))
    values = {
        "tls": tls,
        "repository": "custom-docker-image",
        "registry": f"{settings.scheme}://{settings.near_host}:{settings.registry.port}",
        "ca": shlex.quote(str(settings.root / "registry_host.crt")),
        "realm": shlex.quote(settings.realm),
        "trust": '--cacert "$CA" ' if tls else "",
        "gdkreg": f"gdkreg --root {root}",
    }
    return template.fill("export/curl.sh.j2", **standing.values(settings), **values)
