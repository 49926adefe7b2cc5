"""The container engine: whether it answers, who may use it, and its own configuration."""

from __future__ import annotations

import json
from pathlib import Path

from gdkreg.engines.trust import hint
from gdkreg.errors import GdkregError
from gdkreg.services.process import find_binary
from gdkreg.verbs.checks.seen import Finding, Seen, text_of, unread

_ANYBODY = 0o002


def answers(seen: Seen) -> list[Finding]:
    engine = seen.engine
    if engine.answers:
        found = [Finding("ok", f"{engine.kind} {engine.version} at {engine.endpoint.shown} ({engine.endpoint.source})")]
        if text := hint(engine):
            found.append(Finding("warning", text, "what gdkreg sets up here does not count there"))
        return found
    needed = _needed(seen)
    why = "the registry runs in it" if needed else "docker push needs it; the registry runs without"
    return [Finding("error" if needed else "warning", _denied(seen) or engine.why, why, _start(seen))]


def _denied(seen: Seen) -> str:
    """Whose the socket is, where this user may not use it."""
    path = _socket(seen)
    info = seen.host.info(path) if path is not None else None
    if info is None or "permission denied" not in seen.engine.why:
        return ""
    return f"{path} is for the group {_group(seen, info.gid) or info.gid} (mode {info.mode:04o}), and this session is not in it"


def _needed(seen: Seen) -> bool:
    registry = seen.settings.registry
    if "registry" in seen.states and seen.states["registry"].runtime == "docker":
        return True  # it was started there
    if registry.runtime != "auto":
        return registry.runtime == "docker"
    return find_binary(seen.root.path, registry.bin, seen.host.platform) is None


def _start(seen: Seen) -> str:
    why = seen.engine.why
    if "permission denied" in why:
        return _join(seen)
    if seen.engine.endpoint.source != "default socket":
        return "docker context use default" if "context" in seen.engine.endpoint.source else "unset DOCKER_HOST"
    if not seen.linux:
        return "open -a Docker"
    return "sudo systemctl restart docker" if "hang" in why else "sudo systemctl start docker"


def permissions(seen: Seen) -> list[Finding]:
    path = _socket(seen)
    info = seen.host.info(path) if path is not None else None
    if info is None or seen.engine.kind not in {"docker", "podman"} or not info.mode & _ANYBODY:
        return []
    why = "who may use the engine is root on this machine"
    text = f"every user may use the engine: {path} has mode {info.mode:04o}"
    return [Finding("warning", text, why, f"sudo chmod o-rw {path}")]


def _socket(seen: Seen) -> Path | None:
    url = seen.engine.endpoint.url
    if not url.startswith("unix://"):
        return None
    path = Path(url.removeprefix("unix://"))
    info = seen.host.info(path)
    return path.parent / info.target if info is not None and info.kind == "symlink" else path


def _join(seen: Seen) -> str:
    path, env = _socket(seen), seen.host.platform.env
    info = seen.host.info(path) if path is not None else None
    group = (_group(seen, info.gid) if info is not None else "") or "docker"
    me = env.get("USER") or env.get("LOGNAME") or "$USER"
    if me in _members(seen, group):
        return f"newgrp {group}"  # it was added after this session began
    return f"sudo usermod -aG {group} {me} && newgrp {group}"


def _groups(seen: Seen) -> list[list[str]]:
    try:
        text = text_of(seen.host, Path("/etc/group")) or ""
    except GdkregError:
        return []
    return [fields for line in text.splitlines() if len(fields := line.split(":")) >= 4]


def _group(seen: Seen, gid: int) -> str:
    return next((fields[0] for fields in _groups(seen) if fields[2] == str(gid)), "")


def _members(seen: Seen, group: str) -> list[str]:
    return next((fields[3].split(",") for fields in _groups(seen) if fields[0] == group), [])


def configuration(seen: Seen) -> list[Finding]:
    """A daemon.json that is broken is noticed at the engine's next start only."""
    return [finding for path in _files(seen) for finding in _configured(seen, path)]


def _files(seen: Seen) -> list[Path]:
    home = seen.host.platform.home
    config = Path(seen.host.platform.env.get("XDG_CONFIG_HOME") or home / ".config")
    own, system, desktop = config / "docker/daemon.json", Path("/etc/docker/daemon.json"), home / ".docker/daemon.json"
    places = {"docker": [system], "rootless": [own], "desktop": [desktop], "none": [system, own, desktop]}
    return places.get(seen.engine.kind, [])


def _configured(seen: Seen, path: Path) -> list[Finding]:
    try:
        text = text_of(seen.host, path)
    except GdkregError as error:
        return [unread(error, str(path), f"sudo python3 -m json.tool {path}")]
    problem, line = _json_problem(text or "")
    if not problem:
        return []
    at = f"{path}:{line}" if line else str(path)
    return [Finding("error", f"{at}: {problem}", "the engine does not start again with it", f"python3 -m json.tool {path}")]


def _json_problem(text: str) -> tuple[str, int]:
    """What is wrong with a daemon.json, and its line."""
    if not text.strip():
        return "", 0
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        return f"not valid JSON: {error.msg}", error.lineno
    except (ValueError, RecursionError) as error:
        return f"not valid JSON: {str(error)[:80]}", 0
    if not isinstance(values, dict):
        return "expected keys and values", 1
    listed = values.get("insecure-registries", [])
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        return "insecure-registries: expected a list of texts", 0
    return "", 0
