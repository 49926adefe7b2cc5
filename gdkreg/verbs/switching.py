"""readonly on|off and gc schedule: a key of gdk.yml is set, and applied, in one step and alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from gdkreg.config import edit
from gdkreg.config.effective import Settings
from gdkreg.plan import reconcile
from gdkreg.plan.actions import Step, WriteFile
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.plan.preview import Preview
from gdkreg.plan.reconcile import Resource
from gdkreg.services.tracing import refuse_while_traced
from gdkreg.verbs.root import Root
from gdkreg.verbs.work import SILENT, Work

_SCHEDULES = {"off": "never", "daily": "daily", "weekly": "weekly"}


def readonly(root: Root, wanted: bool, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Have the registry refuse every write with 405, or take them again. What runs is started anew with that alone changed."""

    def resources(settings: Settings) -> Sequence[Resource]:
        return root.inventory(settings).of_the_issuer()

    def runs(settings: Settings, preview: Preview) -> list[Step]:
        services = root.services(settings, preview)
        return services.start(["registry"]) if services.runs("registry") else []

    outcome = _switch(root, "readonly", "read_only_maintenance_enabled", wanted, resources, runs, listener, dry_run=dry_run)
    outcome.data["readonly"] = wanted
    return outcome


def schedule(root: Root, often: str, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Clean up and collect weekly, daily, or only when asked ("off")."""

    def resources(settings: Settings) -> Sequence[Resource]:
        return (root.inventory(settings).schedule(),)

    key, value = "gc_schedule", _SCHEDULES[often]
    outcome = _switch(root, "gc schedule", key, value, resources, lambda *_: [], listener, dry_run=dry_run)
    settings = msgspec.structs.replace(root.settings, registry=_registry(root.settings, key, value))
    (resource,) = resources(settings)
    notes = resource.notes(resource.inspect(root.reader))
    outcome.notes += [f"! {note.text}\n    {note.fix}" for note in notes if note.level == "warning"]
    outcome.data["schedule"] = often
    return outcome


def _registry(settings: Settings, key: str, value: object) -> object:
    return msgspec.structs.replace(settings.registry, **{key: value})


def _switch(
    root: Root,
    command: str,
    key: str,
    value: object,
    resources: Callable[[Settings], Sequence[Resource]],
    services: Callable[[Settings, Preview], list[Step]],
    listener: Listener,
    *,
    dry_run: bool,
) -> Outcome:
    applied = root.set_up()
    settings = msgspec.structs.replace(applied, registry=_registry(applied, key, value))

    def plan(preview: Preview) -> list[Step]:
        refuse_while_traced(root.path, root.host)
        steps = _gdk_yml(root, preview, key, value)
        steps += reconcile.plan([*resources(settings), root.inventory(settings).applied()], preview, present=True)
        return steps + services(settings, preview)

    work = Work(root, command, listener)
    work.settings = settings
    return work.carry_out(plan, dry_run=dry_run)


def _gdk_yml(root: Root, preview: Preview, key: str, value: object) -> list[Step]:
    """The key set, with every other byte as it was; nothing where it says so already."""
    path, reason = root.path / "gdk.yml", f"registry.{key}: {str(value).lower()}"
    before = preview.read(path) or b""
    bom = b"\xef\xbb\xbf"
    text = edit.set_value(path, before.decode("utf-8-sig"), ("registry", key), value)
    after = (bom if before.startswith(bom) else b"") + text.encode()
    if after == before or getattr(root.settings.registry, key) == value:
        return []
    info = root.host.info(path.resolve())
    mode = info.mode if info else 0o644
    return [Step("gdk.yml", WriteFile(path=path, content=after, reason=reason, before=before, mode=mode, release=True))]
