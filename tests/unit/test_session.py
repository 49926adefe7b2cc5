"""Requests to the registry and its realm: what is sent, what is trusted, and what is said of each refusal."""

from __future__ import annotations

import base64
import socket
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from gdkreg.config import settings as configs
from gdkreg.config.effective import Settings
from gdkreg.registry import session
from gdkreg.registry.challenges import challenge_of
from gdkreg.registry.remote import bare
from gdkreg.registry.scopes import parse
from gdkreg.registry.session import Realm, RefusedError, realm_of, request
from tests.fakes import FakeHost
from tests.servers import Answer, serving
from tests.unit.conftest import ROOT

NO = {"code": "NO", "message": "no"}


def settings_of(*lines: str) -> Settings:
    host = FakeHost()
    keys = "".join(f"  {line}\n" for line in ("enabled: true", "host: 127.0.0.1", "listen_address: 127.0.0.1", *lines))
    host.put(ROOT / "gdk.yml", f"hostname: gdk.test\nregistry:\n{keys}")
    return configs.load(ROOT, host)


def refused(answer: Answer, certificate: Path | None = None) -> RefusedError:
    with serving(lambda asked: answer) as told, pytest.raises(RefusedError) as error:
        Realm(told.url, certificate, "the remedy").tokens("me", "p")([])
    return error.value


def test_a_token_is_asked_for_as_docker_does() -> None:
    scopes = [parse("repository:g/p:pull,push"), parse("registry:catalog:*")]
    with serving(lambda asked: Answer(200, {"token": "abc"})) as told:
        assert Realm(told.url, None, "").tokens("me", "p:w")(scopes) == "abc"
    (asked,) = told.asked
    assert parse_qsl(urlsplit(asked.path).query) == [
        ("service", "container_registry"),
        ("account", "me"),
        ("client_id", "gdkreg"),
        ("scope", "repository:g/p:pull,push"),
        ("scope", "registry:catalog:*"),
    ]
    assert asked.headers["authorization"] == "Basic " + base64.b64encode(b"me:p:w").decode()


@pytest.mark.parametrize(
    ("answer", "why", "fix"),
    [
        (
            Answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "no"}]}),
            "UNAUTHORIZED: no",
            "check the name and the password",
        ),
        (
            Answer(403, {"errors": [{"code": "A", "message": "a"}, "?", {"code": "B", "message": "b"}]}),
            "A: a; B: b",
            "gdkreg doctor",
        ),
        (Answer(502, b"<html>"), "", "the remedy"),
        (Answer(500, ["?"]), "", "the remedy"),
        (Answer(302, b"", {"Location": "/users/sign_in"}), "", "the remedy"),
        (Answer(200, {"token": 1}), "", "the remedy"),
        (Answer(200, ["token"]), "", "the remedy"),
        (Answer(201, {"token": "abc"}), "", "the remedy"),
    ],
)
def test_what_a_realm_refuses(answer: Answer, why: str, fix: str) -> None:
    found = refused(answer)
    assert (found.status, found.why, found.fix) == (answer.status, why, fix)
    assert found.what.endswith(f" answered {answer.status}")


def test_a_realm_that_is_not_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(RefusedError, match="does not answer") as error:
            Realm(url, None, "the remedy").tokens("me", "p")([])
    assert (error.value.status, error.value.fix) == (0, "the remedy")
    assert error.value.why == "[Errno 111] Connection refused"


def test_a_realm_that_is_not_trusted(tmp_path: Path) -> None:
    for certificate, fix in ((None, "e.g. mkcert -install"), (tmp_path / "gone.crt", "the remedy")):
        with serving(lambda asked: Answer()) as told:
            tokens = Realm(told.url.replace("http:", "https:"), certificate, "the remedy").tokens("me", "p")
            with pytest.raises(RefusedError, match="is not trusted") as error:
                tokens([])
        assert error.value.status == 0
        assert fix in error.value.fix


def test_no_proxy_and_no_redirect_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serving(lambda asked: Answer(307, b"", {"Location": "http://127.0.0.1:1/"})) as told:
        answer = request("GET", f"{told.url}/v2/", None)
    assert (answer.status_code, [asked.path for asked in told.asked]) == (307, ["/v2/"])


def test_a_missing_certificate_is_an_error_of_trust(tmp_path: Path) -> None:
    with serving(lambda asked: Answer()) as told, pytest.raises(requests.exceptions.SSLError, match="gone"):
        request("GET", told.url.replace("http:", "https:"), tmp_path / "gone.crt")


def test_the_registry_is_asked_at_its_own_port() -> None:
    with serving(lambda asked: Answer()) as told:
        port = told.url.rpartition(":")[2]
        assert bare(settings_of(f"port: {port}")).probe().status == 200
    assert [(asked.method, asked.path) for asked in told.asked] == [("GET", "/v2/")]


def test_which_realm_it_is() -> None:
    local = settings_of("token_issuer: local", "auth_port: 5001")
    assert realm_of(local) == Realm("http://127.0.0.1:5001/jwt/auth", None, "gdkreg start auth")
    assert realm_of(local, "http://proxy").url == "http://proxy"
    secure = settings_of("token_issuer: local", "self_signed: true")
    assert realm_of(secure).certificate == ROOT / "registry_host.crt"
    theirs = settings_of("token_issuer: gitlab", "self_signed: true")
    assert realm_of(theirs) == session.gitlab(theirs)
    assert (realm_of(theirs).url, realm_of(theirs).certificate) == ("http://gdk.test:3000/jwt/auth", None)
    traced = realm_of(theirs, "https://proxy")
    assert (traced.url, traced.certificate) == ("https://proxy", ROOT / "registry_host.crt")
    assert traced.remedy == realm_of(theirs).remedy


def test_challenges_of_other_kinds_and_none_at_all() -> None:
    found = challenge_of('bearer realm="r"')
    assert found is not None
    assert (found.realm, found.service, found.scope, found.error) == ("r", "", "", "")
    assert challenge_of("Bearerly x") is challenge_of("") is None
