"""Whether the registry is reached from outside: asked by its public name, and at the far end's own port."""

from __future__ import annotations

import http.client
import ssl
import threading
from typing import Literal

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.services.ready import first_certificate
from gdkreg.services.tunnel.command import far_port, inner
from gdkreg.services.tunnel.told import one_line

_PATIENCE = 5.0  # seconds for each question


class Answer(msgspec.Struct, frozen=True):
    """What one question came to: `status` of /v2/, `ours` where it was our registry, `why` where it was not; `strange` where
    it was no registry at all."""

    status: int = 0
    ours: bool = False
    strange: bool = False
    why: str = ""


class Reach(msgspec.Struct, frozen=True):
    """`url` is where everybody reaches it; empty with `why` and `fix` where nobody does."""

    url: str = ""
    why: str = ""
    fix: str = ""


class Asking:
    """The proof while other things go on: what answers out there may take its time. `found` is there once it is done."""

    def __init__(self, settings: Settings) -> None:
        self.found: Reach | None = None
        self._settings = settings
        threading.Thread(target=self._ask, daemon=True).start()

    def _ask(self) -> None:
        self.found = prove(self._settings)


def prove(settings: Settings) -> Reach:
    """Asked from this machine, which is outside of the far one too."""
    public = f"https://{settings.authority}/v2/"
    named = _ask("https", settings.host, settings.registry.external_port or 443, settings, public=True)
    if named.ours:
        return Reach(public)
    far, port = settings.auto_devops.tunnel.host, far_port(settings)
    direct = f"{settings.scheme}://{far}:{port}/v2/"
    found = _ask(settings.scheme, far, port, settings)
    if found.ours and settings.authority == f"{far}:{port}":
        return Reach(direct)
    if found.ours:
        fix = f"a front with TLS for {settings.host} there, or registry.host {far} and registry.external_port {port} in gdk.yml"
        return Reach(direct, f"not by its own name, {public}: {named.why}", fix)
    bound = found.why == "nothing listens there"
    why = f"{public}: {named.why}; {direct}: {found.why}"
    if not bound:
        return Reach(why=why, fix=f"see the firewall of {far}, and where {settings.host} leads")
    return Reach(
        why=f"{far} listens for itself alone (GatewayPorts no); {why}",
        fix=f"GatewayPorts clientspecified in its sshd_config, or a front there that leads to port {port}",
    )


def asks_for_tokens(settings: Settings) -> bool | None:
    """Whether the registry here lets nobody in without a token; None where it does not answer."""
    found = _ask(settings.scheme, *inner(settings), settings)
    return found.status == 401 if found.status in {200, 401} else None


def must_end(settings: Settings) -> Literal["open", "strange", ""]:
    """Why what is at the registry's place may not be published: it lets everybody in, or is another program altogether. A
    registry that cannot serve now says 5xx."""
    found = _ask(settings.scheme, *inner(settings), settings)
    if found.status == 200:
        return "open"
    return "strange" if found.strange and found.status not in {0, 401} and found.status < 500 else ""


def _ask(scheme: str, host: str, port: int, settings: Settings, *, public: bool = False) -> Answer:
    """At its public name the front's certificate has to be one that everybody trusts; elsewhere it has to be the registry's."""
    connection: http.client.HTTPConnection
    if scheme == "https":
        context = ssl.create_default_context() if public else ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(host, port, timeout=_PATIENCE, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    try:
        connection.connect()
        if scheme == "https" and not public and not _shows_ours(connection, settings):
            return Answer(why="it shows a certificate that is not registry_host.crt")
        connection.request("GET", "/v2/")
        return _judged(connection.getresponse(), settings)
    except ConnectionRefusedError:
        return Answer(why="nothing listens there")
    except TimeoutError:
        return Answer(why=f"no answer within {_PATIENCE:g} s")
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Answer(why=one_line(getattr(error, "strerror", None) or str(error) or type(error).__name__))
    finally:
        connection.close()


def _shows_ours(connection: http.client.HTTPConnection, settings: Settings) -> bool:
    wanted = first_certificate(settings.root / "registry_host.crt")
    return isinstance(connection.sock, ssl.SSLSocket) and connection.sock.getpeercert(binary_form=True) == wanted


def _judged(answer: http.client.HTTPResponse, settings: Settings) -> Answer:
    if "registry/2.0" not in answer.headers.get("Docker-Distribution-Api-Version", ""):
        return Answer(answer.status, strange=True, why=f"/v2/ answered {answer.status}, and not as a registry")
    if answer.status == 401 and f'realm="{settings.realm}"' not in answer.headers.get("WWW-Authenticate", ""):
        return Answer(answer.status, why="another registry answers")
    return Answer(answer.status, ours=answer.status == 401, why="" if answer.status == 401 else f"/v2/ answered {answer.status}")
