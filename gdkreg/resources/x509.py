"""Keys and certificates as values in memory. They are written to disk by actions only."""

from __future__ import annotations

import base64
import datetime
import functools
import ipaddress
import json

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gdkreg.config.values import is_ipv4
from gdkreg.libtrust import key_id

_OURS = "gdkreg"
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class KeyPair(msgspec.Struct, frozen=True):
    """A private key and its certificate, both PEM."""

    key: bytes
    certificate: bytes


class Facts(msgspec.Struct, frozen=True):
    """What a certificate says; `days_left` is negative once it expired. `root` is the id of the root that gdkreg made it for."""

    subject: str
    names: tuple[str, ...]
    not_before: datetime.datetime
    not_after: datetime.datetime
    days_left: int
    fingerprint: str
    serial: int
    kind: str
    root: str = ""


def new_tls_key() -> PrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def new_token_key() -> PrivateKey:
    """RSA: Rails signs with RS256."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def self_signed(key: PrivateKey, subject: str, names: tuple[str, ...], days: int, root: str = "") -> KeyPair:
    """A certificate for these DNS names and IPv4 addresses, valid from an hour ago (clocks differ) for `days`.

    It carries our mark: the organization gdkreg, and the root's id as its unit.

    It is no CA: whoever trusts it trusts these names, and nothing can be signed with it. There is no
    key usage extension: with one, OpenSSL takes a certificate for its own issuer only if it may sign others.
    """
    start = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) - datetime.timedelta(hours=1)
    mark = [(NameOID.ORGANIZATION_NAME, _OURS), (NameOID.ORGANIZATIONAL_UNIT_NAME, root)] if root else []
    name = x509.Name([x509.NameAttribute(oid, text) for oid, text in [(NameOID.COMMON_NAME, subject[:64]), *mark]])
    public = key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    )
    if names:
        alternatives = [_general_name(item) for item in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    return KeyPair(pem(key), certificate.public_bytes(serialization.Encoding.PEM))


def _general_name(text: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(text)) if is_ipv4(text) else x509.DNSName(text)


def pem(key: PrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@functools.lru_cache(maxsize=4)  # a plan is made more than once
def load_key(content: bytes) -> PrivateKey | None:
    """The key of a PEM file; None where it is no EC or RSA key, or is encrypted."""
    try:
        # Whether an RSA key's parts are primes takes 25 ms to say; whether it is the certificate's is said by `is_pair`.
        key = serialization.load_pem_private_key(content, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)) else None


def facts(certificate: bytes) -> Facts | None:
    """What a PEM certificate says; None where it is none."""
    try:
        parsed = x509.load_pem_x509_certificate(certificate)
    except ValueError:
        return None
    try:
        alternatives = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(str(item.value) for item in alternatives)
    except x509.ExtensionNotFound:
        names = ()
    left = parsed.not_valid_after_utc - datetime.datetime.now(datetime.timezone.utc)
    public = parsed.public_key()
    kind = f"RSA {public.key_size}" if isinstance(public, rsa.RSAPublicKey) else "EC"
    kind = f"EC {public.curve.name}" if isinstance(public, ec.EllipticCurvePublicKey) else kind
    return Facts(
        subject=parsed.subject.rfc4514_string(),
        names=names,
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        days_left=left.days,
        fingerprint=parsed.fingerprint(hashes.SHA256()).hex(),
        serial=parsed.serial_number,
        kind=kind,
        root=_root(parsed),
    )


def _root(parsed: x509.Certificate) -> str:
    organization, unit = (
        [str(item.value) for item in parsed.subject.get_attributes_for_oid(oid)]
        for oid in (NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME)
    )
    return unit[0] if organization == [_OURS] and unit else ""


def root_of(certificate: bytes) -> str:
    """The id of the root that gdkreg made a certificate for; empty for one of somebody else's."""
    try:
        return _root(x509.load_pem_x509_certificate(certificate))
    except ValueError:
        return ""


def is_rsa(key: PrivateKey) -> bool:
    return isinstance(key, rsa.RSAPrivateKey)


def is_pair(key: bytes, certificate: bytes) -> bool:
    """Whether the certificate is of this key."""
    loaded = load_key(key)
    try:
        parsed = x509.load_pem_x509_certificate(certificate)
    except ValueError:
        return False
    return loaded is not None and spki(loaded.public_key()) == spki(parsed.public_key())


def spki(public: object) -> bytes:
    """The DER SubjectPublicKeyInfo of a public key."""
    assert isinstance(public, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey))
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def libtrust_id(certificate: bytes) -> str:
    """The `kid` that GitLab sends for the certificate's key."""
    return key_id(spki(x509.load_pem_x509_certificate(certificate).public_key()))


def jwks(pem_: bytes) -> bytes:
    """A JWK Set (RFC 7517) with a certificate's, or a key's, RSA key under its libtrust id: Distribution 3 takes GitLab's
    tokens by it.

    Raises `ValueError` where there is no RSA key in it.
    """
    key = load_key(pem_) if b"PRIVATE KEY" in pem_ else None
    public = key.public_key() if key is not None else x509.load_pem_x509_certificate(pem_).public_key()
    if not isinstance(public, rsa.RSAPublicKey):
        raise ValueError("not an RSA key")
    numbers = public.public_numbers()
    entry = {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": key_id(spki(public)),
        "n": _base64url(numbers.n),
        "e": _base64url(numbers.e),
    }
    return json.dumps({"keys": [entry]}, indent=2).encode() + b"\n"


def _base64url(number: int) -> str:
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
