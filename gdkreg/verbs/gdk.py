"""gdk on|off|status: who runs when the GDK's own supervisor is told to start the registry."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.host import network, runit
from gdkreg.plan import reconcile
from gdkreg.plan.actions import Step
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.plan.preview import Preview
from gdkreg.plan.reconcile import Note
from gdkreg.resources.gdk_service import GdkService, is_driven, is_gdk, place
from gdkreg.services.tracing import refuse_while_traced
from gdkreg.verbs import rails
from gdkreg.verbs.root import Root, Standing
from gdkreg.verbs.work import SILENT, Work


def on(root: Root, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Put ours in the place of GDK's. What runs goes on running, under GDK's supervisor where that runs."""
    settings = root.set_up()
    if not root.enabled:
        raise root.disabled()
    if not is_gdk(root.path, root.host):
        why = f"there is no Procfile, lib/gdk.rb or sv in {root.path}"
        raise GdkregError("this is no GDK", why=why, fix="gdkreg run registry is for every supervisor")
    root.options = root.options.also(gdk=True)

    def plan(preview: Preview) -> list[Step]:
        refuse_while_traced(root.path, root.host)
        services = root.services(settings, preview)
        ran = _is_up(root) or services.runs("registry")
        steps = reconcile.plan([root.inventory().gdk_service()], preview, present=True)
        return [*steps, services.watch()] if steps and ran and runit.runs(place(root.path).parent) else steps

    def check() -> Sequence[GdkService]:
        return (root.inventory().gdk_service(),)

    work = Work(root, "gdk on", listener)
    outcome = work.carry_out(plan, dry_run=dry_run, check=check)
    outcome.notes += _of_rails(root)
    outcome.next = "gdk start registry" if outcome.items and not _is_up(root) else ""
    return outcome


def _is_up(root: Root) -> bool:
    seen = runit.look(place(root.path))
    return seen is not None and seen.wanted == "up"


def off(root: Root, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Give GDK its own back; what ran under its supervisor is stopped first."""

    def plan(preview: Preview) -> list[Step]:
        service = root.inventory().gdk_service()
        ours = service.inspect(preview).ours
        settings = root.applied or root.settings
        stopped = root.services(settings, preview).stop(["auth", "registry"]) if ours and _is_up(root) else []
        return [*stopped, *reconcile.plan([service], preview, present=False)]

    outcome = Work(root, "gdk off", listener).carry_out(plan, dry_run=dry_run, present=False)
    outcome.next = "gdkreg start runs this registry without the GDK" if outcome.changes and root.enabled else ""
    return outcome


def _of_rails(root: Root) -> list[str]:
    """What GitLab's own configuration gets wrong of this registry, and what cures it."""
    wrong = rails.find(root)
    if wrong is None:
        return []
    return [
        f"! {wrong.note.text}:",
        *(f"    {row}" for row in wrong.diff.splitlines()),
        f"    {wrong.cure}",
        *_trusted(root),
        "  gdk reconfigure writes it as it was again, but with this in gdk.yml:",
        *(f"    {row}" for row in wrong.lasting),
    ]


def _trusted(root: Root) -> list[str]:
    """What Rails, which asks OpenSSL, needs to trust a certificate of this root's."""
    if not root.settings.registry.self_signed:
        return []
    return [f"    echo 'export SSL_CERT_FILE={root.path / 'registry_host.crt'}' >> {root.path / 'env.runit'}; gdk restart"]


class Status(msgspec.Struct, frozen=True):
    """`service`: whose `services/registry` is, "gdkreg", "gdk" or "" for nobody's; `supervisor`: whether runit runs here;
    `wanted` and `state` are runit's words of the service; `holder` who has the registry's port, `whose` "gdkreg", "gdk",
    "another" or ""."""

    gdk: bool
    service: str
    notes: list[Note]
    supervisor: bool
    wanted: str
    state: str
    pid: int
    port: str
    whose: str
    holder: str
    rails: rails.Wrong | None


def status(root: Root) -> Status:
    folder = place(root.path)
    service, seen = root.inventory().gdk_service(), runit.look(folder)
    whose, holder = _holder(root)
    there = root.host.info(folder) is not None
    return Status(
        gdk=is_gdk(root.path, root.host),
        service="gdkreg" if is_driven(root.path, root.host) else "gdk" if there else "",
        notes=service.notes(service.inspect(root.reader)),
        supervisor=seen is not None or runit.runs(folder.parent),
        wanted=seen.wanted if seen else "",
        state=seen.state if seen else "",
        pid=seen.pid if seen else 0,
        port=f"{root.settings.address}:{root.settings.registry.port}",
        whose=whose,
        holder=holder,
        rails=rails.find(root),
    )


def _holder(root: Root) -> tuple[str, str]:
    """Which registry has our port."""
    settings = root.applied or root.settings
    address, port = settings.address, settings.registry.port
    services = root.services(settings)
    with contextlib.suppress(GdkregError):
        state = services.registry.state()
        if state.running:
            return "gdkreg", state.detail
    with contextlib.suppress(GdkregError):
        rival, other = services.rival()
        if rival:
            return ("another", f"the registry of {other}") if other else ("gdk", f"container {rival}")
    holder = network.port_holder(address, port)
    return ("another", f"{holder.name or 'a process'} (pid {holder.pid or 'unknown'})") if holder else ("", "")


def as_data(found: Status) -> dict[str, Any]:
    return dict(msgspec.to_builtins(found, enc_hook=str))


def told(found: Status) -> list[Standing]:
    """The same as findings."""
    words = {"up": "is to run", "down": "is to be stopped"}
    runs = f"it runs; the registry {words[found.wanted]}, state {found.state}" if found.wanted else "it runs"
    held = {"gdkreg": "this registry", "gdk": "GDK's own registry", "another": "another program", "": "nobody"}[found.whose]
    port = f"{found.port} is held by {held}{f', {found.holder}' if found.holder else ''}"
    its = [
        Standing("service", found.notes),
        Standing("supervisor", [Note("ok", runs) if found.supervisor else Note("off", "runit does not run here", "gdk start")]),
    ]
    return [
        Standing("gdk", [Note("ok", "this is a GDK") if found.gdk else Note("off", "this is no GDK")]),
        *(its if found.gdk or found.service or found.supervisor else []),  # where there is no gdk, nobody can type it
        Standing("port", [Note("warning" if found.whose in {"gdk", "another"} else "ok", port)]),
        *([Standing("rails", [found.rails.note])] if found.rails else []),
    ]
