"""What nobody sees: in diffs, in other programs' words, in the environment of what runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gdkreg.config.public import shown
from gdkreg.config.settings import load
from gdkreg.config.source import parse
from gdkreg.errors import ConfigError, GdkregError
from gdkreg.host.environment import of_a_service
from gdkreg.masking.public import DISTRIBUTION
from gdkreg.masking.structure import hidden, masked, paths
from gdkreg.masking.text import learn, prose
from gdkreg.plan import diff
from gdkreg.proof.client import BrokenError
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT

# Every value with SECRET in it is one; the others have to be seen.
CONFIG = """\
version: 0.1
log:
  level: info
  fields: {service: registry, api: SECRET01}
  hooks:
    - {type: mail, levels: [panic], options: {smtp: {addr: 'mail.test:25', username: SECRET02, password: SECRET03}}}
storage:
  s3: {accesskey: SECRET04, secretkey: SECRET05, sessiontoken: SECRET06, region: eu-west-1, bucket: images,
       regionendpoint: 'https://me:SECRET07@minio.test:9000/SECRET08?sig=SECRET09'}
  delete: {enabled: true}
http:
  addr: ':5000'
  host: https://SECRET10@registry.test
  secret: SECRET11
  tls: {certificate: /etc/docker/registry/registry_host.crt, key: "-----BEGIN PRIVATE KEY-----\\nSECRET12"}
  headers:
    X-Content-Type-Options: [nosniff]
    X-Api-Key: [SECRET13]
    Set-Cookie: ['a=SECRET14; Path=/']
notifications:
  endpoints:
    - name: events
      url: https://me:SECRET15@events.test/hooks/SECRET16?token=SECRET17&n=1
      headers: {Authorization: [Bearer SECRET18], List: ['X-Token: SECRET19', 'y=SECRET20']}
      timeout: 1s
