"""Both key pairs: dates, names, whose key; and that GitLab signs with the key that the registry trusts."""

from __future__ import annotations

import datetime
import shlex
from pathlib import Path

from gdkreg.errors import GdkregError
from gdkreg.verbs import rails
from gdkreg.verbs.checks.seen import Finding, Seen, unseen

_STEMS = {
    "registry_host": "with another certificate every client refuses the registry",
    "localhost": "the registry takes no token that is signed otherwise",
}


def pairs(seen: Seen) -> list[Finding]:
    found: list[Finding] = []
    for stem, why in _STEMS.items():
        found += [_called(f"{stem}.crt", item) for item in seen.problems(f"{stem}.crt", why)]
    found += seen.problems("jwks.json", "Distribution 3 takes GitLab's tokens by it")
    used = ["localhost", *(["registry_host"] if seen.settings.registry.self_signed else [])]
    for stem in used:
        found += [*_begins(seen, seen.root.path / f"{stem}.crt"), *_mode(seen, seen.root.path / f"{stem}.key")]
    untils = [
        f"{stem}.crt {note.text.split(',')[0]}"
        for stem in _STEMS
        for note in seen.notes.get(f"{stem}.crt", [])[:1]
        if note.level == "ok"
    ]
    return ([Finding("ok", ", ".join(untils))] if untils else []) + found


def _called(name: str, finding: Finding) -> Finding:
    text = finding.text if finding.text.startswith(name) else f"{name}: {finding.text}"
    return Finding(finding.level, text, finding.why, finding.fix)


def _begins(seen: Seen, path: Path) -> list[Finding]:
    """One from the future is refused as one of the past is."""
    from gdkreg.resources import x509

    try:
        facts = x509.facts(seen.host.read(path) or b"")
    except GdkregError:
        return []
    if facts is None or facts.not_before <= datetime.datetime.now(datetime.timezone.utc):
        return []
    text = f"{path.name} is valid from {facts.not_before:%Y-%m-%d %H:%M} UTC only: this machine's clock is behind"
    return [Finding("error", text, "every client refuses it until then", clock_fix(seen))]


def clock_fix(seen: Seen) -> str:
    return "sudo timedatectl set-ntp true" if seen.linux else "sudo sntp -sS time.apple.com"


def _mode(seen: Seen, path: Path) -> list[Finding]:
    info = seen.host.info(path)
    if info is None or info.kind != "file" or not info.mode & 0o077:
        return []
    text = f"{path.name} can be read by others (mode {info.mode:04o})"
    return [Finding("warning", text, "with it, anybody here can speak as the registry or as GitLab", f"chmod 600 {path}")]


def issuer(seen: Seen) -> list[Finding]:
    """What GitLab's own configuration says that it signs with, against the certificate that the registry trusts."""
    root = seen.root
    applied = root.applied
    if applied is None or not applied.registry.auth_enabled or applied.issuer != "gitlab":
        return []
    found, path = list[Finding](), root.path / rails.FILE
    (line, named), (_, key) = rails.setting(root, "issuer"), rails.setting(root, "key")
    if named and named != "gitlab-issuer":
        text = f"{path}:{line} has issuer: {named}, and the registry expects gitlab-issuer"
        fix = f"sed -i.bak '{line}s|issuer:.*|issuer: gitlab-issuer|' {shlex.quote(str(path))} && gdk restart rails-web"
        found.append(Finding("error", text, _REFUSED, fix))
    return found + (_signing_key(seen, root.path / key) if key else [])


_REFUSED = "the registry refuses every token of GitLab's: 401"


def _signing_key(seen: Seen, path: Path) -> list[Finding]:
    from gdkreg.resources import x509

    ours = seen.root.path / "localhost.key"
    try:
        key, certificate = seen.host.read(path), seen.host.read(seen.root.path / "localhost.crt")
    except GdkregError:
        return [unseen(f"GitLab's signing key {path}", f"sudo ls -l {path}")]
    fix = f"set key: {ours} under registry: in {seen.root.path / rails.FILE}; gdk restart rails-web"
    if key is None:
        return [Finding("error", f"GitLab signs with {path}, which is missing", "GitLab gives out no token", fix)]
    if certificate is None or x509.is_pair(key, certificate):
        return []
    return [Finding("error", f"GitLab signs with {path}, and the registry trusts localhost.crt, of another key", _REFUSED, fix)]
