"""The two key pairs beside gdk.yml: registry_host for TLS, localhost for the signing of tokens; and jwks.json."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.host.base import HostReader, digest
from gdkreg.plan.actions import Action, is_pending
from gdkreg.plan.ledger import Entry, Owned
from gdkreg.plan.reconcile import Note
from gdkreg.resources.owned import FileState, OwnedFiles

if TYPE_CHECKING:
    from gdkreg.resources.x509 import Facts

RENEW_BEFORE = 30  # days


class PairState(msgspec.Struct, frozen=True):
    key: FileState
    certificate: FileState
    problems: tuple[str, ...]
    same_key: bool
    days_left: int = 0
    until: str = ""


class Certificate(msgspec.Struct, frozen=True):
    """One key pair. `names` are the subject alternative names it has to carry; `renew` asks for a new one now. `id` is the
    root's: what gdkreg makes carries it, so that it is known for this root's without the journal too."""

    stem: str
    purpose: Literal["tls", "token"]
    subject: str
    names: tuple[str, ...]
    days: int
    root: Path
    id: str
    files: OwnedFiles
    wanted: bool = True
    renew: bool = False

    @property
    def name(self) -> str:
        return f"{self.stem}.crt"

    @property
    def key_path(self) -> Path:
        return self.root / f"{self.stem}.key"

    @property
    def path(self) -> Path:
        return self.root / f"{self.stem}.crt"

    def inspect(self, host: HostReader) -> PairState:
        key = self.files.inspect(host, self.key_path)
        certificate = self.files.inspect(host, self.path)
        if certificate.ours and key.owned is None and key.content is not None:  # a key has its certificate to speak for it
            owned = Owned(path=key.path, resource=self.name, original="", written=digest(key.content), secret=True)
            key = msgspec.structs.replace(key, owned=owned)
        return self._check(key, certificate)

    def _check(self, key: FileState, certificate: FileState) -> PairState:
        from gdkreg.resources import x509

        if certificate.content is None or key.content is None:
            missing = [item.path.name for item in (certificate, key) if item.content is None]
            usable = key.content is not None and x509.load_key(key.content) is not None
            return PairState(key, certificate, (f"{' and '.join(missing)} missing",), usable and self.purpose == "token")
        facts, private = x509.facts(certificate.content), x509.load_key(key.content)
        if facts is None or private is None:
            bad = certificate if facts is None else key
            return PairState(key, certificate, (f"{bad.path.name} cannot be read",), False)
        problems = self._misfits(facts, ours=certificate.ours)
        if not x509.is_pair(key.content, certificate.content):
            problems.append("the key is not the certificate's")
        keeps = self.purpose == "token" and x509.is_rsa(private)
        return PairState(key, certificate, tuple(problems), keeps, facts.days_left, f"{facts.not_after:%Y-%m-%d}")

    def _misfits(self, facts: Facts, *, ours: bool) -> list[str]:
        """What about the certificate is not as it has to be."""
        problems: list[str] = []
        lower = {name.lower() for name in facts.names}
        # A certificate of somebody else's need not carry the address as well.
        must = self.names if ours else self.names[:1]
        if absent := [name for name in must if name.lower() not in lower]:
            problems.append(f"it is for {', '.join(facts.names) or 'no name'}, not for {', '.join(absent)}")
        if ours and facts.root != self.id:
            problems.append("it was made for another root")
        if facts.days_left < 0:
            problems.append(f"it expired on {facts.not_after:%Y-%m-%d}")
        elif facts.days_left < RENEW_BEFORE and ours:
            problems.append(f"it expires in {facts.days_left} days")
        return problems

    def plan(self, state: PairState, present: bool) -> list[Action]:
        if not (present and self.wanted):
            return [*self.files.release(state.certificate), *self.files.release(state.key)]
        foreign = [item for item in (state.key, state.certificate) if item.content is not None and not item.ours]
        if foreign and state.problems:
            raise self._not_ours(state, foreign)
        reason = "; ".join(state.problems) or ("asked for" if self.renew and not foreign else "")
        if foreign and self.renew:
            raise self._not_ours(state, foreign)
        if not reason:
            return self._modes(state)
        pair = self._maker(state)
        key = self._modes(state)
        if not self._kept(state):
            key = self.files.write(state.key, lambda host: pair(host)[0], reason, mode=0o600, secret=True)
        return [
            *key,
            *self.files.write(state.certificate, lambda host: pair(host)[1], reason, mode=0o644, preview=self._preview()),
        ]

    def _preview(self) -> bytes:
        names = f" for {', '.join(self.names)}" if self.names else ""
        kind = "P-256" if self.purpose == "tls" else "RSA 2048"
        return f"(a self-signed {kind} certificate{names}, valid for {self.days} days)\n".encode()

    def _kept(self, state: PairState) -> bool:
        """A token key that is good stays, so that every token that it signed stays valid; not one of another root's."""
        return state.same_key and "it was made for another root" not in state.problems

    def _maker(self, state: PairState) -> Callable[[HostReader], tuple[bytes, bytes]]:
        """Makes key and certificate at the first call and gives the same ones at the second."""

        made: list[tuple[bytes, bytes]] = []

        def make(_: HostReader) -> tuple[bytes, bytes]:
            from gdkreg.resources import x509

            if made:
                return made[0]

            old = x509.load_key(state.key.content) if self._kept(state) and state.key.content else None
            key = old or (x509.new_tls_key() if self.purpose == "tls" else x509.new_token_key())
            pair = x509.self_signed(key, self.subject, self.names if self.purpose == "tls" else (), self.days, self.id)
            kept = state.key.content if old and state.key.content else pair.key
            made.append((kept, pair.certificate))
            return made[0]

        return make

    def _modes(self, state: PairState) -> list[Action]:
        """Our key must not have become readable for others."""
        key = state.key
        if not key.ours or key.content is None:
            return []
        return self.files.write(key, key.content, "the key is readable for others", mode=0o600, secret=True)

    def _not_ours(self, state: PairState, foreign: list[FileState]) -> GdkregError:
        paths = " ".join(str(item.path) for item in foreign)
        return GdkregError(
            f"{self.path} is not gdkreg's and does not serve",
            why="; ".join(state.problems) or "gdkreg renews only what it made",
            fix=f"gdkreg makes its own once it is gone: rm {paths}; gdkreg reconfigure",
        )

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        return self.files.back(entry, host)

    def notes(self, state: PairState) -> list[Note]:
        if not self.wanted:
            return [Note("off", "not needed")]
        foreign = state.certificate.content is not None and not state.certificate.ours
        owner = " (not made by gdkreg)" if foreign else ""
        if state.problems:
            level: Literal["error", "changed"] = "error" if foreign else "changed"
            fix = f"rm {self.key_path} {self.path}; gdkreg reconfigure" if foreign else "gdkreg reconfigure"
            return [Note(level, "; ".join(state.problems) + owner, fix)]
        notes = [Note("ok", f"until {state.until}, {state.days_left} days left{owner}")]
        if foreign and state.days_left < RENEW_BEFORE:
            notes.append(
                Note(
                    "warning",
                    f"it expires in {state.days_left} days and gdkreg does not renew it",
                    f"rm {self.key_path} {self.path}; gdkreg reconfigure",
                )
            )
        return notes


