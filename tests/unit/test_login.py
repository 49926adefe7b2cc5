"""docker login and logout by us: what the client is called with, which side failed, whose name and password are taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gdkreg.clients import stores
from gdkreg.config import settings as configs
from gdkreg.config.effective import Settings
from gdkreg.errors import GdkregError
from gdkreg.host.base import Completed
from gdkreg.registry import login as clients
from tests.fakes import FakeHost
from tests.servers import Answer, serving
from tests.unit.conftest import ROOT

GDK_YML = """\
hostname: gdk.test
registry:
  enabled: true
  host: registry.test
  listen_address: 127.0.0.1
  token_issuer: local
"""
HOME = Path("/home/dev")


def settings_of(host: FakeHost, text: str = GDK_YML) -> Settings:
    host.put(ROOT / "gdk.yml", text)
    return configs.load(ROOT, host)


class Client:
    """A `docker` that answers so; what it was called with is in `argv` and `stdin`."""

    def __init__(self, host: FakeHost, monkeypatch: pytest.MonkeyPatch, result: Completed) -> None:
        self.argv: list[str] = []
        self.stdin = ""
        self._result = result
        monkeypatch.setattr(host, "run", self._run)
        monkeypatch.setattr("shutil.which", lambda name, **_: f"/usr/bin/{name}" if name != "skopeo" else None)

    def _run(self, argv: list[str], *, stdin: str = "", **_: Any) -> Completed:
        self.argv, self.stdin = list(argv), stdin
        return self._result


def log_in(
    host: FakeHost,
    monkeypatch: pytest.MonkeyPatch,
    result: Completed,
    client: str = "docker",
    folder: Path | None = None,
    **more: Any,
) -> tuple[str, Client]:
    """A login at a realm that knows everybody, or answers `realm`."""
    realm = more.get("realm", Answer(200, {"token": "t"}))
    called = Client(host, monkeypatch, result)
    with serving(lambda asked: realm) as told:
        text = more.get("text", GDK_YML).replace("registry.test", "127.0.0.1") + f"  auth_port: {told.url.rpartition(':')[2]}\n"
        said = clients.login(settings_of(host, text), host, client, "me", "pass word", folder)
    return said, called


def refused(host: FakeHost, monkeypatch: pytest.MonkeyPatch, **options: Any) -> GdkregError:
    with pytest.raises(GdkregError) as error:
        log_in(host, monkeypatch, options.pop("result", Completed(1)), **options)
    return error.value


# what the client is called with


def test_the_password_goes_over_stdin(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    said, called = log_in(fake, monkeypatch, Completed(0, "WARNING! stored in plain text\n\nLogin Succeeded\n"))
    assert called.argv == ["docker", "login", "--username", "me", "--password-stdin", "127.0.0.1:5000"]
    assert (called.stdin, said) == ("pass word", "Login Succeeded")
    assert log_in(fake, monkeypatch, Completed(0, " \n"))[0] == "Login Succeeded"


def test_clients_without_an_engine_are_told_that_there_is_no_tls(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    _, called = log_in(fake, monkeypatch, Completed(0), "podman")
    assert called.argv[:3] == ["podman", "login", "--username"]
    assert called.argv[-1] == "--tls-verify=false"


def test_a_folder_of_ones_own_is_made_private(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = HOME / "a/b"
    _, called = log_in(fake, monkeypatch, Completed(0), folder=folder)
    assert called.argv[:4] == ["env", f"DOCKER_CONFIG={folder}", "docker", "login"]
    assert (fake.infos[folder].mode, fake.infos[folder.parent].mode, fake.infos[HOME].mode) == (0o700, 0o700, 0o755)
    _, called = log_in(fake, monkeypatch, Completed(0), "podman", folder)
    assert called.argv[:4] == ["env", f"REGISTRY_AUTH_FILE={folder}/auth.json", "podman", "login"]


# which side failed


def test_a_client_that_is_not_there(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    found = refused(fake, monkeypatch, client="skopeo")
    assert (found.what, found.fix) == (
        "skopeo is not installed",
        "gdkreg login --client docker|nerdctl|podman|buildah|skopeo|helm|oras|regctl|crane",
    )


def test_a_wrong_password_is_the_realms_answer(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    found = refused(fake, monkeypatch, realm=Answer(401, {}))
    assert (found.what, found.fix) == ("wrong name or password", "gdkreg user list")
    assert found.why.endswith("/jwt/auth answered 401")


def test_a_realm_that_is_broken_is_no_wrong_password(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    found = refused(fake, monkeypatch, realm=Answer(503, b""))
    assert "answered 503" in found.what
    assert found.fix == "gdkreg start auth"


@pytest.mark.parametrize(
    "said",
    [
        "Error saving credentials: error storing credentials - err: exec: no such program",
        "error getting credentials: the helper docker-credential-x said no",
        'credential: exec: "docker-credential-x": executable file not found in $PATH',
    ],
)
@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"credsStore": "desktop"}, " desktop"),
        ({"credsStore": "desktop", "credHelpers": {"127.0.0.1:5000": "pass"}}, " pass"),
        (["?"], ""),
        (None, ""),
    ],
)
def test_a_broken_helper_is_named(fake: FakeHost, monkeypatch: pytest.MonkeyPatch, said: str, config: object, named: str) -> None:
    if config is not None:
        fake.put(HOME / ".docker/config.json", json.dumps(config))
    found = refused(fake, monkeypatch, result=Completed(1, "", f"first\n{said}\n"))
    assert found.what == f"docker's credential helper{named} is broken"
    assert (found.why, found.fix) == (said, f"gdkreg login --config-dir {ROOT}/.gdkreg/docker")


@pytest.mark.parametrize("said", ["credential: bad", "the helper is away", "executable file not found"])
def test_not_everything_is_a_helpers_fault(fake: FakeHost, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    found = refused(fake, monkeypatch, result=Completed(1, f"a\n{said}", ""))
    assert (found.what, found.why, found.fix) == ("docker login failed", said, "gdkreg verify")


def test_what_is_known_is_explained(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "x509: certificate signed by unknown authority"
    found = refused(fake, monkeypatch, result=Completed(1, "other", f"Error: Get https://127.0.0.1:5000/v2/: {said}"))
    assert found.what == "docker login failed"
    assert said not in found.why
    assert found.fix != "gdkreg verify"


def test_logout(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    called = Client(fake, monkeypatch, Completed(0, "Removing login credentials"))
    clients.logout(fake, "docker", "r:1", None)
    assert called.argv == ["docker", "logout", "r:1"]
    Client(fake, monkeypatch, Completed(125, "", "Error: Not logged in to r:1"))
    clients.logout(fake, "podman", "r:1", None)
    for result, why in ((Completed(1, "", "a\nbroken"), "broken"), (Completed(1, "said"), "said"), (Completed(9), "exit code 9")):
        Client(fake, monkeypatch, result)
        with pytest.raises(GdkregError, match="docker logout failed") as error:
            clients.logout(fake, "docker", "r:1", None)
        assert error.value.why == why


# whose name and password


def test_whose_name_and_password_are_taken(fake: FakeHost) -> None:
    def known(text: str = GDK_YML, **env: str) -> tuple[str, str] | None:
        fake.platform.env.clear()  # type: ignore[attr-defined]
        fake.platform.env.update(env)  # type: ignore[attr-defined]
        return clients.credentials(settings_of(fake, text), fake)

    both = {"GDKREG_USER": "me", "GDKREG_PASSWORD": "p"}
    gitlab = GDK_YML.replace("local", "gitlab")
    assert known(**both, GITLAB_TOKEN="t") == ("me", "p")
    assert known(gitlab, **both, GITLAB_TOKEN="t") == ("me", "p")
    for half in ({"GDKREG_USER": "me"}, {"GDKREG_PASSWORD": "p"}):
        assert known(gitlab, **half, GITLAB_TOKEN="t") == ("gitlab-token", "t")
        assert known(**half) is None
    assert known(gitlab) is None
    assert known(GITLAB_TOKEN="t") is None, "the stand-in does not know GitLab's tokens"
    first = json.dumps({"name": "developer", "password": "q"})
    fake.put(ROOT / ".gdkreg/first_user", first, 0o600)
    assert known() == ("developer", "q")
    assert known(gitlab) is None
    users = GDK_YML + f"  users:\n    - name: ci\n      password: {'$2y$10$' + 'a' * 53}\n"
    assert known(users) is None


# where a client keeps it


@pytest.mark.parametrize(
    ("client", "env", "folder", "path"),
    [
        ("docker", {}, None, "/home/dev/.docker/config.json"),
        ("docker", {"DOCKER_CONFIG": "/c"}, None, "/c/config.json"),
        ("docker", {"DOCKER_CONFIG": "/c"}, "/d", "/d/config.json"),
        ("podman", {}, None, "/run/containers/1000/auth.json"),
        ("podman", {"XDG_RUNTIME_DIR": "/run/user/1000"}, None, "/run/user/1000/containers/auth.json"),
        ("skopeo", {"XDG_RUNTIME_DIR": "/r", "REGISTRY_AUTH_FILE": "/f"}, None, "/f"),
        ("podman", {"REGISTRY_AUTH_FILE": "/f"}, "/d", "/d/auth.json"),
    ],
)
def test_where_a_client_keeps_its_logins(client: str, env: dict[str, str], folder: str | None, path: str) -> None:
    host = FakeHost(uid=1000, home="/home/dev", env=env)
    assert stores.config_file(client, host, Path(folder) if folder else None) == Path(path)


def test_where_podman_keeps_its_logins_on_a_mac() -> None:
    mac = FakeHost("darwin", home="/Users/dev", env={"XDG_RUNTIME_DIR": "/r"})
    assert stores.config_file("podman", mac, None) == Path("/Users/dev/.config/containers/auth.json")
    named = FakeHost("darwin", home="/Users/dev", env={"REGISTRY_AUTH_FILE": "/f"})
    assert stores.config_file("podman", named, None) == Path("/f")


@pytest.mark.parametrize(
    ("text", "only"),
    [
        ("{}", True),
        ('{"auths": {}}', True),
        ('{"auths": {"r:1": {}}}', True),
        ('{"auths": {"r:1": {}}, "credHelpers": {}}', True),
        ('{"auths": {"r:1": {}, "docker.io": {}}}', False),
        ('{"auths": {"r:1": {}}, "currentContext": "x"}', False),
        ('{"currentContext": "x"}', False),
        ("[]", False),
        ("{", False),
        ("", False),
    ],
)
def test_a_file_that_holds_our_login_alone_goes_with_it(fake: FakeHost, text: str, only: bool) -> None:
    fake.put(HOME / "c.json", text)
    assert stores.holds_only(fake, HOME / "c.json", "r:1") == only
