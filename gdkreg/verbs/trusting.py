"""trust-docker-registry and runner-patch."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gdkreg.clients.table import CLIENTS
from gdkreg.errors import GdkregError
from gdkreg.plan import reconcile
from gdkreg.plan.actions import Step
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.plan.preview import Preview
from gdkreg.resources.gdk_service import is_gdk
from gdkreg.resources.runner_config import usual_places
from gdkreg.verbs.machine import trust_left_out
from gdkreg.verbs.root import Root
from gdkreg.verbs.work import SILENT, Work


def trust(root: Root, listener: Listener = SILENT, *, remove: bool = False, dry_run: bool = False) -> Outcome:
    """Have the engine, the runner and builders trust registry_host.crt, or no longer."""
    from gdkreg.engines.trust import hint

    root.options = root.options.also(trust=not remove)
    if not remove:
        _certificate_is_there(root)

    def plan(preview: Preview) -> list[Step]:
        if not remove:
            root.refuse_other_claims()
        return reconcile.plan([root.inventory().docker_trust()], preview, present=not remove)

    work = Work(root, "trust-docker-registry", listener)
    outcome = work.carry_out(
        plan, dry_run=dry_run, check=lambda: [] if remove else [root.inventory().docker_trust()], present=not remove
    )
    name, changed = root.settings.authority, bool(outcome.items)
    outcome.data["authority"] = name
    outcome.notes += [] if remove else trust_left_out(root)
    if dry_run:
        return outcome
    if remove:
        outcome.notes.append(f"{name} is no longer trusted" if changed else f"{name} was not trusted")
        return outcome
    outcome.notes.append(f"{name} is trusted" if changed else f"{name} is trusted already")
    then = [place.then for place in root.inventory().docker_trust().places if changed]
    outcome.notes += [f"! {text}" for text in [hint(root.engine), *then] if text]
    outcome.notes += _elsewhere(root)
    return outcome


def _elsewhere(root: Root) -> list[str]:
    """The clients of this machine that read no certs.d, and the line that each needs."""
    path = root.host.platform.env.get("PATH", "")
    here = [row for row in CLIENTS if row.program and row.trust == "variable" and shutil.which(row.program, path=path)]
    return [f'{row.name} reads no certs.d: eval "$(gdkreg env {row.name})"' for row in here]


def _certificate_is_there(root: Root) -> None:
    if not root.settings.registry.self_signed:
        raise GdkregError(
            "registry.self_signed is false, so there is no certificate to trust",
            fix="gdkreg config set registry.self_signed true; gdkreg reconfigure",
        )
    if root.host.info(root.path / "registry_host.crt") is None:
        raise GdkregError(f"there is no {root.path / 'registry_host.crt'} yet", fix="gdkreg reconfigure")


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
    outcome.notes += [] if remove or not outcome.items else _lasting(root, file)
    return outcome


def _lasting(root: Root, file: Path) -> list[str]:
    """The lines of gdk.yml without which GDK renders its own runner's file anew as it was."""
    name = "gitlab-runner-config.toml"
    said = (root.host.read(root.path / "gdk.yml") or b"").decode("utf-8", "replace")
    if file != root.path / name or not is_gdk(root.path, root.host) or name in said:
        return []
    hosts = ", ".join(f"'{one}:{address}'" for one, address in root.inventory().runner(file).wanted.hosts.items())
    lines = ["gdk:", f"  protected_config_files: ['{name}']"]
    lines += ["runner:", f"  extra_hosts: [{hosts}]"] if hosts else []
    why = "! gdk reconfigure renders this file anew, and gdkreg reconfigure patches it again. So that it lasts, in gdk.yml:"
    return [why, *(f"    {line}" for line in lines)]


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
