"""A secret in every place of gdk.yml, the runner's file, the environment, a token dialog and an error: none comes out."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.box import HOST, Box, Result

_numbers = itertools.count(10)
_planted: list[str] = []


def plant() -> str:
    """A secret of its own for one place."""
    _planted.append(f"Zq{next(_numbers)}xVault")
    return _planted[-1]


# The registry runs with these.
RUNNING = f"""\
    log:
      fields: {{api: {plant()}}}
      hooks:
        - type: mail
          disabled: true
          levels: [panic]
          options: {{smtp: {{addr: 'mail.test:25', username: me, password: {plant()}}}, from: a@b.test, to: [a@b.test]}}
    http:
      headers:
        X-Api-Key: [{plant()}]
        Set-Cookie: ['session={plant()}; Path=/']
    notifications:
      endpoints:
        - name: events
          url: http://me:{plant()}@127.0.0.1:1/hooks/{plant()}?token={plant()}
          headers: {{Authorization: [Bearer {plant()}], List: ['X-Token: {plant()}', '{plant()}']}}
          timeout: 1s
          threshold: 1
          backoff: 1s
    redis: {{addr: '127.0.0.1:2', password: {plant()}}}
    anything:
      at: {{all: [{plant()}, {{deep: {plant()}}}]}}
      private_key: |
        -----BEGIN RSA PRIVATE KEY-----
        {plant()}
        {plant()}
        -----END RSA PRIVATE KEY-----
"""
# With these it cannot start, for want of an S3 and of a network.
DYING = f"""\
    storage:
      s3:
        accesskey: {plant()}
        secretkey: {plant()}
        sessiontoken: {plant()}
        region: nowhere
        regionendpoint: 'https://me:{plant()}@127.0.0.1:1/{plant()}?sig={plant()}'
        bucket: images
    proxy: {{remoteurl: 'https://me:{plant()}@127.0.0.1:1', username: {plant()}, password: {plant()}}}
"""
GDK_YML = """\
hostname: gdk.test
registry:
  enabled: true
  host: registry.test
  listen_address: 172.16.123.1
  self_signed: true
  runtime: process
  token_issuer: local
  config:
"""
RUNNER = f"""\
concurrent = 1 # {plant()}
[[runners]]
  name = "a"
  url = "https://me:{plant()}@gitlab.test/"
  token = "{plant()}"
  environment = ["TOKEN={plant()}", "{plant()}", 'DOCKER_AUTH_CONFIG={{"auths": {{"x": {{"auth": "{plant()}"}}}}}}']
  executor = "docker"
  [runners.docker]
    image = "ruby"
    volumes = ["/cache"]
    sysctls = {{ a = "{plant()}" }}
  [runners.cache.s3]
    SecretKey = "{plant()}"
