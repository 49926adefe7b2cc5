"""What is known of each client: the login it has, the line that has it trust the registry, how a token is judged for it."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import jwt
import pytest

from gdkreg.clients import stores, table
from gdkreg.config import settings as configuration
from gdkreg.errors import GdkregError
from gdkreg.host.base import Completed
from gdkreg.registry import tokens
from gdkreg.registry.curl import commands
from gdkreg.registry.inspection import Generation, inspect
from gdkreg.registry.scopes import parse
from gdkreg.resources import x509
from gdkreg.services import generation
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT

AT = "registry.test:5000"
AUTH = base64.b64encode(b"ci:hunter22").decode()


def config(**content: object) -> str:
    return json.dumps(content)


@pytest.mark.parametrize(
    ("client", "file", "content"),
    [
        ("docker", "/home/dev/.docker/config.json", config(auths={AT: {"auth": AUTH}})),
        ("docker", "/home/dev/.docker/config.json", config(auths={f"https://{AT}/v1/": {"auth": AUTH}})),
        ("crane", "/home/dev/.docker/config.json", config(auths={AT: {"username": "ci", "password": "hunter22"}})),
        ("podman", "/run/user/7/containers/auth.json", config(auths={AT: {"auth": AUTH}})),
        ("podman", "/run/user/7/containers/auth.json", config(auths={f"{AT}/group": {"auth": AUTH}})),
        ("skopeo", "/home/dev/.config/containers/auth.json", config(auths={AT: {"auth": AUTH}})),
        ("buildah", "/home/dev/.docker/config.json", config(auths={AT: {"auth": AUTH}})),
        ("helm", "/home/dev/.config/helm/registry/config.json", config(auths={AT: {"auth": AUTH}})),
        ("regctl", "/home/dev/.regctl/config.json", config(hosts={AT: {"user": "ci", "pass": "hunter22"}})),
    ],
)
def test_the_login_that_a_client_has(client: str, file: str, content: str) -> None:
    host = FakeHost(home="/home/dev", env={"XDG_RUNTIME_DIR": "/run/user/7"})
    assert stores.stored(client, AT, host) is None
    host.put(file, content)
    assert stores.stored(client, AT, host) == stores.Login("ci", "hunter22", file)
    assert stores.stored(client, "registry.test:5001", host) is None


def test_a_client_without_a_store_has_no_login(fake: FakeHost) -> None:
    fake.put("/home/dev/.docker/config.json", config(auths={AT: {"auth": AUTH}}))
    assert stores.stored("curl", AT, fake) is None


class Helped(FakeHost):
    """With a credential helper, whose answer is `answer`."""

    answer = Completed(0, '{"Username": "ci", "Secret": "hunter22"}')

    def run(self, argv: object, *, stdin: str = "", as_root: bool = False) -> Completed:
        assert (argv, stdin) == (["docker-credential-pass", "get"], AT)
        return self.answer


@pytest.mark.parametrize("content", [config(credsStore="pass"), config(credHelpers={AT: "pass"}, credsStore="other")])
def test_a_credential_helper_is_asked(content: str) -> None:
    host = Helped(home="/home/dev")
    host.put("/home/dev/.docker/config.json", content)
    assert stores.stored("docker", AT, host) == stores.Login("ci", "hunter22", "docker-credential-pass")
    host.answer = Completed(1, "credentials not found in native keychain")
    assert stores.stored("docker", AT, host) is None
    host.answer = Completed(127, "", "docker-credential-pass: command not found")
    with pytest.raises(GdkregError, match="credential helper docker-credential-pass is broken"):
        stores.stored("docker", AT, host)


def test_an_identity_token_is_of_no_use_to_others(fake: FakeHost) -> None:
    fake.put("/home/dev/.docker/config.json", config(auths={AT: {"identitytoken": "x"}}))
    login = stores.stored("docker", AT, fake)
    assert login is not None
    assert not login.usable


@pytest.mark.parametrize("content", ["", "[]", "{", config(auths=[]), config(auths={AT: "x"}), config(auths={AT: {"auth": "%"}})])
def test_a_damaged_store_is_no_login(fake: FakeHost, content: str) -> None:
    fake.put("/home/dev/.docker/config.json", content)
    assert stores.stored("docker", AT, fake) is None
    assert not stores.names(fake, Path("/home/dev/.docker/config.json"), "other.test")


def test_every_row_can_be_asked_and_trusts_by_something(fake: FakeHost) -> None:
    fake.put(ROOT / "gdk.yml", "registry: {enabled: true, host: registry.test, self_signed: true}")
    settings = configuration.load(ROOT, fake)
    for row in table.CLIENTS:
        assert row.ask, row.name
        assert bool(row.login) == bool(row.logout), row.name
        assert (row.trust in {"variable", "builder"}) == bool(row.variable), row.name
        assert table.trusting(row, settings, "linux"), row.name
        for words in (row.login, row.logout, row.ask):
            assert not re.findall(r"{(?!authority}|user}|reference})", words), row.name
    crane = table.BY_NAME["crane"]
    assert table.trusting(crane, settings, "darwin").startswith("security add-trusted-cert"), "Go asks the keychain there"
    assert table.trusting(crane, settings, "linux") == f"export SSL_CERT_FILE={ROOT}/registry_host.crt"
    fake.put(ROOT / "gdk.yml", "registry: {enabled: true, host: registry.test}")
    plain = configuration.load(ROOT, fake)
    assert {table.trusting(row, plain, "linux") for row in table.CLIENTS} == {
        "gdkreg config set registry.self_signed true; gdkreg up"
    }, "there is no certificate to trust"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("docker-registry github.com/docker/distribution 2.8.2+ds1\n", "2"),  # Debian 12's
        ("registry github.com/docker/distribution v2.8.3\n", "2"),
        ("registry github.com/distribution/distribution/v3 v3.0.0\n", "3"),
        ("registry github.com/docker/distribution v4.28.0-gitlab\n", "gitlab"),
        ("", "2"),
    ],
)
def test_generations(said: str, kind: str) -> None:
    assert generation.parse(said).generation == kind


@pytest.fixture(scope="module")
def by() -> tuple[tokens.Signer, bytes]:
    key = x509.new_token_key()
    pair = x509.self_signed(key, "localhost", (), 30)
    return tokens.signer(pair.key, pair.certificate), pair.key


@pytest.mark.parametrize(
    ("algorithm", "claims", "header", "takes"),
    [
        ("RS256", {}, {}, {"2", "3", "gitlab"}),
        ("RS512", {}, {}, {"2", "3", "gitlab"}),
        ("PS256", {}, {}, {"3"}),
        ("RS256", {"aud": ["container_registry", "x"]}, {}, {"3"}),
        ("RS256", {"aud": ["x"]}, {}, set()),
        ("RS256", {}, {"crit": ["b64"], "b64": True}, {"2", "gitlab"}),
    ],
)
def test_each_generation_judges_in_its_own_way(
    by: tuple[tokens.Signer, bytes], algorithm: str, claims: dict[str, object], header: dict[str, object], takes: set[Generation]
) -> None:
    signer, key = by
    good = {"iss": tokens.ISSUER, "aud": tokens.SERVICE, "exp": 2_000_000_000, "nbf": 0}
    token = jwt.encode({**good, **claims}, key, algorithm=algorithm, headers={"kid": signer.kid, **header})
    kinds: tuple[Generation, ...] = ("2", "3", "gitlab")
    assert {kind for kind in kinds if not inspect(token, signer, [], generation=kind).refusals} == takes


def test_a_curl_line_for_each_scope(fake: FakeHost) -> None:
    fake.put(ROOT / "gdk.yml", "registry: {enabled: true, host: registry.test, self_signed: true}")
    settings = configuration.load(ROOT, fake)
    scopes = [
        parse(text) for text in ("registry:catalog:*", "repository:a:pull", "repository:b:pull,push", "repository:c:delete")
    ]
    lines = commands(settings, scopes, "TOKEN", lambda asked: f"for-{asked[0]}")
    assert len(lines) == 4
    assert lines[0].endswith("https://127.0.0.1:5000/v2/_catalog") or "/v2/_catalog" in lines[0]
    assert "/v2/a/tags/list" in lines[1]
    assert "-X POST" in lines[2]
    assert "Bearer for-repository:b:delete' -X DELETE" in lines[2], "Distribution wants delete for the cancelling"
    assert "-X DELETE" in lines[3]
    assert "/v2/c/manifests/sha256:000" in lines[3]
