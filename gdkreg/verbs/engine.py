"""Which container engine answers, for `status` and `up`, and what a user has to know of it."""

from __future__ import annotations

import shutil

import msgspec

from gdkreg.plan.reconcile import Note
from gdkreg.verbs.root import Root


class Shown(msgspec.Struct, frozen=True):
    """The engine as `status --json` has it; `kind` is "none" where none answers, and `why` says so. `needed`: the registry can
    only run in a container."""

    kind: str
    version: str
    endpoint: str
    source: str
    why: str
    needed: bool


def shown(root: Root) -> Shown:
    engine, needed = root.engine, root.settings.registry.runtime == "docker"
    return Shown(engine.kind, engine.version, engine.endpoint.shown, engine.endpoint.source, engine.why, needed)


def note(engine: Shown) -> Note:
    if engine.kind == "none":
        return Note(
            "error" if engine.needed else "off", engine.why, "start the engine, or gdkreg config set registry.runtime process"
        )
    return Note("ok", f"{engine.kind} {engine.version} at {engine.endpoint} ({engine.source})")


def client(root: Root) -> str:
    """The container client to speak of: Podman's own where its engine is the one; empty where none is installed."""
    order = ("podman", "docker") if root.engine.kind.startswith("podman") else ("docker", "podman")
    return next((name for name in order if shutil.which(name, path=root.host.platform.env.get("PATH"))), "")


def hints(root: Root, *, named: bool) -> list[str]:
    """What only the user can do so that a push goes through this engine; `named`: /etc/hosts has just got a name."""
    engine, found = root.engine, []
    if client(root) == "docker" and engine.docker_host:
        found.append(f"! docker asks /var/run/docker.sock by itself; for this engine: export DOCKER_HOST={engine.docker_host}")
    if named and engine.kind == "rootless":
        again = "systemctl --user restart docker; gdkreg start"
        found.append(f"! rootless Docker keeps /etc/hosts as it was when it started\n    {again}")
    return found
