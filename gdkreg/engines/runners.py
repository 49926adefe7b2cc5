"""Runners that live in a container: which of them reads a file, and what its container leads to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from gdkreg.engines.api import Api, EngineError
from gdkreg.engines.detect import ANSWER_WITHIN

# gitlab/gitlab-runner, registry.gitlab.com/gitlab-org/gitlab-runner, either with a tag or digest; no helper image.
_IMAGE = re.compile(r"(?:^|/)gitlab(?:-org)?/gitlab-runner(?:[:@]|$)")


class RunnerContainer(msgspec.Struct, frozen=True):
    """`alone`: the file itself is mounted, and not its folder. `mounts` are the places inside, each with where it leads;
    `hosts` the names that it was given, `own_network` whether it has a network of its own."""

    name: str
    alone: bool
    mounts: dict[str, str]
    hosts: tuple[str, ...]
    own_network: bool


def reading(api: Api, file: Path) -> RunnerContainer | None:
    """The running runner that reads this file; None where there is none, or the engine does not tell."""
    try:
        found = api.call("GET", "/containers/json", timeout=ANSWER_WITHIN)
        names = [str(one["Id"]) for one in found or [] if _IMAGE.search(str(one.get("Image", "")))]
        whole = [api.call("GET", f"/containers/{name}/json", timeout=ANSWER_WITHIN) for name in names]
    except (EngineError, KeyError, TypeError, AttributeError):
        return None
    return next((one for one in (_of(inspected, file) for inspected in whole) if one is not None), None)


def _of(inspected: Any, file: Path) -> RunnerContainer | None:
    mounts = {str(one.get("Destination", "")): str(one.get("Source", "")) for one in inspected.get("Mounts") or []}
    real = file.resolve()
    sources = {Path(source).resolve() for source in mounts.values() if source}
    if real not in sources and not any(real.is_relative_to(source) for source in sources):
        return None
    config = inspected.get("HostConfig") or {}
    return RunnerContainer(
        name=str(inspected.get("Name", "")).lstrip("/"),
        alone=real in sources,
        mounts=mounts,
        hosts=tuple(str(host).replace("=", ":").partition(":")[0] for host in config.get("ExtraHosts") or []),
        own_network=config.get("NetworkMode") != "host",
    )
