"""Which engine is found, from the answers in tests/recorded/engines.json, each with its origin; and docker-machine, whose words
are those of Docker Machine's documentation (0.16)."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from gdkreg.config import settings as configs
from gdkreg.config.effective import Settings
from gdkreg.engines import detect, machine
from gdkreg.errors import GdkregError
from gdkreg.host.base import Completed
from gdkreg.host.machine import Machine as Host
from gdkreg.resources.loopback import Loopback
from gdkreg.services.engine import refuse_engine
from gdkreg.verbs import engine, standing, switching_engine
from gdkreg.verbs.root import Root
from tests.fakes import FakeHost
from tests.servers import Answer, Asked, serving
from tests.unit.conftest import ROOT

RECORDED: dict[str, Any] = json.loads((Path(__file__).parents[1] / "recorded/engines.json").read_text())
INSIDE = {
    "DOCKER_TLS_VERIFY": "1",
    "DOCKER_HOST": "tcp://192.168.99.100:2376",
    "DOCKER_CERT_PATH": "/Users/dev/.docker/machine/machines/default",
    "DOCKER_MACHINE_NAME": "default",
}
IP, SSH, LS = ("docker-machine", "ip", "default"), ("docker-machine", "ssh", "default"), ("docker-machine", "ls")


def settings_of(host: FakeHost, text: str) -> Settings:
    host.put(ROOT / "gdk.yml", text)
    return configs.load(ROOT, host)


def answering(kind: str) -> Any:
    row = RECORDED[kind]

    def answer(asked: Asked) -> Answer:
        return Answer(200, row["version" if asked.path.endswith("/version") else "info"], {"Server": row["server"]})

    return answer


@pytest.mark.parametrize("kind", list(RECORDED))
def test_each_engine_by_what_it_answered(kind: str, tmp_path: Path) -> None:
    with serving(answering(kind), tmp_path / "s") as told:
        found, api = detect.find(FakeHost(env={"DOCKER_HOST": told.url}))
    assert api is not None
    assert (found.kind, found.version) == (kind, RECORDED[kind]["version"]["Version"])
    assert found.local
    assert found.serves
    assert found.rootless == found.maps_root_to_user == (kind in {"rootless", "podman-rootless"})


def machine_at(tmp_path: Path) -> Host:
    """This machine, with a home and a runtime folder that are empty; the sockets in /run are out of its sight."""
    host = Host()
    env = {"XDG_RUNTIME_DIR": str(tmp_path / "run")}
    host.platform = type(host.platform)("linux", 1000, 1000, tmp_path, env)
    return host


def dead(path: Path) -> None:
    """As an engine leaves it that was killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))


def test_dead_sockets_hide_no_living_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "SOCKET", tmp_path / "docker.sock")
    host = machine_at(tmp_path)
    dead(tmp_path / "docker.sock")
    dead(tmp_path / ".colima/default/docker.sock")
    assert detect.find(host)[0].why.startswith(f"no engine answers at unix://{tmp_path}/docker.sock: connection refused")
    (tmp_path / ".colima/second").mkdir()
    with serving(answering("colima"), tmp_path / ".colima/second/docker.sock") as told:
        found, api = detect.find(host)
    assert api is not None
    assert (found.kind, found.endpoint.url, found.endpoint.source) == ("colima", told.url, "default socket")
    assert found.docker_host == told.url, "docker itself asks the first one only"


def test_an_engine_that_hangs_or_refuses_us_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "SOCKET", tmp_path / "docker.sock")
    monkeypatch.setattr(detect, "ANSWER_WITHIN", 0.05)
    with socket.socket(socket.AF_UNIX) as mute, serving(answering("podman"), tmp_path / "later.sock"):
        mute.bind(str(tmp_path / "docker.sock"))
        mute.listen()
        (tmp_path / ".rd").mkdir()
        (tmp_path / ".rd/docker.sock").symlink_to(tmp_path / "later.sock")
        found, api = detect.find(machine_at(tmp_path))
    assert api is None
    assert found.why.endswith("does it hang?")


def test_only_the_engine_that_was_named_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "SOCKET", tmp_path / "docker.sock")
    with serving(answering("docker"), tmp_path / "docker.sock"):
        found, api = detect.find(FakeHost(env={"DOCKER_HOST": f"unix://{tmp_path}/gone.sock"}))
    assert (found.kind, api, found.docker_host) == ("none", None, "")


