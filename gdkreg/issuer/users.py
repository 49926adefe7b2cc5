"""Who may do what: bcrypt passwords, path patterns, and the scopes that remain of those asked for."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import bcrypt
import msgspec

from gdkreg.config.schema import User
from gdkreg.registry.scopes import Scope

ROUNDS = 10
_REMEMBERED = 1024
# Looked at for a name that nobody has, so that it takes as long as a wrong password.
_NOBODY = bcrypt.hashpw(b"nobody", bcrypt.gensalt(ROUNDS))


class FirstUser(msgspec.Struct, frozen=True):
    """Made where gdk.yml names no users; kept in `.gdkreg/first_user`, 0600."""

    name: str
    password: str


def new_first_user() -> FirstUser:
    return FirstUser("developer", secrets.token_urlsafe(15))


def hash_password(password: str) -> str:
    """A bcrypt hash in htpasswd's form. Raises `ValueError` for what bcrypt would cut off."""
    if len(password.encode()) > 72:
        raise ValueError("bcrypt takes 72 bytes at most")
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(ROUNDS)).decode()


def everything(first: FirstUser) -> User:
    """The first user as one of gdk.yml's: it may do everything."""
    return User(name=first.name, password=hash_password(first.password), admin=True)


def matches(pattern: str, name: str) -> bool:
    """Whether a repository's path fits: `*` is any text without a slash, `**` any text."""
    parts = re.split(r"(\*\*?)", pattern)
    wild = {"*": "[^/]*", "**": ".*"}
    return re.fullmatch("".join(wild.get(part, re.escape(part)) for part in parts), name) is not None


def grant(user: User, asked: Sequence[Scope]) -> list[Scope]:
    """What remains of the scopes asked for; a scope of which nothing remains is left out."""
    granted = []
    for scope in asked:
        if user.admin:
            granted.append(scope)
        elif scope.type == "repository":
            allowed = _allowed(user, scope.name)
            wanted = allowed if "*" in scope.actions else [action for action in scope.actions if action in allowed]
            if wanted:
                granted.append(Scope(scope.type, scope.name, tuple(wanted)))
    return granted


def _allowed(user: User, name: str) -> list[str]:
    may = {
        "pull": any(matches(pattern, name) for pattern in [*user.pull, *user.push]),
        "push": any(matches(pattern, name) for pattern in user.push),
        "delete": any(matches(pattern, name) for pattern in user.delete),
    }
    return [action for action, allowed in may.items() if allowed]


class Passwords:
    """Checks passwords; a good one is remembered for its user's hash, in memory only and under a key of this process."""

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._good: OrderedDict[bytes, None] = OrderedDict()

    def check(self, user: User | None, password: str) -> bool:
        """Slow for a wrong password, and as slow for a name that nobody has."""
        raw = password.encode()[:72]
        if user is None:
            bcrypt.checkpw(raw, _NOBODY)
            return False
        seal = hmac.digest(self._key, f"{user.name}\0{user.password}\0".encode() + raw, hashlib.sha256)
        if seal in self._good:
            return True
        if len(password.encode()) > 72 or not bcrypt.checkpw(raw, user.password.encode()):
            return False
        self._good[seal] = None
        if len(self._good) > _REMEMBERED:
            self._good.popitem(last=False)
        return True


def read_first(folder: Path) -> FirstUser | None:
    """The first user kept in a `.gdkreg` folder; None where there is none."""
    try:
        return msgspec.json.decode((folder / "first_user").read_bytes(), type=FirstUser)
    except (OSError, msgspec.DecodeError):
        return None
