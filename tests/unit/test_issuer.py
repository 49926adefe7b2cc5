"""The stand-in issuer over real HTTP on loopback, and its users."""

from __future__ import annotations

import base64
import re
import socket
import threading
import time
from collections.abc import Iterator

import bcrypt
import jwt
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from gdkreg.config.schema import User
from gdkreg.config.values import pattern_problem, user_problem
from gdkreg.issuer import users
from gdkreg.issuer.app import LIFETIME, Issuer, build
from gdkreg.issuer.gate import Gate
from gdkreg.issuer.serve import server
from gdkreg.registry import tokens
from gdkreg.registry.scopes import parse
from gdkreg.resources import x509
from gdkreg.resources.first_user import new_first_user
from tests.unit.serving import serving

PAIR = x509.self_signed(x509.new_token_key(), "gitlab-issuer", (), 365)
CI = User(name="ci", password=users.hash_password("hunter22"), pull=["group/**"], push=["group/app/*"], delete=["group/app/old"])
ADMIN = User(name="root", password=users.hash_password("s3cret:with:colons"), admin=True)


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    issuer = Issuer({user.name: user for user in (CI, ADMIN)}, tokens.signer(PAIR.key, PAIR.certificate))
    with serving(server(build(lambda: issuer), "127.0.0.1", 0, None)) as made:
        yield made.gate


@pytest.fixture(scope="module")
def url(gate: Gate) -> str:
    return f"http://127.0.0.1:{gate.listening.getsockname()[1]}/jwt/auth"


def ask(
    url: str, *scopes: str, auth: tuple[str, str] | None = ("ci", "hunter22"), service: str = "container_registry"
) -> requests.Response:
    query = [
        ("service", service),
        ("account", "ci"),
        ("client_id", "docker"),
        ("offline_token", "true"),
        *(("scope", item) for item in scopes),
    ]
    return requests.get(url, params=query, auth=auth, timeout=10)


def access(answer: requests.Response) -> list[str]:
    claims = jwt.decode(answer.json()["token"], options={"verify_signature": False})
    return [f"{item['name']}:{','.join(item['actions'])}" for item in claims["access"]]


def test_it_answers_as_gitlab_does(url: str) -> None:
    answer = ask(url, "repository:group/app/x:pull,push")
    body = answer.json()
    assert set(body) == {"token", "access_token", "expires_in", "issued_at"}
    assert body["expires_in"] == LIFETIME >= 60
    assert answer.headers["cache-control"] == "no-store"
    assert access(answer) == ["group/app/x:pull,push"]
    assert ask(url, auth=("ci", "wrong")).status_code == 401
    assert ask(url, auth=("ci", "wrong")).json() == {"errors": [{"code": "UNAUTHORIZED", "message": "HTTP Basic: Access denied"}]}
    assert ask(url, "repository:a:pull", auth=None).status_code == 403
    assert ask(url, service="other").status_code == 404
    assert requests.post(url, data={"service": "container_registry"}, timeout=5).status_code == 404
    assert requests.get(url.replace("/jwt/auth", "/other"), timeout=5).json()["errors"][0]["code"] == "NOT_FOUND"
    assert ask(url, auth=("root", "s3cret:with:colons")).status_code == 200


def test_grants_are_partial(url: str) -> None:
    assert access(ask(url, "repository:group/other:pull,push,delete")) == ["group/other:pull"]
    assert access(ask(url, "repository:elsewhere/x:pull")) == []
    assert access(ask(url, "repository:group/a:pull repository:group/b:pull")) == ["group/a:pull", "group/b:pull"]
    assert access(ask(url, "repository:group/a:pull", "repository:group/app/x:*")) == ["group/a:pull", "group/app/x:pull,push"]
    assert access(ask(url, "registry:catalog:*")) == []
    assert access(ask(url, "registry:catalog:*", auth=("root", "s3cret:with:colons"))) == ["catalog:*"]


@pytest.mark.parametrize(
    "scope",
    [
        "repository:../../etc/passwd:pull",
        "repository:" + "a" * 5000 + ":pull",
        "nonsense",
        "repository:group/\x00:pull",
        "registry:users:*",
    ],
)
def test_bad_scopes_are_refused(url: str, scope: str) -> None:
    answer = ask(url, scope)
    assert answer.status_code == 400
    assert "token" not in answer.json()


def test_scopes_of_an_unknown_type_grant_nothing(url: str) -> None:
    assert access(ask(url, "repository(plugin):group/a:pull", "repository:group/a:pull")) == ["group/a:pull"]


def test_requests_are_bounded(url: str) -> None:
    assert ask(url, *["repository:a:pull"] * 101).status_code == 400
    assert ask(url, *["repository:abcdefghij:pull"] * 400).status_code in {400, 414, 431}
    with socket.create_connection((url.split("/")[2].split(":")[0], int(url.split(":")[2].split("/")[0]))) as flood:
        flood.settimeout(5)
        sent = 0
        try:
            for _ in range(200):  # a header that never ends
                sent += flood.send(b"GET / HTTP/1.1\r\nX: " if not sent else b"y" * 4096)
                time.sleep(0.001)
            said = flood.recv(100)
        except OSError:
            said = b""
    assert said == b"" or b" 400 " in said
    assert sent < 200 * 4096 or said
    for header in ("Basic !!!", "Basic " + "A" * 5000, "Bearer x", "Basic " + base64.b64encode(b"nocolon").decode(), "Basic"):
        got = requests.get(url + "?service=container_registry", headers={"Authorization": header}, timeout=5)
        assert got.status_code == 401, header


