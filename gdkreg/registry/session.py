"""A session with the registry's HTTP API (OCI distribution spec): challenges answered, the certificate checked."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import requests

from gdkreg.config.settings import Settings
from gdkreg.errors import GdkregError
from gdkreg.registry.scopes import Scope
from gdkreg.registry.tokens import SERVICE, mint, signer

TIMEOUT = (3.0, 30.0)  # seconds to connect, to read
_PART = re.compile(r'(\w+)="([^"]*)"')
TokenSource = Callable[[list[Scope]], str]


class Challenge(msgspec.Struct, frozen=True):
    """A `WWW-Authenticate: Bearer` header; `error` and `scope` say why a token was refused."""

    realm: str
    service: str
    scope: str = ""
    error: str = ""


def challenge_of(header: str) -> Challenge | None:
    """None for a header that is no Bearer challenge."""
    if not header.lower().startswith("bearer "):
        return None
    parts = dict(_PART.findall(header))
    return Challenge(parts.get("realm", ""), parts.get("service", ""), parts.get("scope", ""), parts.get("error", ""))


class Session:
    """`certificate` is the CA to trust, None for plain HTTP; `tokens` gives a token for scopes, None where none is asked for."""

    def __init__(self, base: str, certificate: Path | None, tokens: TokenSource | None = None) -> None:
        self.base = base
        self._verify: str | bool = str(certificate) if certificate else True
        self._tokens = tokens
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy or another CA of the environment is not meant for this

    def request(self, method: str, path: str, scope: Scope | None = None, **options: Any) -> requests.Response:
        """Raises `requests.RequestException` where there is no answer."""
        headers = dict(options.pop("headers", {}))
        if self._tokens is not None and scope is not None:
            headers["Authorization"] = f"Bearer {self._tokens([scope])}"
        url = path if path.startswith("http") else self.base + path
        return self._http.request(
            method, url, headers=headers, verify=self._verify, timeout=TIMEOUT, allow_redirects=False, **options
        )


def of(settings: Settings, tokens: TokenSource | None = None) -> Session:
    """A session with this root's own registry."""
    certificate = settings.root / "registry_host.crt" if settings.registry.self_signed else None
    return Session(f"{settings.scheme}://{settings.host}:{settings.registry.port}", certificate, tokens)


def minter(settings: Settings, *, subject: str = "gdkreg", seconds: int = 300) -> TokenSource:
    """Tokens signed here with localhost.key. Raises `GdkregError` where there is no key yet."""
    try:
        key, certificate = ((settings.root / name).read_bytes() for name in ("localhost.key", "localhost.crt"))
    except OSError as error:
        raise GdkregError(f"cannot read {error.filename}", why=error.strerror or "", fix="gdkreg reconfigure") from None
    by = signer(key, certificate)
    return lambda scopes: mint(by, scopes, subject=subject, seconds=seconds)


class RefusedError(GdkregError):
    """The realm said no; `status` is its answer, 0 where it did not answer."""

    def __init__(self, what: str, status: int, why: str = "", fix: str = "") -> None:
        super().__init__(what, why=why, fix=fix)
        self.status = status


def from_realm(realm: str, user: str, password: str, certificate: Path | None) -> TokenSource:
    """Tokens from a /jwt/auth, with name and password in a header. Raises `RefusedError`."""
    secret = base64.b64encode(f"{user}:{password}".encode()).decode()

    def ask(scopes: list[Scope]) -> str:
        query = [("service", SERVICE), ("account", user), ("client_id", "gdkreg"), *(("scope", str(item)) for item in scopes)]
        try:
            with requests.Session() as http:
                http.trust_env = False
                verify: str | bool = str(certificate) if certificate else True
                answer = http.get(
                    realm, params=query, headers={"Authorization": f"Basic {secret}"}, verify=verify, timeout=TIMEOUT
                )
        except requests.RequestException as error:
            raise RefusedError(
                f"the realm {realm} does not answer", 0, why=_short(error), fix="gdkreg start auth, or start GitLab"
            ) from None
        try:
            body = answer.json()
        except ValueError:
            body = {}
        if answer.status_code != 200 or not isinstance(body.get("token"), str):
            said = (
                "; ".join(f"{item.get('code')}: {item.get('message')}" for item in body.get("errors", []))
                if isinstance(body, dict)
                else ""
            )
            fix = "check the name and the password" if answer.status_code == 401 else "gdkreg doctor"
            raise RefusedError(f"the realm {realm} answered {answer.status_code}", answer.status_code, why=said, fix=fix)
        return str(body["token"])

    return ask


def _short(error: Exception) -> str:
    text = str(error)
    found = re.search(r"\[Errno -?\d+\] ([^'\")]+)|(certificate verify failed[^(]*)|timed out", text)
    return found[0] if found else text[:200]
