"""start, stop, restart: what was applied last runs, or does not."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.plan import reconcile
from gdkreg.plan.actions import Step
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.plan.preview import Preview
from gdkreg.plan.reconcile import Resource
from gdkreg.resources import published
from gdkreg.services.refusals import refuse_foreign_configuration
from gdkreg.services.services import NAMES, Name, Services
from gdkreg.services.tracing import refuse_while_traced
from gdkreg.verbs.root import Root
from gdkreg.verbs.work import SILENT, Work, pulls_first


def start(
    root: Root, name: Name | None = None, listener: Listener = SILENT, *, dry_run: bool = False, again: bool = False
) -> Outcome:
    """Start one service or every enabled one; what runs with other settings is recreated. `again`: those that ran last."""
    return _run(root, "start", name, listener, dry_run=dry_run, again=again)


def restart(root: Root, name: Name | None = None, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Stop and start; refused before anything is stopped where it could not be started again."""
    return _run(root, "restart", name, listener, dry_run=dry_run)


def _run(root: Root, command: str, name: Name | None, listener: Listener, *, dry_run: bool, again: bool = False) -> Outcome:
    applied = root.set_up()
    if not root.enabled:
        raise root.disabled()
    refuse_while_traced(root.path, root.host)
    settings = _follow_issuer(root, applied)
    work = Work(root, command, listener)
    work.settings = settings

    def followers() -> Sequence[Resource]:
        """GitLab came up or went away since the last reconfigure, so the realm follows. Nothing else is applied."""
        if settings.issuer == applied.issuer:
            return ()
        inventory = root.inventory(settings)
        return (*inventory.of_the_issuer(), inventory.applied())

    def plan(preview: Preview) -> list[Step]:
        refuse_foreign_configuration(root.journal, root.host)
        files = reconcile.plan(followers(), preview, present=True)
        services = root.services(settings, preview)
        names = _meant(services) if again else [name] if name else services.enabled()
        pulls, rest = pulls_first((services.restart if command == "restart" else services.start)(names))
        return [*pulls, *files, *(agreed(preview) if "tunnel" in names and rest else []), *rest]

    def agreed(preview: Preview) -> list[Step]:
        from gdkreg.verbs import publishing

        return publishing.agree(root, settings, preview, listener, dry_run=dry_run)

    outcome = work.carry_out(plan, dry_run=dry_run, check=followers)
    if dry_run and any(item.step.resource == published.NAME for item in outcome.items):
        from gdkreg.verbs import publishing

        outcome.notes += publishing.told(settings)
    if name == "tunnel" or any(item.step.resource == "tunnel" and item.status == "done" for item in outcome.items):
        outcome.notes += [] if dry_run else root.services(settings).tunnel.notes()
    outcome.looked_up = lambda: {"services": _states(root, settings)}
    if left := root.unapplied():
        outcome.notes.append(f"gdk.yml has changes that are not applied ({', '.join(left[:3])}): gdkreg reconfigure")
    return outcome


def _meant(services: Services) -> list[Name]:
    return [name for name in services.enabled() if services.meant(name) == "running"]


def _follow_issuer(root: Root, applied: Settings) -> Settings:
    root.decide_issuer()
    same_way = root.settings.registry.token_issuer == applied.registry.token_issuer
    return msgspec.structs.replace(applied, issuer=root.settings.issuer) if same_way else applied


def _states(root: Root, settings: Settings) -> dict[str, object]:
    return {name: msgspec.to_builtins(state) for name, state in root.services(settings).states().items()}


def stop(root: Root, name: Name | None = None, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Stop one service or all; one that does not run is fine."""
    work = Work(root, "stop", listener)
    settings = root.applied or root.settings

    def plan(preview: Preview) -> list[Step]:
        refuse_while_traced(root.path, root.host)
        names: list[Name] = [name] if name else list(NAMES)
        return root.services(settings, preview).stop(names)

    return work.carry_out(plan, dry_run=dry_run)
