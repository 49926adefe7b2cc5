"""Bearer tokens as GitLab makes them.

A token carries the libtrust `kid` and the certificate as `x5c`, so Distribution 2.8 (by either),
Distribution 3 (by `x5c`, or by `kid` from jwks.json) and GitLab's registry all take it.
"""

from __future__ import annotations

import base64
import ssl
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gdkreg.errors import GdkregError
from gdkreg.libtrust import key_id
from gdkreg.registry.scopes import Scope

ISSUER = "gitlab-issuer"
SERVICE = "container_registry"

TokenSource = Callable[[list[Scope]], str]


class Signer(msgspec.Struct, frozen=True):
    """The signing key with what its tokens name it by."""

    key: Any
    kid: str
    x5c: str


def signer_of(root: Path) -> Signer:
    """The signer of a root. Raises `GdkregError` where its key or certificate is missing or cannot sign."""
    try:
        key, certificate = ((root / name).read_bytes() for name in ("localhost.key", "localhost.crt"))
    except OSError as error:
        raise GdkregError(f"cannot read {error.filename}", why=error.strerror or "", fix="gdkreg reconfigure") from None
    return signer(key, certificate)


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


def minter(root: Path, *, subject: str = "gdkreg", seconds: int = 300) -> TokenSource:
    """Tokens signed here with localhost.key. Raises `GdkregError` where there is no key yet."""
    by = signer_of(root)
    return lambda scopes: mint(by, scopes, subject=subject, seconds=seconds)
