"""Where the names lead: on this machine, in the engine, and inside a container."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from gdkreg.config.values import is_ipv4, is_loopback
from gdkreg.errors import GdkregError
from gdkreg.verbs.checks.seen import Finding, Seen, text_of

PATIENCE = 2.0  # seconds for all look-ups together


def on_this_machine(seen: Seen) -> list[Finding]:
    """As every program here sees it, by all that the system asks."""
    wanted = seen.settings.names()
    if not wanted:
        return [Finding("ok", f"{seen.settings.near_host} needs no entry")]
    found = look_up(list(wanted))
    bad = [finding for name, address in wanted.items() if (finding := _leads(name, address, found.get(name)))]
    if seen.root.applied is None:
        return [item for item in bad if "looked up" not in item.text]
    fine = [f"{name} → {address}" for name, address in wanted.items() if found.get(name) == [address]]
    return ([Finding("ok", ", ".join(fine))] if fine else []) + bad


def _leads(name: str, address: str, found: list[str] | None) -> Finding | None:
    if found is None:
        why = "every push and pull begins by waiting for it"
        return Finding("error", f"{name} has no answer within {PATIENCE:g} s", why, "gdkreg reconfigure")
    if not found:
        return Finding("error", f"{name} cannot be looked up", "no client finds the registry by it", "gdkreg reconfigure")
    if found == [address]:
        return None
    text = f"{name} leads to {', '.join(found)}, not to {address} alone"
    return Finding("error", text, "a client may take any of them", "gdkreg reconfigure --take-over")


def look_up(names: list[str]) -> dict[str, list[str]]:
    """The addresses of each name, empty for one that there is not; one without an answer in time is left out."""
    found: dict[str, list[str]] = {}

    def ask(name: str) -> None:
        try:
            found[name] = sorted({str(item[4][0]) for item in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)})
        except (OSError, UnicodeError):
            found[name] = []

    threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE / len(threads))
    return dict(found)


def in_the_engine(seen: Seen) -> list[Finding]:
    """Rootless Docker holds a copy of /etc/hosts from its start: a name that came later leads nowhere there."""
    if seen.engine.kind != "rootless":
        return []
    copy = _copy_of_rootless(seen)
    if copy is None:
        return []
    missing = [name for name, address in seen.settings.names().items() if address not in _addresses(copy, name)]
    if not missing:
        return []
    why, fix = "it holds a copy of /etc/hosts from its start", "systemctl --user restart docker; gdkreg start"
    return [Finding("error", f"rootless Docker does not know {', '.join(missing)}", why, fix)]


def _copy_of_rootless(seen: Seen) -> str | None:
    """What its engine sees, by the process that its pid file names."""
    env, uid = seen.host.platform.env, seen.host.platform.uid
    runtime = Path(env.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}")
    try:
        pid = (text_of(seen.host, runtime / "docker.pid") or "").strip()
        return text_of(seen.host, Path("/proc") / pid / "root/etc/hosts") if pid.isdigit() else None
    except GdkregError:
        return None


def in_a_container(seen: Seen) -> list[Finding]:
    """No container is made for this: what the registry's own was given is looked at."""
    if not seen.container:
        return []
    wanted = {name: address for name, address in seen.settings.names().items() if not is_loopback(address)}
    given = _of_container(seen)
    wrong = [(name, held) for name, address in wanted.items() if (held := _addresses(given, name)) and address not in held]
    if wrong:
        name, held = wrong[0]
        why = "it was copied when the container started"
        return [Finding("warning", f"in the registry's container {name} is {', '.join(held)}", why, "gdkreg restart registry")]
    missing = [f"--add-host {name}:{address}" for name, address in wanted.items() if not _addresses(given, name)]
    return [Finding("ok", f"in a container with {' '.join(missing[-1:])}")] if missing else []


def _of_container(seen: Seen) -> str:
    """Its /etc/hosts where this user may read it, and what it was given beside."""
    extra = (seen.container.get("HostConfig") or {}).get("ExtraHosts") or []
    lines = [f"{address} {name}" for name, _, address in (str(item).partition(":") for item in extra)]
    path = str(seen.container.get("HostsPath") or "")
    try:
        text = text_of(seen.host, Path(path)) if path else None
    except GdkregError:
        text = None
    return "\n".join([*lines, text or ""])


def _addresses(hosts: str, name: str) -> list[str]:
    rows = [line.partition("#")[0].split() for line in hosts.splitlines()]
    return [row[0] for row in rows if len(row) > 1 and is_ipv4(row[0]) and name.lower() in [word.lower() for word in row[1:]]]
