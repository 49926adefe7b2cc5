"""Requests to a registry: kept connections, retries, trust, the token dialog, and what is said where it refuses."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import urllib3

from gdkreg.clients.stores import Login
from gdkreg.errors import GdkregError
from gdkreg.registry.answers import AnswerError, Hints
from gdkreg.registry.client import Client, Trust
from gdkreg.registry.images import CATALOG, Images, delete, gather, pull
from gdkreg.registry.scopes import Scope
from gdkreg.resources import x509
from tests.registry import FakeRegistry, Handler, serving
from tests.servers import Answer, Asking
from tests.servers import serving as answering

HINTS = Hints("start it", "trust it", "grant it: OPTIONS", "take writes", "start the realm", "me")


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with serving(FakeRegistry()) as made:
        yield made


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib3.Retry, "sleep", lambda *_: None)


def client(fake: FakeRegistry, **options: object) -> Client:
    return Client(fake.url, Trust(), HINTS, **options)  # type: ignore[arg-type]


def times(count: int, fault: Callable[[Handler], object]) -> Callable[[Handler], bool]:
    """A fault of the first so many requests."""
    left = [count]

    def maybe(handler: Handler) -> bool:
        left[0] -= 1
        if left[0] >= 0:
            fault(handler)
        return left[0] >= 0

    return maybe


# connections


def test_connections_are_kept(fake: FakeRegistry) -> None:
    fake.of("a").tags = {str(n): "sha256:" for n in range(3)}
    with Images(client(fake)) as images:
        for _ in range(10):
            assert list(images.tags("a")) == ["0", "1", "2"]
        assert fake.connections == 1
        assert len(list(gather(lambda _: list(images.tags("a")), range(200)))) == 200
        assert fake.connections <= 8


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_registry_that_is_busy_is_asked_again(fake: FakeRegistry, status: int) -> None:
    fake.fault = times(3, lambda handler: handler.reply(status, b"<html>busy"))
    assert client(fake).request("GET", "/v2/").status == 200
    assert len(fake.asked) == 4


def test_it_is_not_asked_for_ever(fake: FakeRegistry) -> None:
    fake.fault = times(99, lambda handler: handler.fail(503, "UNAVAILABLE"))
    with pytest.raises(AnswerError, match="GET /v2/ answered 503") as error:
        client(fake).request("GET", "/v2/")
    assert (error.value.status, error.value.code, len(fake.asked)) == (503, "UNAVAILABLE", 4)
    assert "gdkreg tail registry" in error.value.fix


def test_a_broken_connection_is_made_anew(fake: FakeRegistry) -> None:
    fake.fault = times(2, lambda handler: handler.cut(b"{}" * 9, 3))
    assert client(fake).request("GET", "/v2/").status == 200
    fake.fault = times(9, lambda handler: handler.cut(b"{}" * 9, 3))
    with pytest.raises(GdkregError, match=r"the connection to the registry .* broke") as error:
        client(fake).request("GET", "/v2/")
    assert error.value.fix == "start it"


def test_what_may_have_been_done_is_not_done_twice(fake: FakeRegistry) -> None:
    fake.fault = times(1, lambda handler: handler.fail(500, "UNKNOWN"))
    with pytest.raises(AnswerError):
        client(fake).request("POST", "/v2/a/blobs/uploads/")
    assert len(fake.asked) == 1
    fake.fault = times(1, lambda handler: handler.fail(500, "UNKNOWN"))
    with pytest.raises(AnswerError):
        client(fake).request("PUT", "/v2/a/blobs/uploads/1", body=iter([b"x"]), headers={"Content-Length": "1"})
    assert len(fake.asked) == 2, "what streams is gone once it was sent"


def test_a_registry_that_is_stopped(fake: FakeRegistry) -> None:
    with serving(FakeRegistry()) as gone:
        pass
    with pytest.raises(GdkregError, match=r"the registry 127\.0\.0\.1:\d+ does not answer") as error:
        client(gone).request("GET", "/v2/")
    assert (error.value.why, error.value.fix) == ("connection refused", "start it")


def test_no_proxy_of_the_environment(fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert client(fake).request("GET", "/v2/").status == 200


# trust


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[FakeRegistry]:
    """With a certificate of its own, `crt` in the folder."""
    pair = x509.self_signed(x509.new_tls_key(), "127.0.0.1", ("127.0.0.1",), 9)
    (tmp_path / "crt").write_bytes(pair.certificate)
    (tmp_path / "key").write_bytes(pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    fake = FakeRegistry()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Of", (Handler,), {"fake": fake}))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads, server.block_on_close = True, False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    fake.url = f"https://127.0.0.1:{server.server_address[1]}"
    yield fake
    server.shutdown()
    server.server_close()


def test_whom_it_trusts(secure: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for good in (Trust((tmp_path / "crt",), system=False), Trust((tmp_path / "crt",)), Trust(checked=False)):
        assert Client(secure.url, good, HINTS).request("GET", "/v2/").status == 200
    (tmp_path / "other").write_bytes(x509.self_signed(x509.new_tls_key(), "127.0.0.1", ("127.0.0.1",), 9).certificate)
    for bad in (Trust(), Trust((tmp_path / "other",), system=False)):
        with pytest.raises(GdkregError, match="is not trusted") as error:
            Client(secure.url, bad, HINTS).request("GET", "/v2/")
        assert error.value.fix == "trust it"
        assert "certificate verify failed" in error.value.why
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "crt"))
    assert Client(secure.url, Trust(), HINTS).request("GET", "/v2/").status == 200
    with pytest.raises(GdkregError, match="is not trusted"):  # the own registry is known by its own certificate alone
        Client(secure.url, Trust((tmp_path / "other",), system=False), HINTS).request("GET", "/v2/")
    for missing in ("gone", "key"):
        with pytest.raises(GdkregError, match=f"{missing} cannot be read"):
            Client(secure.url, Trust((tmp_path / missing,), system=False), HINTS).request("GET", "/v2/")


# the token dialog

BASIC = "Basic " + base64.b64encode(b"me:s3cret").decode()


def granting(fake: FakeRegistry, realm: Asking) -> None:
    fake.wants = "Bearer good"
    fake.challenge = f'Bearer realm="{realm.url}/token",service="here",scope="x"'


def test_a_login_is_taken_to_the_realm_once_a_scope(fake: FakeRegistry) -> None:
    with answering(lambda asked: Answer(200, {"token": "good", "expires_in": 300})) as realm:
        granting(fake, realm)
        made = client(fake, login=Login("me", "s3cret", "store"))
        for _ in range(3):
            made.request("GET", "/v2/", [pull("a/b")])
        made.request("GET", "/v2/", [pull("c")])
    assert [asked.headers["authorization"] for asked in realm.asked] == [BASIC, BASIC]
    assert parse_qsl(urlsplit(realm.asked[0].path).query) == [
        ("service", "here"),
        ("scope", "repository:a/b:pull"),
        ("account", "me"),
    ]
    assert [asked.headers.get("authorization") for asked in fake.asked] == [None] + ["Bearer good"] * 4


def test_many_at_once_ask_for_one_token(fake: FakeRegistry) -> None:
    with answering(lambda asked: Answer(200, {"access_token": "good"})) as realm:
        granting(fake, realm)
        made = client(fake)
        made.request("GET", "/v2/", [CATALOG])
        list(gather(lambda _: made.request("GET", "/v2/", [pull("a")]), range(50)))
    assert len(realm.asked) == 2
    assert "authorization" not in realm.asked[0].headers, "nobody logs in where no login is known"


def test_an_identity_token_is_changed_for_one_that_counts(fake: FakeRegistry) -> None:
    with answering(lambda asked: Answer(200, {"access_token": "good"})) as realm:
        granting(fake, realm)
        client(fake, login=Login("<token>", "", "store", "ident")).request("GET", "/v2/", [pull("a")])
    (asked,) = realm.asked
    assert asked.method == "POST"
    assert dict(parse_qsl(asked.body.decode()))["refresh_token"] == "ident"


def test_a_token_that_ran_out_is_got_anew(fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ["one", "two", "three"]
    given = iter(made)
    with answering(lambda asked: Answer(200, {"token": next(given), "expires_in": 100})) as realm:
        granting(fake, realm)
        fake.wants = "Bearer one"
        at_work = client(fake)
        at_work.request("GET", "/v2/", [pull("a")])
        fake.wants = "Bearer two"  # the registry was restarted with another key
        at_work.request("GET", "/v2/", [pull("a")])
        fake.wants = "Bearer three"
        monkeypatch.setattr("gdkreg.registry.authorization.time.monotonic", lambda: 1e9)
        asked = len(fake.asked)
        at_work.request("GET", "/v2/", [pull("a")])
    assert len(fake.asked) == asked + 1, "before it is refused"


def test_a_realm_that_refuses_or_says_nothing(fake: FakeRegistry) -> None:
    for answer, what in (
        (Answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "no"}]}), "answered 401 to me"),
        (Answer(200, {"token": 1}), "gave no token"),
        (Answer(200, b"<html>"), "gave no token"),
        (Answer(302, b"", {"Location": "/sign_in"}), "answered 302"),
    ):
        with answering(lambda asked, answer=answer: answer) as realm:  # type: ignore[misc]
            granting(fake, realm)
            with pytest.raises(GdkregError, match=what) as error:
                client(fake, login=Login("me", "s3cret", "store")).request("GET", "/v2/", [pull("a")])
        assert "s3cret" not in str(error.value.as_data())


def test_a_realm_that_is_stopped(fake: FakeRegistry) -> None:
    with answering(lambda asked: Answer()) as realm:
        granting(fake, realm)
    with pytest.raises(GdkregError, match="does not answer") as error:
        client(fake).request("GET", "/v2/", [pull("a")])
    assert error.value.fix == "start the realm"


def test_a_password_goes_to_no_realm_without_tls(fake: FakeRegistry) -> None:
    fake.wants, fake.challenge = "Bearer good", 'Bearer realm="http://elsewhere.test/token",service="s"'
    with pytest.raises(GdkregError, match="is plain HTTP"):
        client(fake, login=Login("me", "s3cret", "store")).request("GET", "/v2/", [pull("a")])


def test_a_registry_that_wants_the_password_itself(fake: FakeRegistry) -> None:
    fake.wants, fake.challenge = BASIC, 'Basic realm="here"'
    made = client(fake, login=Login("me", "s3cret", "store"))
    for _ in range(2):
        made.request("GET", "/v2/", [pull("a")])
    assert len(fake.asked) == 3
    with pytest.raises(AnswerError, match="refuses me"):
        client(fake, login=Login("me", "wrong", "store")).request("GET", "/v2/", [pull("a")])
    with pytest.raises(AnswerError):
        client(fake).request("GET", "/v2/", [pull("a")])


def test_tokens_signed_here_need_no_question(fake: FakeRegistry) -> None:
    minted: list[list[Scope]] = []

    def mint(scopes: list[Scope]) -> str:
        minted.append(scopes)
        return "good"

    fake.wants, fake.challenge = "Bearer good", 'Bearer realm="http://127.0.0.1:1/",service="s"'
    made = client(fake, mint=mint)
    names = [f"r{n}" for n in range(50)]
    Images(made).expect(names)
    for name in names:
        made.request("GET", "/v2/", [pull(name)])
    assert minted == [[pull(name) for name in names]]
    assert len(fake.asked) == 50


def test_a_grant_that_is_missing_is_named(fake: FakeRegistry) -> None:
    with answering(lambda asked: Answer(200, {"token": "good"})) as realm:
        fake.wants = "Bearer other"
        fake.challenge = f'Bearer realm="{realm.url}",service="s",error="insufficient_scope"'
        for scope, what, option in (
            (delete("a/b"), "delete of a/b", "--delete a/b"),
            (CATALOG, "listing the whole registry", "--admin"),
        ):
            with pytest.raises(AnswerError, match=f"refuses me: {what}") as error:
                client(fake).request("GET", "/v2/", [scope])
            assert error.value.fix == f"grant it: {option}"


def test_a_token_goes_to_nobody_else(fake: FakeRegistry) -> None:
    """Where the registry sends its clients on to the storage, or names another place as the next page."""
    with serving(FakeRegistry()) as other:
        made = client(fake, mint=lambda _: "good")
        made.request("GET", f"{other.url}/v2/", [pull("a")])
        assert "authorization" not in other.asked[0].headers
        other.blobs["sha256:0"] = b"there"
        other.of("a").blobs.add("sha256:0")
        fake.fault = times(99, lambda handler: handler.reply(307, Location=f"{other.url}{handler.path}"))
        assert Images(made).blob("a", "sha256:0").read() == b"there"
        assert "authorization" not in other.asked[1].headers
    assert [asked.headers["authorization"] for asked in fake.asked] == ["Bearer good"]


# refusals


def test_a_registry_that_takes_no_changes(fake: FakeRegistry) -> None:
    fake.read_only = True
    for method, what in (("DELETE", "no deletion"), ("PUT", "no push")):
        with pytest.raises(AnswerError, match=f"takes {what} now") as error:
            client(fake).request(method, "/v2/a/manifests/1")
        assert (error.value.status, error.value.why, error.value.fix) == (405, "Method not allowed", "take writes")


def test_words_of_a_stranger_are_harmless(fake: FakeRegistry) -> None:
    fake.fault = times(99, lambda handler: handler.reply(400, {"errors": [{"code": "X\x1b[2J", "message": "y\x07"}]}))
    with pytest.raises(AnswerError) as error:
        client(fake).request("GET", "/v2/")
    assert error.value.why == r"X\x1b[2J: y\x07"
    for body in (b"<html>", b"{}", b"[1]", b'{"errors": 1}', b'{"errors": []}', json.dumps({"errors": [1]}).encode()):
        fake.fault = times(99, lambda handler, body=body: handler.reply(400, body))  # type: ignore[misc]
        with pytest.raises(AnswerError) as error:
            client(fake).request("GET", "/v2/")
        assert error.value.code == ""


# lists


def test_pages_come_one_by_one_and_end(fake: FakeRegistry) -> None:
    fake.page = 3
    for n in range(10):
        fake.of(f"r{n}")
    listed = Images(client(fake)).catalog()
    assert [next(listed) for _ in range(3)] == ["r0", "r1", "r2"]
    assert len(fake.asked) == 1, "the next page is asked for when it is wanted"
    assert list(listed) == [f"r{n}" for n in range(3, 10)]
    assert len(fake.asked) == 4
    fake.fault = times(99, lambda handler: handler.reply(200, {"repositories": ["x"]}, Link=f'<{handler.path}>; rel="next"'))
    with pytest.raises(GdkregError, match="has no end"):
        list(Images(client(fake)).catalog())


@pytest.mark.parametrize("body", [b"<html>", {}, [], {"repositories": None}, {"repositories": [1, None]}])
def test_lists_that_are_none(fake: FakeRegistry, body: object) -> None:
    fake.fault = times(99, lambda handler: handler.reply(200, body))
    if body == b"<html>":
        with pytest.raises(GdkregError, match="this is no registry"):
            list(Images(client(fake)).catalog())
    else:
        assert list(Images(client(fake)).catalog()) == []


def test_what_is_gathered_keeps_its_order_and_its_bounds() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in range(1000):
            taken.append(n)
            yield n

    found = gather(lambda n: n * n, items())
    assert [next(found) for _ in range(3)] == [0, 1, 4]
    assert len(taken) < 50
    found.close()  # type: ignore[attr-defined]

    def fail(n: int) -> int:
        if n == 5:
            raise GdkregError("five")
        return n

    with pytest.raises(GdkregError, match="five"):
        list(gather(fail, range(1000)))


def test_what_comes_back_changed_is_told(fake: FakeRegistry) -> None:
    from gdkreg.registry.manifests import Descriptor, digest_of

    images, digest = Images(client(fake)), digest_of(b"good")
    fake.blobs[digest] = b"evil"
    fake.of("a").blobs.add(digest)
    with pytest.raises(GdkregError, match="came back changed"):
        images.small_blob("a", Descriptor(digest))
    with pytest.raises(GdkregError, match="is too large"):
        images.small_blob("a", Descriptor(digest, size=1 << 30))
    kind = "application/vnd.oci.image.index.v1+json"
    fake.of("a").manifests[digest] = (kind, b'{"schemaVersion":2,"manifests":[]}')
    fake.of("a").tags["1"] = digest
    for reference in ("1", digest):
        with pytest.raises(GdkregError, match="came back changed"):
            images.manifest("a", reference)
