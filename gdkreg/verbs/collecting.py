"""gc: what nothing refers to moves into the trash while the registry takes no writes; gc restore and gc empty."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.plan.actions import Control, Step
from gdkreg.plan.ledger import Entry
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.plan.preview import Preview
from gdkreg.services import holding
from gdkreg.services.holding import Mark
from gdkreg.services.tracing import refuse_while_traced
from gdkreg.storage import reader, trash, usage
from gdkreg.storage.layout import Tree
from gdkreg.storage.unused import Collection, collectable, narrowed
from gdkreg.units import counted, size
from gdkreg.verbs import storing
from gdkreg.verbs.root import Root
from gdkreg.verbs.storing import hashed
from gdkreg.verbs.work import SILENT, Work


def gc(
    root: Root,
    listener: Listener = SILENT,
    *,
    untagged: bool = False,
    verify: bool = False,
    stop: bool = False,
    dry_run: bool = False,
    without: Mapping[str, Sequence[str]] | None = None,
    only: Sequence[str] | None = None,
) -> Outcome:
    """Move what nothing refers to into `registry/trash/RUN`; with `untagged` also manifests that no tag leads to.

    `verify` reads every byte first; `stop` stops the registry meanwhile, which is else read-only. `without` are tags, by
    repository, that a dry run takes for removed; `only` are the places that were told before.
    """
    place, now, name = storing.tree(root), time.time(), storing.new_run(root)
    found: list[Collection] = []

    def look() -> Collection:
        listener.working("reading what refers to what")
        graph = usage.without(reader.read(place, verify=verify, progress=hashed(listener)), without or {})
        unused = collectable(graph, untagged=untagged, now=now)
        return unused if only is None else narrowed(unused, only, place)

    def plan(_: Preview) -> list[Step]:
        refuse_while_traced(root.path, root.host)
        collection = look()
        found[:] = [collection]
        steps = _emptied(trash.expired(storing.trash(root), root.settings.registry.trash_days, now), "older than trash_days")
        if collection.places:
            collect = Control(service="storage", verb="collect", reason=_told(collection), after=name)
            steps += around(root, [Step("storage", collect)], stop=stop)
        return steps

    def moved(done: int, whole: int) -> None:
        listener.working(f"{done:,} of {whole:,} moved")

    def collect(_: Control) -> str:
        collection = narrowed(look(), found[0].places, place)
        trash.move(place, collection, storing.trash(root) / name, now=now, progress=moved)
        _prove(place, collection, storing.trash(root) / name)
        found[:] = [collection]
        return f"{_told(collection)} → registry/trash/{name}"

    controls = {"collect": collect, "empty": lambda control: _delete(root, control)}
    outcome = carry_out(root, "gc", plan, controls, listener, run=name, dry_run=dry_run)
    collection = found[0]
    outcome.data |= {"run": name if collection.places else "", **_data(collection)}
    outcome.notes += [f"! {item.repository or 'the storage'}: {item.what} ({item.path})" for item in collection.held]
    if collection.held:
        outcome.notes.append("What that could make look unused is left where it is.")
    if any("Permission denied" in item.what for item in collection.held):
        outcome.next = "sudo gdkreg gc, for another user's registry wrote it"
    outcome.notes += [f"! {problem.what}: {problem.why}" for problem in trash.strange(storing.trash(root))]
    if collection.places and not dry_run:
        outcome.next = f"gdkreg gc restore takes it back, for {root.settings.registry.trash_days} days; gdkreg gc empty frees it"
    return outcome


def _data(collection: Collection) -> dict[str, object]:
    return {
        "blobs": collection.blobs,
        "manifests": len(collection.revisions),
        "uploads": len(collection.uploads),
        "bytes": collection.bytes,
        "repositories": [msgspec.to_builtins(item) for item in collection.repositories if item.before != item.after],
        "held": [msgspec.to_builtins(item) for item in collection.held],
        "places": collection.places,
    }


def _told(collection: Collection) -> str:
    parts = [counted(len(collection.blobs), "blob")]
    parts += [counted(len(collection.revisions), "manifest")] if collection.revisions else []
    parts += [counted(len(collection.uploads), "upload")] if collection.uploads else []
    return f"{', '.join(parts)}, {size(collection.bytes)}"


def _prove(place: Tree, collection: Collection, folder: Path) -> None:
    """Nothing may be missing now that was there before. Raises `GdkregError`, with everything given back."""
    known = {(item.repository, item.what, item.path) for item in collection.problems}
    after = reader.read(place)
    fresh = [item for item in after.problems if (item.repository, item.what, item.path) not in known]
    if fresh:
        run = next(item for item in trash.runs(folder.parent) if item.folder == folder)
        trash.restore(place, run)
        what = f"{fresh[0].repository}: {fresh[0].what} ({fresh[0].path})"
        raise GdkregError("the collection was taken back", why=f"something was missing after it: {what}", fix="please report it")


def restore(root: Root, name: str = "", listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Put a run back (the last one without `name`); what was pushed since stays."""
    storing.tree(root)

    def plan(_: Preview) -> list[Step]:
        refuse_while_traced(root.path, root.host)
        runs = trash.runs(storing.trash(root))
        whole = any(run.told.state == "done" for run in runs)
        return [_restored(_named(runs, name))] if name or whole else []

    controls = {"restore": lambda control: put_back(root, control)}
    outcome = carry_out(root, "gc restore", plan, controls, listener, run="", dry_run=dry_run)
    if not dry_run:
        outcome.notes += [f"still in the trash: gdkreg gc restore {run.name}  ({_of(run)})" for run in runs(root)]
    return outcome


