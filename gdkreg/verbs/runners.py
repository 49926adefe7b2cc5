"""runner-patch: a runner's config.toml, whether it is patched, and what makes it last."""

from __future__ import annotations

import difflib
import fnmatch
import os
import re
from pathlib import Path
from typing import Any

import msgspec

from gdkreg.config import edit
from gdkreg.errors import ConfigError, GdkregError
from gdkreg.plan import reconcile
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.resources.gdk_service import is_gdk
from gdkreg.resources.runner_config import usual_places
from gdkreg.resources.runner_text import Seen, docker_hosts, with_hosts
from gdkreg.verbs.root import Root
from gdkreg.verbs.work import SILENT, Work

GDKS_OWN = "gitlab-runner-config.toml"
_PROTECTED, _HOSTS = ("gdk", "protected_config_files"), ("runner", "extra_hosts")
_OURS_ALONE = re.compile(r"-\s*(protected_config_files|extra_hosts):")


def runner_patch(
    root: Root, file: Path, listener: Listener = SILENT, *, remove: bool = False, pull_policy: str = "", dry_run: bool = False
) -> Outcome:
    """Give every Docker runner in a config.toml the trusted certificates and the GDK's host names, or take them back."""
    root.options = root.options.also(runner=file, pull_policy=pull_policy)
    runner = root.inventory().runner(file)
    state = runner.inspect(root.host)
    seen = runner.seen(state) if not remove and runner.plan(state, True) is not None else []
    work = Work(root, "runner-patch", listener)
    outcome = work.carry_out(
        lambda preview: reconcile.plan([root.inventory().runner(file)], preview, present=not remove),
        dry_run=dry_run,
        check=lambda: [] if remove else [root.inventory().runner(file)],
        present=not remove,
    )
    outcome.data |= {"file": str(file), "runners": seen}
    if not remove:
        outcome.notes += [*lasting(root, file), *_in_a_container(root, file, seen, changed=bool(outcome.items))]
    return outcome


class Checked(msgspec.Struct, frozen=True):
    """`patched`: `runner-patch` would change nothing. `why` says what it found, in one line."""

    file: str
    patched: bool
    why: str
    runners: list[Seen]


def check(root: Root, file: Path, pull_policy: str = "") -> Checked:
    """Whether a runner's file is as `runner-patch` makes it. Nothing is changed, and nobody is waited for.

    Raises `GdkregError` where it cannot be read, or is no runner's file.
    """
    root.options = root.options.also(runner=file, pull_policy=pull_policy)
    runner = root.inventory().runner(file)
    state = runner.inspect(root.reader)
    left, seen = runner.plan(state, True), runner.seen(state)
    docker = [item.name for item in seen if item.patched]
    if left:
        why = f"{file} is not patched: {left[-1].reason}"  # before it may come what gives back an edit
    else:
        why = f"{file} is patched" if docker else f"{file} holds no Docker runner, so there is nothing to patch"
    return Checked(str(file), not left, why, seen)


def runner_files(root: Root, given: Path | None, *, remove: bool) -> list[Path]:
    """The files that a command line can mean: the one given, else those of the usual places."""
    if given is not None:
        return [Path(os.path.normpath(given.expanduser().absolute()))]
    ours = [item.path for item in root.inventory().runners()]
    found = ours if remove and ours else usual_places(root.settings, root.host)
    if not found:
        raise GdkregError(
            "there is no runner configuration in the usual places",
            why=f"looked for {root.settings.runner.config_file}, ~/.gitlab-runner/config.toml, /etc/gitlab-runner/config.toml",
            fix="gdkreg runner-patch FILE",
        )
    return found


# GDK's own file


