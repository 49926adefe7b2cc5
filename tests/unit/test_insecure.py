"""Which file the engine reads, what it lists, and what is done about it: tables of states and actions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gdkreg.engines import insecure as engines
from gdkreg.engines.detect import Endpoint, Engine, Kind
from gdkreg.engines.insecure import NotTakenError, Seen
from gdkreg.errors import ConfigError, GdkregError, NeedsRootError
from gdkreg.host import daemons
from gdkreg.host.base import Completed, Platform, digest
from gdkreg.host.daemons import Daemon
from gdkreg.plan.actions import Action, Control, RemoveFile, Step, WriteFile
from gdkreg.resources.docker_trust import BUILDKIT_MARK
from gdkreg.resources.insecure import Insecure
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import apply, executor, files, journal, levels, plan

NAME = "registry.test:5000"
CONFIG = Path("/etc/docker/daemon.json")
HUP = ("kill", "-s", "HUP", "7")
SEEN = Seen(config=CONFIG, as_root=True, listed=(), cidrs=("127.0.0.0/8",), reload=HUP)
# `docker info` of Docker Engine 20.10.24 with {"insecure-registries": ["registry.test:5000", "10.0.0.0/8"]}, shortened.
INFO: dict[str, Any] = {
    "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]],
    "RegistryConfig": {
        "InsecureRegistryCIDRs": ["10.0.0.0/8", "127.0.0.0/8"],
        "IndexConfigs": {
            "docker.io": {"Name": "docker.io", "Mirrors": [], "Secure": True, "Official": True},
            NAME: {"Name": NAME, "Mirrors": [], "Secure": False, "Official": False},
        },
    },
}


class AnApi:
    """An engine that answers `info`, once for each of its answers, then the last one for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def call(self, method: str, path: str, **_: Any) -> Any:
        assert (method, path) in {("GET", "/info"), ("GET", "/v4.0.0/libpod/info")}
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def resource(fake: FakeHost, seen: Seen = SEEN, *, wanted: bool = True, named: bool = True, name: str = NAME) -> Insecure:
    if seen.config is not None and Path("/etc/docker") not in fake.infos:
        fake.put("/etc/docker/key.json", "{}")
    fake.put(ROOT / "registry/config.yml", "")
    own = files(fake, "insecure")
    buildkit = ROOT / "registry/buildkitd.toml"
    return Insecure(name, "172.16.123.1", wanted, own, lambda: seen, None, buildkit, named)


def told(actions: list[Action]) -> list[str]:
    """Each action in a word or two."""
    rows = []
    for action in actions:
        if isinstance(action, Control):
            rows.append(f"reload -{action.before} +{action.after}")
        elif isinstance(action, WriteFile) and action.path == CONFIG:
            rows.append(action.content.decode() if isinstance(action.content, bytes) else "?")
        elif isinstance(action, RemoveFile) and action.path == CONFIG:
            rows.append("remove")
    return rows


# on


@pytest.mark.parametrize(
    ("before", "listed", "expected"),
    [
        (None, (), ['{\n  "insecure-registries": ["registry.test:5000"]\n}\n', "reload - +registry.test:5000"]),
        ("{}", (), ['{"insecure-registries": ["registry.test:5000"]}', "reload - +registry.test:5000"]),
        (
            '{"insecure-registries": ["a"]}',
            ("a",),
            ['{"insecure-registries": ["a", "registry.test:5000"]}', "reload - +registry.test:5000"],
        ),
        ('{"insecure-registries": ["registry.test:5000"]}', (NAME,), []),  # the user's own
        ('{"insecure-registries": ["registry.test:5000"]}', (), ["reload - +registry.test:5000"]),  # but not read yet
    ],
)
def test_on(fake: FakeHost, before: str | None, listed: tuple[str, ...], expected: list[str]) -> None:
    if before is not None:
        fake.put(CONFIG, before)
    seen = Seen(config=CONFIG, as_root=True, listed=listed, reload=HUP)
    assert told(plan(fake, resource(fake, seen))) == expected


def test_a_network_of_the_list_covers_it(fake: FakeHost) -> None:
    seen = Seen(config=CONFIG, listed=(), cidrs=("no network", "172.16.0.0/12"), reload=HUP)
    assert told(plan(fake, resource(fake, seen))) == []
    assert not seen.takes(NAME, "10.1.1.1")


