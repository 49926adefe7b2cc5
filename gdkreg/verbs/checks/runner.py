"""The runner's config.toml: whether its jobs get the certificates and the names."""

from __future__ import annotations

from pathlib import Path

from gdkreg.config.values import is_loopback
from gdkreg.errors import GdkregError
from gdkreg.resources import runner_config
from gdkreg.verbs.checks.seen import Finding, Seen, text_of, unread, unseen

_DOCKER = '"docker'  # as each of the executors with containers is called
_WHY = "its jobs find neither the registry nor its certificate"


def check(seen: Seen) -> list[Finding]:
    """Only files that this user may read: nobody is asked for a password here."""
    found = [item for path in runner_config.usual_places(seen.settings, seen.host) for item in _file(seen, path)]
    runner = seen.settings.runner
    if runner.enabled and not found and seen.host.info(Path(runner.config_file or "")) is None:
        text = f"runner.enabled is true, and there is no {runner.config_file}"
        found.append(Finding("warning", text, "no job runs", "gdk reconfigure, or gitlab-runner register"))
    return found + [item for item in seen.problems("runner_config", _WHY) if item not in found]


def _file(seen: Seen, path: Path) -> list[Finding]:
    try:
        text = text_of(seen.host, path)
    except GdkregError as error:
        return [unread(error, str(path), f"sudo gdkreg runner-patch {path} --dry-run --root {seen.root.path}")]
    if text is None:
        behind = seen.host.info(path.parent) is not None and seen.host.info(path) is None
        return [unseen(str(path))] if behind and path.parent == Path("/etc/gitlab-runner") else []
    quoted = text.replace("'", '"').replace(" ", "")
    if f"executor={_DOCKER}" not in quoted:
        return []
    if is_loopback(seen.settings.address):
        why = f"in a container {seen.settings.address} is the container itself"
        fix = "gdkreg config set registry.listen_address 172.16.123.1"
        return [Finding("warning", f"the jobs of {seen.shown(path)} do not reach the registry", why, fix)]
    if path in seen.root.journal.owned():
        fine = not seen.problems("runner_config", "")
        return [Finding("ok", f"{seen.shown(path)} is patched")] if fine else []
    return _unpatched(seen, path, text)


def _unpatched(seen: Seen, path: Path, text: str) -> list[Finding]:
    from gdkreg.resources import runner_text
    from gdkreg.resources.runner_lists import WrongValueError

    wanted = runner_config.wanted(seen.settings, seen.host.platform)
    try:
        patched = runner_text.patch(text, wanted)[0]
    except WrongValueError as error:
        return [Finding("error", f"{path}:{error.line}: {error.what}", "the runner refuses its whole file", error.fix)]
    except GdkregError as error:
        return [Finding("error", f"{path}: {error.what}", "the runner refuses its whole file", error.fix or f"edit {path}")]
    if patched == text:
        return [Finding("ok", f"{seen.shown(path)} has what it needs")]
    return [Finding("warning", f"{seen.shown(path)} is not patched", _WHY, f"gdkreg runner-patch {path}")]
