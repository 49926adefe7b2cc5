"""docker login done right: the password on stdin, and which side failed where it does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from gdkreg.config.settings import Settings
from gdkreg.engines.names import patiently
from gdkreg.errors import GdkregError
from gdkreg.explain import explain
from gdkreg.host.base import Host
from gdkreg.plan.journal import FOLDER
from gdkreg.registry import session as sessions
from gdkreg.resources.first_user import read_first


def credentials(settings: Settings, env: Mapping[str, str]) -> tuple[str, str] | None:
    """A name and password that are known here: the environment's, GitLab's token, or the first user's."""
    if env.get("GDKREG_USER") and env.get("GDKREG_PASSWORD"):
        return env["GDKREG_USER"], env["GDKREG_PASSWORD"]
    if settings.issuer == "gitlab":
        return ("gitlab-token", env["GITLAB_TOKEN"]) if env.get("GITLAB_TOKEN") else None
    first = read_first(settings.root / FOLDER) if not settings.registry.users else None
    return (first.name, first.password) if first else None


def login(settings: Settings, host: Host, client: str, user: str, password: str, config_dir: Path | None) -> str:
    """Log a client in; gives what it said. Raises `GdkregError` with the side that failed."""
    if shutil.which(client) is None:
        raise GdkregError(f"{client} is not installed", fix="gdkreg login --client docker|podman|skopeo")
    _check_password(settings, user, password)
    argv = [client, "login", "--username", user, "--password-stdin", settings.authority]
    if client != "docker" and not settings.registry.self_signed:
        argv[2:2] = ["--tls-verify=false"]  # docker's engine has its own list of those
    if config_dir is not None:
        config_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if client == "docker":
            argv[1:1] = ["--config", str(config_dir)]
        else:
            argv[2:2] = ["--authfile", str(config_dir / "auth.json")]
    done = patiently(lambda: host.run(argv, stdin=password), lambda result: result.err)
    if done.code == 0:
        return done.out.strip().splitlines()[-1] if done.out.strip() else "Login Succeeded"
    said = (done.err or done.out).strip()
    if "credential" in said.lower() and (
        "helper" in said.lower() or "storing" in said.lower() or "executable file not found" in said
    ):
        helper = _helper(settings, host)
        raise GdkregError(
            f"{client}'s credential helper{f' {helper}' if helper else ''} is broken",
            why=said.splitlines()[-1],
            fix=f"gdkreg login --config-dir {settings.root / FOLDER / 'docker'}",
        )
    found = explain(said, settings, host)
    raise GdkregError(
        f"{client} login failed",
        why=found.cause if found else said.splitlines()[-1],
        fix=found.remedy if found else "gdkreg verify",
    )


def _check_password(settings: Settings, user: str, password: str) -> None:
    """Ask the realm first: its answer is plain, a client's is not."""
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
