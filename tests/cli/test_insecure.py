"""insecure on|off as a person sees it, on engines as they tell of themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gdkreg.cli import session
from gdkreg.cli.app import build
from gdkreg.engines import detect, insecure
from gdkreg.engines.detect import Endpoint, Engine, Kind
from gdkreg.engines.insecure import NotTakenError
from gdkreg.host import daemons
from gdkreg.host.daemons import Daemon
from gdkreg.plan.outcome import Silent
from gdkreg.verbs import insecure as verb
from gdkreg.verbs.root import Root
from tests.fakes import FakeHost

ROOT = Path("/home/dev/gdk")
NAME = "registry.test:5000"
CONFIG = Path("/etc/docker/daemon.json")
GDK_YML = """\
registry:
  enabled: true
  host: registry.test
  listen_address: ADDRESS
  self_signed: TLS
  auth_enabled: false
"""


class Docker:
    """An engine that reads its list from the file as dockerd does: `obeys` at each signal, or not at all."""

    def __init__(self, host: FakeHost) -> None:
        self.host, self.listed, self.obeys = host, list[str](), True
        self.more: dict[str, Any] = {}

    def call(self, method: str, path: str, **_: Any) -> Any:
        indexes = {name: {"Name": name, "Secure": False} for name in self.listed}
        return {"RegistryConfig": {"IndexConfigs": indexes, "InsecureRegistryCIDRs": ["127.0.0.0/8"]}, **self.more}

    def signal(self) -> None:
        said = json.loads(self.host.files.get(CONFIG, b"{}"))
        if self.obeys and "insecure-registries" in said:  # a key that is gone changes nothing
            self.listed = said["insecure-registries"]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    host = FakeHost(home="/home/dev", env={"GDKREG_ROOT": str(ROOT)})
    host.put("/etc/hosts", "127.0.0.1 localhost\n")
    host.put("/etc/docker/key.json", "{}")
    monkeypatch.setattr(session, "Machine", lambda: host)
    monkeypatch.setattr(insecure, "_TAKEN_WITHIN", 0.0)
    return host


def engine(monkeypatch: pytest.MonkeyPatch, fake: FakeHost, kind: Kind = "docker", *argv: str) -> Docker:
    found = Docker(fake)
    at = Endpoint("unix:///run/docker.sock", "default socket")
    monkeypatch.setattr(detect, "find", lambda _: (Engine(kind, at, "20.10.24"), found if kind != "none" else None))
    monkeypatch.setattr(daemons, "behind", lambda _: 7)
    monkeypatch.setattr(daemons, "look", {7: Daemon(7, 0, ("dockerd", *argv))}.get)
    run = fake.run

    def signalled(words: Any, **options: Any) -> Any:
        if tuple(words) == ("kill", "-s", "HUP", "7"):
            found.signal()
        return run(words, **options)

    monkeypatch.setattr(fake, "run", signalled)
    return found


def gdkreg(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(build(), list(arguments))
    assert result.exit_code == code, (result.output, result.exception)
    return result


def set_up(fake: FakeHost, *, tls: bool = False, address: str = "172.16.123.1") -> None:
    fake.put(ROOT / "gdk.yml", GDK_YML.replace("ADDRESS", address).replace("TLS", str(tls).lower()))
    gdkreg("reconfigure", "--yes")


def test_on_and_off(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = engine(monkeypatch, fake)
    set_up(fake)
    fake.put(CONFIG, '{"mtu": 1400}')
    before = dict(fake.files)
    told = json.loads(gdkreg("insecure", "on", "--dry-run", "--json").output)
    assert [item["action"] for item in told["actions"]] == ["WriteFile", "reload", "WriteFile"]
    assert "insecure-registries" in told["actions"][0]["diff"]
    assert fake.files == before
    found = json.loads(gdkreg("insecure", "on", "--json").output)
    assert (found["authority"], found["insecure"], docker.listed) == (NAME, True, [NAME])
    assert gdkreg("insecure", "on").output == "Nothing to do: the engine takes the registry as it is.\n"
    assert "taken without TLS, whoever answers there" in gdkreg("status").output
    text = gdkreg("insecure", "off").output
    assert "an empty list first" in text
    assert "engine reloaded" in text
    assert (fake.files[CONFIG], docker.listed) == (b'{"mtu": 1400}', [])
    gdkreg("undo")
    assert docker.listed == [NAME]
    gdkreg("down", "--yes")
    assert (fake.files[CONFIG], docker.listed) == (b'{"mtu": 1400}', [])


def test_an_engine_that_does_not_take_it_is_rolled_back(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, fake).obeys = False
    set_up(fake)
    fake.put(CONFIG, '{"mtu": 1400}')
    text = gdkreg("insecure", "on", code=1).output
    assert "did not take the new list" in text
    assert "the engine's file is as it was" in text
    assert fake.files[CONFIG] == b'{"mtu": 1400}'
    assert "taken without" not in gdkreg("status").output


def test_a_roll_back_asks_nobody(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a «no» would leave the file that the engine does not take, and say that nothing was changed."""
    engine(monkeypatch, fake).obeys = False
    set_up(fake)
    fake.put(CONFIG, '{"mtu": 1400}')
    answers = iter([True, False])

    class Person(Silent):
        def agree(self, items: Any, *, ask: bool) -> bool:
            return next(answers)

    with pytest.raises(NotTakenError):
        verb.on(Root(ROOT, fake), Person())
    assert fake.files[CONFIG] == b'{"mtu": 1400}'


