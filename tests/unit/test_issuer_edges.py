"""The issuer's limits to the letter, and how it reads its users anew. Without a socket: the application itself is asked."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from gdkreg.config.schema import User
from gdkreg.errors import GdkregError
from gdkreg.issuer import users
from gdkreg.issuer.app import Issuer, build
from gdkreg.issuer.serve import Source
from gdkreg.registry import tokens
from gdkreg.registry.scopes import parse
from gdkreg.resources import x509

PAIR = x509.self_signed(x509.new_token_key(), "gitlab-issuer", (), 365)
CI = User(name="ci", password=bcrypt.hashpw(b"hunter22", bcrypt.gensalt(4)).decode(), pull=["g/**"])
APP = build(lambda: Issuer({"ci": CI}, tokens.signer(PAIR.key, PAIR.certificate)))


def ask(query: str, authorization: str = "", method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one request."""
    sent: list[MutableMapping[str, Any]] = []
    headers = [(b"authorization", authorization.encode())] if authorization else []
    scope = {"type": "http", "method": method, "path": "/jwt/auth", "query_string": query.encode(), "headers": headers}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(APP(scope, receive, send))
    found = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:])


def basic(name: str, password: str, kind: str = "Basic") -> str:
    return f"{kind} {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


GOOD = basic("ci", "hunter22")


def status(query: str, authorization: str = GOOD) -> int:
    return ask(f"service=container_registry&{query}", authorization)[0]


def test_a_refusal_asks_for_a_password_where_one_would_help() -> None:
    answer, headers, body = ask("service=container_registry", basic("ci", "wrong"))
    assert (answer, headers["www-authenticate"]) == (401, 'Basic realm="gdkreg"')
    assert b"UNAUTHORIZED" in body
    for query, authorization in (("service=container_registry", ""), ("service=x", GOOD)):
        assert "www-authenticate" not in ask(query, authorization)[1]


def test_how_much_may_be_asked() -> None:
    assert status("&".join(["scope=repository:g/a:pull"] * 100)) == 200
    assert status("&".join(["scope=repository:g/a:pull"] * 101)) == 400
    whole = "service=container_registry&x="
    assert ask(whole + "x" * (8192 - len(whole)), GOOD)[0] == 200
    assert ask(whole + "x" * (8193 - len(whole)), GOOD)[0] == 414


def test_how_long_a_password_may_be() -> None:
    longest = (1024 // 4) * 3  # bytes in base64
    assert len(basic("ci", "x" * (longest - 3)).split()[1]) == 1024
    for header in (basic("ci", "x" * (longest - 3)), basic("ci", "x" * longest)):
        assert status("", header) == 401
    name = "n" * (longest - 2)
    assert status("", basic(name, "x")) == 401
    assert status("", basic("", "x" * (longest - 1))) == 403, "1,024 are read: there is no name in it"
    assert status("", basic("", "x" * longest)) == 401, "more are not"


@pytest.mark.parametrize("kind", ["basic", "BASIC", "Bearer", "Digest"])
def test_which_kind_of_header(kind: str) -> None:
    assert status("", basic("ci", "hunter22", kind)) == (200 if kind.lower() == "basic" else 401)


def test_what_may_be_asked_in_one_word_is_refused_and_other_types_are_passed_over() -> None:
    assert status("scope=nonsense") == 400
    assert status("scope=other:x:pull") == 200
    assert status("scope=repository:G:pull") == 400


def test_a_user_may_pull_what_it_may_push() -> None:
    user = User(name="u", password="", pull=["a"], push=["b"], delete=["c"])
    asked = [parse(f"repository:{name}:*") for name in ("a", "b", "c", "d")] + [parse("registry:catalog:*")]
    assert [str(scope) for scope in users.grant(user, asked)] == [
        "repository:a:pull",
        "repository:b:pull,push",
        "repository:c:delete",
    ]
    assert users.grant(user, [parse("repository:a:push,pull")]) == [parse("repository:a:pull")]


def test_the_longest_password() -> None:
    cheap = User(name="u", password=bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode())
    assert users.Passwords().check(cheap, "x" * 72, 4)
    assert not users.Passwords().check(cheap, "x" * 73, 4)
    assert users.cost_of(User(name="u", password=users.hash_password("x" * 72))) == 10
    assert not users.Passwords().check(None, "x", 4)


def test_only_so_many_passwords_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bcrypt, "checkpw", lambda *_: True)
    checker = users.Passwords()
    several = [User(name=f"u{number}", password="$2y$10$x") for number in range(1025)]
    for user in several:
        assert checker.check(user, "p")
    assert [checker.remembers(user, "p") for user in (several[0], several[1], several[-1])] == [False, True, True]


# the users and the key as they are on disk


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "gdk.yml").write_text(yml("one"))
    (tmp_path / "localhost.key").write_bytes(PAIR.key)
    (tmp_path / "localhost.crt").write_bytes(PAIR.certificate)
    return tmp_path


def yml(*names: str) -> str:
    listed = "".join(f"    - name: {name}\n      password: {CI.password}\n" for name in names)
    return "registry:\n  enabled: true\n" + (f"  users:\n{listed}" if names else "")


def touched(path: Path, text: str) -> None:
    """Written at another time, whatever the clock of the disk says."""
    before = path.stat().st_mtime_ns
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def test_an_edited_gdk_yml_counts_at_once(root: Path) -> None:
    source = Source(root)
    first = source()
    assert set(first.users) == {"one"}
    assert source() is first, "nothing changed, so nothing is read"
    touched(root / "gdk.yml", yml("one", "two"))
    assert set(source().users) == {"one", "two"}


def test_a_broken_gdk_yml_keeps_the_users_of_before(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = Source(root)
    good = source()
    touched(root / "gdk.yml", "registry: [")
    assert source() is good
    assert "kept the settings of before" in caplog.text
    caplog.clear()
    assert source() is good
    assert caplog.text == "", "it is told once"
    touched(root / "gdk.yml", yml("three"))
    assert set(source().users) == {"three"}
    (root / "gdk.yml").write_text("registry: [")
    with pytest.raises(GdkregError):
        Source(root)()


def test_the_first_user_counts_while_there_is_no_other(root: Path) -> None:
    folder = root / ".gdkreg"
    folder.mkdir(mode=0o700)
    (folder / "first_user").write_text('{"name": "developer", "password": "p"}')
    (folder / "first_user").chmod(0o600)
    source = Source(root)
    assert set(source().users) == {"one"}
    touched(root / "gdk.yml", yml())
    assert (set(source().users), source().users["developer"].admin) == ({"developer"}, True)
    (folder / "first_user").unlink()
    assert source().users == {}