@pytest.mark.parametrize(
    ("content", "place"),
    [(b'{\n  "a": 1,\n}\n', ":3:1: "), (b'{"insecure-registries": {}}', ":1:25: "), (b'{"a": "\xff"}', "UTF-8")],
)
def test_a_broken_file_is_one_error_and_for_reconfigure_none(fake: FakeHost, content: bytes, place: str) -> None:
    fake.put(CONFIG, content)
    with pytest.raises(ConfigError, match=place):
        plan(fake, resource(fake))
    assert told(plan(fake, resource(fake, named=False))) == []
    assert fake.files[CONFIG] == content


def test_a_byte_order_mark_and_the_mode_stay(fake: FakeHost) -> None:
    fake.put(CONFIG, b'\xef\xbb\xbf{"debug":true,"mtu":1}', 0o600)
    write = next(action for action in plan(fake, resource(fake)) if isinstance(action, WriteFile) and action.path == CONFIG)
    assert write.content == b'\xef\xbb\xbf{"debug":true,"mtu":1,"insecure-registries":["registry.test:5000"]}'
    assert (write.mode, write.as_root) == (0o600, True)


# off


def put_on(fake: FakeHost, before: str | None) -> None:
    """As after `insecure on`; the engine is not asked."""
    if before is not None:
        fake.put(CONFIG, before)
    steps = [Step("insecure", action) for action in plan(fake, resource(fake)) if not isinstance(action, Control)]
    executor(fake, journal(fake)).carry_out(steps)


ON = Seen(config=CONFIG, as_root=True, listed=(NAME,), reload=HUP)
GIVEN_UP = "reload -registry.test:5000 +"


@pytest.mark.parametrize(
    ("before", "seen", "expected"),
    [
        (None, ON, ['{\n  "insecure-registries": []\n}\n', GIVEN_UP, "remove"]),
        ('{"mtu": 1}', ON, ['{"mtu": 1, "insecure-registries": []}', GIVEN_UP, '{"mtu": 1}']),
        ('{"insecure-registries": ["a"]}', ON, ['{"insecure-registries": ["a"]}', GIVEN_UP]),
        ('{"insecure-registries": []}', ON, ['{"insecure-registries": []}', GIVEN_UP]),
        ('{"mtu": 1}', SEEN, ['{"mtu": 1}']),  # the engine was restarted, or does not have it for another reason
        ('{"mtu": 1}', Seen(), ['{"mtu": 1}']),  # it is away
        (None, Seen(), ["remove"]),
        ('{"mtu": 1}', Seen(config=CONFIG, listed=(NAME,)), ['{"mtu": 1}']),  # its process cannot be found
    ],
)
def test_off(fake: FakeHost, before: str | None, seen: Seen, expected: list[str]) -> None:
    put_on(fake, before)
    assert told(plan(fake, resource(fake, seen), present=False)) == expected


def test_off_after_an_edit(fake: FakeHost) -> None:
    put_on(fake, '{"mtu": 1}')
    fake.put(CONFIG, '{"mtu": 2, "insecure-registries": ["registry.test:5000"]}')
    actions = plan(fake, resource(fake, ON), present=False)
    assert told(actions) == ['{"mtu": 2, "insecure-registries": []}', GIVEN_UP, '{"mtu": 2}']
    fake.put(CONFIG, '{"mtu": 2, "insecure-registries": ["mine", "registry.test:5000"]}')
    assert told(plan(fake, resource(fake, ON), present=False)) == ['{"mtu": 2, "insecure-registries": ["mine"]}', GIVEN_UP]
    fake.put(CONFIG, '{"mtu": 3}')
    assert told(plan(fake, resource(fake, ON), present=False)) == [
        '{"mtu": 3, "insecure-registries": []}',
        GIVEN_UP,
        '{"mtu": 3}',
    ]


def test_what_is_on_follows_a_new_name(fake: FakeHost) -> None:
    put_on(fake, '{"mtu": 1}')
    new = resource(fake, ON, name="images.test:5000")
    assert told(plan(fake, new)) == [
        '{"mtu": 1, "insecure-registries": ["images.test:5000"]}',
        "reload -registry.test:5000 +images.test:5000",
    ]


def test_an_engine_that_is_away_keeps_its_list(fake: FakeHost) -> None:
    put_on(fake, '{"mtu": 1}')
    assert told(plan(fake, resource(fake, Seen(), named=False))) == []


def test_another_engine_gets_it_and_the_former_gives_it_up(fake: FakeHost) -> None:
    put_on(fake, '{"mtu": 1}')
    own = Path("/home/dev/.config/docker/daemon.json")
    seen = Seen(config=own, listed=(), reload=HUP)
    actions = plan(fake, resource(fake, seen))
    assert told(actions)[0] == '{"mtu": 1}'
    assert own in {action.path for action in actions if isinstance(action, WriteFile)}


