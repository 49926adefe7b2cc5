"""env without a client: whether docker-machine is in use, and the lines of a shell that lead from it or to it."""

from __future__ import annotations

from typing import Any

import msgspec

from gdkreg.engines import machine
from gdkreg.engines.machine import VARIABLES, Machine
from gdkreg.host.base import HostReader

_STOP_FIRST = "# a registry that runs in the engine left behind goes on running: gdkreg stop, before the switch"


class Switch(msgspec.Struct, frozen=True):
    """`machine` is docker-machine's VM in use, or empty; `unset` and `run` are what `lines` have a shell do, `run` the
    command to run. The comments stand last: an `eval` without quotes makes one line of it all."""

    machine: str
    address: str
    machines: list[Machine]
    unset: list[str]
    run: str
    lines: list[str]


def find(host: HostReader) -> Switch:
    env = host.platform.env
    inside, known = env.get("DOCKER_MACHINE_NAME", ""), machine.machines(host)
    if inside:
        unset = [name for name in VARIABLES if env.get(name)]
        where = f" at {machine.address(env)}" if machine.address(env) else ""
        told = f"# docker asks docker-machine {inside!r}{where}; this leads back to the local engine"
        return Switch(inside, machine.address(env), known, unset, "", [f"unset {' '.join(unset)}", told, _STOP_FIRST])
    running = [one for one in known if one.state == "Running"]
    run, lines = "", []
    if running:
        run = machine.enter(running[0].name)
        lines = [run, f"# docker asks the local engine; this leads to docker-machine {running[0].name}", _STOP_FIRST]
    lines += [f"# or: {machine.enter(one.name)}" for one in running[1:]]
    stopped = [one for one in known if one not in running]
    lines += [f"# docker-machine {one.name} is {one.state or 'off'}: docker-machine start {one.name}" for one in stopped]
    nothing = ["# docker asks the local engine, and there is no docker-machine to switch to"]
    return Switch("", "", known, [], run, lines or nothing)


def as_data(found: Switch) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(found)
    del data["lines"]
    return data
