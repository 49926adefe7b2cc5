"""What the registry will say of a token: each reason to refuse one, at its edge."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest

from gdkreg.errors import GdkregError
from gdkreg.registry import tokens
from gdkreg.registry.inspection import LEEWAY, inspect
from gdkreg.registry.scopes import parse
from gdkreg.registry.tokens import ISSUER, SERVICE, Signer
from gdkreg.resources import x509

PAIR = x509.self_signed(x509.new_token_key(), "gitlab-issuer", (), 365)
BY = tokens.signer(PAIR.key, PAIR.certificate)
OTHER = x509.self_signed(x509.new_token_key(), "gitlab-issuer", (), 365)
NOW = 2_000.0
GOOD = {"iss": ISSUER, "aud": SERVICE, "exp": 2_300, "nbf": 1_990, "iat": 1_990, "sub": "me", "jti": "1"}


def signed(claims: dict[str, Any], *, key: Any = None, headers: dict[str, Any] | None = None) -> str:
    return jwt.encode(claims, key or BY.key, algorithm="RS256", headers={"kid": BY.kid} if headers is None else headers)


def refusals(claims: dict[str, Any], **options: Any) -> list[str]:
    return inspect(signed(claims, **options), BY, [], NOW).refusals


def test_a_good_token_tells_what_it_grants() -> None:
    token = tokens.mint(BY, [parse("repository:g/p:pull,push")], subject="me", seconds=300)
    found = inspect(token, BY, [parse("repository:g/p:pull")])
    assert (found.refusals, found.access) == ([], ["repository:g/p:pull,push"])
    assert 290 <= found.seconds_left <= 300
    assert (found.header["alg"], found.claims["sub"]) == ("RS256", "me")
    (missing,) = inspect(token, BY, [parse("repository:g/p:delete")]).refusals
    assert missing == "missing scope: it does not grant repository:g/p:delete (insufficient_scope)"
    assert inspect(signed(GOOD), BY, [], NOW).seconds_left == 300
    assert inspect(signed(GOOD | {"exp": 0}), BY, [], NOW).seconds_left == -2000


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ({"iss": "x"}, ["issuer: 'x' is not 'gitlab-issuer'"]),
        ({"aud": "x"}, ["audience: 'x' is not 'container_registry'"]),
        ({"exp": 0}, ["expired: it has no exp"]),
        ({"exp": None}, ["expired: it has no exp"]),
        ({"exp": int(NOW) - LEEWAY}, []),
        ({"exp": int(NOW) - LEEWAY - 1}, ["expired 61 seconds ago"]),
        ({"nbf": int(NOW) + LEEWAY}, []),
        ({"nbf": int(NOW) + LEEWAY + 1}, ["not yet valid: it begins in 61 seconds; do the clocks differ?"]),
        ({"nbf": 0}, []),
        ({"exp": 2**63 - 1, "nbf": -(2**63)}, []),
        ({"access": None}, []),
        ({"access": [{"type": None, "name": None, "actions": None}]}, []),
    ],
)
def test_each_claim(claim: dict[str, Any], said: list[str]) -> None:
    assert refusals(GOOD | claim) == said


@pytest.mark.parametrize(
    "claim", [{"exp": 2**63}, {"nbf": -(2**63) - 1}, {"exp": 1.5}, {"jti": 7}, {"access": [{"actions": "pull"}]}]
)
def test_a_claim_of_another_type(claim: dict[str, Any]) -> None:
    (said,) = refusals(GOOD | claim)
    assert said.startswith("claims: Expected")


def test_an_audience_that_is_a_list() -> None:
    (said,) = refusals(GOOD | {"aud": [SERVICE]})
    assert said.endswith("is not 'container_registry' as plain text (Distribution 2.8 takes no list)")


def test_an_empty_grant_is_shown_as_it_is() -> None:
    assert inspect(signed(GOOD | {"access": [{}]}), BY, [], NOW).access == ["::"]


# the key


def test_whose_key_signed() -> None:
    other = tokens.signer(OTHER.key, OTHER.certificate)
    assert refusals(GOOD, key=other.key) == ["wrong key: the signature is not by localhost.key"]
    assert refusals(GOOD, headers={"kid": "K"}) == [f"wrong key: kid K is not {BY.kid} (localhost.crt)"]
    assert refusals(GOOD, headers={"x5c": [other.x5c], "kid": BY.kid}) == ["wrong key: its x5c is not localhost.crt"]
    assert refusals(GOOD, headers={"x5c": BY.x5c}) == ["wrong key: its x5c is not localhost.crt"]
    for headers in ({"x5c": [BY.x5c], "kid": "K"}, {"x5c": [], "kid": BY.kid}):
        assert inspect(signed(GOOD | {"exp": 4_000_000_000}, headers=headers), BY, []).refusals == []
    assert refusals(GOOD, headers={"x5c": [BY.x5c]}, key=other.key)[0].startswith(
        "localhost.crt, which it carries as x5c, is not"
    )


def test_a_certificate_out_of_its_time() -> None:
    from cryptography import x509 as library

    found = library.load_pem_x509_certificate(PAIR.certificate)
    begins, ends = found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()
    token = signed(GOOD | {"exp": 4_000_000_000}, headers={"x5c": [BY.x5c]})

    def said(moment: float) -> list[str]:
        return inspect(token, BY, [], moment).refusals

    assert said(begins) == said(ends) == []
    assert said(begins - 1) == [
        f"localhost.crt, which it carries as x5c, is not valid before {found.not_valid_before_utc} (gdkreg cert renew token)"
    ]
    assert said(ends + 1) == [
        f"localhost.crt, which it carries as x5c, expired on {found.not_valid_after_utc:%Y-%m-%d} (gdkreg cert renew token)"
    ]


# what is no token


def encoded(*parts: object) -> str:
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("one", "it has not three parts"),
        ("a.b.c.d", "it has not three parts"),
        (encoded([], {}) + ".AAAA", "Expected `object`, got `array`"),
        ("!!!.e30.AAAA", "Only base64 data is allowed"),
        ("e30.e30.A", "Invalid base64-encoded string"),
    ],
)
def test_what_is_no_token(text: str, why: str) -> None:
    with pytest.raises(GdkregError, match="this is not a token") as error:
        inspect(text, BY, [])
    assert why in error.value.why


def test_an_algorithm_that_is_not_of_this_key() -> None:
    (said,) = inspect(encoded({"alg": "ES256", "kid": "x"}, GOOD) + ".AAAA", BY, [], NOW).refusals
    assert said == "algorithm: ES256 is none of RS256, RS384, RS512"
    (said,) = inspect(encoded({"kid": BY.kid}, GOOD) + ".AAAA", BY, [], NOW).refusals
    assert said == "algorithm: None is none of RS256, RS384, RS512"


# signing


def test_a_signer_of_a_folder(tmp_path: Any) -> None:
    with pytest.raises(GdkregError, match=r"cannot read .*localhost\.key") as error:
        tokens.signer_of(tmp_path)
    assert (error.value.why, error.value.fix) == ("No such file or directory", "gdkreg reconfigure")
    (tmp_path / "localhost.key").write_bytes(PAIR.key)
    (tmp_path / "localhost.crt").write_bytes(PAIR.certificate)
    found: Signer = tokens.signer_of(tmp_path)
    assert (found.kid, found.x5c) == (BY.kid, BY.x5c)
    made = inspect(tokens.minter(tmp_path)([parse("registry:catalog:*")]), BY, [])
    assert (made.refusals, made.access, made.claims["sub"]) == ([], ["registry:catalog:*"], "gdkreg")
    assert made.claims["exp"] - made.claims["iat"] == 300
