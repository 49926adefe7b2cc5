"""insecure on|off: the registry in the engine's list of those that it takes without TLS."""

from __future__ import annotations

from gdkreg.config.effective import Settings
from gdkreg.config.values import is_loopback
from gdkreg.engines.insecure import KEY, NotTakenError, Seen, by_hand
from gdkreg.errors import GdkregError
from gdkreg.plan import reconcile
from gdkreg.plan.actions import Step
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.plan.preview import Preview
from gdkreg.resources.insecure import Insecure
from gdkreg.verbs.root import Root
from gdkreg.verbs.work import SILENT, Work

_STORE = "! the engine has the containerd image store; Docker 29 ignores the list with it (docker/cli#6748). If so: "
_TLS = "gdkreg config set registry.self_signed true; gdkreg up"


def on(root: Root, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Have the engine, Podman and builders take the registry without TLS. Its containers go on running.

    Raises `GdkregError` where it is not needed because of TLS, or not gdkreg's to edit; and where the engine did not take it:
    then its file is as it was.
    """
    settings = root.set_up()
    outcome = Outcome(command="insecure on", root=str(root.path), dry_run=dry_run)
    outcome.data |= {"authority": settings.authority, "insecure": True}
    if is_loopback(settings.address):
        outcome.notes.append(
            f"{settings.authority} is at {settings.address}: engines ask no TLS of 127.0.0.0/8, so nothing is needed"
        )
        return outcome
    _refuse_tls(settings)
    root.options = root.options.also(insecure=True)

    def plan(preview: Preview) -> list[Step]:
        resource = root.inventory(settings).insecure()
        _refuse(root, resource, resource.look())
        return reconcile.plan([resource], preview, present=True)

    work = Work(root, "insecure on", listener)
    try:
        found = work.carry_out(plan, dry_run=dry_run, check=lambda: [root.inventory(settings).insecure()])
    except NotTakenError as error:
        _roll_back(root, settings)
        error.why = f"{error.why}; the engine's file is as it was".removeprefix("; ")
        raise
    found.data |= outcome.data
    found.notes += _warnings(root, settings, done=not dry_run)
    return found


def _refuse_tls(settings: Settings) -> None:
    """A certificate that nobody checks any more is worth nothing: whoever answers at that name would get the login."""
    if settings.registry.self_signed:
        raise GdkregError(
            f"{settings.authority} has TLS, and an engine checks no certificate of a registry in {KEY}",
            why="it skips certs.d for that name, so whoever answers there is believed and gets the login",
            fix="gdkreg trust-docker-registry. Without TLS: gdkreg config set registry.self_signed false; gdkreg reconfigure",
        )


def _refuse(root: Root, resource: Insecure, seen: Seen) -> None:
    """Raises `GdkregError` for an engine whose list is not ours to edit, or that would not start with it any more."""
    engine, name = root.engine, resource.authority
    if seen.takes(name, resource.address):
        return
    if hint := by_hand(engine, root.host.platform, name):
        raise GdkregError(f"this engine's list of insecure registries is not gdkreg's to edit ({engine.kind})", fix=hint)
    if not engine.answers:
        if resource.podman is None:
            raise GdkregError(
                "no engine answers, so none can be told", why=engine.why, fix="start the engine, then: gdkreg insecure on"
            )
        return
    if seen.config is None:
        return
    if seen.flags:
        raise GdkregError(
            f"the engine was started with --insecure-registry {' '.join(seen.flags)}",
            why=f"with {KEY} in {seen.config} as well it would not start again",
            fix=f"add --insecure-registry {name} where it is started, or move those names into {seen.config}",
        )
    if not seen.reload:
        why = f"no dockerd that can be seen listens at {engine.endpoint.shown}"
        raise GdkregError(
            "the engine's process cannot be found, so it cannot be told to read its file again", why=why, fix="docker info"
        )


def _roll_back(root: Root, settings: Settings) -> None:
    """Nobody is asked again: who agreed to the change did not agree to a half of it."""

    def plan(preview: Preview) -> list[Step]:
        return reconcile.plan([root.inventory(settings).insecure()], preview, present=False)

    Work(root, "insecure on").carry_out(plan, present=False)


def _warnings(root: Root, settings: Settings, *, done: bool) -> list[str]:
    seen = root.insecure_list()[1]
    notes = [_STORE + _TLS] if seen.containerd else []
    if done and seen.answers and not seen.takes(settings.authority, settings.address):
        notes.append(f"! the engine does not take {settings.authority} yet: it reads its files when it is restarted")
    return notes


def off(root: Root, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Take the registry out of the lists again; every file gets back what stood there before, also while the engine is away."""
    settings = root.applied or root.settings

    def plan(preview: Preview) -> list[Step]:
        return reconcile.plan([root.inventory(settings).insecure()], preview, present=False)

    outcome = Work(root, "insecure off", listener).carry_out(plan, dry_run=dry_run, present=False)
    outcome.data |= {"authority": settings.authority, "insecure": False}
    if not dry_run:
        outcome.notes += _left(root, settings, changed=bool(outcome.items))
    return outcome


def _in_file(root: Root, seen: Seen) -> list[str]:
    """The names in the engine's file: it keeps one that is gone, as where it hung while `off` took it out."""
    from gdkreg.resources import json_list

    try:
        text = (root.host.read(seen.config, as_root=seen.as_root) or b"").decode("utf-8-sig", "replace") if seen.config else ""
        return json_list.read(text, KEY) or []
    except (GdkregError, json_list.WrongJsonError):
        return []


def _left(root: Root, settings: Settings, *, changed: bool) -> list[str]:
    """Where the registry is still taken without TLS, and why."""
    engine, seen = root.insecure_list()
    name = settings.authority
    if not engine.answers:
        again = "! the engine does not answer. If it runs, it keeps its list until it is restarted"
        return [again] if changed else []
    if name not in (seen.listed or ()):
        return []
    if changed or (seen.config is not None and name not in (*seen.flags, *_in_file(root, seen))):
        user = " --user" if engine.rootless else ""
        again = f"systemctl{user} restart {'podman' if engine.kind.startswith('podman') else 'docker'}"
        return [f"! the engine takes {name} without TLS until it is restarted: {again}"]
    where = by_hand(engine, root.host.platform, name) or f"take it out of {seen.config or 'its file'}, then restart the engine"
    return [f"! the engine takes {name} without TLS, but not by gdkreg: {where.replace('add', 'remove', 1)}"]
