"""docker login done right: the password on stdin, and which side failed where it does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from gdkreg.clients import stores
from gdkreg.clients.table import BY_NAME, LOG_IN
from gdkreg.config.effective import Settings
from gdkreg.errors import GdkregError
from gdkreg.host.base import Completed, Host, HostReader
from gdkreg.plan.state import FOLDER
from gdkreg.resources.first_user import read_first


def credentials(settings: Settings, host: HostReader) -> tuple[str, str] | None:
    """A name and password that are known here: the environment's, GitLab's token, or the first user's."""
    env = host.platform.env
    if env.get("GDKREG_USER") and env.get("GDKREG_PASSWORD"):
        return env["GDKREG_USER"], env["GDKREG_PASSWORD"]
    if settings.issuer == "gitlab":
        return ("gitlab-token", env["GITLAB_TOKEN"]) if env.get("GITLAB_TOKEN") else None
    first = read_first(settings.root, host) if not settings.registry.users else None
    return (first.name, first.password) if first else None


def login(
    settings: Settings, host: Host, client: str, user: str, password: str, config_dir: Path | None, docker_host: str = ""
) -> str:
    """Log a client in; gives what it said. Raises `GdkregError` with the side that failed. `docker_host`: the engine that
    `docker` has to be told of, since it is the engine that logs in."""
    from gdkreg.engines.names import patiently

    if shutil.which(client, path=host.platform.env.get("PATH")) is None:
        raise GdkregError(f"{client} is not installed", fix=f"gdkreg login --client {'|'.join(LOG_IN)}")
    _check_password(settings, user, password)
    argv = _argv(client, settings, user, config_dir, *([f"DOCKER_HOST={docker_host}"] if docker_host else []))
    if config_dir is not None:
        for folder in [*reversed(config_dir.absolute().parents), config_dir.absolute()]:
            if host.info(folder) is None:
                host.make_folder(folder, mode=0o700)
    done = patiently(lambda: host.run(argv, stdin=password), lambda result: result.err)
    if done.code == 0:
        return done.out.strip().splitlines()[-1] if done.out.strip() else "Login Succeeded"
    raise _failed(settings, host, client, (done.err or done.out).strip())


def _failed(settings: Settings, host: Host, client: str, said: str) -> GdkregError:
    """Which side it was."""
    from gdkreg.explain import explain

    if "credential" in said.lower() and (
        "helper" in said.lower() or "storing" in said.lower() or "executable file not found" in said
    ):
        helper = _helper(settings, host)
        return GdkregError(
            f"{client}'s credential helper{f' {helper}' if helper else ''} is broken",
            why=said.splitlines()[-1],
            fix=f"gdkreg login --config-dir {settings.root / FOLDER / 'docker'}",
        )
    found = explain(said, settings, host)
    return GdkregError(
        f"{client} login failed",
        why=found.cause if found else said[-300:].splitlines()[-1] if said else "it said nothing",
        fix=found.remedy if found else "gdkreg verify",
    )


def logout(host: Host, client: str, authority: str, config_dir: Path | None) -> str:
    """Log a client out; one that is not logged in is fine. Raises `GdkregError`."""
    words = [word.format(authority=authority) for word in BY_NAME[client].logout.split()]
    done: Completed = host.run([*_environment(client, config_dir), *words])
    said = (done.err or done.out).strip()
    if done.code != 0 and "not logged in" not in said.lower():
        raise GdkregError(f"{client} logout failed", why=said.splitlines()[-1] if said else f"exit code {done.code}")
    return ""


def _argv(client: str, settings: Settings, user: str, config_dir: Path | None, *more: str) -> list[str]:
    row = BY_NAME[client]
    words = [word.format(authority=settings.authority, user=user) for word in row.login.split()]
    if not settings.registry.self_signed and row.plain:  # docker's engine has its own list of those
        words.append(row.plain)
    trust = [f"{row.variable}={settings.root / 'registry_host.crt'}"] if row.variable and settings.registry.self_signed else []
    return [*_environment(client, config_dir, *trust, *more), *words]


def _environment(client: str, config_dir: Path | None, *more: str) -> list[str]:
    own = [stores.variable(client, config_dir.absolute())] if config_dir is not None else []
    return ["env", *own, *more] if own or more else []


def _check_password(settings: Settings, user: str, password: str) -> None:
    """Ask the realm first: its answer is plain, a client's is not."""
    from gdkreg.registry import session as sessions

    try:
        sessions.realm_of(settings).tokens(user, password)([])
    except sessions.RefusedError as error:
        if error.status == 401:
            raise GdkregError("wrong name or password", why=f"{settings.realm} answered 401", fix="gdkreg user list") from None
        raise


def _helper(settings: Settings, host: Host) -> str:
    """The credential helper that Docker takes for this registry, of config.json."""
    folder = Path(host.platform.env.get("DOCKER_CONFIG") or host.platform.home / ".docker")
    try:
        config = json.loads(host.read(folder / "config.json") or b"{}")
        return str(config.get("credHelpers", {}).get(settings.authority) or config.get("credsStore", ""))
    except (ValueError, AttributeError):
        return ""
