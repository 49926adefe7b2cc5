"""reconfigure, up, down, undo: the machine as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gdkreg.config.values import is_loopback
from gdkreg.errors import DamagedError
from gdkreg.plan import reconcile, roots
from gdkreg.plan.actions import Control, Leave, RemoveFolder, Step, WriteFile, target
from gdkreg.plan.executor import Executor
from gdkreg.plan.ledger import Entry
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.plan.preview import Preview
from gdkreg.plan.state import FOLDER
from gdkreg.resources.hosts import HOSTS
from gdkreg.verbs.root import Root
from gdkreg.verbs.work import SILENT, Work, pulls_first

if TYPE_CHECKING:
    from pathlib import Path

_NOW = "the registry runs with this configuration"


def reconfigure(root: Root, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Make the machine match gdk.yml; with `registry.enabled` false, take back what was set up."""
    if not root.enabled:
        outcome = _take_back(root, "reconfigure", listener, dry_run=dry_run)
        outcome.data["enabled"] = False
        outcome.next = "gdkreg config set registry.enabled true"
        return outcome
    from gdkreg.verbs import engine

    root.decide_issuer()
    behind = engine.left_behind(root)  # afterwards nothing tells of it any more

    def plan(preview: Preview) -> list[Step]:
        root.refuse_other_claims()
        return reconcile.plan(root.inventory().all(), preview, present=True)

    work = Work(root, "reconfigure", listener)
    outcome = work.carry_out(plan, dry_run=dry_run, check=lambda: root.inventory().all(), claim=True)
    outcome.data["enabled"] = True
    outcome.notes += behind
    if dry_run:
        outcome.notes += trust_left_out(root)
    if outcome.changes and not dry_run:
        _tell_first_user(root, outcome)
        outcome.notes += _warnings(root)
        outcome.next = _next(root)
    return outcome


def _warnings(root: Root) -> list[str]:
    notes = [note for standing in root.standings() for note in standing.notes if note.level in {"warning", "error"}]
    return [f"! {note.text}" + (f"\n    {note.fix}" if note.fix else "") for note in notes]


def _next(root: Root) -> str:
    # The lock is free by now: another command's `down` may have taken away what was applied.
    state = root.services(root.applied or root.settings).registry.state()
    if not state.running:
        return "gdkreg start"
    return _NOW if state.current else "gdkreg start (it runs with the configuration of before)"


def _tell_first_user(root: Root, outcome: Outcome) -> None:
    """Where the first user is kept, when it is made; the password is for a person alone to see (`cli/`)."""
    if any(item.step.resource == "first_user" and isinstance(item.action, WriteFile) for item in outcome.items):
        outcome.data["first_user"] = str(root.path / FOLDER / "first_user")


