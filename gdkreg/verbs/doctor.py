"""Read-only checks of the machine: what `status` knows, and what only matters when something does not work."""

from __future__ import annotations

import msgspec

from gdkreg.config.values import is_ipv4, is_loopback
from gdkreg.engines.trust import hint
from gdkreg.plan.reconcile import Note
from gdkreg.verbs import rails, standing
from gdkreg.verbs.root import Root, Standing


def examine(root: Root) -> list[Standing]:
    """Every finding; only levels "error" and "changed" mean that something is broken."""
    if not root.enabled:
        fix = "gdkreg config set registry.enabled true"
        return [Standing("registry", [Note("off", "registry.enabled is false in gdk.yml", fix)])]
    return [
        *(item for item in standing.status_of_root(root)),
        *root.standings(),
        Standing("gdk.yml", [_unapplied(root)]),
        Standing("engine", _engine(root)),
        Standing("name", _name(root)),
        *_services(root),
        *_rails(root),
    ]


def _unapplied(root: Root) -> Note:
    if root.applied is None:
        return Note("changed", "nothing is applied yet", "gdkreg reconfigure")
    left = root.unapplied()
    return Note("changed", f"not applied: {', '.join(left[:3])}", "gdkreg reconfigure") if left else Note("ok", "applied")


def _engine(root: Root) -> list[Note]:
    engine, registry = root.engine, root.settings.registry
    if not engine.answers:
        needed = registry.runtime == "docker"
        return [
            Note("error" if needed else "warning", engine.why, "start the engine, or gdkreg config set registry.runtime process")
        ]
    notes = [Note("ok", f"{engine.kind} {engine.version} at {engine.endpoint.shown} ({engine.endpoint.source})")]
    if text := hint(engine):
        notes.append(Note("warning", text))
    if not registry.self_signed and not is_loopback(root.settings.address) and not root.settings.tunnelled:
        name = root.settings.authority
        notes.append(
            Note(
                "warning",
                f"without TLS the engine refuses {name}",
                f'gdkreg config set registry.self_signed true, or "insecure-registries": ["{name}"] in daemon.json',
            )
        )
    return notes


def _name(root: Root) -> list[Note]:
    """Whether the registry's name leads to its address, as every program of this machine sees it."""
    import socket

    name, wanted = root.settings.near_host, root.settings.address
    if is_ipv4(name):
        return [Note("ok", f"{name} is an address")]
    try:
        found = sorted({str(item[4][0]) for item in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)})
    except OSError:
        return [Note("error", f"{name} cannot be looked up", "gdkreg reconfigure")]
    if wanted in found and all(item == wanted for item in found):
        return [Note("ok", f"{name} leads to {wanted}")]
    return [Note("error", f"{name} leads to {', '.join(found)}, not to {wanted} alone", "gdkreg reconfigure --take-over")]


def _services(root: Root) -> list[Standing]:
    """Whoever calls the doctor wants them to run: one that does not is broken."""
    if root.applied is None:
        return []
    found = []
    for name, state in standing.states(root).items():
        note = standing.note_of(name, state)
        found.append(
            Standing(name, [msgspec.structs.replace(note, level="error") if note.level == "off" and name != "tunnel" else note])
        )
    return found


def _rails(root: Root) -> list[Standing]:
    wrong = rails.find(root)
    return [Standing("rails", [wrong.note])] if wrong else []


def is_broken(findings: list[Standing]) -> bool:
    return any(note.level in {"error", "changed"} for standing in findings for note in standing.notes)
