"""Which registry is asked, with which trust and whose login."""

from __future__ import annotations

import base64
import json

import pytest

from gdkreg.errors import ConfigError, GdkregError
from gdkreg.host.base import Completed
from gdkreg.registry import remote
from gdkreg.registry.client import Trust
from gdkreg.registry.images import CATALOG, Images, pull
from tests.fakes import FakeHost
from tests.registry import FakeRegistry, serving
from tests.unit.conftest import ROOT
from tests.unit.test_session import settings_of


def place(images: Images) -> tuple[str, Trust]:
    return images.client.base, images.client._trust


def logged_in(host: FakeHost, authority: str, user: str = "me", password: str = "s3cret") -> None:
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    host.put("/home/dev/.docker/config.json", json.dumps({"auths": {authority: {"auth": auth}}}))


def test_the_own_registry_is_trusted_by_its_certificate_alone(fake: FakeHost) -> None:
    settings = settings_of("port: 5100", "self_signed: true", "auth_enabled: false")
    own = ("https://127.0.0.1:5100", Trust((ROOT / "registry_host.crt",), system=False))
    for registry in ("", "127.0.0.1:5100"):
        assert place(remote.connect(settings, fake, registry)) == own
    plain = remote.connect(settings_of("port: 5100", "auth_enabled: false"), fake)
    assert place(plain) == ("http://127.0.0.1:5100", Trust((), system=False))


def test_without_a_user_tokens_are_signed_here(fake: FakeHost) -> None:
    with pytest.raises(GdkregError, match=r"cannot read .*localhost\.key"):
        remote.connect(settings_of("port: 5100"), fake)


@pytest.mark.parametrize("known", ["environment", "store", "asked"])
def test_a_user_has_a_password_from_somewhere(fake: FakeHost, known: str) -> None:
    env = {"GDKREG_PASSWORD": "s3cret"} if known == "environment" else {}
    host = FakeHost(home="/home/dev", env=env)
    if known == "store":
        logged_in(host, "127.0.0.1:5100")
    settings, asked = settings_of("port: 5100", "token_issuer: local"), []

    def ask(user: str) -> str:
        asked.append(user)
        return "s3cret"

    images = remote.connect(settings, host, user="me", ask=ask)
    login = images.client._dialog._login
    assert login is not None
    assert (login.user, login.password) == ("me", "s3cret")
    assert asked == (["me"] if known == "asked" else [])
    assert "me" in images.client.hints.grant
    assert "OPTIONS" in images.client.hints.grant


def test_a_user_without_a_password(fake: FakeHost) -> None:
    settings = settings_of("port: 5100", "token_issuer: local")
    with pytest.raises(GdkregError, match="there is no password of me") as error:
        remote.connect(settings, fake, user="me")
    assert "GDKREG_PASSWORD" in error.value.fix
    host = FakeHost(home="/home/dev", env={"GDKREG_PASSWORD": "p", "GDKREG_USER": "other"})
    with pytest.raises(GdkregError, match="no password of me"):
        remote.connect(settings, host, user="me")


def test_another_registry_is_asked_as_docker_would(fake: FakeHost) -> None:
    logged_in(fake, "other.test:5000")
    fake.put("/home/dev/.docker/certs.d/other.test:5000/notes.txt", "")
    images = remote.connect(None, fake, "other.test:5000")
    assert place(images) == ("https://other.test:5000", Trust())
    login = images.client._dialog._login
    assert login is not None
    assert (login.user, login.password) == ("me", "s3cret")
    assert "docker login other.test:5000" in images.client.hints.grant
    assert remote.connect(None, fake, "ghcr.io").client._dialog._login is None


def test_its_certificate_is_that_of_certs_d(tmp_path: object) -> None:
    host = FakeHost(home=str(tmp_path))
    file = host.platform.home / ".docker/certs.d/other.test/ca.crt"
    file.parent.mkdir(parents=True)
    file.write_text("")
    host.put(file, "")
    assert place(remote.connect(None, host, "other.test"))[1] == Trust((file,))


def test_a_helper_of_docker_is_asked(fake: FakeHost) -> None:
    fake.put("/home/dev/.docker/config.json", json.dumps({"credHelpers": {"other.test": "pass"}}))
    said = Completed(0, json.dumps({"Username": "<token>", "Secret": "ident"}))
    fake.run = lambda argv, *, stdin="", as_root=False: said  # type: ignore[method-assign]
    login = remote.connect(None, fake, "other.test").client._dialog._login
    assert login is not None
    assert (login.token, login.usable) == ("ident", False)


def test_this_machines_own_need_no_tls(fake: FakeHost) -> None:
    with serving(FakeRegistry()) as made:
        made.of("a").tags["1"] = "sha256:0"
        images = remote.connect(None, fake, made.url.removeprefix("http://"))
        assert images.client.base == made.url
        assert list(images.catalog()) == ["a"]
        assert list(images.tags("a")) == ["1"]


@pytest.mark.parametrize(
    "text", ["a b", "-x", "host:", "host:0", "host:65536", "host:1x", "http://host", "host/a", ":5000", "[::1"]
)
def test_what_is_no_registry(fake: FakeHost, text: str) -> None:
    with pytest.raises(ConfigError, match="is not a registry"):
        remote.connect(None, fake, text)


def test_without_a_registry_there_is_none(fake: FakeHost) -> None:
    with pytest.raises(ConfigError, match="there is no registry"):
        remote.connect(None, fake)


def test_scopes() -> None:
    assert (str(pull("a/b")), str(CATALOG)) == ("repository:a/b:pull", "registry:catalog:*")
