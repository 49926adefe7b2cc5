"""docker-machine: a VM with an engine in it, whose address and folders are not this machine's.

`docker-machine env NAME` prints DOCKER_MACHINE_NAME, DOCKER_HOST, DOCKER_CERT_PATH and DOCKER_TLS_VERIFY.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from gdkreg.config.values import is_ipv4
from gdkreg.errors import GdkregError
from gdkreg.host.base import HostReader

VARIABLES = ("DOCKER_CERT_PATH", "DOCKER_HOST", "DOCKER_MACHINE_NAME", "DOCKER_TLS_VERIFY")
_HOST = re.compile(r"tcp://([0-9.]+):\d+/?")


def name(env: Mapping[str, str]) -> str:
    """The machine that `docker` uses now; empty where it uses none."""
    return env.get("DOCKER_MACHINE_NAME", "") if address(env) else ""


def address(env: Mapping[str, str]) -> str:
    """The VM's address as `docker-machine env` gave it: that of the engine which is asked, known without a running VM."""
    found = _HOST.fullmatch(env.get("DOCKER_HOST", "")) if env.get("DOCKER_MACHINE_NAME") else None
    return found[1] if found and is_ipv4(found[1]) else ""


def machines(host: HostReader) -> list[str]:
    """The names of all machines; empty where docker-machine is not installed."""
    done = host.query(["docker-machine", "ls", "-q"])
    return done.out.split() if done.code == 0 else []


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
    shares = "/Users" if host.platform.system == "darwin" else "/home, below another name: /hosthome"
    raise GdkregError(
        f"docker-machine {machine} does not see {folder}",
        why=(done.err.strip().splitlines() or [f"VirtualBox shares {shares}, and the container mounts files of this folder"])[-1],
        fix=f"put this root below a folder that the VM shares under the same path, or leave the VM: {leave()}",
    )


def leave() -> str:
    return f"unset {' '.join(VARIABLES)}"
