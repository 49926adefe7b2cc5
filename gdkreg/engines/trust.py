"""The certs.d folders of the engine in use, and those of clients that are chosen by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from gdkreg.engines import stores
from gdkreg.engines.detect import Engine
from gdkreg.engines.stores import BY_KEY, ROWS, Row
from gdkreg.host.base import Platform


class Place(msgspec.Struct, frozen=True):
    """A certs.d folder. `then` is what the user has to do for it to count; an engine does without one that is `spare`.
    `clients` are those that it is for."""

    folder: Path
    as_root: bool
    of: str
    then: str = ""
    spare: bool = False
    clients: tuple[str, ...] = ()


def _place(row: Row, platform: Platform) -> Place:
    return Place(Path(stores.path_of(row, "", platform)), row.as_root, row.of, row.again, clients=(row.client,))


def places(engine: Engine, platform: Platform) -> list[Place]:
    """~/.docker/certs.d always (the runner mounts it), then the place of the engine in use."""
    mine = Place(platform.home / ".docker/certs.d", False, "the runner and Docker Desktop", clients=("runner",))
    if stores.in_vm(engine.kind):
        return [msgspec.structs.replace(mine, then=BY_KEY[engine.kind].again, clients=("docker", "runner"))]
    spare = msgspec.structs.replace(mine, spare=True, clients=("runner",) if engine.answers else ("docker", "runner"))
    system = {"podman-rootless": BY_KEY["podman"], "podman": BY_KEY["podman-system"]}.get(engine.kind)
    system = system or (BY_KEY[engine.kind] if engine.kind in {"docker", "rootless"} else None)
    if system:
        place = _place(system, platform)
        return [spare, msgspec.structs.replace(place, of="Podman") if system.client == "podman" else place]
    tools = any(shutil.which(name, path=platform.env.get("PATH", "")) for name in ("podman", "buildah", "skopeo"))
    return [spare, msgspec.structs.replace(_place(BY_KEY["podman"], platform), spare=True)] if tools else [spare]


def chosen(client: str, engine: Engine, platform: Platform) -> list[Place]:
    """The folders of one client that is asked for by its name."""
    kind = "docker" if client == "docker" and not _is_dockers(engine) and platform.system == "linux" else engine.kind
    if client == "docker" and not _is_dockers(engine) and platform.system == "darwin":
        kind = "desktop"
    found = [row for row in ROWS if row.how == "certs.d" and stores.applies(row, client, kind, platform)]
    return [_place(row, platform) for row in found]


def _is_dockers(engine: Engine) -> bool:
    return engine.kind in {"docker", "rootless", "desktop", "colima", "orbstack", "rancher", "machine", "remote"}


def folders(platform: Platform) -> tuple[Path, ...]:
    """Every certs.d folder that gdkreg ever writes to, whichever engine is in use."""
    return stores.folders(platform)


def hint(engine: Engine) -> str:
    """What a user has to know where the engine's place is out of our reach; empty where nothing is."""
    if engine.kind == "remote":
        return f"the engine at {engine.endpoint.shown} is on another machine; its /etc/docker/certs.d is not written"
    if engine.kind == "none":
        return "no engine answers, so no engine's own folder is written; run gdkreg trust-docker-registry again once one does"
    return ""