@pytest.mark.parametrize(
    "place",
    [
        "/var/run/docker.sock",
        "/run/user/7/docker.sock",
        "/home/dev/.docker/run/docker.sock",
        "/home/dev/.docker/desktop/docker.sock",
        "/home/dev/.colima/default/docker.sock",
        "/home/dev/.colima/second/docker.sock",
        "/home/dev/.config/colima/default/docker.sock",
        "/home/dev/.orbstack/run/docker.sock",
        "/home/dev/.rd/docker.sock",
        "/run/user/7/podman/podman.sock",
        "/run/podman/podman.sock",
        "/home/dev/.local/share/containers/podman/machine/podman.sock",
    ],
)
def test_where_engines_listen_by_themselves(place: str) -> None:
    host = FakeHost(home="/home/dev", env={"XDG_RUNTIME_DIR": "/run/user/7"})
    host.put(place, "")
    assert detect.endpoints(host) == [detect.Endpoint(f"unix://{place}", "default socket")]


def root_with(env: dict[str, str], text: str = "registry: {enabled: true}\n") -> Root:
    host = FakeHost(home="/home/dev", env=env)
    host.put(ROOT / "gdk.yml", text)
    return Root(ROOT, host)


def test_status_shows_the_engine(tmp_path: Path) -> None:
    with serving(answering("rootless"), tmp_path / "s") as told:
        found = standing.status(root_with({"DOCKER_HOST": told.url})).engine
    assert found is not None
    assert engine.note(found).text == f"rootless 20.10.24+dfsg1 at {told.url} (DOCKER_HOST)"
    gone = standing.status(root_with({"DOCKER_HOST": "unix:///nowhere/s"})).engine
    assert gone is not None
    assert (gone.kind, gone.why) == ("none", "no engine answers at unix:///nowhere/s: there is no such socket")
    assert engine.note(gone).level == "off"
    needed = root_with({"DOCKER_HOST": "unix:///nowhere/s"}, "registry: {enabled: true, runtime: docker}\n")
    assert engine.note(engine.shown(needed)).level == "error"
    assert standing.status(root_with({}, "registry: {enabled: false}\n")).engine is None


def test_what_a_user_has_to_know_of_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "SOCKET", tmp_path / "docker.sock")
    for name in ("docker", "podman"):
        (tmp_path / name).touch(mode=0o755)
    (tmp_path / "run/podman").mkdir(parents=True)
    with serving(answering("podman-rootless"), tmp_path / "run/podman/podman.sock"):
        host = FakeHost(home=str(tmp_path), env={"XDG_RUNTIME_DIR": f"{tmp_path}/run", "PATH": str(tmp_path)})
        host.put(ROOT / "gdk.yml", "registry: {enabled: true}\n")
        host.put(tmp_path / "run/podman/podman.sock", "")
        both = Root(ROOT, host)
        assert engine.client(both) == "podman"
        assert engine.hints(both, named=True) == []
        (tmp_path / "podman").unlink()
        assert engine.client(both) == "docker"
        (hint,) = engine.hints(both, named=True)
        assert hint.endswith(f"export DOCKER_HOST=unix://{tmp_path}/run/podman/podman.sock")
    with serving(answering("rootless"), tmp_path / "s") as told:
        rootless = root_with({"DOCKER_HOST": told.url})
        assert engine.hints(rootless, named=False) == []
        assert "systemctl --user restart docker; gdkreg start" in engine.hints(rootless, named=True)[0]


# docker-machine


def test_the_vms_address_is_the_registrys() -> None:
    given = settings_of(FakeHost(), "hostname: gdk.test\nregistry: {enabled: true, host: registry.test}\n")
    found = machine.follow(given, INSIDE)
    assert (found.address, found.machine, found.authority) == ("192.168.99.100", "default", "registry.test:5000")
    assert found.names() == {"gdk.test": "127.0.0.1", "registry.test": "192.168.99.100"}
    plain = machine.follow(settings_of(FakeHost(), "registry: {enabled: true}\n"), INSIDE)
    assert plain.authority == "192.168.99.100:5000", "an address is replaced by the VM's"


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"DOCKER_MACHINE_NAME": "default"},
        {"DOCKER_HOST": "tcp://192.168.99.100:2376"},
        {**INSIDE, "DOCKER_HOST": "unix:///var/run/docker.sock"},
        {**INSIDE, "DOCKER_HOST": "tcp://52.29.1.1:2376"},
    ],
)
def test_without_a_vm_of_this_machine_nothing_follows(env: dict[str, str]) -> None:
    given = settings_of(FakeHost(), "registry: {enabled: true, host: registry.test}\n")
    assert machine.follow(given, env) is given


