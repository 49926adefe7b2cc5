"""Bearer tokens as GitLab makes them, and what a registry will say of one.

A token carries the libtrust `kid` and the certificate as `x5c`, so Distribution 2.8 (by either),
Distribution 3 (by `x5c`, or by `kid` from jwks.json) and GitLab's registry all take it.
"""

from __future__ import annotations

import base64
import ssl
import time
import uuid
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gdkreg.errors import GdkregError
from gdkreg.libtrust import key_id
from gdkreg.registry.scopes import Scope, covers

ISSUER = "gitlab-issuer"
SERVICE = "container_registry"
LEEWAY = 60  # seconds that Distribution allows a clock to differ


class Signer(msgspec.Struct, frozen=True):
    """The signing key with what its tokens name it by."""

    key: Any
    kid: str
    x5c: str


def signer(key: bytes, certificate: bytes) -> Signer:
    """From localhost.key and localhost.crt. Raises `GdkregError` where they cannot sign."""
    try:
        # The proof that its numbers are prime takes 30 ms, for a key that reconfigure or a GDK made on this machine.
        loaded = serialization.load_pem_private_key(key, password=None, unsafe_skip_rsa_key_validation=True)
        der = ssl.PEM_cert_to_DER_cert(certificate.decode())
    except (ValueError, TypeError) as error:
        raise GdkregError("localhost.key or localhost.crt cannot be read", why=str(error), fix="gdkreg doctor") from None
    if not isinstance(loaded, rsa.RSAPrivateKey):
        raise GdkregError(
            "localhost.key is not an RSA key", why="Rails and the registry sign and check RS256", fix="gdkreg doctor"
        )
    der_key = loaded.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Signer(loaded, key_id(der_key), base64.b64encode(der).decode())


def mint(by: Signer, access: list[Scope], *, subject: str, seconds: int, now: float | None = None) -> str:
    """A signed token; the audience is a string and the times are whole numbers, as Distribution 2.8 wants them."""
    moment = int(time.time() if now is None else now)
    claims = {
        "iss": ISSUER,
        "sub": subject,
        "aud": SERVICE,
        "iat": moment,
        "nbf": moment - 5,
        "exp": moment + seconds,
        "jti": str(uuid.uuid4()),
        "access": [{"type": item.type, "name": item.name, "actions": list(item.actions)} for item in access],
    }
    return jwt.encode(claims, by.key, algorithm="RS256", headers={"kid": by.kid, "x5c": [by.x5c]})


class Inspected(msgspec.Struct, frozen=True):
    """`refusals` is why this registry would answer 401; empty where it would take the token."""

    header: dict[str, Any]
    claims: dict[str, Any]
    seconds_left: int
    refusals: list[str]
    access: list[str]


def inspect(token: str, by: Signer, wanted: list[Scope], now: float | None = None) -> Inspected:
    """Take a token apart and judge it as Distribution does. Raises `GdkregError` where it is no token."""
    try:
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise GdkregError("this is not a token", why=str(error), fix="gdkreg token 'registry:catalog:*' makes one") from None
    moment = time.time() if now is None else now
    granted = _granted(claims)
    refusals = [*_key_refusals(token, header, by), *_claim_refusals(claims, moment)]
    for scope in wanted:
        if not covers(granted, scope):
            refusals.append(f"missing scope: it does not grant {scope} (insufficient_scope)")
    return Inspected(header, claims, int(_number(claims.get("exp")) - moment), refusals, [str(item) for item in granted])


def _key_refusals(token: str, header: dict[str, Any], by: Signer) -> list[str]:
    if header.get("alg") not in {"RS256", "ES256"}:
        return [f"algorithm: {header.get('alg')} is not RS256 or ES256"]
    if "x5c" in header:  # the registry looks at x5c first, and at kid only where there is none
        chain = header["x5c"]
        if not isinstance(chain, list) or not chain or chain[0] != by.x5c:
            return ["wrong key: its x5c is not localhost.crt"]
    elif header.get("kid") != by.kid:
        return [f"wrong key: kid {header.get('kid')} is not {by.kid} (localhost.crt)"]
    try:
        jwt.decode(
            token,
            by.key.public_key(),
            algorithms=["RS256"],
            options={"verify_exp": False, "verify_aud": False, "verify_nbf": False, "verify_iat": False},
        )
    except jwt.InvalidTokenError:
        return ["wrong key: the signature is not by localhost.key"]
    return []


def _claim_refusals(claims: dict[str, Any], moment: float) -> list[str]:
    found = []
    if claims.get("iss") != ISSUER:
        found.append(f"issuer: {claims.get('iss')!r} is not {ISSUER!r}")
    if claims.get("aud") != SERVICE:
        as_list = " as plain text (Distribution 2.8 takes no list)" if isinstance(claims.get("aud"), list) else ""
        found.append(f"audience: {claims.get('aud')!r} is not {SERVICE!r}{as_list}")
    expires, begins = _number(claims.get("exp")), _number(claims.get("nbf"))
    if moment > expires + LEEWAY:
        found.append(f"expired {int(moment - expires)} seconds ago")
    if begins and moment < begins - LEEWAY:
        found.append(f"not yet valid: it begins in {int(begins - moment)} seconds; do the clocks differ?")
    return found


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


def _granted(claims: dict[str, Any]) -> list[Scope]:
    entries = claims.get("access") if isinstance(claims.get("access"), list) else []
    return [
        Scope(str(item.get("type")), str(item.get("name")), tuple(str(action) for action in item.get("actions") or []))
        for item in entries or []
        if isinstance(item, dict)
    ]
