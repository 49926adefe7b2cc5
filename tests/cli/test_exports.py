"""ci and export, in-process: every variant parsed back, and the file that -o writes, with its way back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import yaml

from tests.cli.test_cli import GDK_YML, ROOT, gdkreg
from tests.cli.test_cli import fake as fake
from tests.fakes import FakeHost

PLAIN = GDK_YML.replace("self_signed: true", "self_signed: false")
TUNNEL = """\
registry:
  self_signed: false
auto_devops:
  enabled: true
  gitlab:
    port: 20000
"""
HOST, FILE = "registry.test:5000", ROOT / "project.yml"
LOGIN = 'echo "$CI_REGISTRY_PASSWORD" | docker login --username "$CI_REGISTRY_USER" --password-stdin "$CI_REGISTRY"'
PUSH = ['docker build --tag "$IMAGE" .', 'docker push "$IMAGE"']


def set_up(fake: FakeHost, text: str) -> None:
    fake.put(ROOT / "gdk.yml", text)
    gdkreg("reconfigure")


def shown(*arguments: str) -> str:
    """What goes to stdout alone."""
    return gdkreg(*arguments).stdout


def parsed(*arguments: str) -> Any:
    return yaml.safe_load(shown(*arguments))


def certificate(fake: FakeHost) -> str:
    return fake.files[ROOT / "registry_host.crt"].decode().strip()


# CI files


def test_an_image_of_the_registry(fake: FakeHost) -> None:
    set_up(fake, GDK_YML)
    found = parsed("ci", "image")
    assert found["image"] == f"{HOST}/custom-docker-image"
    assert found["custom_docker_image_job"]["stage"] in found["stages"]
    assert parsed("ci", "image", "--image", f"{HOST}/group/app:1")["image"] == f"{HOST}/group/app:1"
    assert parsed("ci", "image", "--image", "group/app:1")["image"] == f"{HOST}/group/app:1"
    assert "is not an image reference" in gdkreg("ci", "image", "--image", "Not an image", code=2).output
    assert "gdkreg trust-docker-registry" in shown("ci", "image")
    assert "DOCKER_AUTH_CONFIG" in shown("ci", "image"), "the stand-in knows no user of GitLab's"


@pytest.mark.parametrize("auth", [True, False])
@pytest.mark.parametrize("kind", ["self-signed", "plain", "public"])
def test_a_build_for_this_configuration(fake: FakeHost, kind: str, auth: bool) -> None:
    """The flag only where it is insecure, the mount only where it is self-signed, the login only with authentication."""
    text = {"self-signed": GDK_YML, "plain": PLAIN, "public": TUNNEL}[kind]
    set_up(fake, text.replace("registry:\n", f"registry:\n  auth_enabled: {str(auth).lower()}\n"))
    found, raw = parsed("ci", "build"), shown("ci", "build")
    build = found["build"]
    flag = [f"--insecure-registry={HOST}"] if kind == "plain" else []
    assert build["services"] == [{"name": "docker:28-dind", "alias": "docker", "command": ["--tls=false", *flag]}]
    assert build["variables"] == {"DOCKER_HOST": "tcp://docker:2375", "DOCKER_TLS_CERTDIR": ""}
    assert build["script"] == [*([LOGIN] if auth else []), *PUSH]
    assert found["variables"]["IMAGE"] == "$CI_REGISTRY_IMAGE/$CI_COMMIT_REF_SLUG:$CI_COMMIT_SHA"
    assert ("/home/dev/.docker/certs.d:/etc/docker/certs.d" in raw) == (kind == "self-signed")
    assert ("registry.test:172.16.123.1" in raw) == (kind != "public")
    assert ("gdkreg user add" in raw) == (auth and kind != "public"), "from outside nobody reaches the stand-in"


SCANS = {
    ("self-signed", "cs", ""): {"ADDITIONAL_CA_CERT_BUNDLE"},
    ("self-signed", "cs", "--no-certificate"): {"CS_DOCKER_INSECURE"},
    ("self-signed", "klar", ""): {"ADDITIONAL_CA_CERT_BUNDLE"},
    ("self-signed", "klar", "--no-certificate"): {"DOCKER_INSECURE"},
    ("plain", "cs", ""): {"CS_REGISTRY_INSECURE"},
    ("plain", "cs", "--no-certificate"): {"CS_REGISTRY_INSECURE"},
    ("plain", "klar", ""): {"REGISTRY_INSECURE"},
    ("public", "cs", ""): set(),
    ("public", "klar", ""): set(),
}


@pytest.mark.parametrize(("kind", "analyzer", "option"), SCANS)
def test_the_scanner_is_told_how_to_reach_the_registry(fake: FakeHost, kind: str, analyzer: str, option: str) -> None:
    set_up(fake, {"self-signed": GDK_YML, "plain": PLAIN, "public": TUNNEL}[kind])
    wanted = SCANS[(kind, analyzer, option)]
    for command in ("scan", "auto-devops"):
        found = parsed("ci", command, "--analyzer", analyzer, *([option] if option else []))
        variables = (found.get("container_scanning") or {"variables": {}})["variables"]
        image = {"CS_IMAGE": "$IMAGE"} if analyzer == "cs" else {"DOCKER_IMAGE": "$IMAGE"}
        if command == "scan":
            assert variables.items() >= image.items()
            template = "Jobs/Container-Scanning" if analyzer == "cs" else "Container-Scanning"
            assert found["include"] == [{"template": f"{template}.gitlab-ci.yml"}]
            assert found["stages"] == ["build", "test"]
        else:
            assert found["include"] == [{"template": "Auto-DevOps.gitlab-ci.yml"}]
            assert ("build" in found) == (kind == "plain")
        told = {name: value for name, value in variables.items() if name not in image}
        assert set(told) == wanted
        bundle = told.pop("ADDITIONAL_CA_CERT_BUNDLE", None)
        assert bundle is None or bundle.strip() == certificate(fake)
        assert set(told.values()) <= {"true"}


def test_the_insecure_build_of_auto_devops(fake: FakeHost) -> None:
    set_up(fake, PLAIN)
    (service,) = parsed("ci", "auto-devops")["build"]["services"]
    assert service["command"] == ["--tls=false", "--host=tcp://0.0.0.0:2375", f"--insecure-registry={HOST}"]
    assert "auto_devops.enabled" in shown("ci", "auto-devops")
    set_up(fake, TUNNEL)
    raw = shown("ci", "auto-devops")
    assert "25000.qa-tunnel.gitlab.info." in raw
    assert "auto_devops.enabled" not in raw


def test_what_a_job_cannot_reach_is_told(fake: FakeHost) -> None:
    set_up(fake, GDK_YML.replace("172.16.123.1", "127.0.0.1"))
    result = gdkreg("ci", "build")
    assert "in a job 127.0.0.1 is the job's container itself" in result.stderr
    assert yaml.safe_load(result.stdout)["build"]
    assert "extra_hosts" not in result.stdout
    assert gdkreg("ci", "image").stderr == "", "the host's engine pulls it"


def test_a_key_in_the_certificates_file_is_not_printed(fake: FakeHost) -> None:
    set_up(fake, GDK_YML)
    key = fake.files[ROOT / "registry_host.key"]
    fake.files[ROOT / "registry_host.crt"] += key
    text = gdkreg("ci", "scan", code=1).output
    assert "registry_host.crt holds more than certificates" in text
    assert "PRIVATE KEY" not in text
    del fake.files[ROOT / "registry_host.crt"]
    assert "registry_host.crt is missing" in gdkreg("ci", "scan", code=1).output


# GitLab's settings


def block(**changes: Any) -> dict[str, Any]:
    found = {
        "enabled": True,
        "host": "registry.test",
        "port": 5000,
        "api_url": "https://registry.test:5000",
        "key": f"{ROOT}/localhost.key",
        "path": f"{ROOT}/registry/storage",
        "issuer": "gitlab-issuer",
        **changes,
    }
    return {"registry": {name: value for name, value in found.items() if value is not None}}


GITLAB = GDK_YML.replace("registry:\n", "registry:\n  token_issuer: gitlab\n")


@pytest.mark.parametrize(
    ("text", "domain", "wanted", "note"),
    [
        (GITLAB, "", block(), ""),
        (GITLAB, "own-domain", block(), ""),
        (GITLAB, "external", block(path=None), ""),
        (
            GITLAB,
            "gitlab-domain",
            block(host="gdk.test", api_url="https://gdk.test:5000"),
            "gdkreg config set registry.host gdk.test; gdkreg up",
        ),
        (
            GITLAB.replace("  host: registry.test\n", ""),
            "",
            block(host="gdk.test", api_url="https://gdk.test:5000"),
            "",
        ),
        (
            GITLAB.replace("  host: registry.test\n", ""),
            "own-domain",
            block(host="registry.gdk.test", api_url="https://registry.gdk.test:5000"),
            "gdkreg config set registry.host registry.gdk.test",
        ),
        (
            GITLAB.replace("true\n", "false\n").replace("enabled: false", "enabled: true"),
            "",
            block(api_url="http://registry.test:5000"),
            "",
        ),
        (GITLAB + "  external_port: 443\n", "", block(port=None), ""),
        (GITLAB + "  api_host: inside.test\n", "", block(api_url="https://inside.test:5000"), "not for inside.test"),
        (
            TUNNEL.replace("registry:\n", "registry:\n  token_issuer: gitlab\n"),
            "",
            block(host="25000.qa-tunnel.gitlab.info", port=None, api_url="http://127.0.0.1:5000"),
            "",
        ),
    ],
)
def test_gitlab_yml(fake: FakeHost, text: str, domain: str, wanted: dict[str, Any], note: str) -> None:
    set_up(fake, text)
    result = gdkreg("export", "gitlab-yml", *(["--as", domain] if domain else []))
    assert yaml.safe_load(result.stdout) == wanted
    assert (note in result.stderr) if note else result.stderr == ""
    tls = wanted["registry"]["api_url"].startswith("https")
    assert ("update-ca-certificates" in result.stdout) == tls


def test_the_stand_in_is_not_gitlab(fake: FakeHost) -> None:
    set_up(fake, GDK_YML)
    assert "gdkreg config set registry.token_issuer gitlab" in gdkreg("export", "gitlab-yml").stderr
    assert "gdkreg config set registry.token_issuer gitlab" in gdkreg("export", "gitlab-rb").stderr
    assert gdkreg("export", "gitlab-rb", "--as", "own-domain").stderr == "", "another registry takes its place"


def ruby(text: str) -> dict[str, str]:
    """What the lines set."""
    code = [line for line in text.splitlines() if line and not line.startswith("#")]
    pairs = [re.fullmatch(r"([\w\[\]']+) ?(?:= )?(.+)", line) for line in code]
    return {found[1]: found[2] for found in pairs if found}


def test_gitlab_rb(fake: FakeHost) -> None:
    set_up(fake, GITLAB)
    external = ruby(shown("export", "gitlab-rb"))
    assert (
        external
        == ruby(shown("export", "gitlab-rb", "--as", "external"))
        == {
            "gitlab_rails['registry_enabled']": "true",
            "gitlab_rails['registry_host']": '"registry.test"',
            "gitlab_rails['registry_port']": '"5000"',
            "gitlab_rails['registry_api_url']": '"https://registry.test:5000"',
            "gitlab_rails['registry_issuer']": '"gitlab-issuer"',
            "registry['internal_key']": f'File.read("{ROOT}/localhost.key")',
        }
    )
    assert f"sudo cp {ROOT}/registry_host.crt /etc/gitlab/trusted-certs/registry.test.crt" in shown("export", "gitlab-rb")
    assert ruby(shown("export", "gitlab-rb", "--as", "own-domain")) == {
        "registry_external_url": "'https://registry.test:5000'",
        "registry_nginx['ssl_certificate']": f'"{ROOT}/registry_host.crt"',
        "registry_nginx['ssl_certificate_key']": f'"{ROOT}/registry_host.key"',
        "registry['registry_http_addr']": '"localhost:5001"',
    }
    other = shown("export", "gitlab-rb", "--as", "gitlab-domain")
    assert ruby(other) == {
        "registry_external_url": "'https://gdk.test:5000'",
        "registry['registry_http_addr']": '"localhost:5001"',
    }
    assert "# registry_nginx['ssl_certificate'] = " in other
    set_up(fake, GITLAB.replace("self_signed: true", "self_signed: false\n  port: 5050"))
    assert ruby(shown("export", "gitlab-rb", "--as", "own-domain")) == {"registry_external_url": "'http://registry.test:5050'"}
    assert "trusted-certs" not in shown("export", "gitlab-rb")


# NGINX, compose, curl


def test_nginx(fake: FakeHost) -> None:
    set_up(fake, GDK_YML)
    result = gdkreg("export", "nginx")
    assert "listen 172.16.123.1:443 ssl;" in result.stdout
    assert 'proxy_pass "https://172.16.123.1:5000";' in result.stdout
    assert f"proxy_ssl_trusted_certificate {ROOT}/registry_host.crt;" in result.stdout
    assert "gdkreg config set registry.external_port 443" in result.stderr
    assert "gdkreg config set registry.config.http.relativeurls true" in result.stderr
    more = "  external_port: 5443\n  config:\n    http:\n      relativeurls: true\n"
    set_up(fake, PLAIN + more)
    result = gdkreg("export", "nginx")
    assert "listen 172.16.123.1:5443 ssl;" in result.stdout
    assert 'proxy_pass "http://172.16.123.1:5000";' in result.stdout
    assert "ssl_certificate /etc/ssl/certs/registry.test.crt;" in result.stdout
    assert "proxy_ssl" not in result.stdout
    assert "config set" not in result.stderr
    assert "makes no certificate" in result.stderr


def test_compose_says_what_config_yml_says_but_its_secrets(fake: FakeHost) -> None:
    secrets = "  config:\n    storage:\n      s3:\n        bucket: images\n        secretkey: hunter2hunter2\n"
    set_up(fake, GDK_YML + secrets)
    text = shown("export", "compose")
    registry = yaml.safe_load(text)["services"]["registry"]
    environment = registry["environment"]
    assert environment["REGISTRY_STORAGE_S3_BUCKET"] == "images"
    assert environment["REGISTRY_AUTH_TOKEN_REALM"] == "https://registry.test:5001/jwt/auth"
    assert environment["REGISTRY_HTTP_TLS_KEY"] == "/etc/docker/registry/registry_host.key"
    assert "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY" not in environment
    assert registry["ports"] == ["172.16.123.1:5000:5000"]
    assert {
        "type": "bind",
        "source": f"{ROOT}/registry/config.yml",
        "target": "/etc/docker/registry/config.yml",
        "read_only": True,
    } in registry["volumes"]
    secret = fake.files[ROOT / ".gdkreg/http_secret"].decode()
    assert "hunter2hunter2" not in text
    assert secret not in text
    assert "command" not in registry, "GitLab's image reads it anyway"
    set_up(fake, PLAIN + "  image: registry:2\n  auth_enabled: false\n  restart_policy: always\n")
    registry = yaml.safe_load(shown("export", "compose"))["services"]["registry"]
    assert (registry["image"], registry["restart"]) == ("registry:2", "always")
    assert registry["command"] == ["serve", "/etc/docker/registry/config.yml"]
    assert not [name for name in registry["environment"] if "AUTH" in name or "TLS" in name]


def test_curl_shows_no_token(fake: FakeHost) -> None:
    set_up(fake, GDK_YML)
    text = shown("export", "curl")
    assert f"CA={ROOT}/registry_host.crt" in text
    assert f'gdkreg --root {ROOT} token "$1"' in text
    set_up(fake, GITLAB)
    text = shown("export", "curl")
    assert "-G http://gdk.test:3000/jwt/auth" in text
    assert "GITLAB_TOKEN" in text
    set_up(fake, PLAIN + "  auth_enabled: false\n")
    text = shown("export", "curl")
    assert "REGISTRY=http://registry.test:5000" in text
    assert "jwt" not in text.lower()
    assert "cacert" not in text


# the file


def test_before_set_up_there_is_nothing_to_tell(fake: FakeHost) -> None:
    for command in (["ci", "build"], ["export", "nginx"], ["export", "gitlab-yml", "-o", str(FILE)]):
        assert "gdkreg reconfigure" in gdkreg(*command, code=1).output
    assert FILE not in fake.files


def test_a_file_is_written_and_taken_back(fake: FakeHost) -> None:
    set_up(fake, GDK_YML)
    wanted, before = shown("ci", "build").encode(), dict(fake.files)
    dry = gdkreg("ci", "build", "-o", str(FILE), "--dry-run").output
    assert f"write {FILE}" in dry
    assert "+  - build" in dry
    assert fake.files == before
    assert gdkreg("ci", "build", "-o", str(FILE)).stdout == f"wrote {FILE}\n"
    assert fake.files[FILE] == wanted
    assert "says so already" in gdkreg("ci", "build", "-o", str(FILE)).output
    gdkreg("undo", "--yes")
    assert FILE not in fake.files
    gdkreg("ci", "build", "-o", str(FILE))
    gdkreg("down", "--yes")
    assert fake.files[FILE] == wanted, "it is the user's"


def test_a_file_that_is_there_is_replaced_only_by_a_yes(fake: FakeHost) -> None:
    set_up(fake, GDK_YML)
    theirs = b"stages:\n  - build\nvariables:\n  PASSWORD: hunter2hunter2\n# made by hand\n"
    fake.put(FILE, theirs.decode())
    result = gdkreg("ci", "build", "-o", str(FILE), code=1)
    assert f"{FILE} is there already" in result.output
    assert "--yes" in result.output
    assert "-  PASSWORD: ***" in result.output
    assert "+build:" in result.output
    assert fake.files[FILE] == theirs
    found = json.loads(gdkreg("ci", "build", "-o", str(FILE), "--json", code=1).stdout)
    assert "is there already" in found["error"]["what"]
    assert "hunter2" not in result.output + json.dumps(found)
    found = json.loads(gdkreg("ci", "build", "-o", str(FILE), "--yes", "--json").stdout)
    assert (found["changes"], found["file"]) == (1, str(FILE))
    assert "hunter2" not in json.dumps(found)
    gdkreg("undo", "--yes")
    assert fake.files[FILE] == theirs
    assert "hunter2" not in gdkreg("undo", "--dry-run").output


def test_a_person_sees_the_difference_and_is_asked(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(fake, GDK_YML)
    fake.put(FILE, "theirs: 1\n")
    seen = list[str]()

    class Terminal:
        def isatty(self) -> bool:
            return True

    def answer(text: str, default: bool) -> bool:
        seen.append(text)
        return len(seen) > 1

    for module in ("exports", "session"):
        monkeypatch.setattr(f"gdkreg.cli.{module}.sys", SimpleNamespace(stdin=Terminal(), stdout=Terminal()))
    monkeypatch.setattr("typer.confirm", answer)
    assert "not agreed to; nothing was changed" in gdkreg("ci", "build", "-o", str(FILE), code=1).output
    assert seen == ["Go on?"]
    assert fake.files[FILE] == b"theirs: 1\n"
    result = gdkreg("ci", "build", "-o", str(FILE))
    assert "-theirs: ***" in result.output
    assert fake.files[FILE].startswith(b"# Written by gdkreg ci build")


def test_an_edited_file_is_not_taken_back(fake: FakeHost) -> None:
    set_up(fake, GDK_YML)
    gdkreg("export", "curl", "-o", str(FILE))
    fake.files[FILE] += b"# mine\nTOKEN=glpat-0123456789abcdefghij\n"
    text = gdkreg("undo", "--yes", code=1).output
    assert f"{FILE} was edited after gdkreg wrote it" in text
    assert "+# mine" in text
    assert "glpat-" not in text
    assert fake.files[FILE].endswith(b"ghij\n")


def test_what_undo_gave_back_is_the_users_as_before(fake: FakeHost) -> None:
    set_up(fake, GDK_YML)
    fake.put(FILE, "theirs: 1\n")
    for _ in range(2):  # the second one was refused: it would be gdkreg's own file
        gdkreg("ci", "build", "-o", str(FILE), "--yes")
        gdkreg("undo", "--yes")
        assert fake.files[FILE] == b"theirs: 1\n"
    gdkreg("down", "--yes")
    assert fake.files[FILE] == b"theirs: 1\n"
    assert [path for path in fake.infos if ".gdkreg" in path.parts] == []


@pytest.mark.parametrize(
    "name", ["gdk.yml", "registry/config.yml", "registry/other.yml", ".gdkreg/id", "localhost.key", "jwks.json", "other.key"]
)
def test_gdkregs_own_files_are_no_place_for_it(fake: FakeHost, name: str) -> None:
    set_up(fake, GDK_YML)
    before = dict(fake.files)
    assert "is gdkreg's own, or what it reads" in gdkreg("ci", "build", "-o", str(ROOT / name), "--yes", code=1).output
    assert fake.files == before


def test_what_is_no_file_is_no_place_for_it(fake: FakeHost) -> None:
    set_up(fake, GDK_YML)
    assert "is no plain file" in gdkreg("ci", "build", "-o", "/home/dev", "--yes", code=1).output


def test_a_journal_that_names_another_file_is_not_followed(fake: FakeHost) -> None:
    """What stands there has to be what such a command writes."""
    from gdkreg.errors import GdkregError
    from gdkreg.host.base import digest
    from gdkreg.plan.ledger import Entry
    from gdkreg.verbs.root import find

    set_up(fake, GDK_YML)
    root = find(Path("/"), ROOT, fake)
    hosts = fake.files[Path("/etc/hosts")]
    forged = {"run": "1", "seq": 1, "command": "ci build", "resource": "export", "target": "/etc/hosts"}
    for more in (
        {"kind": "file", "after": digest(hosts)},
        {"kind": "file", "after": digest(hosts), "as_root": True},
        {"kind": "folder"},
    ):
        entry = Entry(**forged, **more)  # type: ignore[arg-type]
        owner = root.inventory().owner(entry)
        assert owner is not None
        with pytest.raises(GdkregError, match="gdkreg does not make"):
            owner.back(entry, fake)


def test_changed_settings_are_told(fake: FakeHost) -> None:
    set_up(fake, GDK_YML)
    fake.put(ROOT / "gdk.yml", GDK_YML + "  port: 5001\n")
    result = gdkreg("ci", "image")
    assert yaml.safe_load(result.stdout)["image"].startswith(HOST)
    assert "this is what was applied" in result.stderr


@pytest.mark.parametrize("folder", ["with space", 'quo"te', "a'b", "100%", "a#{b}", "gdk: [x]"])
def test_whatever_the_folder_is_called(fake: FakeHost, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays one value, and one line of a comment."""
    import shlex

    root = Path("/home/dev") / folder
    fake.put(root / "gdk.yml", GITLAB)
    monkeypatch.setitem(fake.platform.env, "GDKREG_ROOT", str(root))
    gdkreg("reconfigure")
    assert parsed("export", "gitlab-yml")["registry"]["key"] == f"{root}/localhost.key"
    volumes = parsed("export", "compose")["services"]["registry"]["volumes"]
    assert f"{root}/registry/config.yml" in [volume["source"] for volume in volumes]
    assert parsed("ci", "build")["build"]
    (line,) = [line for line in shown("export", "gitlab-rb").splitlines() if line.startswith("registry['internal_key']")]
    assert json.loads(line.partition("(")[2].removesuffix(")").replace("\\#", "#")) == f"{root}/localhost.key"
    script = shown("export", "curl")
    assert f"CA={shlex.quote(f'{root}/registry_host.crt')}\n" in script
    for comment in (line for line in shown("export", "gitlab-rb").splitlines() if "trusted-certs" in line):
        assert comment.startswith("#")


