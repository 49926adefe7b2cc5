"""Who may do what: bcrypt passwords, path patterns, and the scopes that remain of those asked for."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections import OrderedDict
from collections.abc import Sequence

import bcrypt

from gdkreg.config.schema import User
from gdkreg.registry.scopes import Scope
from gdkreg.resources.first_user import FirstUser

ROUNDS = 10
_REMEMBERED = 1024


def hash_password(password: str) -> str:
    """A bcrypt hash in htpasswd's form. Raises `ValueError` for what bcrypt would cut off."""
    if len(password.encode()) > 72:
        raise ValueError("bcrypt takes 72 bytes at most")
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(ROUNDS)).decode()


def everything(first: FirstUser) -> User:
    """The first user as one of gdk.yml's: it may do everything."""
    return User(name=first.name, password=hash_password(first.password), admin=True)


def matches(pattern: str, name: str) -> bool:
    """Whether a repository's path fits: `*` is any text without a slash, `**` any text.

    All places in the pattern that the name's beginning may have led to are followed at once, so that no pattern is slow.
    """
    parts = re.findall(r"\*\*|.", pattern, re.DOTALL)
    places = _skip_stars({0}, parts)
    for letter in name:
        reached = {at + 1 for at in places if at < len(parts) and parts[at] == letter}
        stayed = {at for at in places if at < len(parts) and (parts[at] == "**" or (parts[at] == "*" and letter != "/"))}
        places = _skip_stars(reached | stayed, parts)
    return len(parts) in places


def _skip_stars(places: set[int], parts: list[str]) -> set[int]:
    """With the places behind stars, for a star may stand for nothing."""
    found = set(places)
    for at in places:
        while at < len(parts) and parts[at] in {"*", "**"}:
            at += 1
            found.add(at)
    return found


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


def cost_of(user: User) -> int:
    """The cost in a bcrypt hash, e.g. 10 in $2y$10$…: it takes 2 ** cost rounds."""
    return int(user.password.split("$")[2])


class Passwords:
    """Checks passwords; a good one is remembered for its user's hash, in memory only and under a key of this process."""

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._good: OrderedDict[bytes, None] = OrderedDict()

    def _seal(self, user: User, password: str) -> bytes:
        return hmac.digest(self._key, f"{user.name}\0{user.password}\0{password}".encode(), hashlib.sha256)

    def remembers(self, user: User | None, password: str) -> bool:
        """Whether this was checked before and was good; quick."""
        return user is not None and self._seal(user, password) in self._good

    def check(self, user: User | None, password: str, cost: int = ROUNDS) -> bool:
        """Slow. `cost` is the highest of all users: what is refused takes as long for every name, also one that nobody has."""
        raw = password.encode()[:72]  # all that bcrypt looks at, and more is refused
        begin = cost
        if user is not None:
            begin = cost_of(user)
            if bcrypt.checkpw(raw, user.password.encode()) and len(password.encode()) <= 72:
                self._good[self._seal(user, password)] = None
                if len(self._good) > _REMEMBERED:
                    self._good.popitem(last=False)
                return True
        else:
            bcrypt.hashpw(raw, bcrypt.gensalt(cost))
        for missing in range(begin, cost):  # 2^n + 2^n + 2^(n+1) + … up to the highest
            bcrypt.hashpw(raw, bcrypt.gensalt(missing))
        return False
