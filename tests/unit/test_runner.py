from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import settings as tuning
from hypothesis import strategies as st

from gdkreg.config.settings import load
from gdkreg.errors import GdkregError
from gdkreg.resources import runner_config, runner_text
from gdkreg.resources.runner_config import RunnerConfig
from gdkreg.resources.runner_text import Wanted
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import apply, files, levels, plan

MOUNT = "/home/dev/.docker/certs.d:/etc/docker/certs.d"
WANTED = Wanted(MOUNT, {"gdk.test": "172.16.123.1", "registry.test": "172.16.123.1"})
PATH = Path("/home/dev/.gitlab-runner/config.toml")
THREE = """\
concurrent = 4 # all
[[runners]]
  name = "a"   # keep me
  token = "glrt-secret"
  executor = "docker"
  [runners.docker]
    image = 'ruby'
    volumes = ["/cache", "/x:/etc/docker/certs.d:ro"]  # keep
    extra_hosts = ["gdk.test:9.9.9.9", "o:1.1.1.1"]
    sysctls = { a = "b" }

[[runners]]
  name = "b"
  executor = "docker+machine"
  [runners.docker]
    image = 'ruby'
    volumes = [
      "/cache",   # one
      '/x:/y',
    ]
  [runners.cache]
    [runners.cache.s3]

[[runners]]
  name = "c"
  executor = "shell"
"""


def parsed(text: str) -> dict[str, Any]:
    return tomlkit.parse(text).unwrap()


def docker(text: str, index: int = 0) -> dict[str, list[str]]:
    found: dict[str, list[str]] = parsed(text.replace("\r\n", "\n"))["runners"][index]["docker"]
    return found


@pytest.mark.parametrize("text", [THREE, THREE.replace("\n", "\r\n"), THREE.replace("keep me\n", "keep me\r\n")])
def test_every_docker_runner_and_only_our_lines(text: str) -> None:
    patched, seen = runner_text.patch(text, WANTED)
    assert [(item.name, item.patched) for item in seen] == [("a", True), ("b", True), ("c", False)]
    assert docker(patched)["volumes"] == ["/cache", MOUNT]
    assert docker(patched)["extra_hosts"] == ["gdk.test:172.16.123.1", "o:1.1.1.1", "registry.test:172.16.123.1"]
    assert docker(patched, 1)["volumes"] == ["/cache", "/x:/y", MOUNT]
    gone = [line for line in text.split("\n") if line not in patched.split("\n")]
    assert [line.split("=")[0].strip() for line in gone] == ["volumes", "extra_hosts"]
    assert runner_text.patch(patched, WANTED)[0] == patched
    assert runner_text.take_back(patched, text, patched) == text
    assert '    extra_hosts = ["gdk.test:172.16.123.1", "registry.test:172.16.123.1"]' in patched


@pytest.mark.parametrize(
    "text",
    [
        '[[runners]]\n  name = "x"\n  executor = "docker"\n  docker = { image = "x", volumes = ["/a"] }\n',
        '[[runners]]\n  executor = "docker"\n',
        '[[runners]]\nexecutor = "docker"\n[runners.docker]\nvolumes = []\n',
        'runners = [{ name = "i", executor = "docker-autoscaler" }]\n',
        '[[runners]]\nexecutor = "docker"\ndocker.image = "x"\ndocker.volumes = ["/c"]\n',
        '[[runners]]\nexecutor = "docker"\n[runners.docker]\nvolumes = ["/etc/docker/certs.d", "/b:/etc/docker/certs.d/"]\n',
    ],
)
def test_other_ways_of_writing_it(text: str) -> None:
    patched, _ = runner_text.patch(text, WANTED)
    assert MOUNT in docker(patched)["volumes"]
    assert sum("certs.d" in item for item in docker(patched)["volumes"]) == 1
    back = parsed(runner_text.take_back(patched, text, patched))
    before = parsed(text)
    for item in (back, before):
        for runner in item["runners"]:
            if not runner.get("docker", {"x": 1}):
                del runner["docker"]
    if "b:/etc" not in text:
        assert back == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[runners]\n", "not valid TOML"),
        ("concurrent = 1\n", "there is no"),
        ("runners = 3\n", "are not"),
        ("[[runners]]\nexecutor = 'docker'\ndocker = 3\n", "is not a table"),
        ("a = 1\na = 2\n", "not valid TOML"),
    ],
)
def test_bad_files_are_an_error_and_untouched(fake: FakeHost, text: str, message: str) -> None:
    fake.put(PATH, text)
    with pytest.raises(GdkregError, match=str(PATH)) as error:
        plan(fake, resource(fake))
    assert message in error.value.what
    assert levels(fake, resource(fake)) == ["error"]


def test_no_file_and_another_encoding(fake: FakeHost) -> None:
    with pytest.raises(GdkregError, match="there is no /home/dev"):
        plan(fake, resource(fake))
    assert plan(fake, resource(fake), present=False) == []
    fake.put(PATH, b"name = '\xff'\n")
    with pytest.raises(GdkregError, match="not UTF-8"):
        plan(fake, resource(fake))


hosts = st.lists(
    st.sampled_from(["gdk.test:1.1.1.1", "GDK.test:2.2.2.2", "o:1.1.1.1", "x:host-gateway"]), max_size=3, unique=True
)
mounts = st.lists(
    st.sampled_from(["/cache", "/a:/b", "/z:/etc/docker/certs.d", "v:/etc/docker/certs.d:ro", MOUNT]), max_size=3, unique=True
)


