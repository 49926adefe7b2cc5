"""`trace`: the proxy stands in the registry's place, and each step of the dialog is told and explained.

While it runs, the registry answers on a free port of 127.0.0.1. The realm in a challenge is turned
to the proxy too, so that the token dialog is seen whole; tokens themselves pass unchanged.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from urllib.parse import parse_qs, urlsplit

from gdkreg.clients.table import CLIENTS, trusting
from gdkreg.config.effective import Settings
from gdkreg.errors import GdkregError
from gdkreg.host.base import Host
from gdkreg.host.signals import uninterrupted
from gdkreg.masking.text import address, prose, visible
from gdkreg.proof.har import Exchange
from gdkreg.proof.proxy import REALM_PATH, Proxy
from gdkreg.registry.challenges import challenge_of
from gdkreg.registry.inspection import inspect
from gdkreg.registry.scopes import parse
from gdkreg.registry.tokens import Signer, signer_of
from gdkreg.services import tracing
from gdkreg.services.registry import Registry

_LAST = 2.0  # seconds for an exchange whose client has ended already


class Tracer:
    """A context manager: the proxy stands in the registry's place while it is open."""

    def __init__(
        self,
        settings: Settings,
        id_: str,
        host: Host,
        say: Callable[[str], None],
        *,
        show_secrets: bool,
        record: Callable[[Exchange], None] | None = None,
        program: str = "",
    ) -> None:
        self._settings = settings
        self._id = id_
        self._host = host
        self._to_terminal = say
        self._show_secrets = show_secrets
        self._lock = threading.Lock()
        self._record = record
        self._client = next((row for row in CLIENTS if row.program and row.program == program), None)
        self._began = self._ran = False

    def __enter__(self) -> Tracer:
        try:
            with self._locked():
                tracing.refuse_while_traced(self._settings.root, self._host)
                self._began = True
                tracing.begin(self._settings.root, self._host)
                self._stand_in()
                threading.Thread(target=self._proxy.serve_forever, daemon=True).start()
        except BaseException:  # Ctrl-C too: the registry must not stay where nobody looks for it
            if self._began:
                self._put_back()
            raise
        return self

    def _say(self, text: str) -> None:
        self._to_terminal(visible(text))

    def _stand_in(self) -> None:
        registry = Registry(self._settings, self._id, self._host)
        self._ran = registry.state().running
        if not self._ran:
            raise GdkregError("the registry does not run", fix="gdkreg start registry")
        registry.stop(self._host)
        upstream = ("127.0.0.1", _free_port())
        moved = Registry(self._settings, self._id, self._host, launch=registry.launch.moved(*upstream))
        moved.start(self._host, moved.choose())
        cure = trusting(self._client, self._settings, self._host.platform.system)
        self._proxy = Proxy(self._settings, upstream, self._tell, self._note, bodies=self._record is not None, cure=cure)

    def __exit__(self, *failure: object) -> None:
        with uninterrupted():  # a second Ctrl-C is as easily pressed as the first
            self._proxy.shutdown()
            self._proxy.settle(_LAST)
            self._proxy.server_close()
            self._put_back()

    def _put_back(self) -> None:
        with uninterrupted(), self._locked():
            tracing.end(self._settings.root, self._host)
            if self._ran:
                registry = Registry(self._settings, self._id, self._host)
                registry.start(self._host, registry.choose())

    def _locked(self) -> AbstractContextManager[None]:
        waiting = "another gdkreg is at work in this root; waiting for it"
        return self._host.lock(self._settings.root, lambda: self._say(waiting))

    def wait(self) -> int:
        """Until Ctrl-C."""
        while True:
            time.sleep(3600)

    def _note(self, text: str) -> None:
        with self._lock:
            self._say(f"! {prose(text)}")

    def _tell(self, exchange: Exchange) -> None:
        if self._record is not None:
            self._record(exchange)
        with self._lock:
            path = exchange.url if self._show_secrets else address(exchange.url)
            self._say(
                f"{exchange.method:<6} {path}  {exchange.status}  {exchange.ms:.0f} ms  {exchange.sent}↑ {exchange.received}↓"
            )
            for text in [exchange.error] if exchange.error else self._meaning(exchange):
                self._say(f"         {prose(text)}")

    def _signer(self) -> Signer | None:
        try:
            return signer_of(self._settings.root)
        except GdkregError:
            return None

    def _meaning(self, exchange: Exchange) -> list[str]:
        """What a step of the token dialog means, in words."""
        if urlsplit(exchange.url).path == REALM_PATH:
            return self._meaning_of_realm(exchange)
        found = challenge_of(exchange.response_headers.get("www-authenticate", ""))
        if exchange.status != 401 or found is None:
            return []
        lines = [f"the registry wants a token of {found.realm}" + (f" for {found.scope}" if found.scope else "")]
        sent = exchange.request_headers.get("authorization", "")
        by = self._signer()
        if sent.startswith("Bearer ") and by is not None:
            try:
                wanted = [parse(word) for word in found.scope.split()]
                lines += [f"refused: {reason}" for reason in inspect(sent[7:], by, wanted).refusals]
            except GdkregError as error:
                lines.append(f"refused: {error.what}")
        elif not sent:
            lines.append("the client sent none, as a first request does")
        return lines

    def _meaning_of_realm(self, exchange: Exchange) -> list[str]:
        asked = " ".join(parse_qs(urlsplit(exchange.url).query).get("scope", [])) or "no scope: it only wants to log in"
        who = "with a name and password" if "authorization" in exchange.request_headers else "without a name"
        lines = [f"a token is asked for, {who}: {asked}"]
        try:
            body = json.loads(exchange.body)
            errors = [f"{item.get('code')}: {item.get('message')}" for item in body.get("errors", [])]
        except (ValueError, AttributeError, TypeError):
            return lines
        token, by = body.get("token"), self._signer()
        if not isinstance(token, str) or by is None:
            return lines + errors
        try:
            judged = inspect(token, by, [])
        except GdkregError as error:
            return [*lines, f"this registry will refuse it: {error.what}"]
        granted = ", ".join(judged.access) or "nothing"
        lines.append(f"granted to {judged.claims.get('sub') or 'nobody'}: {granted}, for {judged.seconds_left} s")
        return lines + [f"this registry will refuse it: {reason}" for reason in judged.refusals]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
