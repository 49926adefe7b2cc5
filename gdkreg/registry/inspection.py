"""What this root's registry will say of a token, judged as its generation judges (registry/auth/token/token.go)."""

from __future__ import annotations

import base64
import binascii
import datetime
import time
from typing import Annotated, Any, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from gdkreg.errors import GdkregError
from gdkreg.registry.scopes import Scope, covers
from gdkreg.registry.tokens import ISSUER, SERVICE, Signer

Generation = Literal["2", "3", "gitlab"]
# By libtrust in 2.8, which GitLab's is a fork of; by go-jose in 3.
_ALGORITHMS = {"2": ("RS256", "RS384", "RS512"), "3": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")}
_HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
LEEWAY = 60  # seconds that Distribution allows a clock to differ
_Seconds = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None


class Inspected(msgspec.Struct, frozen=True):
    """`refusals` is why this registry would answer 401; empty where it would take the token."""

    header: dict[str, Any]
    claims: dict[str, Any]
    seconds_left: int
    refusals: list[str]
    access: list[str]


class _Access(msgspec.Struct):
    type: str | None = ""
    name: str | None = ""
    actions: list[str] | None = None


class _Claims(msgspec.Struct):
    """The types that the registry reads, and nothing that it would not: 1.0 is no whole number for it."""

    iss: str | None = ""
    sub: str | None = ""
    aud: Any = ""
    exp: _Seconds = 0
    nbf: _Seconds = 0
    iat: _Seconds = 0
    jti: str | None = ""
    access: list[_Access] | None = None


def inspect(token: str, by: Signer, wanted: list[Scope], now: float | None = None, generation: Generation = "2") -> Inspected:
    """Take a token apart and judge it by the key that the registry checks with. Raises `GdkregError` where it is no token."""
    try:
        head, body, signature = (_decoded(part) for part in token.split("."))
        header, claims = (msgspec.json.decode(part, type=dict[str, Any]) for part in (head, body))
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        why = "it has not three parts" if token.count(".") != 2 else str(error)
        raise GdkregError("this is not a token", why=why, fix="gdkreg token 'registry:catalog:*' makes one") from None
    moment = time.time() if now is None else now
    refusals = _key_refusals(header, token.rpartition(".")[0].encode(), signature, by, moment, generation)
    try:
        read = msgspec.json.decode(body, type=_Claims)
    except msgspec.ValidationError as error:
        return Inspected(header, claims, 0, [*refusals, f"claims: {error}"], [])
    granted = [Scope(item.type or "", item.name or "", tuple(item.actions or ())) for item in read.access or []]
    refusals += _claim_refusals(read, moment, generation)
    refusals += [f"missing scope: it does not grant {item} (insufficient_scope)" for item in wanted if not covers(granted, item)]
    return Inspected(header, claims, int((read.exp or 0) - moment), refusals, [str(item) for item in granted])


def _decoded(part: str) -> bytes:
    """Raises `ValueError`."""
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _key_refusals(
    header: dict[str, Any], signed: bytes, signature: bytes, by: Signer, moment: float, generation: Generation
) -> list[str]:
    algorithms, name = _ALGORITHMS["3" if generation == "3" else "2"], str(header.get("alg"))
    if name not in algorithms:
        return [f"algorithm: {name} is none of {', '.join(algorithms)}"]
    if generation == "3" and "crit" in header:
        return ["crit: Distribution 3 refuses a header that it is told to understand"]
    if chain := header.get("x5c"):  # the registry looks at x5c first, and at kid only where there is none
        if not isinstance(chain, list) or chain[0] != by.x5c:
            return ["wrong key: its x5c is not localhost.crt"]
        if said := _out_of_time(by.x5c, moment):
            return [f"localhost.crt, which it carries as x5c, {said} (gdkreg cert renew token)"]
    elif header.get("kid") != by.kid:
        return [f"wrong key: kid {header.get('kid')} is not {by.kid} (localhost.crt)"]
    try:
        by.key.public_key().verify(signature, signed, _padding(name), _HASHES[name[2:]])
    except InvalidSignature:
        return ["wrong key: the signature is not by localhost.key"]
    return []


def _padding(algorithm: str) -> padding.AsymmetricPadding:
    if algorithm.startswith("RS"):
        return padding.PKCS1v15()
    return padding.PSS(padding.MGF1(_HASHES[algorithm[2:]]), padding.PSS.AUTO)


def _out_of_time(x5c: str, moment: float) -> str:
    from cryptography import x509

    certificate = x509.load_der_x509_certificate(base64.b64decode(x5c))
    now = datetime.datetime.fromtimestamp(moment, datetime.timezone.utc)
    if now > certificate.not_valid_after_utc:
        return f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    return f"is not valid before {certificate.not_valid_before_utc}" if now < certificate.not_valid_before_utc else ""


def _claim_refusals(claims: _Claims, moment: float, generation: Generation) -> list[str]:
    found = []
    if claims.iss != ISSUER:
        found.append(f"issuer: {claims.iss!r} is not {ISSUER!r}")
    listed = generation == "3" and isinstance(claims.aud, list) and SERVICE in claims.aud
    if claims.aud != SERVICE and not listed:
        as_list = " as plain text (Distribution 2.8 takes no list)" if isinstance(claims.aud, list) and generation != "3" else ""
        found.append(f"audience: {claims.aud!r} is not {SERVICE!r}{as_list}")
    expires, begins = claims.exp or 0, claims.nbf or 0
    if not expires:
        found.append("expired: it has no exp")
    elif moment > expires + LEEWAY:
        found.append(f"expired {int(moment - expires)} seconds ago")
    if moment < begins - LEEWAY:
        found.append(f"not yet valid: it begins in {int(begins - moment)} seconds; do the clocks differ?")
    return found