def test_with_tls_it_is_refused(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, fake)
    set_up(fake, tls=True)
    text = gdkreg("insecure", "on", code=1).output
    assert "gdkreg trust-docker-registry" in text
    assert CONFIG not in fake.files


def test_on_this_machine_it_is_not_needed(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, fake)
    set_up(fake, address="127.0.0.1")
    assert "engines ask no TLS of 127.0.0.0/8" in gdkreg("insecure", "on").output
    assert CONFIG not in fake.files


def test_tls_later_takes_it_back(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = engine(monkeypatch, fake)
    set_up(fake)
    gdkreg("insecure", "on")
    assert docker.listed == [NAME]
    set_up(fake, tls=True)
    assert (docker.listed, CONFIG in fake.files) == ([], False)


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("desktop", "Settings → Docker Engine"),
        ("colima", "colima start --edit"),
        ("orbstack", "~/.orbstack/config/docker.json"),
        ("rancher", "rdctl shell"),
        ("machine", "docker-machine ssh"),
        ("remote", "on that machine"),
        ("none", "start the engine"),
    ],
)
def test_where_a_person_does_it(fake: FakeHost, monkeypatch: pytest.MonkeyPatch, kind: Kind, hint: str) -> None:
    docker = engine(monkeypatch, fake, kind)
    set_up(fake)
    before = dict(fake.files)
    assert hint in gdkreg("insecure", "on", code=1).output
    assert fake.files == before, "nothing is written that is not read"
    docker.listed = [NAME]
    if kind != "none":
        assert "but not by gdkreg" in gdkreg("insecure", "off").output


def test_flags_of_the_engine(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, fake, "docker", "--insecure-registry", "a:1")
    set_up(fake)
    text = gdkreg("insecure", "on", code=1).output
    assert "would not start again" in text
    assert CONFIG not in fake.files


