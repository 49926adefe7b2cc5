"""docker-machine: a VM with an engine in it, whose address and folders are not this machine's.

`docker-machine env NAME` prints DOCKER_MACHINE_NAME, DOCKER_HOST, DOCKER_CERT_PATH and DOCKER_TLS_VERIFY.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.config.values import address_problem, is_ipv4
from gdkreg.errors import GdkregError
from gdkreg.host.base import HostReader

VARIABLES = ("DOCKER_CERT_PATH", "DOCKER_HOST", "DOCKER_MACHINE_NAME", "DOCKER_TLS_VERIFY")
_HOST = re.compile(r"tcp://([0-9.]+):\d+/?")


def name(env: Mapping[str, str]) -> str:
    """The machine that `docker` uses now; empty where it uses none."""
    return env.get("DOCKER_MACHINE_NAME", "") if address(env) else ""


def address(env: Mapping[str, str]) -> str:
    """The VM's address as `docker-machine env` gave it: that of the engine which is asked, known without a running VM. Empty
    also for a VM in the Internet, where nothing of this machine is shared."""
    found = _HOST.fullmatch(env.get("DOCKER_HOST", "")) if env.get("DOCKER_MACHINE_NAME") else None
    return found[1] if found and is_ipv4(found[1]) and not address_problem(found[1]) else ""


def follow(settings: Settings, env: Mapping[str, str]) -> Settings:
    """The settings with the VM's address, where the registry runs in the VM: clients reach it there."""
    at = address(env)
    if not at or settings.registry.runtime == "process":
        return settings
    host = at if is_ipv4(settings.host) else settings.host
    registry = msgspec.structs.replace(settings.registry, listen_address=at, host=host)
    origin = settings.origin | {"registry.listen_address": f"docker-machine {name(env)}"}
    return msgspec.structs.replace(settings, registry=registry, machine=name(env), origin=origin)


def elsewhere(settings: Settings, env: Mapping[str, str]) -> str:
    """Why this shell's engine cannot tell of a container that was started with these settings; empty where it can."""
    now = name(env)
    if settings.machine == now or settings.registry.runtime == "process":
        return ""
    if settings.machine:
        return f"it is in docker-machine {settings.machine}, and this shell uses another engine: {way(settings)}"
    return f"it is in the local engine, and this shell uses docker-machine {now}: {way(settings)}"


def way(settings: Settings) -> str:
    """The line of a shell that leads to the engine of these settings."""
    return enter(settings.machine) if settings.machine else leave()


def enter(machine: str) -> str:
    """The line of a shell that leads to a machine."""
    return f'eval "$(docker-machine env {shlex.quote(machine)})"'


def refuse(settings: Settings) -> None:
    """Raises `GdkregError` for what cannot work with the registry in a VM."""
    if not settings.machine:
        return
    why = f"the registry is in the VM of docker-machine {settings.machine}, and GitLab is here"
    if settings.host == settings.hostname:
        fix = "gdkreg config set registry.host registry.test"
        raise GdkregError(f"{settings.host} cannot lead to the registry and to GitLab", why=why, fix=fix)
    if settings.registry.auth_enabled and settings.issuer == "local":
        raise GdkregError(
            "the stand-in for /jwt/auth has to be where the registry is",
            why=f"{settings.host} leads into the VM of docker-machine {settings.machine}, and the stand-in runs here",
            fix="gdkreg config set registry.auth_enabled false; or start GitLab, which then gives out the tokens",
        )


class Machine(msgspec.Struct, frozen=True):
    """One line of `docker-machine ls`."""

    name: str
    state: str


def machines(host: HostReader) -> list[Machine]:
    """All machines, the one called "default" first; empty where docker-machine is not installed."""
    done = host.query(["docker-machine", "ls", "--timeout", "3", "--format", "{{.Name}} {{.State}}"])
    rows = [line.split(maxsplit=1) for line in done.out.splitlines() if line.strip()] if done.code == 0 else []
    found = [Machine(row[0], row[1] if len(row) > 1 else "") for row in rows]
    return sorted(found, key=lambda one: one.name != "default")


def refuse_moved(host: HostReader) -> None:
    """Raises `GdkregError` where the VM has another address by now than this shell was told."""
    known, machine = address(host.platform.env), name(host.platform.env)
    done = host.query(["docker-machine", "ip", machine])
    now = done.out.strip()
    if done.code == 127 or now == known:
        return
    if done.code != 0 or not is_ipv4(now):
        why = (done.err.strip() or now or "it gives no address").splitlines()[-1]
        raise GdkregError(f"docker-machine {machine} has no address", why=why, fix=f"docker-machine start {machine}")
    raise GdkregError(
        f"docker-machine {machine} is at {now} now",
        why=f"this shell's DOCKER_HOST has {known}",
        fix=f'eval "$(docker-machine env {machine})"; docker-machine regenerate-certs {machine} where that is refused',
    )


def refuse_unshared(host: HostReader, folder: Path) -> None:
    """Raises `GdkregError` where the VM does not see what the registry's container has to mount."""
    machine = name(host.platform.env)
    done = host.query(["docker-machine", "ssh", machine, f"test -e {shlex.quote(str(folder))}"])
    if done.code in {0, 127}:
        return
    said = [line for line in done.err.strip().splitlines() if line != "exit status 1"]  # which is what `test` says
    if said:
        raise GdkregError(f"docker-machine {machine} cannot be asked", why=said[-1], fix=f"docker-machine start {machine}")
    shares = "/Users" if host.platform.system == "darwin" else "/home, as /hosthome"
    raise GdkregError(
        f"docker-machine {machine} does not see {folder}",
        why=f"the container mounts files of this folder, and VirtualBox shares {shares} alone",
        fix=f"put the root where the VM sees it under the same path, or leave the VM: {leave()}",
    )


def leave() -> str:
    return f"unset {' '.join(VARIABLES)}"