def test_a_process_stays_on_this_machine() -> None:
    given = settings_of(FakeHost(), "registry: {enabled: true, runtime: process}\n")
    assert machine.follow(given, INSIDE) is given


def refused(text: str, host: FakeHost, kind: detect.Kind) -> str:
    used = detect.Engine(kind, detect.Endpoint(INSIDE["DOCKER_HOST"], "DOCKER_HOST"))
    try:
        refuse_engine(used, settings_of(FakeHost(), text), host)
    except GdkregError as error:
        return f"{error.what} | {error.why} | {error.fix}"
    return ""


def test_what_keeps_a_vm_from_serving() -> None:
    text = "registry: {enabled: true, host: registry.test}\n"
    host = FakeHost(system="darwin", home="/Users/dev", env=INSIDE)
    assert refused(text, host, "machine") == "", "without docker-machine on PATH its variables are enough"
    host.answers = {IP: Completed(0, "192.168.99.100\n"), SSH: Completed(0)}
    assert refused(text, host, "machine") == ""
    host.answers[SSH] = Completed(1, "", "exit status 1\n")
    assert f"docker-machine default does not see {ROOT}" in refused(text, host, "machine")
    assert "VirtualBox shares /Users alone" in refused(text, host, "machine")
    linux = FakeHost(env=INSIDE)
    linux.answers = dict(host.answers)
    assert "VirtualBox shares /home, as /hosthome alone" in refused(text, linux, "machine")
    host.answers[SSH] = Completed(1, "", 'Error: Cannot run SSH command: Host "default" is not running\n')
    assert "docker-machine default cannot be asked" in refused(text, host, "machine")
    host.answers[IP] = Completed(0, "192.168.99.101\n")
    assert "docker-machine default is at 192.168.99.101 now" in refused(text, host, "machine")
    host.answers[IP] = Completed(1, "", "Host is not running\n")
    assert refused(text, host, "machine").endswith("Host is not running | docker-machine start default")


@pytest.mark.parametrize(
    ("ids", "told"), [("", ""), ("uid: 0, gid: 0,", ""), ("uid: 1000, gid: 1000,", "cannot run the registry as 1000:1000")]
)
def test_a_rootless_engine_runs_it_as_its_own_user_alone(ids: str, told: str) -> None:
    text = f"registry: {{enabled: true, {ids} host: registry.test}}\n"
    assert told in refused(text, FakeHost(), "rootless")
    assert bool(refused(text, FakeHost(), "podman-rootless")) == bool(told)
    assert refused(text, FakeHost(), "docker") == ""


def test_a_vm_needs_no_alias() -> None:
    assert not Loopback("127.0.0.1", "darwin").needed


def lines(env: dict[str, str], listed: str | None) -> list[str]:
    host = FakeHost(env=env)
    if listed is not None:
        host.answers[LS] = Completed(0, listed)
    return switching_engine.find(host).lines


def test_the_lines_that_switch() -> None:
    out = lines(INSIDE, "default Running\n")
    assert out[0] == "unset DOCKER_CERT_PATH DOCKER_HOST DOCKER_MACHINE_NAME DOCKER_TLS_VERIFY"
    assert lines({"DOCKER_MACHINE_NAME": "x\nrm -rf /"}, None)[0] == "unset DOCKER_MACHINE_NAME"
    back = lines({}, "work Running\ndefault Running\nold Stopped\n")
    assert back[0] == 'eval "$(docker-machine env default)"'
    assert '# or: eval "$(docker-machine env work)"' in back
    assert "# docker-machine old is Stopped: docker-machine start old" in back
    nowhere = lines({}, None) + lines({}, "") + lines({}, "default Stopped\n")
    for told in (out[1:], lines({"DOCKER_MACHINE_NAME": "x\nrm -rf /"}, None)[1:], back[1:], nowhere):
        assert told
        assert all(line.startswith("# ") and "\n" not in line for line in told)
