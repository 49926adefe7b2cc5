"""What is masked of what goes over the wire, on the terminal and in the HAR."""

from __future__ import annotations

import json

import pytest

from gdkreg.masking.http import body, header
from gdkreg.masking.text import address
from gdkreg.proof.har import Exchange, entry


@pytest.mark.parametrize(
    "url",
    [
        "/v2/?access_token=SECRET&n=7",
        "/x?sig=SECRET&se=2026",
        "/x?X-Amz-Signature=SECRET&X-Amz-Credential=SECRET&AWSAccessKeyId=SECRET",
        "/v2/?jwt=SECRET&key=SECRET&code=SECRET&api_key=SECRET&_state=SECRET",
        "/v2/?n=7;token=SECRET",
        "/v2/?%74oken=SECRET",
        "/v2/?SECRET",
        "/hooks/SECRET",
        "/v2/#SECRET",
        "/SECRET/https://registry.test/",
        "https://me:SECRET@registry.test/v2/",
        "https://me:SEC/RET@registry.test/v2/",
        "https://SECRET@registry.test/v2/",
        "https://registry.test/services/SECRET",
    ],
)
def test_an_address(url: str) -> None:
    assert not {"SECRET", "SEC", "RET"} & set(address(url).replace("/", " ").replace("=", " ").replace(":", " ").split())
    assert "SECRET" not in address(url)


@pytest.mark.parametrize(
    "url",
    [
        "/v2/group/app/tags/list?n=7&last=token",
        "/jwt/auth?account=me&scope=repository%3Agroup%2Fapp%3Apull&service=container_registry",
        "/gitlab/jwt/auth?scope=registry:catalog:*",
        "https://registry.test:5000/v2/group/app/manifests/sha256:0af1",
        "https://[::1]:5000/v2/",
        "/v2/app/blobs/uploads/?mount=sha256:0af1&from=group/app",
        "unix:///var/run/docker.sock",
    ],
)
def test_a_public_address_stays(url: str) -> None:
    assert address(url) == url


def test_a_host_is_seen_where_credentials_are_not() -> None:
    assert address("https://me:pw@registry.test:5000/v2/?x=1&n=2") == "https://***@registry.test:5000/v2/?x=***&n=2"


@pytest.mark.parametrize(
    "name",
    ["Authorization", "authorization", "Cookie", "Set-Cookie", "Private-Token", "X-Registry-Auth", "X-Api-Key", "JWT", "Any"],
)
def test_a_header(name: str) -> None:
    assert "SECRET" not in header(name, "Basic SECRET")
    assert "SECRET" not in header(name, "SECRET")


def test_what_a_public_header_says() -> None:
    assert header("Accept", "application/json, */*;q=0.1") == "application/json, */*;q=0.1"
    assert header("Authorization", "Bearer abc") == "Bearer ***"
    assert header("Location", "https://s3.test/bucket/x?X-Amz-Signature=abc") == "https://s3.test/***?X-Amz-Signature=***"
    assert header("Link", '</v2/_catalog?last=b&n=2&token=abc>; rel="next"') == '</v2/_catalog?last=b&n=2&token=***>; rel="next"'
    assert header("Link", "SECRET") == header("Link", "<SECRET") == "***"
    told = 'Bearer realm="https://me:pw@gdk.test/jwt/auth",service="container_registry",scope="repository:a:pull",nonce="abc"'
    shown = 'Bearer realm="https://***@gdk.test/jwt/auth",service="container_registry",scope="repository:a:pull",nonce=***'
    assert header("WWW-Authenticate", told) == shown


def test_a_body_is_shown_by_its_keys() -> None:
    told = {"token": "SECRET", "private_key": "SECRET", "auth": ["SECRET"], "pin": 12345678, "expires_in": 300, "x": True}
    assert json.loads(body(json.dumps(told).encode(), "application/json")) == {
        "token": "***",
        "private_key": "***",
        "auth": ["***"],
        "pin": "***",
        "expires_in": 300,
        "x": True,
    }
    error = {"errors": [{"code": "DENIED", "message": "no", "detail": [{"Type": "repository", "Name": "a", "Why": "SECRET"}]}]}
    shown = json.loads(body(json.dumps(error).encode(), "application/json"))["errors"][0]
    assert shown == {"code": "DENIED", "message": "no", "detail": [{"Type": "repository", "Name": "a", "Why": "***"}]}
    image = {"config": {"Env": ["TOKEN=SECRET"]}, "architecture": "amd64"}
    assert "SECRET" not in body(json.dumps(image).encode(), "application/octet-stream")
    assert body(b'{"token": "SECR', "application/json; charset=utf-8") == "(15 bytes of application/json, not shown)"
    assert body(b"", "") == ""


def test_a_har_holds_no_secret_unless_asked() -> None:
    exchange = Exchange(
        method="GET",
        url="/v2/?key=SECRET&n=1",
        status=307,
        request_headers={"authorization": "Bearer SECRET", "x-api-key": "SECRET", "user-agent": "docker"},
        response_headers={"location": "https://me:SECRET@s3.test/?sig=SECRET", "content-type": "text/html"},
        body=b"<a href=SECRET>",
        sent=0,
        received=15,
        started=0.0,
        ms=1.0,
        error="the realm https://me:SECRET@gdk.test/jwt/auth did not answer",
    )
    masked = entry(exchange, "https://registry.test:5000", show_secrets=False)
    assert "SECRET" not in json.dumps(masked)
    assert masked["request"]["url"] == "https://registry.test:5000/v2/?key=***&n=1"
    assert masked["request"]["queryString"] == [{"name": "key", "value": "***"}, {"name": "n", "value": "1"}]
    assert json.dumps(entry(exchange, "https://registry.test:5000", show_secrets=True)).count("SECRET") >= 6