"""
ENVIRONMENT = {
    "GITLAB_TOKEN": plant(),
    "AWS_SECRET_ACCESS_KEY": plant(),
    "AWS_ACCESS_KEY_ID": plant(),
    "DOCKER_AUTH_CONFIG": f'{{"auths": {{"x": {{"auth": "{plant()}"}}}}}}',
    "ANY_NAME": plant(),
    "HTTPS_PROXY": f"http://me:{plant()}@127.0.0.1:1",
    "no_proxy": "registry.test,gdk.test,127.0.0.1,172.16.123.1",
}
PASSWORD = plant()
# What is there to hold them; nobody else may read it.
HOLDERS = {"gdk.yml", "config.toml", "config.yml", "applied.json", "registry.log"}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    opened = Box(tmp_path_factory.mktemp("box"), engine=False)
    try:
        (opened.home / ".gitlab-runner").mkdir(mode=0o700)
        runner = opened.home / ".gitlab-runner/config.toml"
        runner.write_text(RUNNER)
        runner.chmod(0o600)
        opened.configure(GDK_YML + RUNNING)
        (opened.root / "gdk.yml").chmod(0o600)
        yield opened
    finally:
        opened.close()


def found(text: str) -> list[str]:
    return [secret for secret in _planted if secret in text]


def say(box: Box, *arguments: str, code: int | None = 0, env: dict[str, str] | None = None, stdin: str = "") -> Result:
    """gdkreg in the environment with the secrets; it tells none."""
    result = box.run("python", "-m", "gdkreg", *arguments, env={**ENVIRONMENT, **(env or {})}, stdin=stdin, timeout=120)
    assert code is None or result.code == code, result
    assert found(result.out + result.err) == [], (arguments, result)
    assert "Traceback" not in result.err
    return result


def test_the_plan_of_everything(box: Box) -> None:
    box.configure(GDK_YML + RUNNING + DYING)
    for options in ([], ["--json"]):
        told = say(box, "plan", *options).out
        assert "https://***@127.0.0.1:1/***?sig=***" in told
        assert "region: nowhere" in told
        for command in (["reconfigure", "--dry-run"], ["up", "--dry-run"]):
            say(box, *command, *options)
    say(box, "config", "list")
    say(box, "config", "list", "--json")
    say(box, "config", "get", "registry")
    box.configure(GDK_YML + RUNNING)


def test_every_command(box: Box) -> None:
    say(box, "up", "--yes", code=None)
    for command in ("status", "doctor", "plan", "verify"):
        for options in ([], ["--json"]):
            say(box, command, *options, code=None)
    say(box, "user", "add", "ci", "--admin", "--password-stdin", stdin=PASSWORD + "\n")
    say(box, "user", "list", "--json")
    say(box, "runner-patch", "--dry-run")
    box.configure((box.root / "gdk.yml").read_text().replace("host: registry.test", "host: images.test"))
    for command in ("plan", "plan --json", "reconfigure --dry-run", "reconfigure --yes", "restart"):
        say(box, *command.split())
    say(box, "undo", "--dry-run", "--json")
    say(box, "undo", "--yes")
    box.configure((box.root / "gdk.yml").read_text().replace("host: images.test", "host: registry.test"))
    say(box, "reconfigure", "--yes")
    say(box, "start")


def test_a_value_that_is_set(box: Box) -> None:
    fresh = plant()
    for options in (["--dry-run"], ["--dry-run", "--json"], []):
        assert "***" in say(box, "config", "set", "registry.config.fresh", fresh, *options).out
    assert "*** (changed)" in say(box, "config", "set", "registry.config.fresh", plant(), "--dry-run").out
    named = box.gdkreg("config", "get", "registry.config.fresh")
    assert found(named.out), "it was asked for by its name"
    say(box, "config", "get", "registry.config")


@pytest.mark.parametrize("options", [[], ["--har", "dialog.har"]])
def test_a_token_dialog(box: Box, options: list[str]) -> None:
    curl = ["curl", "-s", "-o", "/dev/null", "--cacert", str(box.root / "registry_host.crt"), "-L"]
    names = ("jwt", "key", "code", "api_key", "AWSAccessKeyId", "sig", "state", "any")
    query = "&".join(f"{name}={plant()}" for name in names)
    headers = [word for name in ("X-Api-Key", "Cookie", "Any", "Authorization") for word in ("-H", f"{name}: {plant()}")]
    requests = [
        [f"https://{HOST}/v2/?{query}&n=7", *headers],
        [f"https://{HOST}/hooks/{plant()}"],
        [f"https://{HOST}/v2/?{plant()}"],
        [f"https://{HOST}/jwt/auth?service=container_registry&scope=repository:a:pull&{query}", "-u", f"ci:{PASSWORD}"],
    ]
    for request in requests:
        # The first exchange is written down once the same connection is asked for the second.
        result = say(box, "trace", *options, "--", *curl, *request, "-o", "/dev/null", f"https://{HOST}/v2/")
        assert " 20" in result.out or " 40" in result.out, result
    if options:
        har = box.root / "dialog.har"
        assert '"token": "***"' in har.read_text().replace('\\"', '"')
        assert found(har.read_text()) == []


def test_an_error(box: Box) -> None:
    secret = plant()
    at = {"DOCKER_HOST": f"tcp://me:{secret}@127.0.0.1:1"}
    box.configure((box.root / "gdk.yml").read_text().replace("runtime: process", "runtime: docker"))
    for command in ("reconfigure", "start", "restart", "doctor", "status", "plan", "up"):
        for options in ([], ["--json"]):
            say(box, command, *options, env=at, code=None)
    say(box, "verify", "--client", "docker", env=at, code=1)
    say(box, "explain", f'Get "https://{secret}:{secret}@elsewhere.test/v2/": x509: certificate signed by unknown authority')
    box.configure(GDK_YML + RUNNING + DYING)
    say(box, "reconfigure", "--yes")
    died = say(box, "start", code=1)
    assert "the registry died" in died.err
    say(box, "start", "--json", code=1)
    text = (box.root / "gdk.yml").read_text()
    for broken in (
        f"  x: *{plant()}\n",
        f"  x: !{plant()} y: z\n",
        f"  x: |\n      a\n    {plant()}\n",
        f"  port: {{a: {plant()}}}\n",
    ):
        box.configure(text + broken)
        assert "gdk.yml:" in say(box, "plan", code=2).err
    box.configure(GDK_YML + RUNNING)
    say(box, "reconfigure", "--yes")
    say(box, "start")


def test_the_logs(box: Box) -> None:
    assert "headers=map" in (box.root / ".gdkreg/log/registry.log").read_text(), "the registry tells its endpoints"
    assert "endpoint" in say(box, "tail", "registry", "--no-follow", "-n", "2000").out
    assert "/jwt/auth?service=container_registry" in say(box, "tail", "auth", "--no-follow", "-n", "2000").out


def test_what_runs(box: Box) -> None:
    told = box.run("sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n'").out
    assert "docker-registry" in told
    assert "gdkreg.issuer.serve" in told
    assert found(told) == []


def test_the_files(box: Box) -> None:
    def check(path: Path) -> None:
        text = path.read_bytes().decode(errors="replace")
        if path.name in HOLDERS or path.parent.name == "backups":
            assert not found(text) or path.stat().st_mode & 0o077 == 0, path
        else:
            assert found(text) == [], path

    for folder in (box.root, box.home, box.folder / "etc-docker", box.folder / "etc-systemd"):
        for place, _, names in os.walk(folder):
            for name in names:
                check(Path(place, name))
    assert (box.root / ".gdkreg/journal.jsonl").exists()


def test_the_way_back(box: Box) -> None:
    say(box, "down", "--dry-run", "--json")
    say(box, "down", "--yes")
    assert (box.home / ".gitlab-runner/config.toml").read_text() == RUNNER
    for place, _, names in os.walk(box.root):
        for name in set(names) - HOLDERS:
            assert found(Path(place, name).read_bytes().decode(errors="replace")) == []
