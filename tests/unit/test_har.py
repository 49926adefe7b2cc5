"""What is masked, on the terminal and in the HAR."""

from __future__ import annotations

import pytest

from gdkreg.proof.har import mask, mask_header


@pytest.mark.parametrize(
    "text",
    [
        "/v2/?access_token=SECRET&n=7",
        "/x?sig=SECRET&se=2026",
        "/x?X-Amz-Signature=SECRET&X-Amz-Credential=SECRET",
        '{"password": "a\\"SECRET", "n": 7}',
        '{"token":"SECRET","refresh_token" : "SECRET"}',
        '{"auth":"SECRET"}',
        "https://me:SECRET@registry.test/v2/",
        "eyJhbGciOiJSUzI1NiJ9.eyJTRUNSRVQifQ.SECRET",
    ],
)
def test_secrets(text: str) -> None:
    assert "SECRET" not in mask(text)


def test_what_is_no_secret_stays() -> None:
    text = "/v2/group/app/tags/list?n=7&last=token"
    assert mask(text) == text
    assert mask_header("Accept", "application/json") == "application/json"


@pytest.mark.parametrize("name", ["Authorization", "authorization", "Cookie", "Set-Cookie", "Private-Token", "X-Registry-Auth"])
def test_headers(name: str) -> None:
    assert "SECRET" not in mask_header(name, "Basic SECRET")
