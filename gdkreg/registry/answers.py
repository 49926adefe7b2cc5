"""What a registry refuses, in its own words, with what helps here."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.masking.text import visible
from gdkreg.registry.scopes import Scope


class Hints(msgspec.Struct, frozen=True):
    """What helps with one registry: where it does not answer, is not trusted, refuses the user, or takes no changes.

    In `grant`, OPTIONS stands for those of `gdkreg user add` that give what was refused.
    """

    start: str
    trust: str
    grant: str
    writes: str = ""
    realm: str = ""  # where that does not answer
    user: str = ""  # who asks, where that is known


class AnswerError(GdkregError):
    """The registry answered, with an error. `status` is of HTTP, `code` the first of its own, e.g. NAME_UNKNOWN; empty where
    it told none."""

    def __init__(self, what: str, status: int, code: str = "", *, why: str = "", fix: str = "") -> None:
        super().__init__(what, why=why, fix=fix)
        self.status, self.code = status, code


def told(body: bytes) -> tuple[str, str]:
    """The first error code, and all that the body says, for a person; a page of a proxy says nothing."""
    try:
        errors = [item for item in json.loads(body)["errors"] if isinstance(item, dict)]
    except (ValueError, LookupError, TypeError, RecursionError):
        return "", "" if b"<" in body[:100] else visible(body[:200].decode("utf-8", "replace").strip())
    words = [": ".join(str(item[key]) for key in ("code", "message") if item.get(key)) for item in errors]
    code = errors[0].get("code") if errors else ""
    return visible(str(code or "")), visible("; ".join(words)[:500])


def refusal(method: str, path: str, status: int, body: bytes, scopes: Sequence[Scope], hints: Hints) -> AnswerError:
    """The error for an answer of 400 and above."""
    code, said = told(body)
    if status in {401, 403}:
        who = hints.user or "nobody"
        wanted = " and ".join(_wish(scope) for scope in scopes) or f"{method} {path}"
        what = f"the registry refuses {who}: {wanted} is not granted" if hints.user else f"the registry wants a login: {wanted}"
        return AnswerError(what, status, code, why=said, fix=hints.grant.replace("OPTIONS", _options(scopes)))
    if status == 405 and method in {"POST", "PUT", "PATCH", "DELETE"}:
        what = f"the registry takes no {'deletion' if method == 'DELETE' else 'push'} now: it answered 405"
        return AnswerError(what, status, code, why=said, fix=hints.writes)
    fix = "gdkreg tail registry --no-follow" if status >= 500 and hints.writes else ""
    return AnswerError(f"{method} {visible(path)} answered {status}", status, code, why=said, fix=fix)


def _wish(scope: Scope) -> str:
    if scope.type == "registry":
        return "listing the whole registry (registry:catalog:*)"
    return f"{', '.join(scope.actions)} of {scope.name}"


def _options(scopes: Sequence[Scope]) -> str:
    named = [f"--{action} {scope.name}" for scope in scopes if scope.type == "repository" for action in scope.actions]
    return " ".join(named if len(named) == sum(len(scope.actions) for scope in scopes) else [*named, "--admin"])
