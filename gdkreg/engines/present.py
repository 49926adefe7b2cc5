"""Which clients are on this machine, and which VMs and nodes they have. Reads only."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec

from gdkreg.engines import stores
from gdkreg.engines.api import Api, EngineError
from gdkreg.engines.detect import Engine
from gdkreg.engines.stores import BY_KEY, ROWS, Row, Store
from gdkreg.host.base import HostReader

_PLUGINS = ("/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins", "/usr/local/lib/docker/cli-plugins")
_BREW = "/opt/homebrew/lib/docker/cli-plugins"
_LABELS = {"kind": ("io.x-k8s.kind.cluster", ""), "k3d": ("app", "k3d")}


class Around(msgspec.Struct, frozen=True):
    """The machine as this module asks it; what costs is asked once."""

    host: HostReader
    engine: Engine
    api: Api | None
    runner: str = ""  # a runner's file, where there is one
    asked: dict[str, Any] = {}

    def has(self, *programs: str) -> str:
        """The first of these programs that is on PATH."""
        path = self.host.platform.env.get("PATH", "")
        return next((name for name in programs if shutil.which(name, path=path)), "")

    @property
    def program(self) -> str:
        """Whose command line speaks to the engine in use."""
        return "podman" if self.engine.kind.startswith("podman") else "docker"

    def containers(self) -> list[dict[str, Any]] | None:
        """All containers of the engine; None where it does not answer."""
        if "containers" not in self.asked:
            found = None
            try:
                found = self.api.call("GET", "/containers/json", query={"all": "true"}, timeout=5) if self.api else None
            except EngineError:
                found = None
            self.asked["containers"] = found if isinstance(found, list) else None
        containers: list[dict[str, Any]] | None = self.asked["containers"]
        return containers


def looked_for(client: str, around: Around) -> str:
    """Empty for a client that is here; else what was looked for and not found."""
    host, engine = around.host, around.engine
    home = host.platform.home
    if client == "docker":
        dockers = engine.answers and engine.kind != "remote" and not engine.kind.startswith("podman")
        app = host.platform.system == "darwin" and host.info(Path("/Applications/Docker.app")) is not None
        return "" if dockers or app or around.has("dockerd") else "an engine of Docker's here, and dockerd on PATH"
    if client == "podman":
        return "" if around.has("podman", "buildah", "skopeo") else "podman, buildah or skopeo on PATH"
    if client == "buildx":
        places = [str(home / ".docker/cli-plugins"), *_PLUGINS, _BREW]
        here = around.has("docker-buildx") or any(host.info(Path(place) / "docker-buildx") for place in places)
        return "" if here else f"the plugin docker-buildx on PATH, in {', '.join(places[:3])}"
    if client == "containerd":
        here = host.platform.system == "linux" and around.has("containerd", "ctr", "nerdctl")
        return "" if here else "containerd, ctr or nerdctl on PATH, on Linux"
    if client == "kind":
        nodes = [name for key in ("kind", "k3d") for name in names(BY_KEY[key], around) or []]
        return "" if nodes else "containers of the engine with the label io.x-k8s.kind.cluster (kind) or app=k3d (k3d)"
    if client == "minikube":
        return "" if around.has("minikube") else "minikube on PATH"
    if client == "runner":
        return "" if around.runner or around.has("gitlab-runner") else "gitlab-runner on PATH, or a config.toml of a runner's"
    return "" if system_row(around) else "update-ca-certificates, update-ca-trust or trust on PATH; on macOS security"


def system_row(around: Around) -> Row | None:
    """The operating system's own store."""
    if around.host.platform.system == "darwin":
        return BY_KEY["keychain"] if around.has("security") else None
    found = (row for row in ROWS if row.client == "system" and row.refresh)
    sbin = (Path("/usr/sbin"), Path("/sbin"))  # which is not on everybody's PATH
    here = (row for row in found if around.has(row.refresh[0]) or any(around.host.info(at / row.refresh[0]) for at in sbin))
    return next(here, None)


def names(row: Row, around: Around) -> list[str] | None:
    """The VMs or nodes of a row; one of the name "" where it can be but one; None where that cannot be told now."""
    host = around.host
    if row.names in _LABELS:
        return _nodes(row.names, around)
    if row.names == "colima":
        socket = Path(around.engine.endpoint.url.removeprefix("unix://"))
        return [socket.parent.name] if around.engine.kind == "colima" else None
    if row.names == "machine":
        name = host.platform.env.get("DOCKER_MACHINE_NAME", "")
        return [name] if name else None
    if row.names == "minikube":
        return host.entries(stores.data_of(row, host.platform)[0])
    if row.names == "podman machine":
        done = host.query(["podman", "machine", "list", "--format", "json"], 20.0)
        try:
            return [str(found["Name"]).rstrip("*") for found in json.loads(done.out)] if done.code == 0 else None
        except (ValueError, KeyError, TypeError):
            return None
    return [""]


def _nodes(kind: str, around: Around) -> list[str] | None:
    containers, (label, value) = around.containers(), _LABELS[kind]
    if containers is None:
        return None
    found = []
    for container in containers:
        labels = container.get("Labels") or {}
        role = labels.get("k3d.role", "server")
        node = kind == "kind" or role in {"server", "agent"}  # k3d has a load balancer, and registries, too
        if label in labels and value in {"", labels[label]} and node and container.get("Names"):
            found.append(str(container["Names"][0]).lstrip("/"))
    return sorted(found)


def is_gone(store: Store, around: Around) -> bool:
    """Whether a VM or node is gone for good, and our certificate with it."""
    row, host = store.row, around.host
    kept = stores.data_of(row, host.platform, store.name)
    if kept and not any(host.info(place) for place in kept):
        return True
    listed = names(row, around) if row.names in {*_LABELS, "minikube", "podman machine"} else None
    return listed is not None and store.name not in listed


def stores_of(client: str, authority: str, around: Around) -> list[Store]:
    """What a client has besides certs.d folders and buildkitd.toml of this machine."""
    platform = around.host.platform
    if client == "system":
        row = system_row(around)
        rows = [row] if row else []
    else:
        rows = [row for row in ROWS if stores.applies(row, client, around.engine.kind, platform)]
    found = []
    for row in rows:
        if row.how == "file":
            found.append(Store(row, authority, stores.path_of(row, authority, platform)))
        elif row.how == "command":
            path = stores.path_of(row, authority, platform)
            found += [Store(row, authority, path, name, around.program) for name in names(row, around) or []]
    return found
