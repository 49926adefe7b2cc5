"""The hops from a client to the registry, each with its own check and its own remedy."""

from __future__ import annotations

import functools
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.config.values import is_ipv4, is_loopback
from gdkreg.errors import GdkregError
from gdkreg.explain import kind_of, remedy_of
from gdkreg.host.base import Host
from gdkreg.masking.text import prose
from gdkreg.proof.access import access
from gdkreg.proof.client import AbsentError, BrokenError, Client
from gdkreg.proof.image import make
from gdkreg.registry.answers import AnswerError
from gdkreg.registry.challenges import challenge_of
from gdkreg.registry.images import Images
from gdkreg.registry.inspection import inspect
from gdkreg.registry.remote import bare
from gdkreg.registry.scopes import Scope
from gdkreg.registry.tokens import TokenSource, minter, signer_of
from gdkreg.services import ready
from gdkreg.services.storage import forget

_REPOSITORY = "gdkreg-verify"  # always the same, so that a user can be given a right to it
_REALM = "realm not trusted"  # of explain's rules
_DISTRUST = ("unknown authority", "unknown authority in a build", "name mismatch", "trust not readable")
NAMES = ("engine", "name", "address", "port", "tls", "trust", "challenge", "token", "scope", "push", "pull", "delete")


class Hop(msgspec.Struct, frozen=True):
    """One hop's finding; `remedy` is set where it is broken, needs a hand (warning), or the client is absent: not on this
    machine."""

    name: str
    verdict: Literal["ok", "warning", "broken", "skipped", "absent"]
    detail: str
    remedy: str = ""
    ms: float = 0.0