def test_a_dollar_in_the_folder(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path("/home/dev/a$b")
    fake.put(root / "gdk.yml", GITLAB)
    monkeypatch.setitem(fake.platform.env, "GDKREG_ROOT", str(root))
    gdkreg("reconfigure")
    assert "NGINX takes what follows for a variable" in gdkreg("export", "nginx", code=1).output
    volumes = parsed("export", "compose")["services"]["registry"]["volumes"]
    assert "/home/dev/a$$b/registry/config.yml" in [volume["source"] for volume in volumes]


def test_json(fake: FakeHost) -> None:
    set_up(fake, GDK_YML)
    found = json.loads(shown("export", "nginx", "--json"))
    assert (found["command"], found["root"]) == ("export nginx", str(ROOT))
    assert found["content"] == shown("export", "nginx")
    assert found["notes"]


def test_what_differs_on_a_mac(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(fake, GITLAB)
    monkeypatch.setattr(fake, "platform", msgspec.structs.replace(fake.platform, system="darwin"))
    text = shown("export", "gitlab-yml")
    assert f"security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {ROOT}/registry_host.crt" in text
    assert yaml.safe_load(text) == block()


def test_the_user_of_compose_is_that_of_the_container(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def user() -> str:
        found: str = parsed("export", "compose")["services"]["registry"]["user"]
        return found

    monkeypatch.setattr(fake, "platform", msgspec.structs.replace(fake.platform, uid=1000, gid=100))
    fake.put(ROOT / "gdk.yml", GDK_YML)
    gdkreg("reconfigure")
    assert user() == "1000:100"
    monkeypatch.setattr("gdkreg.engines.detect.Engine.maps_root_to_user", True)
    assert user() == "0:0", "root inside is the user outside"
    set_up(fake, GDK_YML + "  uid: 1001\n  gid: 1002\n")
    assert user() == "1001:1002"
