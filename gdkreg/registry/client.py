"""Requests to /v2/: kept connections, trust, retries, and the token dialog. On urllib3, whose import costs half of requests'."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import msgspec
import urllib3
from urllib3.exceptions import (
    HTTPError,
    InsecureRequestWarning,
    MaxRetryError,
    NewConnectionError,
    ProtocolError,
    SSLError,
    TimeoutError,
)
from urllib3.util.retry import Retry

from gdkreg import __version__
from gdkreg.clients.stores import Login
from gdkreg.errors import GdkregError
from gdkreg.masking.text import visible
from gdkreg.registry.answers import Hints, refusal
from gdkreg.registry.authorization import Dialog, Reply
from gdkreg.registry.scopes import Scope

if TYPE_CHECKING:
    from gdkreg.registry.tokens import TokenSource

WORKERS = 8  # requests at a time; more are no quicker with either generation
_TIMEOUT = urllib3.Timeout(connect=5.0, read=60.0)
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
# 0, 0.4 and 0.8 seconds before the second, third and fourth try; a registry that nobody listens for is not waited for.
_RETRY = Retry(
    total=3,
    connect=1,
    other=0,
    redirect=0,
    status_forcelist={429, 500, 502, 503, 504},
    allowed_methods=_IDEMPOTENT,
    backoff_factor=0.2,
    raise_on_redirect=False,
    raise_on_status=False,
    respect_retry_after_header=False,
)
_ONCE = Retry(total=0, redirect=0, raise_on_redirect=False, raise_on_status=False)
Response = urllib3.BaseHTTPResponse


class Trust(msgspec.Struct, frozen=True):
    """Which certificates are trusted: those in `files`, with `system` this system's too; any at all without `checked`."""

    files: tuple[Path, ...] = ()
    system: bool = True
    checked: bool = True

    def context(self) -> ssl.SSLContext:
        """Raises `OSError` where a file cannot be read or is no certificate."""
        if not self.checked:
            return ssl._create_unverified_context()
        if not self.system:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        else:
            import truststore

            context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for file in self.files:
            context.load_verify_locations(cafile=str(file))
        return context


