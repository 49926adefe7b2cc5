"""How the registry in an image is started and asked how it is."""

from __future__ import annotations

from typing import Any

from gdkreg.resources.registry_config import CONFIG
from gdkreg.services.launch import Launch

_SECOND = 1_000_000_000  # the API counts in nanoseconds
# Runs inside the container with what its image has; 401 is an answer too.
_HEALTH = (
    "u={scheme}://{authority}/v2/; "
    "if command -v curl >/dev/null; then curl -sk -o /dev/null $u; "
    "else wget -S -q -O /dev/null --no-check-certificate $u 2>&1 | grep -q 'HTTP/1.1 [24]'; fi"
)


def health(launch: Launch) -> dict[str, Any]:
    """GitLab's image checks by plain HTTP and reads unhealthy with TLS on; this check fits what we wrote."""
    scheme = "https" if launch.certificate else "http"
    test = _HEALTH.format(scheme=scheme, authority=f"127.0.0.1:{launch.inside_port}")
    return {"Test": ["CMD-SHELL", test], "Interval": 30 * _SECOND, "Timeout": 5 * _SECOND, "StartPeriod": 5 * _SECOND}


def command(image: dict[str, Any]) -> list[str] | None:
    """What to pass so that each image reads our file: upstream 2 and 3 take it as an argument, GitLab's reads it anyway."""
    entry = image.get("Config", {}).get("Entrypoint") or []
    if not entry:
        return None
    if is_program(entry[-1]):
        return ["serve", str(CONFIG)]
    return [str(CONFIG)]


def is_program(entry: str) -> bool:
    """Whether an image's entry point is the registry itself, and no script before it."""
    return entry.rpartition("/")[2] in {"registry", "docker-registry"}
