"""What makes GDK's own runner file last, whether a file is patched, and runners in containers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from gdkreg.cli import session
from gdkreg.cli.app import build
from gdkreg.engines import runners as containers
from gdkreg.verbs import runners
from gdkreg.verbs.root import Root
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT

BASE = """\
hostname: gdk.test
listen_address: 172.16.123.1
registry:
  enabled: true
  host: registry.test
  listen_address: 172.16.123.1
"""
FILE = ROOT / "gitlab-runner-config.toml"
PLAIN = '[[runners]]\n  name = "a"\n  executor = "docker"\n'
OURS = ["gdk.test:172.16.123.1", "registry.test:172.16.123.1"]


def root(fake: FakeHost, more: str = "") -> Root:
    fake.put(ROOT / "gdk.yml", BASE + more)
    fake.put(ROOT / "lib/gdk.rb", "")
    fake.put(FILE, PLAIN)
    return Root(ROOT, fake)


def rows(fake: FakeHost, more: str = "") -> list[str]:
    return [row.strip() for row in runners.lasting(root(fake, more), FILE) if row.startswith("    ")]


def applied(text: str, told: list[str]) -> Any:
    """gdk.yml after the diff that was told, as patch(1) would make it; hunks have no context."""
    import re

    lines, shift = text.splitlines(), 0
    at = 0
    for row in told[2:]:
        if found := re.match(r"@@ -(\d+)(?:,(\d+))? \+(\d+)", row):
            at = int(found[1]) + shift - (0 if found[2] == "0" else 1)
        elif row.startswith("-"):
            assert lines[at] == row[1:]
            del lines[at]
            shift -= 1
        elif row.startswith("+"):
            lines.insert(at, row[1:])
            at, shift = at + 1, shift + 1
    return yaml.safe_load("\n".join(lines))


@pytest.mark.parametrize(
    ("more", "protected", "hosts"),
    [
        ("", [FILE.name], OURS),
        ("gdk:\n  debug: true\n", [FILE.name], OURS),
        ("gdk:\n  protected_config_files: ['Procfile', 'redis/*']\n", ["Procfile", "redis/*", FILE.name], OURS),
        ("gdk:\n  protected_config_files:\n  - Procfile # a\n  - b\n", ["Procfile", "b", FILE.name], OURS),
        ("gdk:\n  protected_config_files: []\n", [FILE.name], OURS),
        ("gdk:\n  protected_config_files:\n", [FILE.name], OURS),
        ("runner:\n  extra_hosts: ['o:1.1.1.1', 'gdk.test:9.9.9.9']\n", [FILE.name], ["o:1.1.1.1", OURS[0], OURS[1]]),
        (f"runner:\n  extra_hosts: {json.dumps(OURS)}\n", [FILE.name], OURS),
    ],
)
def test_the_lines_are_merged_with_what_is_there(fake: FakeHost, more: str, protected: list[str], hosts: list[str]) -> None:
    told = [row[4:] for row in runners.lasting(root(fake, more), FILE) if row.startswith("    ")]
    found = applied(BASE + more, told)
    assert found["gdk"]["protected_config_files"] == protected
    assert found["runner"]["extra_hosts"] == hosts
    before = yaml.safe_load(BASE + more)
    for key in before.keys() - {"gdk", "runner"}:
        assert found[key] == before[key]


@pytest.mark.parametrize("pattern", [FILE.name, "*", "gitlab-runner*", "*.toml"])
def test_a_pattern_that_covers_it_is_enough(fake: FakeHost, pattern: str) -> None:
    assert rows(fake, f"gdk:\n  protected_config_files: ['x', '{pattern}']\n") == []


def test_a_name_elsewhere_in_the_file_protects_nothing(fake: FakeHost) -> None:
    assert rows(fake, f"# {FILE.name}\ngdk:\n  protected_config_files: ['Procfile']\n") != []


def test_gdk_that_overwrites_all(fake: FakeHost) -> None:
    found = runners.lasting(root(fake, f"gdk:\n  overwrite_changes: true\n  protected_config_files: ['{FILE.name}']\n"), FILE)
    assert not any(f"+    - {FILE.name}" in row for row in found)
    assert any("extra_hosts" in row for row in found)
    assert "protects no file" in found[-1]
    (only,) = runners.lasting(root(fake, f"gdk:\n  overwrite_changes: true\nrunner:\n  extra_hosts: {json.dumps(OURS)}\n"), FILE)
    assert "overwrite_changes" in only


def test_a_line_that_holds_more_is_not_shown(fake: FakeHost) -> None:
    """A block in braces stands on one line, with whatever else is in it."""
    found = rows(fake, "gdk: {token: hunter22, protected_config_files: [a]}\n")
    assert "hunter22" not in " ".join(found)
    assert f"- '{FILE.name}'" in found
    assert "- 'a'" in found


def test_other_files_are_not_gdks(fake: FakeHost) -> None:
    found = root(fake)
    assert runners.lasting(found, Path("/home/dev/.gitlab-runner/config.toml")) == []
    fake.remove_tree(ROOT / "lib")
    assert runners.lasting(found, FILE) == []


# --check


def check(fake: FakeHost, monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str]:
    monkeypatch.setattr(session, "Machine", lambda: fake)
    monkeypatch.setattr(fake, "lock", None)  # whoever asks for it fails
    result = CliRunner().invoke(build(), ["runner-patch", "--check", str(FILE), "--root", str(ROOT), *words])
    return result.exit_code, result.output


def test_check(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    root(fake)
    before = dict(fake.files)
    assert check(fake, monkeypatch) == (1, f"{FILE} is not patched: certificates and host names for the jobs\n")
    code, out = check(fake, monkeypatch, "--json")
    assert (code, json.loads(out)["patched"]) == (1, False)
    assert fake.files == before
    mount = "/home/dev/.docker/certs.d:/etc/docker/certs.d"
    table = f"  [runners.docker]\n    volumes = ['{mount}']\n    extra_hosts = {json.dumps(OURS)}\n"
    fake.put(FILE, PLAIN + table)
    assert check(fake, monkeypatch) == (0, f"{FILE} is patched\n")
    assert check(fake, monkeypatch, "--pull-policy", "always")[0] == 1
    assert check(fake, monkeypatch, "--remove")[0] == 2
    fake.put(FILE, '[[runners]]\n  executor = "shell"\n')
    assert check(fake, monkeypatch) == (0, f"{FILE} holds no Docker runner, so there is nothing to patch\n")
    fake.put(FILE, "[[")
    assert check(fake, monkeypatch)[0] == 1
    fake.remove(FILE)
    assert check(fake, monkeypatch)[0] == 1


# in a container


class AnApi:
    """An engine with one container."""

    def __init__(self, image: str, mounts: dict[str, str], **config: Any) -> None:
        self.image, self.mounts, self.config = image, mounts, config

    def call(self, method: str, path: str, **_: Any) -> Any:
        if path == "/containers/json":
            return [{"Id": "1", "Image": self.image}]
        mounts = [{"Source": source, "Destination": inside} for inside, source in self.mounts.items()]
        return {"Name": "/one", "Mounts": mounts, "HostConfig": self.config}


@pytest.mark.parametrize(
    ("image", "is_one"),
    [
        ("gitlab/gitlab-runner", True),
        ("gitlab/gitlab-runner:alpine", True),
        ("docker.io/gitlab/gitlab-runner@sha256:0", True),
        ("registry.gitlab.com/gitlab-org/gitlab-runner:v17", True),
        ("registry.gitlab.com/gitlab-org/gitlab-runner/gitlab-runner-helper:x86_64-v17", False),
        ("my/gitlab-runners", False),
    ],
)
def test_which_images_are_runners(image: str, is_one: bool) -> None:
    api: Any = AnApi(image, {"/etc/gitlab-runner": "/srv/runner"})
    assert (containers.reading(api, Path("/srv/runner/config.toml")) is not None) == is_one


def test_what_its_container_leads_to() -> None:
    api: Any = AnApi("gitlab/gitlab-runner", {"/c.toml": "/srv/c.toml"}, ExtraHosts=["gdk.test:1.1.1.1"], NetworkMode="host")
    found = containers.reading(api, Path("/srv/c.toml"))
    assert found is not None
    assert (found.name, found.alone, found.hosts, found.own_network) == ("one", True, ("gdk.test",), False)
    assert containers.reading(api, Path("/srv/other.toml")) is None


def notes(fake: FakeHost, kind: str, api: Any, more: str = "") -> list[str]:
    from gdkreg.engines.detect import Endpoint, Engine
    from gdkreg.resources.runner_text import Seen

    found = root(fake, more)
    found.__dict__["found_engine"] = (Engine(kind, Endpoint("unix:///s", "")), api)  # type: ignore[arg-type]
    return runners._in_a_container(found, FILE, [Seen("a", "docker", True)], changed=True)


def test_where_the_certificates_have_to_be(fake: FakeHost) -> None:
    mode = "runner:\n  install_mode: docker\n"
    assert notes(fake, "none", None) == []
    assert notes(fake, "none", None, mode)[1].endswith("on this machine")
    assert notes(fake, "desktop", None, mode)[1].endswith("VM")
    assert notes(fake, "machine", None, mode)[1].endswith("copy it to that machine")


def test_check_of_a_file_that_somebody_edited_since(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given back first is no reason to say that nothing is amiss."""
    found = root(fake)
    runners.runner_patch(found, FILE)
    new = '[[runners]]\n  name = "new"\n  executor = "docker"\n'
    fake.put(FILE, fake.files[FILE].decode() + new)
    assert check(fake, monkeypatch) == (1, f"{FILE} is not patched: certificates and host names for the jobs\n")