def test_a_client_that_never_ends_its_request_is_closed(url: str, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate.begun, "patience", 0.3)
    host, port = url.split("/")[2].split(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(b"GET /jwt/auth HTTP/1.1\r\n")
        slow.settimeout(3)
        assert slow.recv(100) == b""
    good = base64.b64encode(b"ci:hunter22").decode()
    whole = f"GET /jwt/auth?service=container_registry HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {good}\r\n"
    for second in ("GET /jwt/auth HTTP/1.1\r\n", whole + "Content-Length: 9\r\n\r\n1"):  # its head, then its body, does not end
        with socket.create_connection((host, int(port))) as slow:
            slow.sendall(whole.encode() + b"\r\n")
            slow.settimeout(3)
            assert b" 200 " in slow.recv(10_000)
            slow.sendall(second.encode())
            while slow.recv(10_000):
                pass


def test_who_is_known_does_not_wait_behind_who_is_not(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(url).status_code == 200
    released = threading.Event()
    monkeypatch.setattr(bcrypt, "checkpw", lambda *_: released.wait(10) and False)
    flood = [threading.Thread(target=ask, args=(url,), kwargs={"auth": ("ci", f"wrong{n}")}) for n in range(4)]
    try:
        for thread in flood:
            thread.start()
        assert ask(url).status_code == 200
    finally:
        released.set()
        for thread in flood:
            thread.join()


@pytest.mark.parametrize("password", ["wrong", "x" * 80])
def test_what_is_refused_costs_the_same_for_every_name(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    """Rounds of bcrypt are counted, for a user with a cheap hash, one with ours, and a name that nobody has."""
    rounds: list[int] = []
    check, make = bcrypt.checkpw, bcrypt.hashpw

    def counted_check(raw: bytes, hashed: bytes) -> bool:
        rounds.append(2 ** int(hashed.split(b"$")[2]))
        return check(raw, hashed)

    def counted_make(raw: bytes, salt: bytes) -> bytes:
        rounds.append(2 ** int(salt.split(b"$")[2]))
        return make(raw, salt)

    cheap = User(name="cheap", password=bcrypt.hashpw(b"hunter22", bcrypt.gensalt(5)).decode())
    monkeypatch.setattr(bcrypt, "checkpw", counted_check)
    monkeypatch.setattr(bcrypt, "hashpw", counted_make)
    spent = []
    for user in (CI, cheap, None):
        rounds.clear()
        assert not users.Passwords().check(user, password, 11)
        spent.append(sum(rounds))
    assert spent == [2**11] * 3


def test_a_password_is_checked_again_when_its_hash_changed() -> None:
    checker = users.Passwords()
    assert not checker.remembers(CI, "hunter22")
    assert checker.check(CI, "hunter22")
    assert checker.remembers(CI, "hunter22")
    changed = User(name="ci", password=users.hash_password("other"))
    for user, password in ((changed, "hunter22"), (CI, "hunter22" + "x" * 100), (None, "hunter22")):
        assert not checker.remembers(user, password)
        assert not checker.check(user, password)
    assert b"hunter22" not in repr(checker.__dict__).encode()


def test_a_password_that_bcrypt_would_cut_off_is_refused() -> None:
    with pytest.raises(ValueError, match="72 bytes"):
        users.hash_password("x" * 73)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("group/*", "group/app", True),
        ("group/*", "group/app/deep", False),
        ("group/**", "group/app/deep", True),
        ("group/**", "groups/app", False),
        ("group/**", "xgroup/app", False),
        ("**", "anything/at/all", True),
        ("*", "one/two", False),
        ("*/app", "g/app", True),
        ("g.p/x", "gxp/x", False),
        ("group/a*", "group/abc", True),
        ("a**z", "a/b/z", True),
        ("a*z", "a/b/z", False),
        ("**/app", "app", False),
    ],
)
def test_patterns(pattern: str, name: str, fits: bool) -> None:
    assert users.matches(pattern, name) is fits


@pytest.mark.parametrize(
    "pattern",
    ["", "../x", "a/../b", "/a", "a//b", "a/", "A/b", "a b", "***", "a\n", "*a*a*a*a*a*a*a*a*a", "a|b", "(a)", "[ab]", ".*"],
)
def test_patterns_that_try_too_much_are_refused(pattern: str) -> None:
    assert pattern_problem(pattern)


@given(
    st.from_regex(r"[ab*]{1,8}(/[ab*]{1,4}){0,2}", fullmatch=True).filter(lambda text: "***" not in text),
    st.from_regex(r"[ab]{1,12}(/[ab]{1,6}){0,2}", fullmatch=True),
)
def test_patterns_mean_what_their_regular_expression_means(pattern: str, name: str) -> None:
    wild = {"*": "[^/]*", "**": ".*"}
    expression = "".join(wild.get(part, re.escape(part)) for part in re.split(r"(\*\*?)", pattern))
    assert users.matches(pattern, name) == (re.fullmatch(expression, name) is not None)


def test_no_pattern_is_slow() -> None:
    """As a regular expression this would take minutes."""
    assert not users.matches("**a" * 40 + "b", "a" * 255)


def test_users_are_checked() -> None:
    good = CI.password
    assert user_problem("ci", good, []) == ""
    assert "bcrypt" in user_problem("ci", "plain", [])
    assert "letters" in user_problem("a:b", good, [])
    assert "pattern" in user_problem("ci", good, ["../"])


def test_grant_of_everything_and_nothing() -> None:
    asked = [parse("repository:a:pull"), parse("registry:catalog:*")]
    assert users.grant(ADMIN, asked) == asked
    assert users.grant(User(name="x", password=""), asked) == []
    first = new_first_user()
    assert users.everything(first).admin
    assert len(first.password) >= 20
