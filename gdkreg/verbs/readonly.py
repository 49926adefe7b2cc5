"""readonly on|off: gdk.yml says so, and the registry runs so, in one step."""

from __future__ import annotations

import msgspec

from gdkreg.config import edit
from gdkreg.plan import reconcile
from gdkreg.plan.actions import Step, WriteFile
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.plan.preview import Preview
from gdkreg.services.tracing import refuse_while_traced
from gdkreg.verbs.root import Root
from gdkreg.verbs.work import SILENT, Work

_KEY = ("registry", "read_only_maintenance_enabled")


def readonly(root: Root, wanted: bool, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Have the registry refuse every write with 405, or take them again. What runs is started anew with that alone changed."""
    applied = root.set_up()
    registry = msgspec.structs.replace(applied.registry, read_only_maintenance_enabled=wanted)
    settings = msgspec.structs.replace(applied, registry=registry)

    def plan(preview: Preview) -> list[Step]:
        refuse_while_traced(root.path, root.host)
        inventory = root.inventory(settings)
        steps = gdk_yml(root, preview, _KEY, wanted, f"registry.{_KEY[1]}: {str(wanted).lower()}")
        steps += reconcile.plan([*inventory.of_the_issuer(), inventory.applied()], preview, present=True)
        services = root.services(settings, preview)
        return steps + (services.start(["registry"]) if services.runs("registry") else [])

    work = Work(root, "readonly", listener)
    work.settings = settings
    outcome = work.carry_out(plan, dry_run=dry_run)
    outcome.data["readonly"] = wanted
    return outcome


def gdk_yml(root: Root, preview: Preview, key: tuple[str, ...], value: object, reason: str) -> list[Step]:
    """One key of gdk.yml set, with every other byte as it was; nothing where it says so already."""
    path = root.path / "gdk.yml"
    before = preview.read(path) or b""
    bom = b"\xef\xbb\xbf"
    after = (bom if before.startswith(bom) else b"") + edit.set_value(path, before.decode("utf-8-sig"), key, value).encode()
    if after == before:
        return []
    info = root.host.info(path.resolve())
    mode = info.mode if info else 0o644
    return [Step("gdk.yml", WriteFile(path=path, content=after, reason=reason, before=before, mode=mode, release=True))]
