"""What runs: the services, who holds their ports, and whether the registry's generation does what gdk.yml asks of it."""

from __future__ import annotations

from typing import Any

from gdkreg.host import network
from gdkreg.plan import roots
from gdkreg.services import generation, place
from gdkreg.services.registry import PORT, UNKNOWN
from gdkreg.verbs import standing
from gdkreg.verbs.checks.seen import Finding, Seen

_WHY = {"registry": "nothing can be pushed or pulled", "auth": "nobody gets a token, so nobody gets in"}


def services(seen: Seen) -> list[Finding]:
    """Whoever calls the doctor wants them to run: one that does not is broken."""
    found = seen.problems("registry/config.yml", "the registry reads it when it starts")
    found += seen.problems("container_files", "the registry reads them when it starts")
    for name, state in seen.states.items():
        note = standing.note_of(name, state)
        if note.level == "ok":
            found.append(Finding("ok", f"tokens from {state.url}" if name == "auth" else note.text))
            continue
        level = "error" if note.level == "off" and name in _WHY else note.level  # a tunnel is nobody's to miss
        fix = "" if note.fix == "gdkreg doctor" else note.fix  # what the engine needs is told with the engine
        found.append(Finding(level, f"{name}: {note.text}", _WHY.get(name, "") if level == "error" else "", fix))
    return found


def port(seen: Seen) -> list[Finding]:
    """Whoever is where a service of ours would be; one that runs has its place."""
    settings, found = seen.settings, list[Finding]()
    wanted = {"registry": (settings.registry.port, PORT)}
    if "auth" in seen.states:
        wanted["auth"] = (settings.auth_port, "registry.auth_port")
    for name, (number, key) in wanted.items():
        state = seen.states.get(name)
        if state is not None and (state.running or state.detail.startswith(UNKNOWN)):
            continue  # whoever holds the port of one that cannot be asked about may be that very one
        if network.port_holder(settings.address, number) is None:
            continue
        error = place.taken(settings.address, number, key, roots.others(settings.root, seen.host))
        found.append(Finding("error", error.what, f"{name} cannot start beside it", error.fix))
    return found


def fits(seen: Seen) -> list[Finding]:
    """The program is asked for its version only where gdk.yml wants something that not every one has."""
    asked = _asked(seen)
    if not asked or seen.services is None or not seen.runs:
        return []
    which = generation.of(seen.services.registry)
    if not which.version:
        return [Finding("off", "which generation of the registry runs cannot be told")]
    return [
        Finding(item.level, f"{which.title} {item.text}", item.why, item.fix)
        for kinds, item in asked
        if which.generation in kinds
    ]


def _asked(seen: Seen) -> list[tuple[set[str], Finding]]:
    """What gdk.yml asks for, each with the generations of `services/generation.py` that do without it."""
    registry = seen.settings.registry
    config, found = registry.config, list[tuple[set[str], Finding]]()

    def block(*keys: str) -> dict[str, Any]:
        value: Any = config
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value if isinstance(value, dict) else {}

    def edit(key: str) -> str:
        return f"take registry.config.{key} out of gdk.yml; gdkreg reconfigure; gdkreg start"

    if registry.compatibility_schema1_enabled:
        fix = "gdkreg config set registry.compatibility_schema1_enabled false"
        found.append(({"3", "gitlab"}, Finding("warning", "takes no manifests of schema 1", "such a push is refused", fix)))
    if "proxy" in config:
        found.append(({"gitlab"}, Finding("warning", "is no pull-through cache", "proxy is passed over", edit("proxy"))))
    if "addr" in block("redis"):
        why = "redis.addr is passed over"
        found.append(({"3"}, Finding("warning", "knows redis.addrs, a list, only", why, edit("redis.addr"))))
    if block("database").get("enabled"):
        found.append(({"2", "3"}, Finding("warning", "has no metadata database", "database is passed over", edit("database"))))
    token = block("auth", "token")
    if "jwks" in token and token["jwks"] is None and registry.auth_enabled:
        why = "it finds GitLab's key by auth.token.jwks, so every token of GitLab's is 401"
        found.append(({"3"}, Finding("error", "has no jwks", why, edit("auth.token.jwks"))))
    return found
