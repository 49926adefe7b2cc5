"""Where clients keep their logins, and the login that one has for a registry: its own file, then the helper that this names."""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Any

import msgspec

from gdkreg.clients.table import BY_NAME
from gdkreg.errors import GdkregError
from gdkreg.host.base import Host, HostReader

_TOKEN = "<token>"  # what a helper names the user of an identity token


class Login(msgspec.Struct, frozen=True):
    """`where` is the file, or the helper. A login by identity token has no password that anybody could use elsewhere: the
    realm gives tokens for `token`."""

    user: str
    password: str
    where: str
    token: str = ""

    @property
    def usable(self) -> bool:
        return bool(self.user and self.password) and self.user != _TOKEN


def config_file(client: str, host: HostReader, config_dir: Path | None) -> Path:
    """Where a client writes its logins; `config_dir` is a configuration of its own."""
    return _files(client, host, config_dir)[0]


def variable(client: str, config_dir: Path) -> str:
    """NAME=VALUE that makes a client use a configuration of its own."""
    store = BY_NAME[client].store
    if store == "docker":
        return f"DOCKER_CONFIG={config_dir}"
    name = {"containers": "REGISTRY_AUTH_FILE", "helm": "HELM_REGISTRY_CONFIG", "regctl": "REGCTL_CONFIG"}[store]
    return f"{name}={config_dir / _FILES[store]}"


_FILES = {"docker": "config.json", "containers": "auth.json", "helm": "config.json", "regctl": "config.json"}


def _files(client: str, host: HostReader, config_dir: Path | None) -> list[Path]:
    """The files in the order in which the client reads them; the first is the one that it writes."""
    store = BY_NAME[client].store
    if config_dir is not None:
        return [config_dir / _FILES[store]]
    env, home, mac = host.platform.env, host.platform.home, host.platform.system == "darwin"
    docker = Path(env.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    config = Path(env.get("XDG_CONFIG_HOME") or home / ".config")
    if store == "docker":
        return [docker]
    if store == "helm":
        own = home / "Library/Preferences/helm" if mac else config / "helm"
        return [Path(env.get("HELM_REGISTRY_CONFIG") or own / "registry/config.json"), docker]
    if store == "regctl":
        return [Path(env.get("REGCTL_CONFIG") or home / ".regctl/config.json"), docker]
    if env.get("REGISTRY_AUTH_FILE"):
        return [Path(env["REGISTRY_AUTH_FILE"])]
    named = config / "containers/auth.json"
    if mac:
        return [named, docker]
    runtime = env.get("XDG_RUNTIME_DIR")
    own = Path(runtime) / "containers/auth.json" if runtime else Path(f"/run/containers/{host.platform.uid}/auth.json")
    return [own, named, docker]


def stored(client: str, authority: str, host: Host) -> Login | None:
    """The login that a client has for a registry. Raises `GdkregError` where its helper fails."""
    if not BY_NAME[client].store:
        return None
    for file in _files(client, host, None):
        try:
            content = json.loads(host.read(file) or b"{}")
        except (GdkregError, ValueError):
            continue
        found = _of(content, authority, file, host) if isinstance(content, dict) else None
        if found is not None:
            return found
    return None


def _of(content: dict[str, Any], authority: str, file: Path, host: Host) -> Login | None:
    helpers = content.get("credHelpers")
    helper = (helpers.get(authority) if isinstance(helpers, dict) else None) or content.get("credsStore")
    if isinstance(helper, str) and (found := _of_helper(helper, authority, host)) is not None:
        return found
    for key in ("auths", "hosts"):
        entries = content.get(key)
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            if _host_of(str(name)) == authority and isinstance(entry, dict):
                return _entry(entry, str(file))
    return None


def _host_of(key: str) -> str:
    """The registry that a key of `auths` means: HOST:PORT, https://HOST:PORT/v1/, or HOST:PORT/a/group."""
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]


def _entry(entry: dict[str, Any], where: str) -> Login | None:
    if entry.get("identitytoken") or entry.get("registrytoken"):
        return Login(_TOKEN, "", where, str(entry.get("identitytoken") or ""))
    if entry.get("user") and entry.get("pass"):  # regctl's
        return Login(str(entry["user"]), str(entry["pass"]), where)
    try:
        user, _, password = base64.b64decode(str(entry.get("auth") or "")).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    user, password = user or str(entry.get("username") or ""), password or str(entry.get("password") or "")
    return Login(user, password.rstrip("\0"), where) if user else None


def _of_helper(helper: str, authority: str, host: Host) -> Login | None:
    """What docker-credential-HELPER has; the protocol of docker-credential-helpers. None where it has nothing."""
    program = f"docker-credential-{helper}"
    done = host.run([program, "get"], stdin=authority)
    if done.code != 0:
        said = (done.out or done.err).strip()
        if "not found in" in said and done.code not in {126, 127}:
            return None
        fix = f"install {program}, or take it out of the client's configuration"
        raise GdkregError(f"the credential helper {program} is broken", why=said[:200], fix=fix)
    try:
        found = json.loads(done.out)
        user, secret = str(found["Username"]), str(found["Secret"])
        return Login(user, secret, program, secret if user == _TOKEN else "")
    except (ValueError, KeyError, TypeError):
        return None


def names(host: HostReader, file: Path, authority: str) -> bool:
    """Whether a client's file names the registry, with a credential or the helper that has it."""
    try:
        found = json.loads(host.read(file) or b"{}")
        logins = {**(found.get("auths") or {}), **(found.get("hosts") or {}), **(found.get("credHelpers") or {})}
        return authority in logins
    except (GdkregError, ValueError, AttributeError, TypeError):
        return False


def holds_only(host: HostReader, file: Path, authority: str) -> bool:
    """Whether nothing but this registry's login is in a client's file, or nothing any more."""
    try:
        found = json.loads(host.read(file) or b"null")
    except (ValueError, GdkregError):
        return False
    rest = {key: value for key, value in found.items() if value} if isinstance(found, dict) else None
    if rest is None or not set(rest) <= {"auths", "hosts"}:
        return False
    return all(isinstance(logins, dict) and set(logins) <= {authority} for logins in rest.values())
