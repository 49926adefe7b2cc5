"""cert renew."""

from __future__ import annotations

from gdkreg.plan import reconcile
from gdkreg.plan.actions import Step
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.plan.preview import Preview
from gdkreg.verbs.root import Root
from gdkreg.verbs.work import SILENT, Work


def renew(root: Root, which: tuple[str, ...], listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Make certificates anew ("tls", "token"), then what follows from them: jwks.json, copies, trust."""
    settings = root.set_up()

    def plan(preview: Preview) -> list[Step]:
        steps = reconcile.plan(root.catalog(settings, renew=which).certificates(), preview, present=True)
        catalog = root.catalog(settings)
        return steps + reconcile.plan((catalog.jwks(), catalog.container_files(), catalog.docker_trust()), preview, present=True)

    def check() -> tuple[reconcile.Resource, ...]:
        catalog = root.catalog(settings)
        return (*catalog.certificates(), catalog.jwks(), catalog.container_files(), catalog.docker_trust())

    outcome = Work(root, "cert renew", listener).carry_out(plan, dry_run=dry_run, check=check)
    if not dry_run and outcome.changes:
        outcome.next = "gdkreg start"
    return outcome
