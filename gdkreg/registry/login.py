"""docker login done right: the password on stdin, and which side failed where it does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from gdkreg.config.settings import Settings
from gdkreg.errors import GdkregError
from gdkreg.host.base import Completed, Host, HostReader
from gdkreg.plan.state import FOLDER
from gdkreg.resources.first_user import read_first

CLIENTS = ("docker", "podman", "skopeo")


def credentials(settings: Settings, host: HostReader) -> tuple[str, str] | None:
    """A name and password that are known here: the environment's, GitLab's token, or the first user's."""
    env = host.platform.env
    if env.get("GDKREG_USER") and env.get("GDKREG_PASSWORD"):
        return env["GDKREG_USER"], env["GDKREG_PASSWORD"]
    if settings.issuer == "gitlab":
        return ("gitlab-token", env["GITLAB_TOKEN"]) if env.get("GITLAB_TOKEN") else None
    first = read_first(settings.root, host) if not settings.registry.users else None
    return (first.name, first.password) if first else None


def login(settings: Settings, host: Host, client: str, user: str, password: str, config_dir: Path | None) -> str:
    """Log a client in; gives what it said. Raises `GdkregError` with the side that failed."""
    from gdkreg.engines.names import patiently
    from gdkreg.explain import explain

    if shutil.which(client) is None:
        raise GdkregError(f"{client} is not installed", fix="gdkreg login --client docker|podman|skopeo")
    _check_password(settings, user, password)
    argv = [client, "login", "--username", user, "--password-stdin", settings.authority]
    if client != "docker" and not settings.registry.self_signed:
        argv[2:2] = ["--tls-verify=false"]  # docker's engine has its own list of those
    if config_dir is not None:
        for folder in [*reversed(config_dir.absolute().parents), config_dir.absolute()]:
            if host.info(folder) is None:
                host.make_folder(folder, mode=0o700)
    argv = _with_config(argv, client, config_dir)
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


def logout(host: Host, client: str, authority: str, config_dir: Path | None) -> str:
    """Log a client out; one that is not logged in is fine. Raises `GdkregError`."""
    done: Completed = host.run(_with_config([client, "logout", authority], client, config_dir))
    said = (done.err or done.out).strip()
    if done.code != 0 and "not logged in" not in said.lower():
        raise GdkregError(f"{client} logout failed", why=said.splitlines()[-1] if said else f"exit code {done.code}")
    return ""


def _with_config(argv: list[str], client: str, config_dir: Path | None) -> list[str]:
    if config_dir is None:
        return argv
    if client == "docker":
        return [argv[0], "--config", str(config_dir), *argv[1:]]
    return [*argv[:2], "--authfile", str(config_dir / "auth.json"), *argv[2:]]


def config_file(client: str, host: HostReader, config_dir: Path | None) -> Path:
    """Where a client keeps its logins."""
    env, home = host.platform.env, host.platform.home
    if client == "docker":
        return (config_dir or Path(env.get("DOCKER_CONFIG") or home / ".docker")) / "config.json"
    if config_dir is not None:
        return config_dir / "auth.json"
    named = env.get("REGISTRY_AUTH_FILE")
    runtime = env.get("XDG_RUNTIME_DIR")
    if host.platform.system == "darwin":
        return Path(named or home / ".config/containers/auth.json")
    folder = Path(runtime) if runtime else Path(f"/run/containers/{host.platform.uid}")
    return Path(named) if named else (folder / "containers/auth.json" if runtime else folder / "auth.json")


def holds_only(host: HostReader, file: Path, authority: str) -> bool:
    """Whether nothing but this registry's login is in a client's file, or nothing any more."""
    try:
        found = json.loads(host.read(file) or b"null")
    except (ValueError, GdkregError):
        return False
    rest = {key: value for key, value in found.items() if value} if isinstance(found, dict) else None
    return rest is not None and set(rest) <= {"auths"} and set(rest.get("auths", {})) <= {authority}


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
