"""Tokens and scopes, against vectors that openssl and the standard library worked out."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import subprocess
from pathlib import Path

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdkreg.errors import ConfigError, GdkregError
from gdkreg.registry import scopes, tokens
from gdkreg.registry.inspection import inspect
from gdkreg.registry.scopes import Scope, covers, parse
from gdkreg.resources import x509


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes, Path]:
    folder = tmp_path_factory.mktemp("pair")
    made = x509.self_signed(x509.new_token_key(), "gitlab-issuer", (), 365)
    (folder / "key").write_bytes(made.key)
    (folder / "crt").write_bytes(made.certificate)
    return made.key, made.certificate, folder


def part(token: str, at: int) -> dict[str, object]:
    raw = token.split(".")[at]
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)))
    return found


def test_a_token_as_three_registries_take_it(pair: tuple[bytes, bytes, Path]) -> None:
    key, certificate, folder = pair
    token = tokens.mint(tokens.signer(key, certificate), [parse("repository:g/p:pull,push")], subject="me", seconds=300, now=1000)
    der = subprocess.run(
        ["openssl", "pkey", "-in", folder / "key", "-pubout", "-outform", "DER"], check=True, capture_output=True
    ).stdout
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    header, claims = part(token, 0), part(token, 1)
    assert header["kid"] == ":".join(text[at : at + 4] for at in range(0, 48, 4))
    assert header["x5c"] == [base64.b64encode(ssl.PEM_cert_to_DER_cert(certificate.decode())).decode()]
    assert header["alg"] == "RS256"
    assert claims["aud"] == "container_registry", "2.8 takes no list"
    assert (claims["iat"], claims["nbf"], claims["exp"]) == (1000, 995, 1300)
    assert claims["access"] == [{"type": "repository", "name": "g/p", "actions": ["pull", "push"]}]
    (folder / "signed").write_text(token.rpartition(".")[0])
    signature = token.split(".")[2]
    (folder / "signature").write_bytes(base64.urlsafe_b64decode(signature + "=="))
    (folder / "pub").write_bytes(
        subprocess.run(["openssl", "pkey", "-in", folder / "key", "-pubout"], check=True, capture_output=True).stdout
    )
    subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", folder / "pub", "-signature", folder / "signature", folder / "signed"],
        check=True,
        capture_output=True,
    )


def test_keys_that_cannot_sign(pair: tuple[bytes, bytes, Path]) -> None:
    with pytest.raises(GdkregError, match="cannot be read"):
        tokens.signer(b"x", pair[1])
    with pytest.raises(GdkregError, match="not an RSA key"):
        tokens.signer(x509.pem(x509.new_tls_key()), pair[1])


def test_what_is_no_token(pair: tuple[bytes, bytes, Path]) -> None:
    by = tokens.signer(pair[0], pair[1])
    deep = base64.urlsafe_b64encode(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}").decode()
    for text in (f"{deep}.e30.", "", "a.b.c", "x" * 10_000, "eyJhbGciOiJub25lIn0.e30."):
        try:
            assert inspect(text, by, []).refusals
        except GdkregError as error:
            said = error.what
        else:
            said = "refused"
        assert said in {"this is not a token", "refused"}


def test_none_and_hmac_are_refused(pair: tuple[bytes, bytes, Path]) -> None:
    by = tokens.signer(pair[0], pair[1])
    claims = {"iss": tokens.ISSUER, "aud": tokens.SERVICE, "exp": 2_000_000_000}
    for algorithm, key in (("none", ""), ("HS256", "k" * 32)):
        token = jwt.encode(claims, key, algorithm=algorithm, headers={"kid": by.kid})
        assert "algorithm" in inspect(token, by, []).refusals[0]


def unsigned(claims: dict[str, object]) -> str:
    parts = (json.dumps(item).encode() for item in ({"alg": "RS256"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + ".AAAA"


_ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.sampled_from(["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "access"]), _ANY | st.lists(_ANY, max_size=3))
def test_no_claim_brings_it_down(pair: tuple[bytes, bytes, Path], name: str, value: object) -> None:
    try:
        assert inspect(unsigned({name: value}), tokens.signer(pair[0], pair[1]), []).refusals
    except GdkregError as error:
        said = error.what
    else:
        said = "refused"
    assert said in {"this is not a token", "refused"}


@pytest.mark.parametrize(
    "text",
    [
        "repository:g/p:pull",
        "repository:a:pull,push,delete",
        "repository:a/b-c/d_e.f:*",
        "registry:catalog:*",
        "repository:localhost:5000/x:pull",
    ],
)
def test_scopes(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "repository",
        "repository:g/p",
        "repository:g/p:",
        "repository:G/P:pull",
        "repository:../../etc:pull",
        "repository:g//p:pull",
        "repository:/g:pull",
        "repository:g/p:write",
        "registry:catalog:pull",
        "registry:other:*",
        "repository:" + "a" * 300 + ":pull",
        "repository:g/p:pull repository:x:pull",
        "repository:g/p\n:pull",
        "repository:g/%2e%2e:pull",
        "repository:..:1/y:pull",
        "repository:-.:1/y:pull",
    ],
)
def test_bad_scopes_tell_the_grammar(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a scope") as error:
        parse(text)
    assert scopes.GRAMMAR in error.value.why


@given(st.text(max_size=60) | st.from_regex(r"repository:[a-z.:/-]{0,20}:pull", fullmatch=True))
def test_no_text_gets_through_but_a_scope(text: str) -> None:
    try:
        found = parse(text)
    except ConfigError:
        return
    assert ".." not in found.name
    assert str(parse(str(found))) == str(found)


def test_covers() -> None:
    granted = [Scope("repository", "a", ("pull",)), Scope("repository", "a", ("push",))]
    assert covers(granted, parse("repository:a:pull,push"))
    assert not covers(granted, parse("repository:a:delete"))
    assert covers([Scope("repository", "a", ("*",))], parse("repository:a:delete"))
    assert not covers(granted, parse("repository:b:pull"))


def test_challenges() -> None:
    from gdkreg.registry.challenges import challenge_of

    found = challenge_of('Bearer realm="https://x/jwt/auth",service="s",scope="repository:a:pull",error="invalid_token"')
    assert found is not None
    assert (found.realm, found.scope, found.error) == ("https://x/jwt/auth", "repository:a:pull", "invalid_token")
    assert challenge_of('Basic realm="x"') is None