class JwksState(msgspec.Struct, frozen=True):
    """`wanted` is what it has to hold: None while the key is not made yet; `problem` why it cannot be said."""

    file: FileState
    wanted: bytes | None
    problem: str = ""


class Jwks(msgspec.Struct, frozen=True):
    """jwks.json: the signing key as Distribution 3 looks it up."""

    certificate: Path
    path: Path
    files: OwnedFiles
    name: str = "jwks.json"

    @property
    def _key(self) -> Path:
        return self.certificate.with_suffix(".key")

    def inspect(self, host: HostReader) -> JwksState:
        certificate, key = host.read(self.certificate), host.read(self._key)
        wanted, problem = None, ""
        try:
            if certificate is not None and not is_pending(certificate):
                wanted = self._content(certificate)
            elif key is not None and not is_pending(key):  # to be made, on the key that stays
                wanted = self._content(key)
        except ValueError as error:
            problem = str(error)
        file = self.files.inspect(host, self.path)
        if file.owned is None and file.content is not None and file.content == wanted:
            owned = Owned(path=self.path, resource=self.name, original="", written=digest(file.content))
            file = msgspec.structs.replace(file, owned=owned)
        return JwksState(file, wanted, problem)

    def plan(self, state: JwksState, present: bool) -> list[Action]:
        if not present:
            return self.files.release(state.file)
        if state.problem:
            raise self._cannot_sign(state.problem)
        reason = "the signing key changed" if state.file.content is not None else "it is missing"
        return self.files.write(state.file, state.wanted if state.wanted is not None else self._fresh, reason, mode=0o644)

    def _fresh(self, host: HostReader) -> bytes:
        try:
            return self._content(host.read(self.certificate) or b"")
        except ValueError as error:
            raise self._cannot_sign(str(error)) from None

    def _content(self, pem: bytes) -> bytes:
        from gdkreg.resources import x509

        return x509.jwks(pem)

    def _cannot_sign(self, why: str) -> GdkregError:
        return GdkregError(
            f"{self.certificate} cannot sign GitLab's tokens", why=why, fix=f"rm {self.certificate}; gdkreg reconfigure"
        )

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        return self.files.back(entry, host)

    def notes(self, state: JwksState) -> list[Note]:
        if state.problem:
            error = self._cannot_sign(state.problem)
            return [Note("error", f"{error.what}: {error.why}", error.fix)]
        if state.file.content is None:
            return [Note("changed", "missing", "gdkreg reconfigure")]
        pending = self.plan(state, True)
        return [Note("changed", "not of the signing key", "gdkreg reconfigure")] if pending else [Note("ok", str(self.path))]
