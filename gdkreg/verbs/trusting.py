"""trust-docker-registry."""

from __future__ import annotations

import shutil

from gdkreg.clients.table import CLIENTS
from gdkreg.errors import GdkregError
from gdkreg.plan import reconcile
from gdkreg.plan.actions import Step
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.plan.preview import Preview
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