def test_notes(fake: FakeHost) -> None:
    assert levels(fake, resource(fake, wanted=False)) == ["off"]
    assert levels(fake, resource(fake)) == ["changed"]
    put_on(fake, None)
    assert levels(fake, resource(fake, ON)) == ["warning"]
    assert levels(fake, resource(fake)) == ["changed"]
    fake.put(CONFIG, "{")
    assert levels(fake, resource(fake)) == ["error"]


def test_back_refuses_what_is_more_than_the_list(fake: FakeHost) -> None:
    put_on(fake, '{"mtu": 1}')
    item = resource(fake, ON)
    entry = next(entry for entry in item.files.journal.entries if entry.target == str(CONFIG))
    assert told(item.back(entry, fake)) == ['{"mtu": 1, "insecure-registries": []}', GIVEN_UP, '{"mtu": 1}']
    other = b'{"hosts": ["tcp://0.0.0.0:2375"]}'
    item.files.journal.keep(other)
    forged = msgspec.structs.replace(entry, before=digest(other))
    with pytest.raises(GdkregError, match="does not make"):
        item.back(forged, fake)


def test_what_docker_trust_wrote_is_not_ours(fake: FakeHost) -> None:
    fake.put(ROOT / "registry/buildkitd.toml", BUILDKIT_MARK)
    assert apply(fake, resource(fake, Seen(), wanted=False), present=False) == []


# the engine


def engine(kind: Kind = "docker", url: str = "unix:///run/docker.sock") -> Engine:
    return Engine(kind, Endpoint(url, "default socket"), "20.10.24")


def look(fake: FakeHost, monkeypatch: pytest.MonkeyPatch, found: dict[int, Daemon], own: int = 0, kind: Kind = "docker") -> Seen:
    monkeypatch.setattr(daemons, "behind", lambda _: own)
    monkeypatch.setattr(daemons, "look", found.get)
    return engines.look(engine(kind), AnApi(INFO), fake)  # type: ignore[arg-type]


