"""Where each engine looks for the CA of a registry, and what has to be done for it to look again."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from gdkreg.engines.detect import Engine
from gdkreg.host.base import Platform


class Place(msgspec.Struct, frozen=True):
    """A certs.d folder. `then` is what the user has to do for it to count; an engine does without one that is `spare`."""

    folder: Path
    as_root: bool
    of: str
    then: str = ""
    spare: bool = False


def places(engine: Engine, platform: Platform) -> list[Place]:
    """~/.docker/certs.d always (the runner mounts it), then the place of the engine in use."""
    home = platform.home
    config = Path(platform.env.get("XDG_CONFIG_HOME") or home / ".config")
    mine = Place(home / ".docker/certs.d", False, "the runner and Docker Desktop")
    restart = {
        "desktop": "restart Docker Desktop: it copies the folder into its VM at start",
        "colima": "colima restart: it copies the folder into its VM at start",
        "orbstack": "restart OrbStack: orb restart docker",
        "rancher": "restart Rancher Desktop",
    }
    if engine.kind in restart:
        return [msgspec.structs.replace(mine, then=restart[engine.kind])]
    system = {
        "docker": Place(Path("/etc/docker/certs.d"), True, "Docker Engine"),
        "rootless": Place(config / "docker/certs.d", False, "rootless Docker"),
        "podman": Place(Path("/etc/containers/certs.d"), True, "Podman"),
        "podman-rootless": Place(config / "containers/certs.d", False, "Podman"),
    }.get(engine.kind)
    spare = msgspec.structs.replace(mine, spare=True)
    if system:
        return [spare, system]
    tools = any(shutil.which(name, path=platform.env.get("PATH", "")) for name in ("podman", "buildah", "skopeo"))
    return [spare, Place(config / "containers/certs.d", False, "podman, buildah and skopeo", spare=True)] if tools else [spare]


def folders(platform: Platform) -> tuple[Path, ...]:
    """Every certs.d folder that gdkreg ever writes to, whichever engine is in use."""
    config = Path(platform.env.get("XDG_CONFIG_HOME") or platform.home / ".config")
    mine = (platform.home / ".docker/certs.d", config / "docker/certs.d", config / "containers/certs.d")
    return (*mine, Path("/etc/docker/certs.d"), Path("/etc/containers/certs.d"))


def hint(engine: Engine) -> str:
    """What a user has to know where the engine's place is out of our reach; empty where nothing is."""
    if engine.kind == "machine":
        leave = "unset DOCKER_HOST DOCKER_MACHINE_NAME DOCKER_CERT_PATH DOCKER_TLS_VERIFY"
        return f"docker-machine keeps trust and addresses in its VM; leave it with: {leave}"
    if engine.kind == "remote":
        return f"the engine at {engine.endpoint.url} is on another machine; its /etc/docker/certs.d is not written"
    if engine.kind == "none":
        return "no engine answers, so no engine's own folder is written; run gdkreg trust-docker-registry again once one does"
    return ""
