"""Who trusts registry_host.crt."""

from __future__ import annotations

from gdkreg.verbs.checks import insecure
from gdkreg.verbs.checks.seen import Finding, Seen


def check(seen: Seen) -> list[Finding]:
    """What `trust-docker-registry` wrote, and who has to be started anew to read it. `gdkreg trust` tells of every client."""
    if not seen.settings.registry.self_signed or seen.root.applied is None:
        return []
    notes = seen.notes.get("docker_trust", [])
    if any(note.level == "off" for note in notes):
        if insecure.entry_of(seen):
            return []  # then the engine takes every certificate
        text = "no client was told to trust registry_host.crt"
        return [Finding("warning", text, "docker push fails with x509: unknown authority", "gdkreg trust-docker-registry")]
    found = seen.problems("docker_trust", "its clients fail with x509: unknown authority")
    if not seen.is_fine("docker_trust"):
        return found
    places = [seen.shown(place.folder) for place in seen.root.inventory().docker_trust().places]
    return [Finding("ok", f"registry_host.crt is in {', '.join(places)}"), *found, *_restarts(seen)]


def _restarts(seen: Seen) -> list[Finding]:
    from gdkreg.verbs import trusted

    why = "until it is started anew it knows the certificate or the name of before"
    return [Finding("warning", f"{one.of}: {one.why}", why, one.fix) for one in trusted.kept(seen.root) if one.restart]