redis: {addr: 'redis.test:6379', password: SECRET21, db: 7, pin: 2200220022}
proxy: {remoteurl: https://registry-1.docker.io, username: SECRET23, password: SECRET24}
anything:
  at: {all: [SECRET25, {deep: SECRET26}]}
  private_key: |
    -----BEGIN RSA PRIVATE KEY-----
    SECRET27
    SECRET28
    -----END RSA PRIVATE KEY-----
"""
SEEN = ("info", "registry", "eu-west-1", "images", "minio.test:9000", ":5000", "nosniff", "events.test", "n=1", "1s", "7")
RUNNER = """\
concurrent = 4 # SECRET01
[[runners]]
  name = "a"
  url = "https://me:SECRET02@gitlab.test/"
  token = "SECRET03"
  environment = ["TOKEN=SECRET04", "SECRET05", "DOCKER_AUTH_CONFIG={\\"auths\\": {\\"x\\": {\\"auth\\": \\"SECRET06\\"}}}"]
  pre_build_script = '''
echo SECRET07
'''
  executor = "docker"
  [runners.docker]
    image = "ruby"
    volumes = ["/cache"]
    sysctls = { a = "SECRET08" }
  [runners.kubernetes]
    image_pull_secrets = ["SECRET09"]
  [runners.cache.s3]
    AccessKey = "SECRET10"
    ServerAddress = "SECRET11"
"""


@pytest.mark.parametrize("before", [b"", b"version: 0.1\n", CONFIG.replace("SECRET", "OTHER").encode(), b"a: SECRET: b"])
def test_a_diff_of_the_registrys_configuration(before: bytes) -> None:
    for sides in ((before, CONFIG.encode()), (CONFIG.encode(), before), (CONFIG.encode(), None)):
        text = diff.unified("/gdk/registry/config.yml", *sides)
        assert "SECRET" not in text
        assert "2200220022" not in text


def test_what_is_public_is_seen() -> None:
    text = diff.unified("/gdk/registry/config.yml", None, CONFIG.encode())
    assert all(word in text for word in SEEN), text


def test_a_changed_secret_is_seen_as_changed() -> None:
    text = diff.unified("/gdk/registry/config.yml", CONFIG.encode(), CONFIG.replace("SECRET21", "other").encode())
    assert "-  password: ***\n+  password: *** (changed)" in text
    assert text.count("(changed)") == 1
    listed = CONFIG.replace("Bearer SECRET18", "Bearer other")
    assert diff.unified("/gdk/config.yml", CONFIG.encode(), listed.encode()).count("(changed)") == 1
    commented = diff.unified("/gdk/registry/config.yml", CONFIG.encode(), b"# SECRET\n" + CONFIG.encode())
    assert commented == "(only comments, order or layout change)"


def test_a_file_that_does_not_parse_is_not_shown() -> None:
    for name, kind in (("config.yml", "YAML"), ("jwks.json", "JSON"), ("config.toml", "TOML"), ("a.plist", "plist")):
        text = diff.unified(f"/gdk/{name}", b"\tSECRET: [", b"{}")
        assert text == f"(it changes; contents not shown: it is not valid {kind})"
    assert diff.unified("/gdk/config.yml", b"a: b", b"\xffSECRET") == "(it changes; contents not shown: it is not UTF-8)"


def test_a_diff_of_the_runners_file() -> None:
    after = RUNNER.replace('["/cache"]', '["/cache", "/home/me/.docker/certs.d:/etc/docker/certs.d"]')
    text = diff.unified("/etc/gitlab-runner/config.toml", RUNNER.encode(), after.encode())
    assert "SECRET" not in text
    assert '+volumes = ["/cache", "/home/me/.docker/certs.d:/etc/docker/certs.d"]' in text
    whole = diff.unified("/etc/gitlab-runner/any.name", None, RUNNER.encode())
    assert "SECRET" not in whole
    assert '+environment = ["TOKEN=***", "***", "DOCKER_AUTH_CONFIG=***"]' in whole


def test_a_diff_of_gdk_yml() -> None:
    before = f"gitlab: {{omniauth: SECRET00}}\nmail: !ruby SECRET\nregistry:\n  host: a.test\n  config:\n{_indented(CONFIG)}"
    text = diff.unified(
        "/gdk/gdk.yml", before.encode(), before.replace("a.test", "b.test").replace("y SECRET", "y OTHER").encode()
    )
    assert "SECRET" not in text
    assert "+  host: b.test" in text
    assert "*** (changed)" in text
    assert "SECRET" not in diff.unified("/gdk/gdk.yml", None, before.encode())


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def test_other_files() -> None:
    jwk = '{"keys": [{"kty": "RSA", "n": "abc", "e": "AQAB", "d": "SECRET", "p": "SECRET"}]}'
    assert "SECRET" not in diff.unified("/gdk/jwks.json", None, jwk.encode())
    assert '"n": "abc"' in diff.unified("/gdk/jwks.json", None, jwk.encode())
    unit = "[Service]\nEnvironment=TOKEN=SECRET\nExecStart=gdkreg start\nPassEnvironment=SECRET\n"
    assert "SECRET" not in diff.unified("/etc/systemd/system/gdkreg-1.service", unit.encode(), b"[Service]\n")
    assert "gdkreg start" in diff.unified("/etc/systemd/system/gdkreg-1.service", unit.encode(), b"[Service]\n")
    pem = "-----BEGIN CERTIFICATE-----\nAbc=\n-----END CERTIFICATE-----\n"
    both = diff.unified("/gdk/ca.crt", None, f"{pem}-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n".encode())
    assert "+Abc=" in both
    assert "SECRET" not in both


def test_the_keys_of_gdk_yml() -> None:
    assert shown("registry.port", 5000) == 5000
    assert shown("hostname", "gdk.test") == "gdk.test"
    assert shown("registry.config.redis.password", "abc") == "***"
    assert shown("registry.config.storage.s3.region", "eu") == "eu"
    assert shown("registry.config", {"log": {"level": "debug"}, "x": 1}) == {"log": {"level": "debug"}, "x": "***"}
    users = [{"name": "ci", "password": "$2b$", "pull": ["**"]}]
    assert shown("registry.users", users) == [{"name": "ci", "password": "***", "pull": ["**"]}]


def test_what_was_hidden_is_known_again() -> None:
    """The registry logs its endpoints with their headers."""
    learn(lambda: hidden(yaml.safe_load(CONFIG), paths(DISTRIBUTION)))
    for number in range(1, 29):
        for text in (f"map[X:[SECRET{number:02}]]", f'"x SECRET{number:02}"', f"/SECRET{number:02}/"):
            assert number == 22 or f"SECRET{number:02}" not in prose(text), number
    assert "2200220022" not in prose("pin 2200220022")
    assert prose("the level is info, service registry at :5000") == "the level is info, service registry at :5000"


def test_an_error_tells_no_secret_of_gdk_yml(fake: FakeHost) -> None:
    fake.put(ROOT / "gdk.yml", "registry: {config: {redis: {password: Purple-Rain-7}}}")
    load(ROOT, fake)
    error = GdkregError("x", why="redis: AUTH Purple-Rain-7 refused", details='"Purple-Rain-7"', fix="redis-cli -a Purple-Rain-7")
    assert error.as_data() == {"what": "x", "why": "redis: AUTH *** refused", "details": '"***"', "fix": "redis-cli -a ***"}


@pytest.mark.parametrize(
    "text",
    [
        "dial https://me:SECRET@gdk.test/: refused",
        'Get "https://gdk.test/v2/?jwt=SECRET": EOF',
        "tcp://me:SECRET@1.2.3.4:2376",
        "me:SECRET@gdk.test refused",
        "Authorization: Bearer SECRET",
        "headers=map[Authorization:[Bearer SECRET] X-Api-Key:[SECRET]]",
        'unauthorized: {"password": "SECRET", "auth_token":"SECRET"}',
        "private_token=SECRET",
        'http.request.uri="/v2/?key=SECRET" status=200',
        '1.2.3.4 - - [21/Nov/2026] "GET /hooks/SECRET HTTP/1.1" 404',
        'http.request.uri="/hooks/SECRET" status=404',
        "a token eyJhbGciOiJSUzI1NiJ9.eyJTRUNSRVQifQ.SECRET",
        "-----BEGIN RSA PRIVATE KEY-----\nSECRET\n-----END RSA PRIVATE KEY-----",
        "glpat-SECRET1234567",
        "Basic U0VDUkVU",
    ],
)
def test_what_another_program_says(text: str) -> None:
    error = GdkregError("x", why=text)
    assert not any(word in error.why for word in ("SECRET", "U0VDUkVU"))
    assert str(BrokenError(text, "")) == error.why


@pytest.mark.parametrize(
    "text",
    [
        "gdk.yml:3: registry.users.password: expected text",
        "the realm https://gdk.test:3000/jwt/auth answered 401",
        'Get "https://registry.test:5000/v2/": dial tcp 172.16.123.1:5000: connect: connection refused',
        "no engine answers at unix:///var/run/docker.sock: there is no such socket",
        "the image registry.test:5000/a/b:1@sha256:0af1 is not here",
        "the registry refuses the token: invalid_token; it may check with another key",
        "/v2/ answered 401 without a Bearer challenge",
    ],
)
def test_a_plain_sentence_stays(text: str) -> None:
    assert GdkregError(text).what == text


@pytest.mark.parametrize(
    "text",
    [
        "a:\n  k: |\n    x\n  SECRET\n",
        "registry: *SECRET\n",
        "registry: {x: !SECRET y}\n",
        "registry: &a &SECRET b\n",
        "k: 'SECRET",
    ],
)
def test_a_yaml_error_quotes_no_value(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(Path("gdk.yml"), text.encode())
    assert "SECRET" not in str(error.value.as_data())


def test_the_environment_of_a_service() -> None:
    env = {
        "PATH": "/bin",
        "HOME": "/h",
        "LC_ALL": "C",
        "TZ": "UTC",
        "GITLAB_TOKEN": "SECRET",
        "AWS_SECRET_ACCESS_KEY": "SECRET",
        "REGISTRY_HTTP_SECRET": "SECRET",
        "ANY": "SECRET",
        "HTTPS_PROXY": "http://me:SECRET@proxy.test:3128",
        "http_proxy": "me:SECRET@proxy.test:3128",
        "NO_PROXY": "localhost",
    }
    plain = {"PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "TZ": "UTC"}
    assert of_a_service(env) == plain
    proxies = {"HTTPS_PROXY": "http://proxy.test:3128", "http_proxy": "proxy.test:3128", "NO_PROXY": "localhost"}
    assert of_a_service(env, reaches_out=True) == plain | proxies


def test_masking_keeps_the_shape() -> None:
    value = {"a": [1, {"b": None}], "c": True, "d": ""}
    assert masked(value, paths("")) == {"a": ["***", {"b": None}], "c": True, "d": ""}


def test_what_cannot_be_learnt_brings_down_no_error() -> None:
    def endless() -> Iterator[str]:
        yield "SECRET-before"
        yield str(10**5000)

    learn(endless)
    learn(lambda: ["SECRET-\udc80"])
    assert "SECRET" not in GdkregError("the program said SECRET-before", why="SECRET-\udc80").what
