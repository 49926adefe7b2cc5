"""Whose token a proof uses: the client's own login, else a user that is known here, else one signed here."""

from __future__ import annotations

import msgspec

from gdkreg.clients.stores import Login, stored
from gdkreg.config.effective import Settings
from gdkreg.host.base import Host
from gdkreg.proof.client import BrokenError
from gdkreg.registry import session as sessions
from gdkreg.registry.login import credentials
from gdkreg.registry.scopes import Scope
from gdkreg.registry.tokens import TokenSource, minter

# Whose login each client of `verify` uses; dind's engine, and no client at all, are logged in with nobody.
LOGINS = {"docker": "docker", "buildx": "docker", "podman": "podman", "skopeo": "skopeo"}


class Access(msgspec.Struct, frozen=True):
    """`whose` tells where the tokens come from; `advice` is the command that is missing before a user could do the same."""

    tokens: TokenSource
    whose: str
    advice: str = ""


def access(settings: Settings, host: Host, client: str, realm: str) -> Access:
    """`realm` is the address that the registry names. Raises `GdkregError` where a credential helper or the realm is broken."""
    at = sessions.realm_of(settings, realm if realm != settings.realm else "")
    named = "" if host.platform.env.get("GDKREG_USER") else LOGINS.get(client, "")
    login = stored(named, settings.authority, host) if named else None
    if login is not None and login.usable:
        ask = _of_login(at.tokens(login.user, login.password), login, named, realm)
        return Access(ask, f"from {realm}, as {login.user} ({login.where})")
    own = _own(settings, host, at, realm)
    if not named:
        return own
    lacks = "has an identity token, which only it can use" if login else "is not logged in"
    return Access(own.tokens, f"{named} {lacks}; {own.whose}", f"gdkreg login --client {named}")


def _of_login(ask: TokenSource, login: Login, named: str, realm: str) -> TokenSource:
    def source(scopes: list[Scope]) -> str:
        try:
            return ask(scopes)
        except sessions.RefusedError as error:
            if error.status != 401:
                raise
            what = f"{named} is logged in as {login.user}, which {realm} refuses"
            raise BrokenError(what, f"gdkreg login --client {named}") from None

    return source


def _own(settings: Settings, host: Host, at: sessions.Realm, realm: str) -> Access:
    known = credentials(settings, host)
    if known is not None:
        return Access(at.tokens(*known), f"from {realm}, for {known[0]}")
    try:
        sessions.realm_of(settings).tokens("", "")([])  # whether it is there
    except sessions.RefusedError as error:
        if error.status not in {401, 403}:
            raise
    unknown = "the users' passwords are not known here" if settings.issuer == "local" else "GITLAB_TOKEN is not set"
    return Access(minter(settings.root), f"signed with localhost.key ({unknown})")
