"""The realm that gives out the registry's tokens, and a question to it by name and password: for login and verify."""

from __future__ import annotations

import base64
import re
import ssl
from pathlib import Path
from typing import Any

import msgspec
import requests
import requests.adapters

from gdkreg.config.effective import Settings
from gdkreg.errors import GdkregError
from gdkreg.registry.scopes import Scope
from gdkreg.registry.tokens import SERVICE, TokenSource

TIMEOUT = (3.0, 30.0)  # seconds to connect, to read


def system_trust() -> ssl.SSLContext:
    """The certificates that this system trusts: a GitLab's may be of mkcert's CA, which requests' own list does not know."""
    import truststore

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class _SystemTrust(requests.adapters.HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=system_trust(), **options)


def request(method: str, url: str, certificate: Path | None, **options: Any) -> requests.Response:
    """One request; `certificate` is the CA to trust, None for those of the system.

    Raises `requests.RequestException` where there is no answer.
    """
    with requests.Session() as http:
        http.trust_env = False  # a proxy or another CA of the environment is not meant for this
        if certificate is None and url.startswith("https:"):
            http.mount("https://", _SystemTrust())
        verify: str | bool = str(certificate) if certificate else True
        try:
            return http.request(method, url, verify=verify, timeout=TIMEOUT, allow_redirects=False, **options)
        except requests.RequestException:
            raise
        except OSError as error:  # the certificate's file is gone, or cannot be read
            raise requests.exceptions.SSLError(str(error)) from None


class RefusedError(GdkregError):
    """The realm said no; `status` is its answer, 0 where it did not answer."""

    def __init__(self, what: str, status: int, why: str = "", fix: str = "") -> None:
        super().__init__(what, why=why, fix=fix)
        self.status = status


class Realm(msgspec.Struct, frozen=True):
    """A /jwt/auth: its address, the CA to trust (None for the system's), and what to do where it does not answer."""

    url: str
    certificate: Path | None
    remedy: str

    def tokens(self, user: str, password: str) -> TokenSource:
        """Its tokens, with name and password in a header; asking raises `RefusedError`."""
        return lambda scopes: self._ask(user, password, scopes)

    def _ask(self, user: str, password: str, scopes: list[Scope]) -> str:
        secret = base64.b64encode(f"{user}:{password}".encode()).decode()
        query = [("service", SERVICE), ("account", user), ("client_id", "gdkreg"), *(("scope", str(item)) for item in scopes)]
        try:
            answer = request("GET", self.url, self.certificate, params=query, headers={"Authorization": f"Basic {secret}"})
        except requests.exceptions.SSLError as error:
            fix = self.remedy if self.certificate else "trust GitLab's certificate on this machine, e.g. mkcert -install"
            raise RefusedError(f"the realm {self.url} is not trusted", 0, why=_short(error), fix=fix) from None
        except requests.RequestException as error:
            raise RefusedError(f"the realm {self.url} does not answer", 0, why=_short(error), fix=self.remedy) from None
        try:
            body = answer.json()
        except ValueError:
            body = {}
        if answer.status_code == 200 and isinstance(body, dict) and isinstance(body.get("token"), str):
            return str(body["token"])
        errors = body.get("errors", []) if isinstance(body, dict) else []
        said = "; ".join(f"{item.get('code')}: {item.get('message')}" for item in errors if isinstance(item, dict))
        refused = {401: "check the name and the password", 403: "gdkreg doctor"}
        fix = refused.get(
            answer.status_code, self.remedy
        )  # another answer is no realm's: GitLab starts, or is down behind a proxy
        raise RefusedError(f"the realm {self.url} answered {answer.status_code}", answer.status_code, why=said, fix=fix)


def realm_of(settings: Settings, traced: str = "") -> Realm:
    """The realm of this root's registry; `traced` is its address at a proxy that has the registry's certificate."""
    certificate = settings.root / "registry_host.crt" if settings.registry.self_signed else None
    if settings.issuer == "local":
        return Realm(traced or settings.realm, certificate, "gdkreg start auth")
    return msgspec.structs.replace(gitlab(settings), url=traced, certificate=certificate) if traced else gitlab(settings)


def gitlab(settings: Settings) -> Realm:
    """GitLab's own, whoever gives out the tokens now."""
    without = "gdkreg config set registry.token_issuer local; gdkreg reconfigure; gdkreg start"
    return Realm(f"{settings.gitlab_url}/jwt/auth", None, f"start GitLab, or do without: {without}")


def _short(error: Exception) -> str:
    text = str(error)
    found = re.search(r"\[Errno -?\d+\] ([^'\")]+)|(certificate verify failed[^(]*)|timed out", text)
    return found[0] if found else text[:200]
