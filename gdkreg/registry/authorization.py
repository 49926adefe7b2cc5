"""The token dialog in one place: who is asked for a token, and how long each is kept."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import msgspec

from gdkreg.clients.stores import Login
from gdkreg.errors import GdkregError
from gdkreg.registry.answers import AnswerError, told
from gdkreg.registry.challenges import Challenge, challenge_of
from gdkreg.registry.scopes import Scope

if TYPE_CHECKING:
    from gdkreg.registry.tokens import TokenSource

_SHORTEST = 60  # seconds that a token is good for where the realm does not say, of Distribution's token specification
_SPARE = 0.8  # of a token's time, so that none runs out on its way


class Reply(msgspec.Struct, frozen=True):
    """A realm's answer."""

    status: int
    body: bytes


# Method, address, headers and body to the realm's answer.
Ask = Callable[[str, str, Mapping[str, str], bytes | None], Reply]


class _Kept(msgspec.Struct, frozen=True):
    header: str
    until: float


class Dialog:
    """How requests to one registry are allowed. `mint` signs tokens here, for `seconds` each; without it the realm of the
    registry's challenge is asked, as `login`, or as nobody; `remedy` is what helps where it wants a login. Safe for threads."""

    def __init__(
        self,
        ask: Ask,
        *,
        mint: TokenSource | None = None,
        seconds: int = 300,
        login: Login | None = None,
        remedy: str = "",
    ) -> None:
        self._ask, self._mint, self._seconds, self._login, self._remedy = ask, mint, seconds, login, remedy
        self._kept: dict[frozenset[str], _Kept] = {}
        self._turns: dict[frozenset[str], threading.Lock] = {}
        self._lock = threading.Lock()
        self._challenge: Challenge | None = None
        self._basic = ""

    def header(self, scopes: Sequence[Scope]) -> str:
        """What `Authorization` says; empty where nothing has to be said, or nothing is known yet. Raises `GdkregError`."""
        if self._basic:
            return self._basic
        if self._mint is None and self._challenge is None:
            return ""
        key = _key(scopes)
        found = self._kept.get(key)
        if found is not None and found.until > time.monotonic():
            return found.header
        with self._lock:
            turn = self._turns.setdefault(key, threading.Lock())
        with turn:  # so that eight requests for one repository ask for one token
            found = self._kept.get(key)
            if found is None or found.until <= time.monotonic():
                found = self._kept[key] = self._token(scopes)
        return found.header

    def cover(self, scopes: Sequence[Scope]) -> None:
        """Sign one token for all of these requests to come: a signature each would take longer than the requests."""
        if self._mint is not None:
            made = self._token(scopes)
            self._kept |= {_key([scope]): made for scope in scopes}

    def answered(self, challenge: str, scopes: Sequence[Scope], sent: str) -> str:
        """What to say after a 401: empty where that was all that can be said. `sent` is what was refused."""
        key = _key(scopes)
        with self._lock:
            if key in self._kept and self._kept[key].header == sent:
                del self._kept[key]
        if challenge.lower().startswith("basic"):
            if not sent and self._login is not None and self._login.usable:
                self._basic = _basic(self._login)
            return self._basic if self._basic != sent else ""
        found = challenge_of(challenge)
        if found is None or (sent and found.error == "insufficient_scope"):
            return ""
        if self._mint is None:
            self._challenge = found
        return self.header(scopes)

    def _token(self, scopes: Sequence[Scope]) -> _Kept:
        if self._mint is not None:
            return _Kept(f"Bearer {self._mint(list(scopes))}", time.monotonic() + self._seconds * _SPARE)
        assert self._challenge is not None
        return self._of_realm(self._challenge, scopes)

    def _of_realm(self, challenge: Challenge, scopes: Sequence[Scope]) -> _Kept:
        login = self._login
        wanted = [("service", challenge.service), *(("scope", str(scope)) for scope in scopes)]
        if login is not None and login.token:
            form = [*wanted[:1], ("scope", " ".join(str(scope) for scope in scopes)), ("client_id", "gdkreg")]
            form += [("grant_type", "refresh_token"), ("refresh_token", login.token)]
            _refuse_plain(challenge.realm)
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            reply = self._ask("POST", challenge.realm, headers, urlencode(form).encode())
        else:
            headers = {}
            if login is not None and login.usable:
                _refuse_plain(challenge.realm)
                headers["Authorization"] = _basic(login)
                wanted.append(("account", login.user))
            mark = "&" if "?" in challenge.realm else "?"
            reply = self._ask("GET", f"{challenge.realm}{mark}{urlencode(wanted)}", headers, None)
        return _read(reply, challenge.realm, login, self._remedy)


def _key(scopes: Sequence[Scope]) -> frozenset[str]:
    return frozenset(str(scope) for scope in scopes)


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()


def _refuse_plain(realm: str) -> None:
    """A registry of a stranger must not learn a password by naming a realm without TLS."""
    place = urlsplit(realm)
    if place.scheme != "https" and not is_loopback(place.hostname or ""):
        raise GdkregError(f"the realm {realm} is plain HTTP", why="anybody on the way could read the password there")


def is_loopback(name: str) -> bool:
    """Whether a name or address is this machine's own, which docker takes without TLS too."""
    return name in {"localhost", "::1"} or name.startswith("127.")


def _read(reply: Reply, realm: str, login: Login | None, remedy: str) -> _Kept:
    if reply.status != 200:
        code, said = told(reply.body)
        refused = reply.status in {400, 401, 403}
        what = f"the realm {realm} answered {reply.status} to {login.user if login else 'nobody'}"
        fix = ("check the name and the password" if login else remedy) if refused else ""
        raise AnswerError(what, reply.status, code, why=said, fix=fix)
    try:
        body = json.loads(reply.body)
        token, seconds = body.get("token") or body.get("access_token"), body.get("expires_in") or _SHORTEST
        return _Kept(f"Bearer {token + ''}", time.monotonic() + max(float(seconds), _SHORTEST) * _SPARE)
    except (ValueError, AttributeError, TypeError):
        raise GdkregError(f"the realm {realm} gave no token", why="its answer is not that of a realm") from None