def test_what_the_engine_tells(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = look(fake, monkeypatch, {7: Daemon(7, 0, ("/usr/sbin/dockerd",))}, 7)
    assert (seen.listed, seen.cidrs) == ((NAME,), ("10.0.0.0/8", "127.0.0.0/8"))
    assert (seen.config, seen.as_root, seen.reload, seen.flags, seen.containerd) == (CONFIG, True, HUP, (), False)
    assert engines.look(engine(), None, fake) == Seen()


def test_the_command_line_of_the_engine(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    argv = ("dockerd", "--config-file", "/opt/d.json", "--insecure-registry=a", "--insecure-registry", "b")
    seen = look(fake, monkeypatch, {7: Daemon(7, 0, argv)}, 7)
    assert (seen.config, seen.flags) == (Path("/opt/d.json"), ("a", "b"))
    with pytest.raises(GdkregError, match="relative"):
        look(fake, monkeypatch, {7: Daemon(7, 0, ("dockerd", "--config-file=d.json"))}, 7)


def test_systemd_listens_in_its_place(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Debian starts it: `dockerd -H fd://`, so the socket is systemd's."""
    fake.put("/run/systemd/system/.keep", "")
    fake.answers[("systemctl", "show")] = Completed(0, "9\n")
    found = {1: Daemon(1, 0, ("/sbin/init",)), 9: Daemon(9, 0, ("/usr/sbin/dockerd", "-H", "fd://"))}
    assert look(fake, monkeypatch, found, 1).reload == ("systemctl", "reload", "docker.service")


def test_a_pid_file_of_something_else(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.put("/run/docker.pid", "33")
    assert look(fake, monkeypatch, {33: Daemon(33, 0, ("/usr/bin/postgres",))}).reload == ()
    assert look(fake, monkeypatch, {33: Daemon(33, 0, ("dockerd",))}).reload == ("kill", "-s", "HUP", "33")
    fake.put("/run/docker.pid", "x")
    assert look(fake, monkeypatch, {}).reload == ()


def test_rootless(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = look(fake, monkeypatch, {7: Daemon(7, 1000, ("dockerd",))}, 7, "rootless")
    assert (seen.config, seen.as_root, seen.reload) == (Path("/home/dev/.config/docker/daemon.json"), False, HUP)


def test_other_engines_have_no_file_of_ours(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[Kind] = ["desktop", "colima", "orbstack", "rancher", "machine", "remote"]
    for kind in kinds:
        seen = look(fake, monkeypatch, {7: Daemon(7, 0, ("dockerd",))}, 7, kind)
        assert (seen.config, seen.listed) == (None, (NAME,))
        assert NAME in engines.by_hand(engine(kind), fake.platform, NAME)
    for system, hint in (("linux", ""), ("darwin", "podman machine ssh")):
        platform = Platform(system, 501, 20, Path("/Users/dev"), {})  # type: ignore[arg-type]
        assert hint in engines.by_hand(engine("podman"), platform, NAME)
        assert bool(hint) == bool(engines.by_hand(engine("podman"), platform, NAME))
    assert engines.by_hand(engine(), fake.platform, NAME) == ""
    assert "in the engine's VM" in engines.by_hand(engine(), Platform("darwin", 501, 20, Path("/Users/dev"), {}), NAME)


def test_on_a_mac_no_process_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine lives in a VM there, whatever it calls itself."""
    mac = FakeHost(system="darwin", uid=501, home="/Users/dev")
    seen = look(mac, monkeypatch, {7: Daemon(7, 0, ("dockerd",))}, 7)
    assert (seen.config, seen.reload, seen.listed) == (None, (), (NAME,))
    assert engines.podman_folder(engine("podman"), mac.platform) is None


def test_the_containerd_store(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the documentation of Docker 29: `docker info -f '{{ .DriverStatus }}'` prints it so."""
    monkeypatch.setitem(INFO, "DriverStatus", [["driver-type", "io.containerd.snapshotter.v1"]])
    assert look(fake, monkeypatch, {}).containerd


# `GET /v4.0.0/libpod/info` of Podman 4.3.1 with a file for the registry in registries.conf.d, shortened.
PODMAN: dict[str, Any] = {"registries": {"search": ["docker.io"], NAME: {"Location": NAME, "Insecure": True, "Mirrors": None}}}
CONF = Path("/etc/containers/registries.conf.d/gdkreg-1.conf")


def test_podmans_service_reads_its_files_again(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemons, "behind", lambda _: 7)
    monkeypatch.setattr(daemons, "look", {7: Daemon(7, 0, ("podman", "system", "service"))}.get)
    seen = engines.look(engine("podman"), AnApi(PODMAN), fake)  # type: ignore[arg-type]
    assert (seen.config, seen.listed, seen.reload, seen.podman) == (None, (NAME,), HUP, True)
    before = msgspec.structs.replace(seen, listed=())
    fake.put("/etc/containers/policy.json", "{}")

    def item(seen: Seen) -> Insecure:
        return msgspec.structs.replace(resource(fake, seen), podman=(CONF, True))

    actions = plan(fake, item(before))
    assert told(actions) == [f"reload - +{NAME}"]
    executor(fake, journal(fake)).carry_out([Step("insecure", action) for action in actions if not isinstance(action, Control)])
    assert plan(fake, item(seen)) == []
    assert told(plan(fake, item(before))) == [f"reload - +{NAME}"], "the file is there, and was not read yet"
    assert told(plan(fake, item(seen), present=False)) == [GIVEN_UP]
    assert told(plan(fake, item(before), present=False)) == []
    entry = next(entry for entry in item(seen).files.journal.entries if entry.target == str(CONF))
    assert told(item(seen).back(entry, fake)) == [GIVEN_UP]


# reloading


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_TAKEN_WITHIN", 0.0)


def without() -> dict[str, Any]:
    return {"RegistryConfig": {"IndexConfigs": {}}}


def test_reload(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    api: Any = AnApi(without(), INFO)
    assert engines.reload(api, SEEN, fake, takes=NAME, gives_up=()) == f"it takes {NAME}"
    assert fake.ran == [(HUP, "")]
    quick(monkeypatch)
    with pytest.raises(NotTakenError, match="did not take"):
        engines.reload(api, SEEN, fake, takes="other", gives_up=())
    assert "until it is restarted" in engines.reload(api, SEEN, fake, takes="", gives_up=(NAME,))
    assert "until it is restarted" in engines.reload(None, SEEN, fake, takes="", gives_up=(NAME,))
    with pytest.raises(NotTakenError):
        engines.reload(None, SEEN, fake, takes=NAME, gives_up=())
    fake.fail.add("kill")
    with pytest.raises(NotTakenError, match="cannot be told"):
        engines.reload(api, SEEN, fake, takes=NAME, gives_up=())


def test_without_sudo_the_command_is_named() -> None:
    host = FakeHost(uid=1000, home="/home/dev")
    host.refuse_root = True
    with pytest.raises(NeedsRootError) as raised:
        engines.reload(AnApi(INFO), SEEN, host, takes=NAME, gives_up=())  # type: ignore[arg-type]
    assert raised.value.details == "sudo kill -s HUP 7"
