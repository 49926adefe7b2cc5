"""A scope as curl commands that ask for just what it grants, and change nothing."""

from __future__ import annotations

import shlex

from gdkreg.config.effective import Settings
from gdkreg.registry.scopes import Scope
from gdkreg.registry.tokens import TokenSource

_NO_DIGEST = "sha256:" + "0" * 64  # of nothing: 404 where deleting is granted, 401 where it is not


def commands(settings: Settings, scopes: list[Scope], token: str, source: TokenSource) -> list[str]:
    """A line of a shell for each scope, by the most that it grants; without a scope, one that asks for /v2/ alone.

    `source` gives the token that cancels an upload: Distribution wants `delete` for that.
    """
    base = f"{settings.scheme}://{settings.near_host}:{settings.registry.port}"
    trust = ["--cacert", str(settings.root / "registry_host.crt")] if settings.registry.self_signed else []
    if not scopes:
        return [shlex.join(["curl", *trust, *_bearer(token), f"{base}/v2/"])]
    return [_of(scope, trust, base, token, source) for scope in scopes]


def _bearer(token: str) -> list[str]:
    return ["-H", f"Authorization: Bearer {token}"]


def _of(scope: Scope, trust: list[str], base: str, token: str, source: TokenSource) -> str:
    argv = [*trust, *_bearer(token)]
    if scope.type == "registry":
        return shlex.join(["curl", *argv, f"{base}/v2/_catalog"])
    name = scope.name.partition("/")[2] if ":" in scope.name else scope.name
    repository = f"{base}/v2/{name}"
    if {"push", "*"} & set(scope.actions):
        ends = token if {"delete", "*"} & set(scope.actions) else source([Scope(scope.type, scope.name, ("delete",))])
        return _upload(argv, [*trust, *_bearer(ends)], f"{repository}/blobs/uploads/")
    if "delete" in scope.actions:
        return shlex.join(["curl", "-i", *argv, "-X", "DELETE", f"{repository}/manifests/{_NO_DIGEST}"])
    return shlex.join(["curl", *argv, f"{repository}/tags/list"])


def _upload(argv: list[str], ends: list[str], place: str) -> str:
    """An upload that is begun and, at the place that the answer names, cancelled."""
    begin = shlex.join(["curl", "-sSi", *argv, "-X", "POST", place])
    cancel = shlex.join(["curl", "-sSi", *ends, "-X", "DELETE"])
    location = "tr -d '\\r' | sed -n 's/^[Ll]ocation: //p'"
    return f'answer=$({begin}) && printf "%s\\n" "$answer" && {cancel} "$(printf "%s\\n" "$answer" | {location})"'