def lasting(root: Root, file: Path) -> list[str]:
    """The lines of gdk.yml without which `gdk reconfigure` renders its own runner's file anew as it was."""
    if file != root.path / GDKS_OWN or not is_gdk(root.path, root.host):
        return []
    path = root.path / "gdk.yml"
    before = (root.host.read(path) or b"").decode("utf-8-sig", "replace")
    try:
        protected, overwrites = edit.said(before, _PROTECTED), edit.said(before, ("gdk", "overwrite_changes"))
    except ConfigError:
        return []  # whoever reads it tells
    patterns = protected if isinstance(protected, list) else []
    if overwrites != "true" and any(fnmatch.fnmatchcase(GDKS_OWN, pattern) for pattern in patterns):
        return []
    wanted, had = root.inventory().runner(file).wanted.hosts, root.settings.runner.extra_hosts
    hosts = with_hosts(had, wanted)
    missing = {_PROTECTED: [*patterns, GDKS_OWN]} if overwrites != "true" else {}
    missing |= {_HOSTS: hosts} if hosts != had else {}
    if not missing:
        return [
            "! gdk.overwrite_changes is true in gdk.yml, so gdk reconfigure renders this file anew; gdkreg reconfigure patches it"
        ]
    notes = ["! gdk reconfigure renders this file anew, and gdkreg reconfigure patches it again. So that it lasts, in gdk.yml:"]
    notes += [f"    {row}" for row in _to_add(path, before, missing)]
    if overwrites == "true":
        notes.append("  With gdk.overwrite_changes: true, which it says, GDK protects no file: extra_hosts alone count")
    return notes


def _to_add(path: Path, before: str, missing: dict[tuple[str, str], list[str]]) -> list[str]:
    """The difference, merged with what is there; the whole lists where that cannot be done safely, or would show more."""
    after = before
    try:
        for key, items in missing.items():
            after = edit.set_list(path, after, key, list(items))
    except ConfigError:
        after = before
    names = (str(path), str(path))
    rows = list(difflib.unified_diff(before.splitlines(), after.splitlines(), *names, n=0, lineterm=""))
    shows_more = any(row.startswith("-") and not _OURS_ALONE.match(row) for row in rows[2:])
    if rows and not shows_more:
        return rows
    lines = []
    for (block, name), items in missing.items():
        lines += [f"{block}:", f"  {name}:", *(f"    - '{item}'" for item in items)]
    return lines


# a runner in a container


def _in_a_container(root: Root, file: Path, seen: list[Seen], *, changed: bool) -> list[str]:
    """What is different for a runner that lives in a container: the engine outside resolves its paths."""
    from gdkreg.engines import runners

    if not any(item.patched for item in seen):
        return []
    engine, api = root.found_engine
    found = runners.reading(api, file) if api is not None else None
    own = file == Path(root.settings.runner.config_file or "") and root.settings.runner.install_mode == "docker"
    if found is None and not own:
        return []
    certs_d = root.host.platform.home / ".docker/certs.d"
    which = f"container {found.name}" if found else "a container (runner.install_mode: docker)"
    notes = [
        f"! this runner lives in {which}. The paths in volumes are those of the engine's machine, not of that container:",
        f"    {certs_d} has to be there{_where(engine.kind)}",
    ]
    if found is None:
        return notes
    if found.alone and changed:
        notes.append(f"! only the file is mounted, and it was replaced: docker restart {found.name}")
    text = (root.host.read(file, as_root=True) or b"").decode("utf-8", "replace")
    inside = {path.replace("/var/run/", "/run/") for path in found.mounts}
    notes += [
        f"! the runner asks the engine at {host}, which is not in its container: make it with -v {path}:{path}"
        for host in docker_hosts(text)
        if host.startswith("unix://") and (path := host.removeprefix("unix://")).replace("/var/run/", "/run/") not in inside
    ]
    gitlab, wanted = root.settings.hostname, root.inventory().runner(file).wanted.hosts
    if found.own_network and gitlab in wanted and gitlab not in found.hosts:
        option = f"--add-host {gitlab}:{wanted[gitlab]}"
        notes.append(f"! extra_hosts are for the jobs. So that the runner itself finds GitLab, make its container with {option}")
    return notes


def _where(kind: str) -> str:
    if kind in {"docker", "rootless", "podman", "podman-rootless", "none"}:
        return ", as it is where the engine runs on this machine"
    if kind in {"machine", "remote"}:
        return ": copy it to that machine"
    return ": share the folder with the engine's VM"


def as_data(found: Checked) -> dict[str, Any]:
    return dict(msgspec.to_builtins(found))