class Client:
    """One registry at `base`, e.g. https://registry.test:5000. Safe for threads; no proxy of the environment is used.

    Tokens are signed by `mint`, else asked for at the registry's realm as `login`.
    """

    def __init__(
        self, base: str, trust: Trust, hints: Hints, *, mint: TokenSource | None = None, login: Login | None = None
    ) -> None:
        self.base, self.hints = base, hints
        self.authority = urlsplit(base).netloc
        self._trust = trust
        self._made: dict[bool, urllib3.PoolManager] = {}
        self._lock = threading.Lock()
        self._dialog = Dialog(self._ask_realm, mint=mint, login=login, remedy=hints.grant)
        self.cover = self._dialog.cover

    def _pools(self, *, own: bool) -> urllib3.PoolManager:
        """Another place than the registry is a realm, or the storage that a registry sends its clients to."""
        with self._lock:
            if own not in self._made:
                trust = self._trust if own else msgspec.structs.replace(self._trust, system=True)
                self._made[own] = self._make(trust, secure=not own or self.base.startswith("https:"))
            return self._made[own]

    def _make(self, trust: Trust, *, secure: bool) -> urllib3.PoolManager:
        more: dict[str, Any] = {}
        if secure:
            try:
                more["ssl_context"] = trust.context()
            except OSError as error:
                where = ", ".join(str(file) for file in trust.files)
                raise GdkregError(f"{where} cannot be read", why=error.strerror or str(error), fix=self.hints.trust) from None
            if not trust.checked:
                urllib3.disable_warnings(InsecureRequestWarning)
                more |= {"cert_reqs": "CERT_NONE", "assert_hostname": False}
        return urllib3.PoolManager(4, {"User-Agent": f"gdkreg/{__version__}"}, maxsize=WORKERS, timeout=_TIMEOUT, **more)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for pools in self._made.values():
            pools.clear()

    def probe(self) -> Response:
        """What /v2/ answers to nobody, whatever that is. Raises `GdkregError` where it does not answer."""
        url = urljoin(self.base, "/v2/")
        return self._send(self._pool_of(url)[0], "GET", url, {}, None, stream=False)

    def request(
        self,
        method: str,
        path: str,
        scopes: Sequence[Scope] = (),
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        stream: bool = False,
        allow: Iterable[int] = (),
    ) -> Response:
        """An answer below 400, or one of `allow`. `path` may be an address that the registry told, absolute or not; another
        place is asked without a token. With `stream` the body is not read yet: read it, or `drain_conn` it.

        Raises `AnswerError` for an answer that is an error, `GdkregError` where there is none.
        """
        url = urljoin(self.base, path)
        pools, ours = self._pool_of(url)
        sent = self._dialog.header(scopes) if ours else ""
        answer = self._send(pools, method, url, {**(headers or {}), **_authorization(sent)}, body, stream=stream)
        if answer.status == 401 and ours and (body is None or isinstance(body, bytes)):
            again = self._dialog.answered(answer.headers.get("WWW-Authenticate", ""), scopes, sent)
            if again:
                answer.drain_conn()
                answer = self._send(pools, method, url, {**(headers or {}), **_authorization(again)}, body, stream=stream)
        if answer.status >= 400 and answer.status not in allow:
            raise refusal(method, urlsplit(url).path, answer.status, _rest(answer), scopes, self.hints)
        return answer

    def _pool_of(self, url: str) -> tuple[urllib3.PoolManager, bool]:
        place, own = urlsplit(url), urlsplit(self.base)
        ours = (place.scheme, place.netloc) == (own.scheme, own.netloc)
        return self._pools(own=ours), ours

    def _send(
        self,
        pools: urllib3.PoolManager,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] | None,
        *,
        stream: bool,
    ) -> Response:
        whole = body is None or isinstance(body, bytes)
        try:
            return pools.urlopen(
                method,
                url,
                headers={**pools.headers, **headers},
                body=body,
                retries=_RETRY if whole else _ONCE,
                redirect=False,
                preload_content=not stream,
                decode_content=False,
            )
        except HTTPError as error:
            raise self.lost(error, url) from None

    def _ask_realm(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        try:
            answer = self._send(self._pool_of(url)[0], method, url, headers, body, stream=False)
        except GdkregError as error:
            error.fix = error.fix or self.hints.realm
            raise
        return Reply(answer.status, answer.data)

    def lost(self, error: HTTPError, url: str = "") -> GdkregError:
        """The error for a request without an answer, or with half of one."""
        reason = error.reason if isinstance(error, MaxRetryError) and error.reason is not None else error
        place = urlsplit(url or self.base).netloc
        ours = place == self.authority
        who = f"the registry {place}" if ours else place
        if isinstance(reason, SSLError):
            return GdkregError(
                f"{who} is not trusted", why=_short(reason), fix=self.hints.trust if place == self.authority else ""
            )
        fix = self.hints.start if place == self.authority else ""
        if isinstance(reason, (NewConnectionError, TimeoutError)):
            return GdkregError(f"{who} does not answer", why=_short(reason), fix=fix)
        what = f"the connection to {who} broke" if isinstance(reason, ProtocolError) else f"{who} cannot be asked"
        return GdkregError(what, why=_short(reason), fix=fix)


def _authorization(value: str) -> dict[str, str]:
    return {"Authorization": value} if value else {}


def _rest(answer: Response) -> bytes:
    """The beginning of an error's body, which may not have been read yet."""
    try:
        return answer.read(8192, decode_content=False) if not answer.closed else answer.data[:8192]
    except HTTPError:
        return b""


def _short(error: Exception) -> str:
    """urllib3's own words, without the objects that it prints."""
    text = visible(str(error))
    for mark in ("Connection refused", "No route to host", "Name or service not known", "timed out", "UNEXPECTED_EOF"):
        if mark in text:
            return mark[0].lower() + mark[1:]
    return text.rpartition(">: ")[2][:300]
