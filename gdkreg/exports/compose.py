"""A compose file that runs the same registry, with what may be shown of its configuration as REGISTRY_… variables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gdkreg.config.effective import Settings
from gdkreg.exports import standing, template
from gdkreg.masking import public
from gdkreg.masking.structure import paths
from gdkreg.masking.text import public_text
from gdkreg.resources import registry_config
from gdkreg.services.launch import Launch, Mount

_READS_IT_ANYWAY = "/gitlab-container-registry"  # GitLab's image has no entry point that takes the path


def render(settings: Settings, launch: Launch, user: str) -> str:
    """`user` is UID:GID, as the container of gdkreg's has it."""
    repository = settings.registry.image.partition("@")[0]
    variables = launch.environment | dict(_variables(registry_config.build(settings, "")))
    values = {
        "command": _READS_IT_ANYWAY not in repository,
        "image": _text(settings.registry.image),
        "config": str(registry_config.CONFIG),
        "user": user,
        "restart": launch.restart_policy,
        "address": launch.address,
        "port": str(launch.port),
        "environment": "\n".join(f"{name}: {_text(value)}" for name, value in variables.items()),
        "volumes": "\n".join(row for mount in launch.mounts for row in _volume(mount)),
    }
    return template.fill("export/compose.yml.j2", **standing.values(settings), **values)


def _variables(value: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Each value that everybody may see, as Distribution's variable for its place."""
    if isinstance(value, dict):
        for key, below in value.items():
            if str(key).isalnum():
                yield from _variables(below, (*at, str(key)))
    elif isinstance(value, bool):
        yield _name(at), str(value).lower()
    elif isinstance(value, (str, int)) and paths(public.DISTRIBUTION)(at) == "plain" and public_text(str(value)) == str(value):
        yield _name(at), str(value)


def _name(at: tuple[str, ...]) -> str:
    return "_".join(["REGISTRY", *at]).upper()


def _volume(mount: Mount) -> list[str]:
    return [
        "- type: bind",
        f"  source: {_text(str(mount.source))}",
        f"  target: {mount.target}",
        *(["  read_only: true"] if mount.read_only else []),
    ]


def _text(value: str) -> str:
    """In YAML's double quotes; compose takes what follows a $ for a variable."""
    return json.dumps(value.replace("$", "$$"), ensure_ascii=False)