@given(st.lists(st.tuples(st.sampled_from(["docker", "shell", "docker-windows"]), mounts, hosts), min_size=1, max_size=4))
@tuning(max_examples=150, deadline=None)
def test_patching_is_idempotent_and_can_be_taken_back(runners: list[tuple[str, list[str], list[str]]]) -> None:
    text = "".join(
        f'[[runners]]\n  name = "{number}"\n  executor = "{executor}"\n  [runners.docker]\n    image = "x" # c\n'
        + (f"    volumes = {volumes!r}\n" if volumes else "")
        + (f"    extra_hosts = {extra!r}\n" if extra else "")
        for number, (executor, volumes, extra) in enumerate(runners)
    )
    patched, _ = runner_text.patch(text, WANTED)
    assert runner_text.patch(patched, WANTED)[0] == patched
    back = parsed(runner_text.take_back(patched, text, patched))["runners"]
    for now, (_, volumes, extra) in zip(back, runners, strict=True):
        certs = [item for item in volumes if runner_text.CERTS_D in item]
        assert [item for item in now["docker"].get("volumes", []) if item not in certs] == [
            item for item in volumes if item not in certs
        ]
        names = {item.split(":")[0].lower() for item in extra}
        assert {item.split(":")[0].lower() for item in now["docker"].get("extra_hosts", [])} == names


# the resource


def resource(host: FakeHost, wanted: Wanted = WANTED) -> RunnerConfig:
    return RunnerConfig(PATH, wanted, files(host, "runner_config"))


def test_remove_gives_every_byte_back(fake: FakeHost) -> None:
    fake.put(PATH, THREE, 0o600)
    apply(fake, resource(fake))
    assert fake.infos[PATH].mode == 0o600
    assert levels(fake, resource(fake)) == ["ok"]
    apply(fake, resource(fake), present=False)
    assert fake.files[PATH] == THREE.encode()
    assert plan(fake, resource(fake), present=False) == []


def test_remove_takes_back_only_ours_where_the_user_edited_in_between(fake: FakeHost) -> None:
    fake.put(PATH, THREE, 0o600)
    apply(fake, resource(fake))
    fake.put(PATH, fake.files[PATH].replace(b"concurrent = 4", b"concurrent = 9"), 0o600)
    assert plan(fake, resource(fake)) == []
    apply(fake, resource(fake), present=False)
    assert fake.files[PATH] == THREE.replace("concurrent = 4", "concurrent = 9").encode()
    assert plan(fake, resource(fake), present=False) == []


def test_a_renamed_host_follows_also_after_an_edit(fake: FakeHost) -> None:
    fake.put(PATH, THREE, 0o600)
    policy = Wanted(MOUNT, WANTED.hosts, "if-not-present")
    apply(fake, resource(fake, policy))
    new = Wanted(MOUNT, {"new.test": "172.16.123.1"})
    apply(fake, resource(fake, new))
    assert b"registry.test" not in fake.files[PATH]
    assert b'pull_policy = "if-not-present"' in fake.files[PATH], "what was asked for once stays"
    fake.put(PATH, fake.files[PATH].replace(b"concurrent = 4", b"concurrent = 9"), 0o600)
    apply(fake, resource(fake, WANTED))
    assert b"new.test" not in fake.files[PATH]
    apply(fake, resource(fake, WANTED), present=False)
    assert fake.files[PATH] == THREE.replace("concurrent = 4", "concurrent = 9").encode()


def test_a_pull_policy_of_the_users_comes_back(fake: FakeHost) -> None:
    text = THREE.replace(
        "    image = 'ruby'\n    volumes = [\n", "    image = 'ruby'\n    pull_policy = \"always\"\n    volumes = [\n"
    )
    patched, _ = runner_text.patch(text, Wanted(MOUNT, {}, "if-not-present"))
    assert runner_text.take_back(patched + "# edited\n", text, patched) == text + "# edited\n"


def test_gdk_rendered_it_anew(fake: FakeHost) -> None:
    fake.put(PATH, THREE, 0o600)
    apply(fake, resource(fake))
    fake.put(PATH, THREE.replace("ruby", "alpine"), 0o600)
    found = resource(fake)
    assert "somebody else wrote over it" in found.notes(found.inspect(fake))[0].text
    apply(fake, found)
    apply(fake, resource(fake), present=False)
    assert fake.files[PATH] == THREE.replace("ruby", "alpine").encode()


def test_what_is_wanted_and_the_usual_places(fake: FakeHost) -> None:
    fake.put(ROOT / "gdk.yml", "hostname: gdk.test\nregistry: {host: registry.test, listen_address: 172.16.123.1}")
    settings = load(ROOT, fake)
    found = runner_config.wanted(settings, fake.platform)
    assert found.mount == MOUNT
    assert found.hosts == {"registry.test": "172.16.123.1"}, "127.0.0.1 would lead a job to itself"
    assert runner_config.usual_places(settings, fake) == []
    fake.put(PATH, THREE)
    fake.put(ROOT / "gitlab-runner-config.toml", THREE)
    assert runner_config.usual_places(settings, fake) == [ROOT / "gitlab-runner-config.toml", PATH]
    fake.put(ROOT / "gdk.yml", "runner: {config_file: mine.toml}")
    assert runner_config.usual_places(load(ROOT, fake), fake) == [ROOT / "mine.toml"]
    fake.put(PATH, THREE)
    found_runner = resource(fake)
    assert [item.executor for item in found_runner.seen(found_runner.inspect(fake))] == ["docker", "docker+machine", "shell"]