def runs(root: Root) -> list[trash.Run]:
    """What can be restored, the oldest first."""
    return [run for run in trash.runs(storing.trash(root)) if run.told.state == "done"]


def _of(run: trash.Run) -> str:
    moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.told.made))
    what = f"repository {run.told.whole}" if run.told.whole else f"{counted(run.told.blobs, 'blob')}, {size(run.told.bytes)}"
    return f"{what}, of {moment}"


def put_back(root: Root, control: Control) -> str:
    """One run, in the trash's words. Raises `GdkregError`."""
    run = _named(trash.runs(storing.trash(root)), control.service)
    done = trash.restore(storing.tree(root), run)
    there = f", {done.there} were there again" if done.there else ""
    left = f", {len(done.left)} stay in the trash, as something else is at their places: {done.left[0]}" if done.left else ""
    return f"{counted(done.back, 'folder')} back{there}{left}"


def _restored(run: trash.Run, undoes: str = "") -> Step:
    reason = _of(run)
    return Step("storage", Control(service=run.name, verb="restore", reason=reason), undoes=undoes)


def _named(runs: Sequence[trash.Run], name: str) -> trash.Run:
    """One run by its name; the last one without. Raises `GdkregError`."""
    found = [run for run in runs if run.name == name] if name else [run for run in runs if run.told.state == "done"][-1:]
    if found:
        return found[0]
    there = ", ".join(run.name for run in runs) or "none"
    raise GdkregError(f"there is no run {name}" if name else "there is nothing to restore", why=f"in the trash: {there}")


def empty(root: Root, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Delete for good what was collected."""

    def plan(_: Preview) -> list[Step]:
        whole = [run for run in trash.runs(storing.trash(root)) if run.told.state in {"done", "emptying"}]
        return _emptied(whole, "asked for")  # what was half moved is given back, and never deleted

    return carry_out(root, "gc empty", plan, {"empty": lambda control: _delete(root, control)}, listener, run="", dry_run=dry_run)


def _delete(root: Root, control: Control) -> str:
    trash.empty(_named(trash.runs(storing.trash(root)), control.service))
    return ""


def _emptied(runs: Sequence[trash.Run], reason: str) -> list[Step]:
    return [Step("storage", Control(service=run.name, verb="empty", reason=f"{reason}; {size(run.told.bytes)}")) for run in runs]


# the registry meanwhile


def around(root: Root, steps: list[Step], *, stop: bool) -> list[Step]:
    """The registry takes no writes while these are carried out; then it runs as before, and has forgotten what it knew."""
    services = root.services(root.set_up())
    if not stop:
        held = services.hold()
        return [*services.unpublish(), *held, *steps, *services.release()] if held else steps
    services.refuse_others()
    stopped = services.stop(["registry"], "nothing may be read or written meanwhile")
    again = Control(service="registry", verb="start", reason="it ran before", before="stopped", after="running")
    unpublished = [step for step in services.unpublish() if step.resource not in {other.resource for other in stopped}]
    return [*unpublished, *stopped, *steps, Step("registry", again)] if stopped else steps


def carry_out(
    root: Root,
    command: str,
    plan: Callable[[Preview], list[Step]],
    controls: dict[str, Callable[[Control], str]],
    listener: Listener,
    *,
    run: str,
    dry_run: bool,
) -> Outcome:
    """A failure, or Ctrl-C, is put right at once; what is killed, by the next command."""
    work = Work(root, command, listener)
    services = root.services(root.set_up())
    ran: list[bool] = []

    def planned(preview: Preview) -> list[Step]:
        steps = plan(preview)
        ran[:] = [any(getattr(step.action, "verb", "") in {"hold", "stop"} for step in steps)]
        return steps

    def marked(control: Control) -> str:
        """Before the first step that something has to be put right after."""
        if holding.found(root.path, root.host) is None:
            holding.begin(root.path, root.host, Mark(command, run, ran[0]))
        if control.verb in controls:
            return controls[control.verb](control)
        return services.perform(control, root.host, listener.progress)

    work.controls |= dict.fromkeys((*controls, "hold", "stop"), marked)
    try:
        return work.carry_out(planned, dry_run=dry_run, finish=lambda _: holding.end(root.path, root.host))
    except BaseException:  # Ctrl-C too
        if not dry_run and holding.found(root.path, root.host) is not None:
            with contextlib.suppress(GdkregError):  # then the next command does it
                Work(root, command, listener).carry_out(lambda _: [])
        raise


def undone(root: Root, entry: Entry) -> list[Step]:
    """What takes a collection back, if it is not emptied."""
    run = [item for item in trash.runs(storing.trash(root)) if entry.target == f"@/registry/trash/{item.name}"]
    return [_restored(run[0], entry.key)] if run else []
