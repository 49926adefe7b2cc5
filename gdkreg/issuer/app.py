"""GET /jwt/auth as GitLab answers it, on Starlette. Nothing here logs a password or a token."""

from __future__ import annotations

import base64
import binascii
import datetime
from collections.abc import Callable

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gdkreg.config.schema import User
from gdkreg.errors import ConfigError, GdkregError
from gdkreg.issuer.turns import CrowdedError, Turns
from gdkreg.issuer.users import ROUNDS, Passwords, cost_of, grant
from gdkreg.registry.scopes import Scope, parse
from gdkreg.registry.tokens import SERVICE, Signer, mint

LIFETIME = 300  # seconds, as GitLab's
_MOST_SCOPES = 100
_LONGEST_QUERY = 8192


class Issuer(msgspec.Struct, frozen=True):
    """What the issuer works with; asked for at each request, so that an edited gdk.yml counts at once."""

    users: dict[str, User]
    signer: Signer


def refusal(status: int, code: str, message: str) -> JSONResponse:
    """GitLab's form of an error."""
    headers = {"WWW-Authenticate": 'Basic realm="gdkreg"'} if status == 401 else {}
    return JSONResponse({"errors": [{"code": code, "message": message}]}, status, headers)


def build(current: Callable[[], Issuer]) -> Starlette:
    """The application. A password that is not known is checked in a thread; two at a time, so that a flood cannot take the
    machine, and the names in turn. Who has gone away by then costs nothing."""
    passwords = Passwords()
    turns = Turns(2)

    async def is_good(request: Request, user: User | None, name: str, password: str, cost: int) -> bool:
        if passwords.remembers(user, password):  # who is known does not wait behind who is not
            return True
        async with turns.of(name):
            if passwords.remembers(user, password):  # of fifty at once the first was checked meanwhile
                return True
            if await request.is_disconnected():
                return False
            return await anyio.to_thread.run_sync(passwords.check, user, password, cost)

    async def answer(request: Request) -> JSONResponse:
        query = request.query_params
        if len(request.url.query) > _LONGEST_QUERY:
            return refusal(414, "INVALID", "the query is too long")
        if query.get("service") != SERVICE:
            return refusal(404, "UNAVAILABLE", f"the service is {SERVICE}")
        try:
            name, password = _basic(request.headers.get("authorization", ""))
            asked = _scopes(query.getlist("scope"))
        except ConfigError as error:
            return refusal(400, "INVALID", f"{error.what}: {error.why}")
        except ValueError:
            return refusal(401, "UNAUTHORIZED", "HTTP Basic: Access denied")
        if not name:
            return refusal(403, "DENIED", "access forbidden")
        try:
            issuer = current()
        except (GdkregError, OSError):  # it is in the log
            return refusal(503, "UNAVAILABLE", "the issuer cannot read its users and its key")
        user = issuer.users.get(name)
        cost = max([ROUNDS, *map(cost_of, issuer.users.values())])
        try:
            good = await is_good(request, user, name, password, cost)
        except CrowdedError:
            return refusal(503, "UNAVAILABLE", "too many passwords are being checked")
        if user is None or not good:
            return refusal(401, "UNAUTHORIZED", "HTTP Basic: Access denied")
        token = mint(issuer.signer, grant(user, asked), subject=name, seconds=LIFETIME)
        issued = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {"token": token, "access_token": token, "expires_in": LIFETIME, "issued_at": issued}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    async def not_found(_request: Request, _error: Exception) -> JSONResponse:
        return refusal(404, "NOT_FOUND", "there is only GET /jwt/auth here")

    # GitLab answers 404 to POST, and clients that try OAuth first fall back to GET on it.
    return Starlette(routes=[Route("/jwt/auth", answer, methods=["GET"])], exception_handlers={404: not_found, 405: not_found})


def _basic(header: str) -> tuple[str, str]:
    """Name and password of a Basic header, empty without one. Raises `ValueError` for another or a broken one."""
    if not header:
        return "", ""
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic" or len(encoded) > 1024:
        raise ValueError("not Basic")
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("not Basic") from error
    if not colon:
        raise ValueError("not Basic")
    return name, password


def _scopes(given: list[str]) -> list[Scope]:
    """Scopes repeated, or separated by spaces; types that are not known here are left out. Raises `ConfigError` for a bad one."""
    words = [word for item in given for word in item.split()]
    if len(words) > _MOST_SCOPES:
        raise ConfigError("too many scopes", why=f"{_MOST_SCOPES} at most")
    return [parse(word) for word in words if word.partition(":")[0] in {"repository", "registry"} or ":" not in word]
