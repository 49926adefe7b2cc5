"""gdk.yml and what was applied of it; what an earlier run left half done; and what no other subject is about."""

from __future__ import annotations

from gdkreg.verbs import standing
from gdkreg.verbs.checks.seen import Finding, Seen

# What the other subjects tell of.
_ELSEWHERE = {
    "loopback", "hosts", "registry_host.crt", "localhost.crt", "jwks.json", "docker_trust", "registry/config.yml", "gdk",
    "runner_config", "container_files",
}  # fmt: skip


def check(seen: Seen) -> list[Finding]:
    found = [
        Finding(note.level, note.text, "what was begun has to be finished" if note.level == "error" else "", note.fix)
        for item in standing.status_of_root(seen.root)
        for note in item.notes
    ]
    found.append(_applied(seen))
    for name in seen.notes:
        if name not in _ELSEWHERE and name != "applied":
            found += seen.problems(name, "")
    return found


def _applied(seen: Seen) -> Finding:
    if seen.root.applied is None:
        return Finding("changed", "nothing is applied yet", "there is no registry before that", "gdkreg reconfigure")
    left = seen.root.unapplied()
    if left:
        return Finding("changed", f"not applied: {', '.join(left[:3])}", "what runs is as gdk.yml was", "gdkreg reconfigure")
    if problems := seen.problems("applied", "gdkreg cannot tell what it set up"):
        return problems[0]
    return Finding("ok", "gdk.yml is applied")
