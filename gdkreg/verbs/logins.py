"""login, logout: a client's login, kept in mind so that `down` takes it back."""

from __future__ import annotations

import shutil
from pathlib import Path

from gdkreg.clients import stores
from gdkreg.clients.table import LOG_IN
from gdkreg.errors import ConfigError, GdkregError
from gdkreg.plan.actions import Control, Step
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.plan.preview import Preview
from gdkreg.registry import login as clients
from gdkreg.verbs.root import Root
from gdkreg.verbs.work import SILENT, Work


def login(
    root: Root,
    client: str,
    user: str,
    password: str,
    config_dir: Path | None = None,
    listener: Listener = SILENT,
    *,
    dry_run: bool = False,
) -> Outcome:
    """Log a container client in; what fails is named. Without authentication there is nothing to do."""
    root.set_up()
    settings = root.in_force
    assert settings is not None
    name = _name(client, settings.authority, config_dir)
    file = stores.config_file(client, root.host, config_dir)
    before = "in" if is_logged_in(root, client, config_dir) else ""
    after = "in" if root.host.info(file) is not None else "made"
    if (earlier := root.journal.facts("login").get(name)) is not None:  # ours already, as it was made then
        before, after = "", earlier.after

    def plan(preview: Preview) -> list[Step]:  # noqa: ARG001
        if not settings.registry.auth_enabled:
            return []
        reason = f"{settings.authority} as {user}"
        return [Step("login", Control(service=name, verb="login", reason=reason, before=before, after=before or after))]

    work = Work(root, "login", listener)
    engine = root.engine.docker_host if client == "docker" else ""
    work.controls["login"] = lambda _: clients.login(settings, root.host, client, user, password, config_dir, engine)
    outcome = work.carry_out(plan, dry_run=dry_run)
    outcome.data |= {"client": client, "user": user, "authority": settings.authority}
    return outcome


def _name(client: str, authority: str, config_dir: Path | None) -> str:
    return " ".join([client, authority, *([str(config_dir.absolute())] if config_dir else [])])


def is_logged_in(root: Root, client: str, config_dir: Path | None = None) -> bool:
    """Whether the client's own file names the registry, with a credential or the helper that has it."""
    authority = (root.applied or root.settings).authority
    return stores.names(root.host, stores.config_file(client, root.host, config_dir), authority)


def logout(root: Root, client: str | None = None, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Log out the clients that `login` logged in, or one."""

    def plan(preview: Preview) -> list[Step]:  # noqa: ARG001
        steps = logouts(root)
        if client is None:
            return steps
        own = [step for step in steps if isinstance(step.action, Control) and step.action.service.split(" ")[0] == client]
        if own or not is_logged_in(root, client):
            return own
        name = _name(client, (root.applied or root.settings).authority, None)
        return [Step("login", Control(service=name, verb="logout", reason="asked for", before="in", after=""))]

    work = Work(root, "logout", listener)
    work.controls["logout"] = lambda control: log_out(root, control)
    return work.carry_out(plan, dry_run=dry_run)


def logouts(root: Root) -> list[Step]:
    """The logouts of all that `login` logged in."""
    steps = []
    for target, entry in root.journal.facts("login").items():
        if entry.after:
            client, authority, *rest = target.split(" ", 2)
            file = stores.config_file(client, root.host, Path(rest[0]) if rest else None)
            removes = file if entry.after == "made" and stores.holds_only(root.host, file, authority) else None
            reason = "gdkreg login logged it in"
            control = Control(service=target, verb="logout", reason=reason, before=entry.after, removes=removes)
            steps.append(Step("login", control))
    return steps


def log_out(root: Root, control: Control) -> str:
    """Take a client's login back; a file that the login made goes where nothing else is in it. Raises `GdkregError`."""
    client, authority, *rest = control.service.split(" ", 2)
    if client not in LOG_IN:
        raise ConfigError(f"{client!r} is no client that gdkreg logs in")
    config_dir = Path(rest[0]) if rest else None
    file = stores.config_file(client, root.host, config_dir)
    if not stores.names(root.host, file, authority):
        return "it was logged out already"
    if shutil.which(client, path=root.host.platform.env.get("PATH")) is None:
        raise GdkregError(f"{client} is not installed", why="only it can log itself out", fix=f"take {authority} out of {file}")
    said = clients.logout(root.host, client, authority, config_dir)
    if control.before == "made" and stores.holds_only(root.host, file, authority):
        root.host.remove(file)
    return said
