"""reconfigure, plan, status, doctor, up, down, undo: the machine as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gdkreg.cli import session
from gdkreg.cli.options import DryRun, Json, KeepEdits, RootDir, TakeOver, Yes
from gdkreg.cli.standing import MARKS, states
from gdkreg.errors import CHANGES, FAILED, GdkregError
from gdkreg.plan.actions import Action, WriteFile
from gdkreg.report import out

if TYPE_CHECKING:
    from gdkreg.plan.reconcile import Note, Step
    from gdkreg.root import Root, Run


def reconfigure(
    root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, take_over: TakeOver = False, json: Json = False
) -> None:
    """Make this machine match gdk.yml: loopback alias, /etc/hosts, certificates, registry/config.yml.

    Example: gdkreg reconfigure --dry-run
    """
    from gdkreg.options import Options

    root = session.open_root(root_dir, Options(take_over=take_over))
    root.decide_issuer()
    if dry_run:
        _show_plan(root, json=json)
        return
    steps = root.plan()
    if root.enabled and not steps and not root.journal.unsettled:
        _told_changes(root, [], steps, json=json)  # nothing to lock for
        return
    session.confirm(steps, root, yes=yes, always=bool(steps) and not root.enabled)
    with session.start_run(root, "reconfigure", json=json) as run:
        if not root.enabled:
            _disabled(run, json=json)
            return
        run.apply(root.catalog.all(), present=True)
        _told_changes(root, run.done, steps, json=json)


def _disabled(run: Run, *, json: bool) -> None:
    run.take_back()
    run.forget()
    if json:
        out.as_json({"changes": len(run.done), "enabled": False})
        return
    back = "what gdkreg had set up is taken back, the images are kept" if run.done else "there is nothing to do"
    out.line(f"registry.enabled is false: {back}. To switch it on: gdkreg config set registry.enabled true")


def _told_changes(root: Root, done: list[Action], steps: list[Step], *, json: bool) -> None:
    if json:
        out.as_json({"changes": len(done), "enabled": True, "steps": session.steps_as_data(steps)})
        return
    if not done:
        out.line("Nothing to do: this machine matches gdk.yml.")
        return
    _told_first_user(done)
    out.line(f"Done: {len(done)} {'change' if len(done) == 1 else 'changes'}.")
    warnings = [note for standing in root.standings() for note in standing.notes if note.level in {"warning", "error"}]
    _show_notes(warnings)
    out.line(f"Next: {_next(root)}")


def _told_first_user(done: list[Action]) -> None:
    """The first user's password is told once, when it is made."""
    from gdkreg.resources.first_user import read_first

    made = [action.path for action in done if isinstance(action, WriteFile) and action.path.name == "first_user"]
    path = made[0] if made else None
    if path is not None and (first := read_first(path.parent)) is not None:
        out.line(f"First user: {first.name}, password {first.password} (kept in {path}; gdkreg login takes it from there)")


def _next(root: Root) -> str:
    from gdkreg.services.registry import Registry

    state = Registry(root.settings, root.host).state()
    if not state.running:
        return "gdkreg start"
    return (
        "the registry runs with this configuration"
        if state.current
        else "gdkreg start (it runs with the configuration of before)"
    )


def _show_notes(notes: list[Note]) -> None:
    for note in notes:
        mark, color = MARKS[note.level]
        out.line(f"{out.colored(mark, color)} {note.text}")
        if note.fix:
            out.line(f"    {note.fix}")


def _show_plan(root: Root, *, json: bool) -> int:
    steps = root.plan()
    if json:
        out.as_json(session.steps_as_data(steps))
    elif steps:
        session.show_steps(steps, with_diff=True)
    else:
        out.line("Nothing to do: this machine matches gdk.yml.")
    return len(steps)


def plan(
    root_dir: RootDir = None,
    json: Json = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 3 if there are changes.")] = False,
    take_over: TakeOver = False,
) -> None:
    """Show what reconfigure would change, as a diff. Changes nothing.

    Example: gdkreg plan --exit-code
    """
    from gdkreg.options import Options

    root = session.open_root(root_dir, Options(take_over=take_over))
    root.decide_issuer()
    count = _show_plan(root, json=json)
    if count and exit_code:
        raise typer.Exit(CHANGES)


