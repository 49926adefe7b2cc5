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
        steps = reconcile.plan(root.inventory(settings, renew=which).certificates(), preview, present=True)
        inventory = root.inventory(settings)
        return steps + reconcile.plan(
            (inventory.jwks(), inventory.container_files(), *inventory.trusts().all()), preview, present=True
        )

    def check() -> tuple[reconcile.Resource, ...]:
        inventory = root.inventory(settings)
        return (*inventory.certificates(), inventory.jwks(), inventory.container_files(), *inventory.trusts().all())

    outcome = Work(root, "cert renew", listener).carry_out(plan, dry_run=dry_run, check=check)
    if not dry_run and outcome.changes:
        outcome.next = "gdkreg start"
    return outcome
