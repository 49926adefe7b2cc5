"""What the commands share: the root they work on, and telling and asking while a verb is at work."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from gdkreg.errors import FAILED, GdkregError
from gdkreg.host.machine import Machine
from gdkreg.report import out, work

if TYPE_CHECKING:
    from gdkreg.options import Options
    from gdkreg.plan.actions import Step
    from gdkreg.plan.outcome import Item, Outcome
    from gdkreg.registry.images import Images
    from gdkreg.registry.names import Reference
    from gdkreg.verbs.root import Root


def open_root(given: Path | None, options: Options | None = None, *, lenient: bool = False) -> Root:
    from gdkreg.options import Options
    from gdkreg.verbs.root import find

    return find(Path.cwd(), given, Machine(), options or Options(), lenient=lenient)


class Remote(NamedTuple):
    """The registry that a command works on. `root` is empty without a gdk.yml; `option` makes a command ask there again."""

    images: Images
    authority: str
    root: str
    own: bool

    @property
    def option(self) -> str:
        return "" if self.own else f" --registry {self.authority}"

    def parse(self, text: str) -> Reference:
        """A reference, with this registry's name before it or without. Raises `ConfigError`."""
        from gdkreg.registry.names import parse

        return parse(text, authority=self.authority)

    @contextlib.contextmanager
    def suggesting(self, reference: Reference) -> Iterator[None]:
        from gdkreg.verbs import browsing

        with browsing.suggesting(self.images, reference, self.option):
            yield


@contextlib.contextmanager
def remote(root_dir: Path | None, registry: str = "", user: str = "") -> Iterator[Remote]:
    """This root's registry, or the one at HOST[:PORT], for which no gdk.yml is needed. Raises `GdkregError`."""
    from gdkreg.registry.remote import connect

    root, settings = None, None
    try:
        root = open_root(root_dir)
        settings = root.in_force
    except GdkregError:
        if not registry:
            raise
    own = settings is not None and registry in {"", settings.authority}
    if root is not None and not registry:
        root.set_up()
    ask = ask_password()
    with connect(settings, root.host if root is not None else Machine(), registry, user, ask) as images:
        authority = settings.authority if own and settings is not None else registry
        yield Remote(images, authority, str(root.path) if root is not None else "", own)


def own_path(root_dir: Path | None) -> str:
    """The root's folder; empty where there is none, for what needs none."""
    with contextlib.suppress(GdkregError):
        return str(open_root(root_dir).path)
    return ""


def own_authority(root_dir: Path | None) -> str:
    """What this root's registry is called in references; empty where there is none."""
    with contextlib.suppress(GdkregError):
        settings = open_root(root_dir).in_force
        return settings.authority if settings is not None else ""
    return ""


def ask_password() -> Callable[[str], str] | None:
    """What asks for a user's password; None where there is nobody to ask."""
    return _password if sys.stdin.isatty() else None


def _password(user: str) -> str:
    return str(typer.prompt(f"Password of {user}", hide_input=True, err=True))


class Terminal:
    """A `plan.outcome.Listener` that tells a person each step as it is done, and asks; with `quiet` it only asks."""

    current: Terminal | None = None  # the one at work, for Ctrl-C

    def __init__(self, *, yes: bool = False, quiet: bool = False) -> None:
        self._yes, self._quiet = yes, quiet
        self._shown = False
        self._progress: out.PullProgress | None = None
        self.items: list[Item] = []
        self.done: list[Item] = []
        Terminal.current = self

    def waiting(self) -> None:
        out.note("another gdkreg is at work in this root; waiting for it")

    def agree(self, items: Sequence[Item], *, ask: bool) -> bool:
        self.items = list(items)
        if self._yes or not ask or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return True
        for item in items:
            out.line(work.planned(item))
        self._shown = True
        return typer.confirm("Go on?", default=True)

    def publish(self, told: Sequence[str]) -> bool | None:
        if self._yes:
            return True
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            return None
        for row in told:
            out.line(row)
        return typer.confirm("Publish it?", default=False)

    def doing(self, step: Step) -> None:
        out.passing(f"  {work.text_of(step)} …")

    def did(self, item: Item) -> None:
        out.passing("")
        self.done.append(item)
        if self._progress is not None:
            self._progress.close()
            self._progress = None
        if not self._quiet and (not self._shown or item.status != "done" or item.detail):
            try:
                for row in work.done(item):
                    out.line(row)
            except BrokenPipeError as error:  # nobody reads any more, which is no reason to leave the work half done
                out.lose(error)

    def note(self, text: str) -> None:
        out.note(text)

    def progress(self, event: dict[str, Any]) -> None:
        if self._progress is None:
            self._progress = out.PullProgress("the image")
        if not self._quiet:
            self._progress(event)

    def working(self, text: str) -> None:
        out.passing(f"  {text} …")

    def hop(self, client: str, hop: Any) -> None:
        if not self._quiet:
            out.passing("")
            work.show_hop(client, hop)


def told(outcome: Outcome, *, json: bool, nothing: str = "Nothing to do.", done: str = "") -> None:
    """Render an outcome; exits with 1 where something is left. `done` is said instead of the number of changes."""
    if json:
        out.as_json(outcome.as_data())
    else:
        work.show(outcome, nothing=nothing, done=done)
    if outcome.left and not outcome.dry_run:
        raise typer.Exit(FAILED)


def line_of_stdin() -> str:
    """A password as docker login reads one: without the end of the line, a Windows one too."""
    return sys.stdin.readline().rstrip("\r\n")


def interrupted() -> None:
    """What Ctrl-C leaves behind, in words."""
    listener = Terminal.current
    out.passing("")
    out.note("")
    if listener is None or not listener.done:
        out.note("interrupted; nothing was changed")
        return
    out.note(f"interrupted after: {listener.done[-1].text}")
    for item in listener.items[len(listener.done) :]:
        out.note(f"not done: {item.text}")
    out.note("run the same command again to finish, or gdkreg undo to take this run back")
