"""run registry: the services in the foreground, for a supervisor or a terminal. What it started ends with it."""

from __future__ import annotations

import time
from collections.abc import Callable

from gdkreg.errors import GdkregError
from gdkreg.host.signals import uninterrupted
from gdkreg.plan.actions import Control
from gdkreg.plan.outcome import Listener, Silent
from gdkreg.services import foreground
from gdkreg.services.services import NAMES, Services
from gdkreg.services.tracing import refuse_while_traced
from gdkreg.verbs import machine, running
from gdkreg.verbs.root import Root

_LONGEST = 30.0  # seconds between two looks for an engine that is away
_GRACE = 2.0  # seconds in which what ended may be somebody's restart that has not taken the lock yet

Opened = Callable[[], Root]
Say = Callable[[str], None]


class _BusyError(GdkregError):
    """Another gdkreg is at work in this root."""


class _Unwaiting(Silent):
    """A stop does not wait: who holds the lock may be waiting for this very stop."""

    def waiting(self) -> None:
        raise _BusyError("another gdkreg is at work")


def run(opened: Opened, say: Say, listener: Listener) -> None:
    """Heal, start, follow the registry's log; returns once it was stopped. `opened` opens the root anew, for what is known of
    an engine does not change by itself.

    Raises `GdkregError` where it cannot be started, or has ended by itself; `KeyboardInterrupt` as it comes, with all stopped.
    """
    root = _foreground(opened)
    root.set_up()
    foreground.begin(root.path, root.host)
    try:
        _heal(root, say, listener)
        _serve(opened, say, listener)
    finally:
        with uninterrupted():
            finish(opened, say)


def finish(opened: Opened, say: Say) -> None:
    """Stop what runs, and say what cannot be stopped: also what a killed `run` left."""
    try:
        root = _foreground(opened)
        if foreground.found(root.path, root.host) in {None, _me()}:
            _stop(root, say)
            foreground.end(root.path, root.host)
    except GdkregError as error:
        say(_told(error))


def _me() -> object:
    from gdkreg.host import processes

    return processes.me()


def _foreground(opened: Opened) -> Root:
    root = opened()
    root.in_foreground = True
    return root


def _told(error: GdkregError) -> str:
    return "gdkreg: " + ": ".join(part for part in (error.what, error.why) if part) + (f" → {error.fix}" if error.fix else "")


def _heal(root: Root, say: Say, listener: Listener) -> None:
    """What GDK wrote over, or gdk.yml says by now. What cannot be put right now keeps nobody from what runs without it."""
    if not root.enabled:
        return
    try:
        outcome = machine.reconfigure(root, listener)
    except GdkregError as error:
        say(_told(error))
        return
    if outcome.changes:
        names = ", ".join(dict.fromkeys(item.step.resource for item in outcome.items if item.status == "done"))
        say(f"gdkreg: put right first: {names}")


def _serve(opened: Opened, say: Say, listener: Listener) -> None:
    while True:
        since = time.time()
        root = _started(opened, say, listener)
        if root is None or _followed(root, opened, say, since):
            return


def _started(opened: Opened, say: Say, listener: Listener) -> Root | None:
    """Start it, again and again while its engine is away; None where gdk.yml does not want it any more."""
    pause, said = 1.0, False
    while True:
        root = _foreground(opened)
        away = _engine_away(root) if root.enabled else "registry.enabled is false in gdk.yml"
        if not away:
            running.start(root, None, listener)
            say(f"gdkreg: {root.settings.authority} {'is back' if said else 'runs'}")
            return root
        if not said:
            say(f"gdkreg: waiting: {away}")
        said = True
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST)


def _engine_away(root: Root) -> str:
    """Why the engine that the registry needs, or ran on, cannot be asked. Another runtime is not taken behind a user's back."""
    services = _services(root)
    needed = root.set_up().registry.runtime == "docker" or services.registry.recorded()[:1] == ["docker"]
    return root.engine.why or "no engine answers" if needed and not root.engine.answers else ""


def _services(root: Root) -> Services:
    return root.services(root.set_up())


def _followed(root: Root, opened: Opened, say: Say, since: float) -> bool:
    """Follow the log. True where it was stopped on purpose, False where its engine went away.

    Raises `GdkregError` where it ended by itself.
    """
    while True:
        for line in _services(root).registry.attend(since):
            say(line)
        since = time.time()
        root = _after_others(opened)
        if root.applied is None or _services(root).meant("registry") == "stopped":
            say("gdkreg: stopped by another gdkreg")
            return True
        if _engine_away(root):
            return False
        if not _services(root).runs("registry"):
            state = _services(root).registry.state()
            raise GdkregError("the registry has ended", why=state.detail, fix="gdkreg tail registry --no-follow")


def _after_others(opened: Opened) -> Root:
    """The root once nobody else is at work in it: a restart, a collection and a trace replace what runs."""
    deadline = time.monotonic() + _GRACE
    while True:
        root = _foreground(opened)
        with root.host.lock(root.path, lambda: None):
            root.read_again()
        try:
            refuse_while_traced(root.path, root.host)
            settled = root.applied is None or _services(root).runs("registry") or time.monotonic() > deadline
        except GdkregError:
            settled = bool(_engine_away(root))
        if settled:
            return root
        time.sleep(0.2)


def _stop(root: Root, say: Say) -> None:
    try:
        running.stop(root, None, _Unwaiting())
        return
    except _BusyError:
        pass  # whoever is at work writes down that it stopped
    except GdkregError as error:
        say(_told(error))
    services = root.services(root.applied or root.settings)
    for name in reversed(NAMES):
        try:
            if services.runs(name):
                stopping = Control(service=name, verb="stop", reason="asked for", before="running", after="stopped")
                services.perform(stopping, root.host, lambda _: None)
        except GdkregError as error:
            say(_told(error))