def up(root: Root, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """reconfigure, trust, runner-patch, start and the proof, in one go; refused as a whole before the first change."""
    from gdkreg.verbs import engine, proving

    if not root.enabled:
        raise root.disabled()
    _refuse_while_traced(root)
    root.decide_issuer()
    runner, notes = _one_runner(root)
    root.options = root.options.also(trust=root.settings.registry.self_signed, runner=runner)
    notes += [*trust_left_out(root), *engine.left_behind(root)]
    hops: dict[str, Any] = {}

    def plan(preview: Preview) -> list[Step]:
        root.refuse_other_claims()
        files = reconcile.plan(root.inventory().all(), preview, present=True)
        services = root.services(root.settings, preview)
        pulls, started = pulls_first(services.start(services.enabled()))
        steps = [*pulls, *files, *started]
        return [*steps, Step("proof", proving.control(root.settings))] if steps else []

    work = Work(root, "up", listener)
    work.settings = root.settings
    work.controls["prove"] = lambda _: proving.prove(root, hops, listener)
    outcome = work.carry_out(plan, dry_run=dry_run, check=lambda: root.inventory().all(), claim=True)
    outcome.notes += notes
    outcome.data |= {"authority": root.settings.authority, "verify": hops, "ready": ""}
    if not dry_run:
        _tell_first_user(root, outcome)
        _ready(root, outcome)
    return outcome


def _one_runner(root: Root) -> tuple[Path | None, list[str]]:
    """The runner file that `up` patches, if it is clear which, and what to say where it is not."""
    from gdkreg.resources.runner_config import usual_places, why_not

    found = usual_places(root.settings, root.host)
    if len(found) > 1:
        return None, [f"! {len(found)} runner files are here; patch the one you mean: gdkreg runner-patch {found[0]}"]
    certs_d = root.host.platform.home / ".docker" / "certs.d"
    if found and root.host.info(certs_d) is None and not root.host.may_write(certs_d):
        return None, [f"- {certs_d} cannot be made, which the runner would mount; {found[0]} is not patched"]
    if found and (why := why_not(found[0], root.host)):
        return None, [f"- {why}, so nothing is patched there"]
    return (found[0] if found else None), []


def _ready(root: Root, outcome: Outcome) -> None:
    """What can be done now, and the one thing that is still to do."""
    from gdkreg.verbs import engine
    from gdkreg.verbs.logins import is_logged_in

    wrote = [item.action.path for item in outcome.items if isinstance(item.action, WriteFile)]
    outcome.notes += [*trust_hints(root), *engine.hints(root, named=HOSTS in wrote)]
    settings, client = root.settings, engine.client(root)
    if settings.tunnelled and not root.services(settings).tunnel.runs:
        outcome.next = f"gdkreg start tunnel, which publishes it as {settings.authority}"
        return
    push = f"{client} push {settings.authority}/NAME"
    if not client:
        outcome.next = f"install a container client; the registry answers at {settings.scheme}://{settings.authority}"
    elif settings.registry.auth_enabled and not is_logged_in(root, client):
        outcome.next = f"gdkreg login{'' if client == 'docker' else f' --client {client}'}, then {push}"
    else:
        outcome.data["ready"] = push + (
            " (in 5 seconds: so long Docker may remember /etc/hosts as it was)" if HOSTS in wrote else ""
        )


def trust_left_out(root: Root) -> list[str]:
    """What the plan leaves out because it cannot be written and the engine does without it."""
    trust = root.inventory().docker_trust()
    notes = trust.notes(trust.inspect(root.reader)) if trust.wanted else []
    return [f"! {note.text}\n    {note.fix}" for note in notes if note.level == "warning"]


def trust_hints(root: Root) -> list[str]:
    """What only the user can do so that the engine takes the registry."""
    from gdkreg.engines.trust import hint, places

    if root.settings.registry.self_signed:
        notes = [hint(root.engine), *(place.then for place in places(root.engine, root.host.platform))]
        return [f"! {text}" for text in notes if text]
    if is_loopback(root.settings.address) or root.settings.tunnelled:
        return []
    if root.insecure_list()[1].takes(root.settings.authority, root.settings.address):
        return []
    return [f"! without TLS the engine refuses {root.settings.authority}: gdkreg insecure on"]


def down(root: Root, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Take back everything of ours but the images. What cannot be taken back now is left, told, and kept in mind."""
    return _take_back(root, "down", listener, dry_run=dry_run)


def _take_back(root: Root, command: str, listener: Listener, *, dry_run: bool) -> Outcome:
    from gdkreg.verbs.logins import log_out, logouts

    def plan(preview: Preview) -> list[Step]:
        _refuse_while_traced(root, lenient=True)
        steps = logouts(root)
        for step in steps:
            preview.take(step.action)
        steps += root.services(root.applied or root.settings, preview).remove()
        steps += reconcile.plan(root.inventory().outside_state(), preview, present=False, lenient=True)
        steps += _folders(root, preview)
        return [*steps, *_own_folder(root, steps)]

    made = [path for path in root.journal.folders() if not path.is_relative_to(root.path)]
    work = Work(root, command, listener, keep_going=True)
    work.settings = root.applied or root.settings
    work.controls["logout"] = lambda control: log_out(root, control)
    outcome = work.carry_out(plan, dry_run=dry_run)
    if not dry_run and not outcome.left and root.host.info(root.path / FOLDER) is None:
        roots.hand_on(root.host, root.path, [path for path in made if root.host.info(path)])
        roots.forget(root.host, root.path)
    storage = root.path / "registry" / "storage"
    outcome.data["images"] = str(storage) if root.host.info(storage) else ""
    outcome.data["trash"] = str(storage.with_name("trash")) if root.host.entries(storage.with_name("trash")) else ""
    if root.identity.foreign:
        why = f"{root.path / FOLDER} stays: {root.identity.foreign}"
        outcome.notes.append(f"! {why}. If root set this up: sudo gdkreg down --root {root.path}")
    if outcome.left:
        outcome.next = f"gdkreg {command}, once what is left can be taken back"
    return outcome


def _refuse_while_traced(root: Root, *, lenient: bool = False) -> None:
    """With `lenient`, a damaged mark keeps nobody from his work."""
    from gdkreg.services.tracing import refuse_while_traced

    try:
        refuse_while_traced(root.path, root.reader)
    except DamagedError:
        if not lenient:
            raise


def _folders(root: Root, preview: Preview) -> list[Step]:
    """Folders of ours that no resource asked for any more, where nothing is in them by now."""
    steps = []
    for entry in reversed(list(root.journal.facts("folder").values())):
        path = _place(root, entry)
        if not entry.after or path.is_relative_to(root.path / FOLDER) or preview.info(path) is None or preview.entries(path):
            continue
        owner = root.inventory().owner(entry)
        if owner is not None and owner.back(entry, preview):
            action = RemoveFolder(path=path, reason="empty", as_root=entry.as_root)
            preview.take(action)
            steps.append(Step(entry.resource, action))
    return steps


def _place(root: Root, entry: Entry) -> Path:
    from gdkreg.plan import ledger

    return ledger.place(root.path, entry.target)


def _own_folder(root: Root, steps: Sequence[Step]) -> list[Step]:
    """`.gdkreg` itself, unless it still holds what an edited file was before."""
    folder = root.path / FOLDER
    if not root.identity.known or (root.host.info(folder) is None and not steps):
        return []
    handled = {target(step.action) for step in steps}
    kept = [
        path
        for path, owned in root.journal.owned().items()
        if not path.is_relative_to(folder) and owned.resource not in {"hosts", "git_exclude"} and str(path) not in handled
    ]
    if kept or any(isinstance(step.action, Leave) for step in steps):
        return []
    return [Step("gdkreg", RemoveFolder(path=folder, reason="journal, backups and logs", whole=True))]


def undo(root: Root, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Take back what the last run changed; what ran before it runs again as it did."""
    last: list[Entry] = []

    def plan(preview: Preview) -> list[Step]:
        _refuse_while_traced(root)
        last[:] = root.journal.last_run()
        own = _net(last)
        steps = _stopped_again(root, own)
        changes = [entry for entry in own if entry.kind not in {"service", "tags", "trash"}]
        steps += reconcile.back(changes, root.inventory().owner, preview)
        steps += _images_again(root, own)
        return steps + _started_again(root, own, preview, steps)

    def skip(executor: Executor) -> None:
        acted = {item.step.undoes for item in executor.items}
        for entry in last:
            if entry.key not in acted:
                executor.skip(entry)

    work = Work(root, "undo", listener)
    work.controls |= _of_images(root)
    outcome = work.carry_out(plan, dry_run=dry_run, finish=skip, needed=lambda: bool(last))
    outcome.data["undid"] = last[0].command if last else ""
    if last and not dry_run:
        outcome.next = _after_undo(root)
    return outcome


def _net(last: Sequence[Entry]) -> list[Entry]:
    """Without a service that the run stopped and started again."""
    stood: dict[str, list[Entry]] = {}
    for entry in last:
        if entry.kind == "service":
            stood.setdefault(entry.target, []).append(entry)
    same = {target for target, found in stood.items() if len(found) > 1 and found[0].before == found[-1].after}
    return [entry for entry in last if entry.kind != "service" or entry.target not in same]


def _of_images(root: Root) -> dict[str, Callable[[Control], str]]:
    from gdkreg.verbs import collecting, untagged

    return {"tag": lambda control: untagged.tag(root, control), "restore": lambda control: collecting.put_back(root, control)}


def _images_again(root: Root, last: Sequence[Entry]) -> list[Step]:
    """Tags that the run took away, and what it collected."""
    from gdkreg.verbs import collecting, untagged

    steps: list[Step] = []
    for entry in reversed(last):
        if entry.kind == "trash":
            steps += collecting.undone(root, entry)
        elif entry.kind == "tags":
            steps += untagged.put_back(root, entry)
    return steps


def _stopped_again(root: Root, last: Sequence[Entry]) -> list[Step]:
    """What the run started is stopped; where it set the root up, nothing afterwards would know of what runs."""
    first = any(entry.resource == "applied" and not entry.before for entry in last)
    services = root.services(root.applied or root.settings)
    if first:
        services.runs("registry")  # where that cannot be told, nothing is taken back by halves
        return services.remove()
    steps = []
    for entry in reversed(last):
        if entry.kind == "service" and entry.before == "stopped" and entry.after == "running":
            control = Control(service=entry.target, verb="stop", reason="undo", before="running", after="stopped")
            steps.append(Step(entry.resource, control, undoes=entry.key))
    return steps


def _started_again(root: Root, last: Sequence[Entry], preview: Preview, steps: Sequence[Step]) -> list[Step]:
    """What the run stopped is started; what runs otherwise than the settings of then say is recreated."""
    settings = root.applied_in(preview)
    if settings is None:
        return []
    stopped = {entry.target: entry for entry in last if entry.kind == "service" and entry.after == "stopped"}
    services = root.services(settings, preview)
    gone = {step.action.service for step in steps if isinstance(step.action, Control)}
    found: list[Step] = []
    names = [name for name in services.enabled() if name not in gone and (name in stopped or services.runs(name))]
    for step in services.start(names):
        action = step.action
        if isinstance(action, Control) and (action.before == "running" or action.service in stopped or action.verb == "pull"):
            entry = stopped.get(action.service)
            found.append(Step(step.resource, action, undoes=entry.key if entry else ""))
    return found


def _after_undo(root: Root) -> str:
    if root.applied is None:
        return "gdkreg up sets it up again"
    left = root.unapplied()
    return f"gdk.yml still says {_said(left[0])}; gdkreg reconfigure would apply it" if left else ""


def _said(difference: str) -> str:
    """ "key: old → new" as "key: new"."""
    key, _, change = difference.partition(": ")
    return f"{key}: {change.rpartition(' → ')[2]}" if change else key