def up(
    root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, take_over: TakeOver = False, json: Json = False
) -> None:
    """Everything in one go: reconfigure, trust, runner-patch, start, and the proof that it answers.

    Example: gdkreg up
    """
    from gdkreg.cli.proofs import run_verify
    from gdkreg.cli.services import start_services
    from gdkreg.options import Options
    from gdkreg.resources.runner_config import has_docker_runner, usual_places

    root = session.open_root(root_dir)
    if not root.enabled:
        raise GdkregError(
            "registry.enabled is false in gdk.yml, so nothing starts", fix="gdkreg config set registry.enabled true"
        )
    root.decide_issuer()
    runners = usual_places(root.settings, root.host)
    one = runners[0] if len(runners) == 1 and has_docker_runner(runners[0], root.host) else None
    root.options = Options(take_over=take_over, trust=root.settings.registry.self_signed, runner=one)
    if dry_run:
        _show_plan(root, json=json)
        return
    with session.start_run(root, "up", json=json) as run:
        session.confirm(root.plan(), root, yes=yes)
        run.apply(root.catalog.all(), present=True)
        changed = len(run.done)
        if not json:
            _told_first_user(run.done)
        hosts_changed = any(str(getattr(action, "path", "")) == "/etc/hosts" for action in run.done)
    root.__dict__.pop("applied", None)
    started = start_services(root, None, quiet=json)
    if json:
        hops = run_verify(root, "http", quiet=True)
        out.as_json({"changes": changed, **started, "authority": root.settings.authority, "verify": hops})
        if any(hop.verdict == "broken" for hop in hops["http"]):
            raise typer.Exit(FAILED)
        return
    if len(runners) > 1:
        out.line(f"! {len(runners)} runner files are here; patch the one you mean: gdkreg runner-patch {runners[0]}")
    elif runners and one is None:
        out.line(f"- {runners[0]} holds no Docker runner, so nothing is patched there")
    _trust_hint(root)
    if hosts_changed:
        out.line("/etc/hosts is new: Docker may look the name up in its old form for 5 seconds.")
    if any(hop.verdict == "broken" for hop in run_verify(root, "http", quiet=False)["http"]):
        raise GdkregError("the registry is up, but the proof failed", fix="gdkreg verify")
    out.line(f"Ready: docker push {root.settings.authority}/NAME")


def _trust_hint(root: Root) -> None:
    """What only the user can do so that the engine takes the registry."""
    from gdkreg.config.values import is_loopback
    from gdkreg.engines.trust import hint, places

    if root.settings.registry.self_signed:
        notes = [hint(root.engine), *(place.then for place in places(root.engine, root.host.platform))]
        for text in filter(None, notes):
            out.line(f"! {text}")
    elif not is_loopback(root.settings.address):
        out.line(f'! without TLS Docker takes it only with "insecure-registries": ["{root.settings.authority}"] in daemon.json')


def down(
    root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, keep_edits: KeepEdits = False, json: Json = False
) -> None:
    """Remove everything of ours from this machine and give back what stood there before; the images stay.

    Example: gdkreg down --dry-run
    """
    from gdkreg.options import Options

    root = session.open_root(root_dir, Options(keep_edits=keep_edits))
    steps = root.plan_of(root.catalog.all(), present=False)
    if dry_run:
        out.as_json(session.steps_as_data(steps)) if json else session.show_steps(steps, with_diff=True)
        if not json and any(state.running or state.detail for state in states(root).values()):
            out.line("and stop and remove what runs: " + ", ".join(states(root)))
        return
    session.confirm(steps, root, yes=yes, always=bool(steps))
    with session.start_run(root, "down", json=json) as run:
        run.take_back()
        run.forget()
    if json:
        out.as_json({"changes": len(run.done)})
    elif run.done:
        storage = root.path / "registry" / "storage"
        kept = f" The images stay in {storage}." if root.host.info(storage) else ""
        out.line(f"Done: {len(run.done)} changes.{kept}")
    else:
        out.line("Nothing to do: nothing of gdkreg's is on this machine.")


def undo(
    root_dir: RootDir = None, dry_run: DryRun = False, yes: Yes = False, keep_edits: KeepEdits = False, json: Json = False
) -> None:
    """Take back what the last run changed, byte for byte.

    Example: gdkreg undo --dry-run
    """
    from gdkreg.options import Options
    from gdkreg.plan import executor
    from gdkreg.plan.reconcile import Step

    root = session.open_root(root_dir, Options(keep_edits=keep_edits))
    steps = [Step(entry.resource, [action]) for entry, action in executor.undo(root.journal, root.host, keep_edits)]
    last = root.journal.last_run()
    if not last:
        out.as_json({"changes": 0}) if json else out.line("Nothing to undo.")
        return
    if dry_run:
        out.as_json(session.steps_as_data(steps)) if json else session.show_steps(steps, with_diff=True)
        return
    session.confirm(steps, root, yes=yes, always=True)
    with session.start_run(root, "undo", json=json) as run:
        run.undo()
    if json:
        out.as_json({"changes": len(run.done), "undid": last[0].command})
        return
    out.line(f"Took back the last run ({last[0].command}): {len(run.done)} changes.")


def register(app: typer.Typer) -> None:
    for command in (reconfigure, plan, up, down, undo):
        app.command()(command)
