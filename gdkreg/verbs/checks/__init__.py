"""Small read-only checks, grouped by subject. A check takes what was found once (`seen.py`) and gives findings."""

from __future__ import annotations

from collections.abc import Callable

from gdkreg.verbs.checks import (
    address,
    certificates,
    clock,
    containers,
    engine,
    gdk,
    hosts,
    insecure,
    names,
    registry,
    root,
    runner,
    storage,
    trust,
)
from gdkreg.verbs.checks.seen import Finding, Seen

Check = Callable[[Seen], list[Finding]]

# In the order in which one thing needs the other.
CHECKS: dict[str, tuple[Check, ...]] = {
    "root": (root.check,),
    "engine": (engine.answers, engine.permissions, engine.configuration),
    "address": (address.check,),
    "names": (names.on_this_machine, names.in_the_engine, names.in_a_container, hosts.check),
    "certificates": (certificates.pairs, certificates.issuer),
    "trust": (trust.check, insecure.check),
    "containers": (containers.forwarding, containers.firewall),
    "registry": (registry.port, registry.services, registry.fits, clock.check),
    "storage": (storage.check,),
    "gdk": (gdk.own_registry, gdk.procfile, gdk.hooks, gdk.api_url),
    "runner": (runner.check,),
}