def test_what_up_says(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    from gdkreg.verbs.machine import trust_hints

    docker = engine(monkeypatch, fake)
    set_up(fake)
    assert trust_hints(Root(ROOT, fake)) == [f"! without TLS the engine refuses {NAME}: gdkreg insecure on"]
    docker.listed = [NAME]
    assert trust_hints(Root(ROOT, fake)) == []


def test_a_service_of_podmans_that_is_not_found(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, fake, "podman")
    fake.put("/etc/containers/policy.json", "{}")
    monkeypatch.setattr(daemons, "behind", lambda _: 0)
    set_up(fake)
    assert "when it is restarted" in gdkreg("insecure", "on").output


def test_the_containerd_store_ignores_the_list(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = engine(monkeypatch, fake)
    docker.more = {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}
    set_up(fake)
    assert "docker/cli#6748" in gdkreg("insecure", "on").output


def test_before_the_first_reconfigure(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, fake)
    fake.put(ROOT / "gdk.yml", GDK_YML.replace("ADDRESS", "172.16.123.1").replace("TLS", "false"))
    assert "not set up yet" in gdkreg("insecure", "on", code=1).output
    assert "Nothing to do" in gdkreg("insecure", "off").output


def test_tls_switched_on_leads_from_the_list_to_trust(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both write buildkitd.toml: who gives it up comes first, once, and nothing is taken for somebody's edit."""
    docker = engine(monkeypatch, fake)
    fake.put("/usr/lib/docker/cli-plugins/docker-buildx", "")
    set_up(fake, tls=True)
    gdkreg("trust-docker-registry", "--client", "buildx", "--yes")
    set_up(fake)
    gdkreg("insecure", "on", "--yes")
    buildkit = ROOT / "registry/buildkitd.toml"
    assert b"http = true" in fake.files[buildkit]
    fake.put(ROOT / "gdk.yml", GDK_YML.replace("ADDRESS", "172.16.123.1").replace("TLS", "true"))
    assert "~  insecure" in gdkreg("status").output, "the list still has it"
    text = gdkreg("reconfigure", "--yes").output
    assert "edited after" not in text
    assert text.count("buildkitd.toml") == 2, "removed, and written"
    assert b"ca = [" in fake.files[buildkit]
    assert docker.listed == []
    set_up(fake)
    gdkreg("insecure", "on", "--yes")
    fake.put(CONFIG, "{")
    told = gdkreg("down", "--yes", code=1).output
    assert told.count("left: insecure") == 1
    fake.put(CONFIG, "{}")
    gdkreg("down", "--yes")
    assert fake.info(buildkit) is None


def test_a_file_that_was_edited_is_left_and_off_names_no_down(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, fake)
    set_up(fake)
    gdkreg("insecure", "on", "--yes")
    buildkit = ROOT / "registry/buildkitd.toml"
    fake.files[buildkit] += b"# mine\n"
    text = gdkreg("insecure", "off", "--yes", code=1).output
    assert f"fix: look at it, then: rm {buildkit}, and the same command again" in text
    fake.remove(buildkit)
    gdkreg("insecure", "off", "--yes")
    assert "insecure" not in gdkreg("status").output


def test_off_after_the_engine_was_purged(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """With /etc/docker and all. Nothing of ours is there any more, and no folder to write into."""
    engine(monkeypatch, fake)
    set_up(fake)
    fake.put(CONFIG, '{"mtu": 1400}')
    gdkreg("insecure", "on", "--yes")
    fake.remove_tree(CONFIG.parent)
    engine(monkeypatch, fake, "none")
    gdkreg("insecure", "off", "--yes")
    assert CONFIG not in fake.files
    assert ROOT / "registry/buildkitd.toml" not in fake.files
    assert "insecure" not in gdkreg("status").output
    gdkreg("down", "--yes")


def test_off_of_an_engine_that_hung_meanwhile(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps a list that is gone from its file, so there is nothing to take out of that."""
    docker = engine(monkeypatch, fake)
    set_up(fake)
    gdkreg("insecure", "on", "--yes")
    engine(monkeypatch, fake, "none")
    assert "it keeps its list until it is restarted" in gdkreg("insecure", "off", "--yes").output
    engine(monkeypatch, fake, "rootless").listed = docker.listed
    assert "until it is restarted: systemctl --user restart docker" in gdkreg("insecure", "off").output
    engine(monkeypatch, fake).listed = docker.listed
    assert "until it is restarted: systemctl restart docker" in gdkreg("insecure", "off").output
    fake.put(CONFIG, f'{{"insecure-registries": ["{NAME}"]}}')
    assert f"not by gdkreg: take it out of {CONFIG}" in gdkreg("insecure", "off").output
