"""Scopes of Distribution's token specification: `repository:group/project:pull,push`, `registry:catalog:*`."""

from __future__ import annotations

import re

import msgspec

from gdkreg.errors import ConfigError
from gdkreg.registry.names import COMPONENT, LONGEST

GRAMMAR = "repository:PATH:ACTIONS or registry:catalog:*, with ACTIONS of pull, push, delete or * joined by commas"
# The name may begin with a host and port, as docker login's own scopes do.
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_NAME = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*:[0-9]+/)?{COMPONENT}(?:/{COMPONENT})*")
ACTIONS = ("pull", "push", "delete", "*")


class Scope(msgspec.Struct, frozen=True):
    """One resource and what may be done with it; the same shape as an entry of a token's `access`."""

    type: str
    name: str
    actions: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.type}:{self.name}:{','.join(self.actions)}"


def parse(text: str) -> Scope:
    """Raises `ConfigError` with the grammar where it is no scope."""
    kind, _, rest = text.partition(":")
    name, _, listed = rest.rpartition(":")
    actions = tuple(dict.fromkeys(listed.split(",")))
    if kind == "registry" and name == "catalog" and actions == ("*",):
        return Scope(kind, name, actions)
    good = kind == "repository" and len(name) <= LONGEST and _NAME.fullmatch(name) and all(item in ACTIONS for item in actions)
    if not good:
        raise ConfigError(
            f"{text[:120]!r} is not a scope", why=f"a scope is {GRAMMAR}", fix="gdkreg token 'repository:group/project:pull,push'"
        )
    return Scope(kind, name, actions)


def covers(granted: list[Scope], wanted: Scope) -> bool:
    """Whether the grants hold every action that is wanted."""
    have = {action for item in granted if (item.type, item.name) == (wanted.type, wanted.name) for action in item.actions}
    return "*" in have or set(wanted.actions) <= have