class Chain:
    """One verification."""

    def __init__(self, settings: Settings, host: Host, client: Client) -> None:
        self._settings = settings
        self._host = host
        self._client = client
        self._image = make()
        self._tag = self._image.digest[7:19]
        self._reference = f"{settings.near_host}:{settings.registry.port}/{_REPOSITORY}:{self._tag}"
        self._scope = Scope("repository", _REPOSITORY, ("pull", "push", "delete"))
        self._realm = settings.realm
        self._asks = False  # whether the registry asks for a token
        self._cleaner: TokenSource | None = None
        self._token = ""
        self._digest = ""
        self._began = False
        self._advice = ""  # of the check that runs: what the user has to do, though the way goes on

    def run(self, beginning: Callable[[str], None]) -> Iterator[Hop]:
        """The hops in order, each announced, up to the first broken one; whatever happens, nothing is left behind."""
        try:
            for name in NAMES:
                beginning(f"  {self._client.name}  {name} …")
                begin, self._advice = time.monotonic(), ""
                check: Callable[[], str] = getattr(self, f"check_{name}")
                try:
                    detail = check()
                    good: Literal["warning", "ok"] = "warning" if self._advice else "ok"
                    hop = Hop(name, "skipped" if detail.startswith("-") else good, detail.removeprefix("- "), self._advice)
                except AbsentError as absent:
                    hop = Hop(name, "absent", absent.detail, absent.remedy)
                except BrokenError as broken:
                    hop = Hop(name, "broken", broken.detail, broken.remedy)
                except GdkregError as error:
                    hop = Hop(name, "broken", f"{error.what}: {error.why}" if error.why else error.what, error.fix)
                except OSError as error:
                    hop = Hop(name, "broken", prose(str(error))[:200], "gdkreg doctor")
                beginning("")
                yield msgspec.structs.replace(hop, ms=round((time.monotonic() - begin) * 1000, 1))
                if hop.verdict in {"broken", "absent"}:
                    return
        finally:
            beginning("")
            self.clean()

    def check_engine(self) -> str:
        return self._client.engine()

    @functools.cached_property
    def _said(self) -> str | None:
        return self._client.ask(f"{self._settings.authority}/{_REPOSITORY}:none")

    def _refusal(self, *kinds: str) -> str:
        """The client's own words, where they are an error of one of these kinds (of `explain`); else empty."""
        for line in (self._said or "").splitlines():
            found = re.search(r'.*((?:Get|Head|Post) "https?://([^/:"]+).*)', line)  # the last one is what failed
            ours = found is None or found[2] == self._settings.host  # a realm may have another name
            if kind_of(line) in kinds and (ours or kinds == (_REALM,)):
                return (found[1] if found else line.strip())[:200]
        return ""

    def check_name(self) -> str:
        name, wanted = self._settings.near_host, self._settings.address
        if is_ipv4(name):
            return f"{name} is an address"
        try:
            found = sorted({str(item[4][0]) for item in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)})
        except OSError:
            raise BrokenError(f"{name} cannot be looked up", "gdkreg reconfigure") from None
        if found != [wanted]:
            raise BrokenError(f"{name} leads to {', '.join(found)}, not to {wanted} alone", "gdkreg reconfigure --take-over")
        if said := self._refusal("no such host"):
            raise BrokenError(f"this machine finds {name}, {self._client.name} does not: {said}", self._client.remedy("name"))
        return f"{name} → {wanted}"

    def check_address(self) -> str:
        address = self._settings.address
        if self._settings.machine:
            return f"{address} is that of docker-machine {self._settings.machine}"
        if is_loopback(address) and self._host.platform.system == "linux":
            return f"{address} is loopback"
        holder = next((item.name for item in self._host.interfaces() if item.address == address), None)
        if holder is None:
            raise BrokenError(f"{address} is not an address of this machine", "gdkreg reconfigure")
        return f"{address} on {holder}"

    def _certificate(self) -> Path | None:
        return self._settings.root / "registry_host.crt" if self._settings.registry.self_signed else None

    def _ask(self) -> ready.Answer:
        return ready.ask(self._settings.address, self._settings.registry.port, self._certificate())

    def check_port(self) -> str:
        answer, where = self._ask(), f"{self._settings.address}:{self._settings.registry.port}"
        if answer.verdict in {"refused", "no route", "no answer"}:
            raise BrokenError(f"{where}: {answer.detail}", "gdkreg start registry")
        if answer.verdict == "no tls":
            plain = ready.ask(self._settings.address, self._settings.registry.port, None)
            answer = plain if plain.verdict == "not a registry" else answer
        if answer.verdict == "not a registry":
            from gdkreg.host.network import port_holder

            holder = port_holder(self._settings.address, self._settings.registry.port)
            who = f"; it is {holder.name} (pid {holder.pid})" if holder and holder.pid else ""
            raise BrokenError(f"{where} is no registry: {answer.detail}{who}", "stop that program, then gdkreg start registry")
        if said := self._refusal("connection refused", "no answer"):
            raise BrokenError(f"this machine reaches {where}, {self._client.name} does not: {said}", self._client.remedy("port"))
        return f"{where} is a registry" if answer.verdict == "ready" else f"{where} is open"

    def check_tls(self) -> str:
        certificate = self._certificate()
        if certificate is None:
            return "- plain HTTP (registry.self_signed is false)"
        answer = self._ask()
        if answer.verdict == "no tls":
            raise BrokenError("it speaks plain HTTP, TLS was expected", "gdkreg reconfigure; gdkreg start")
        if answer.verdict == "other certificate":
            raise BrokenError(answer.detail, "gdkreg start")
        from gdkreg.resources.x509 import facts

        found = facts(certificate.read_bytes())
        if found is None or self._settings.host.lower() not in {name.lower() for name in found.names}:
            raise BrokenError(f"the certificate is not for {self._settings.host}", "gdkreg reconfigure; gdkreg start")
        if found.days_left < 0:
            raise BrokenError(f"the certificate expired on {found.not_after:%Y-%m-%d}", "gdkreg cert renew tls; gdkreg start")
        return f"for {', '.join(found.names)} until {found.not_after:%Y-%m-%d}"

    def check_trust(self) -> str:
        certificate = self._certificate()
        if certificate is None:
            if said := self._refusal("http answer to an https client"):
                raise BrokenError(f"{self._client.name} refuses plain HTTP: {said}", self._client.remedy("plain"))
            return "- plain HTTP, which it takes"
        file = self._client.ca_file()
        ours = file is not None and file.content == certificate.read_bytes()
        said = self._refusal(*_DISTRUST)
        # Who cannot be asked, or does not get past the realm, is judged by the file alone.
        if said or (not ours and (self._said is None or self._refusal(_REALM))):
            if file is None or ours:
                what = f"{file.path} is right, but it is not read" if file else "the certificate is not trusted"
            else:
                what = f"{file.path} is {'missing' if file.content is None else 'not registry_host.crt'}"
            raise BrokenError(f"{what}{f': {said}' if said else ''}", self._client.remedy("trust"))
        return file.path if file and ours else "it takes the certificate, by a file that is not known here"

    def check_challenge(self) -> str:
        with bare(self._settings) as client:
            answer = client.probe()
        if answer.status == 200:
            return "- authentication is off"
        found = challenge_of(answer.headers.get("WWW-Authenticate", ""))
        if found is None:
            raise BrokenError(f"/v2/ answered {answer.status} without a Bearer challenge", "gdkreg reconfigure; gdkreg start")
        traced = f"{self._settings.scheme}://{self._settings.authority}/jwt/auth"
        if found.realm not in {self._settings.realm, traced}:
            remedy = "gdkreg reconfigure; gdkreg start"
            raise BrokenError(f"the realm is {found.realm}, not {self._settings.realm}", remedy)
        self._asks, self._realm = True, found.realm
        return f"realm {found.realm}"

    def check_token(self) -> str:
        if not self._asks:
            return "- authentication is off"
        use = access(self._settings, self._host, self._client.name, self._realm)
        self._token, self._advice = use.tokens([self._scope]), use.advice
        self._cleaner = minter(self._settings.root)
        if said := self._refusal(_REALM):
            raise BrokenError(
                f"{self._client.name} does not trust the realm: {said}",
                remedy_of(said, self._settings, self._host.platform.system),
            )
        return use.whose

    def check_scope(self) -> str:
        """Whether the registry takes the token for what is to come."""
        if not self._asks:
            return "- authentication is off"
        judged = inspect(self._token, signer_of(self._settings.root), [self._scope])
        if judged.refusals:
            remedy = f"give the user what verify needs: --push {_REPOSITORY} --delete {_REPOSITORY}"
            if any(reason.startswith(("not yet", "expired")) for reason in judged.refusals):
                remedy = "set the clocks: timedatectl set-ntp true"
            if any(reason.startswith("localhost.crt") for reason in judged.refusals):
                remedy = "gdkreg cert renew token; gdkreg start"
            raise BrokenError("; ".join(judged.refusals), remedy)
        with bare(self._settings, lambda _: self._token) as client:
            answer = client.request("GET", f"/v2/{_REPOSITORY}/tags/list", [self._scope], allow=range(400, 600))
        if answer.status == 401:
            found = challenge_of(answer.headers.get("WWW-Authenticate", ""))
            why = f": {found.error}" if found and found.error else ""
            raise BrokenError(
                f"the registry refuses the token{why}; it may check with another key",
                "gdkreg reconfigure; gdkreg start",
            )
        return str(self._scope)

    def check_push(self) -> str:
        self._began = True
        pushed = self._client.push(self._image, self._reference, self._token)
        self._digest = pushed
        return f"{self._reference} ({pushed[:19]})"

    def check_pull(self) -> str:
        pulled = self._client.pull(self._reference, self._token)
        if pulled != self._digest:
            raise BrokenError(f"pushed {self._digest}, pulled {pulled}", "gdkreg doctor; is the disk healthy?")
        return f"the same digest came back ({pulled[:19]})"

    def check_delete(self) -> str:
        try:
            self._delete()
        except AnswerError as error:
            if error.status != 405:
                raise BrokenError(f"deleting answered {error.status}", "gdkreg tail registry --no-follow") from None
            remedy = "gdkreg readonly off"
            if self._settings.registry.config.get("storage", {}).get("delete"):
                remedy = "take storage.delete out of registry.config; gdkreg reconfigure; gdkreg start"
            raise BrokenError("deleting answered 405: it is switched off", remedy) from None
        self._began = False
        return "deleted" if forget(self._settings, self._host, _REPOSITORY) else "deleted; the empty name stays in the catalog"

    def _delete(self) -> None:
        """With a token signed here: cleaning up must not depend on whether the one under test is good. Raises `AnswerError`."""
        with bare(self._settings, self._cleaner) as client:
            images = Images(client)
            found = images.head(_REPOSITORY, self._tag)
            if found is None or not images.delete(_REPOSITORY, found.digest):
                raise AnswerError(f"{self._reference} is not there", 404)

    def clean(self) -> None:
        """Leave nothing with the client, nor a tag in the registry; what is broken was told by its hop."""
        with suppress(OSError, GdkregError, BrokenError):
            self._client.clean(self._reference)
        if self._began:
            with suppress(OSError, GdkregError):
                self._delete()
                forget(self._settings, self._host, _REPOSITORY)
