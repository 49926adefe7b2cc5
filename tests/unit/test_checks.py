"""Each check of `doctor` on a machine in memory: silent where all is well, and right to complain after one thing went wrong."""

from __future__ import annotations

import copy
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from gdkreg.host import network, runit
from gdkreg.host.base import Completed, FileInfo
from gdkreg.host.runit import Seen as Runit
from gdkreg.options import Options
from gdkreg.report import standing
from gdkreg.services import generation, storage
from gdkreg.verbs import doctor, machine
from gdkreg.verbs.checks import (
    CHECKS,
    Check,
    certificates,
    clock,
    containers,
    engine,
    gdk,
    hosts,
    insecure,
    names,
    registry,
    runner,
)
from gdkreg.verbs.checks import root as root_check
from gdkreg.verbs.checks import storage as storage_check
from gdkreg.verbs.checks import trust as trust_check
from gdkreg.verbs.checks.seen import Finding
from tests.fakes import FakeHost
from tests.unit import spoiled
from tests.unit.conftest import ROOT
from tests.unit.spoiled import Scene


@pytest.fixture(scope="module")
def made() -> FakeHost:
    """Set up once: a key takes a while to make."""
    host = FakeHost(home="/home/dev", env={"DOCKER_HOST": "unix:///nowhere.sock", "USER": "dev"})
    host.put(ROOT / "gdk.yml", spoiled.GDK_YML)
    host.put(ROOT / "Procfile", "# services\nregistry: exec support/docker-registry\n")
    host.put(spoiled.HOSTS, "127.0.0.1\tlocalhost\n")
    host.put("/var/run/docker.sock", "", 0o660)
    host.put("/etc/group", spoiled.GROUPS)
    host.put("/etc/docker/daemon.json", '{"log-level": "info"}')
    host.put("/etc/ufw/ufw.conf", "ENABLED=no\n")
    host.put("/proc/sys/net/ipv4/ip_forward", "1\n")
    host.put("/data/x/hosts", "127.0.0.1\tlocalhost\n172.17.0.2\tabc\n")
    host.put(ROOT / "gitlab/config/gitlab.yml", spoiled.RAILS)
    host.put("/home/dev/.gitlab-runner/config.toml", spoiled.RUNNER, 0o600)
    host.infos[Path("/var/run/docker.sock")] = FileInfo("other", 0o660, 0, 998)
    host.answers[("lsattr",)] = Completed(0, "--------------e------- /etc/hosts\n")
    host.answers[("iptables", "-S", "INPUT")] = Completed(0, "-P INPUT ACCEPT\n")
    scene = Scene(host)
    root = scene.root()
    root.options = Options(trust=True, runner=Path("/home/dev/.gitlab-runner/config.toml"))
    machine.reconfigure(root)
    return host


@pytest.fixture
def scene(made: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Scene:
    found = Scene(copy.deepcopy(made), monkeypatch)
    monkeypatch.setattr(clock, "time", SimpleNamespace(time=lambda: found.now))
    monkeypatch.setattr(names, "look_up", lambda wanted: {name: found.leads[name] for name in wanted if name in found.leads})
    monkeypatch.setattr(network, "port_holder", lambda address, port: found.holder)
    monkeypatch.setattr(generation, "of", lambda registry: generation.parse(found.version))
    monkeypatch.setattr(storage, "room", lambda settings: found.room)
    monkeypatch.setattr(storage, "problem", lambda settings, host: None)
    monkeypatch.setattr(runit, "look", lambda folder: found.runit)
    return found


def complaints(found: list[Finding]) -> list[Finding]:
    return [item for item in found if item.level not in {"ok", "off"}]


Case = tuple[Check, Callable[[Scene], None], str, str, str]
CASES: list[Case] = [
    (root_check.check, spoiled.changed_gdk_yml, "changed", "not applied: registry.image", "gdkreg reconfigure"),
    (root_check.check, spoiled.forgotten, "changed", "nothing is applied yet", "gdkreg reconfigure"),
    (engine.answers, spoiled.silent, "error", "there is no such socket", "sudo systemctl start docker"),
    (
        engine.answers,
        spoiled.closed,
        "error",
        "docker.sock is for the group docker (mode 0660)",
        "sudo usermod -aG docker dev && newgrp docker",
    ),
    (engine.permissions, spoiled.open_socket, "warning", "every user may use the engine", "sudo chmod o-rw /var/run/docker.sock"),
    (engine.configuration, spoiled.broken_daemon, "error", "/etc/docker/daemon.json:3: not valid JSON", "python3 -m json.tool"),
    (
        engine.configuration,
        spoiled.wrong_daemon,
        "error",
        "insecure-registries: expected a list of texts",
        "python3 -m json.tool",
    ),
    (
        insecure.check,
        spoiled.listed,
        "warning",
        "registry.test:5000 is in the engine's insecure-registries",
        "gdkreg insecure off",
    ),
    (insecure.check, spoiled.covered, "warning", "172.16.0.0/12 is in the engine's insecure-registries", "gdkreg insecure off"),
    (insecure.check, spoiled.plain, "error", "speaks plain HTTP and is not in insecure-registries", "gdkreg insecure on"),
    (insecure.check, spoiled.docker_29, "error", "is not looked at", "registry.self_signed true"),
    (
        insecure.check,
        spoiled.podman('[[registry]]\nlocation = "registry.test:5000"\ninsecure = true\n'),
        "warning",
        "insecure in registries.conf",
        "gdkreg insecure off",
    ),
    (insecure.check, spoiled.podman("[[registry]\n"), "error", "/etc/containers/registries.conf.d/x.conf", "edit"),
    (CHECKS["address"][0], spoiled.no_alias, "changed", "172.16.123.1 is missing", "gdkreg reconfigure"),
    (
        CHECKS["address"][0],
        spoiled.covering("eth0"),
        "warning",
        "that network may reach the registry",
        "registry.listen_address 10.123.123.1",
    ),
    (names.on_this_machine, spoiled.leads(), "error", "registry.test cannot be looked up", "gdkreg reconfigure"),
    (
        names.on_this_machine,
        spoiled.leads("10.0.0.1", "172.16.123.1"),
        "error",
        "leads to 10.0.0.1, 172.16.123.1, not to",
        "--take-over",
    ),
    (names.on_this_machine, spoiled.slow, "error", "registry.test has no answer within 2 s", "gdkreg reconfigure"),
    (
        names.in_the_engine,
        spoiled.rootless("127.0.0.1 localhost\n"),
        "error",
        "rootless Docker does not know",
        "systemctl --user restart docker",
    ),
    (
        names.in_a_container,
        spoiled.old_copy,
        "warning",
        "in the registry's container registry.test is 10.0.0.9",
        "gdkreg restart registry",
    ),
    (hosts.check, spoiled.hosts_file(lambda _: b"127.0.0.1 localhost\n"), "changed", "is missing", "gdkreg reconfigure"),
    (
        hosts.check,
        spoiled.hosts_file(lambda old: b"10.0.0.1 registry.test\n" + old),
        "error",
        "registry.test already leads to 10.0.0.1",
        "--take-over",
    ),
    (
        hosts.check,
        spoiled.hosts_file(lambda old: b"\xef\xbb\xbf" + old),
        "warning",
        "byte order mark",
        r"sed -i '1s/^\xEF\xBB\xBF//'",
    ),
    (hosts.check, spoiled.linked, "warning", "is a symlink to /etc/static/hosts", "networking.hosts"),
    (hosts.check, spoiled.mounted("/x", "ro,relatime"), "warning", "is mounted read-only", "mount -o remount,rw,bind"),
    (
        hosts.check,
        spoiled.mounted("/var/lib/docker/containers/61041018c1232f84/hosts", "rw"),
        "warning",
        "this machine is a container",
        "gdkreg reconfigure",
    ),
    (hosts.check, spoiled.immutable, "warning", "is immutable", "sudo chattr -i /etc/hosts"),
    (hosts.check, spoiled.wsl, "warning", "WSL writes this file anew", "generateHosts=false"),
    (certificates.pairs, spoiled.without("registry_host.crt"), "changed", "registry_host.crt missing", "gdkreg reconfigure"),
    (
        certificates.pairs,
        spoiled.other_pair("registry_host"),
        "error",
        "it is for other.test, not for registry.test",
        "gdkreg reconfigure",
    ),
    (certificates.pairs, spoiled.other_pair("localhost"), "error", "the key is not the certificate's", "gdkreg reconfigure"),
    (certificates.pairs, spoiled.other_pair("registry_host", 0), "error", "it expired on", "gdkreg reconfigure"),
    (certificates.pairs, spoiled.from_tomorrow, "error", "this machine's clock is behind", "timedatectl set-ntp true"),
    (certificates.pairs, spoiled.without("jwks.json"), "changed", "jwks.json", "gdkreg reconfigure"),
    (
        certificates.pairs,
        spoiled.readable_key,
        "warning",
        "localhost.key can be read by others (mode 0640)",
        f"chmod 600 {ROOT}/localhost.key",
    ),
    (
        certificates.issuer,
        spoiled.other_signer,
        "error",
        f"GitLab signs with {ROOT}/other.key, and the registry trusts localhost.crt",
        "localhost.key",
    ),
    (certificates.issuer, spoiled.no_signer, "error", "which is missing", "localhost.key"),
    (certificates.issuer, spoiled.other_issuer, "error", "issuer: omnibus-gitlab-issuer", "sed -i.bak"),
    (trust_check.check, spoiled.not_asked_for, "warning", "no client was told", "gdkreg trust-docker-registry"),
    (trust_check.check, spoiled.no_trust, "changed", "is not registry_host.crt", "gdkreg reconfigure"),
    (containers.forwarding, spoiled.forwarding_off, "warning", "ip_forward is 0", "sysctl -w net.ipv4.ip_forward=1"),
    (containers.forwarding, spoiled.forwarding_off_in_the_kernel, "warning", "ip_forward is 0", "sysctl"),
    (
        containers.firewall,
        spoiled.ufw("### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n"),
        "warning",
        "ufw refuses",
        "sudo ufw allow proto tcp to 172.16.123.1 port 5000",
    ),
    (
        containers.firewall,
        spoiled.iptables("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"),
        "warning",
        "the firewall refuses",
        "sudo iptables -I INPUT -d 172.16.123.1",
    ),
    (containers.firewall, spoiled.nft("tcp dport 22 accept"), "warning", "the firewall refuses", "sudo iptables -I INPUT"),
    (registry.services, spoiled.died, "error", "registry: it was started and does not run", "gdkreg start registry"),
    (registry.services, spoiled.hung, "error", "registry: nobody can tell whether it runs: no engine answers", ""),
    (registry.port, spoiled.held, "error", "port 5000 of 172.16.123.1 is held by", "registry.port 5001"),
    (
        registry.fits,
        spoiled.asks("  compatibility_schema1_enabled: true\n", spoiled.THREE),
        "warning",
        "takes no manifests of schema 1",
        "compatibility_schema1_enabled false",
    ),
    (
        registry.fits,
        spoiled.asks("  config:\n    proxy:\n      remoteurl: https://registry-1.docker.io\n", spoiled.GITLAB),
        "warning",
        "is no pull-through cache",
        "proxy",
    ),
    (
        registry.fits,
        spoiled.asks("  config:\n    redis:\n      addr: localhost:6379\n", spoiled.THREE),
        "warning",
        "redis.addrs",
        "redis.addr",
    ),
    (
        registry.fits,
        spoiled.asks("  config:\n    database:\n      enabled: true\n", spoiled.THREE),
        "warning",
        "no metadata database",
        "database",
    ),
    (
        registry.fits,
        spoiled.asks("  config:\n    auth:\n      token:\n        jwks: null\n", spoiled.THREE),
        "error",
        "has no jwks",
        "auth.token.jwks",
    ),
    (clock.check, spoiled.off_by(-300), "error", "the registry's clock is 300 s behind", "timedatectl set-ntp true"),
    (clock.check, spoiled.off_by(30), "warning", "the registry's clock is 30 s ahead", "timedatectl"),
    (storage_check.check, spoiled.no_writing, "error", "storage is not writable for user 7", "sudo chown"),
    (storage_check.check, spoiled.room(1_200_000_000), "warning", "1.2 GB are free", "gdkreg gc --cleanup"),
    (storage_check.check, spoiled.room(90_000_000), "error", "90 MB are free", "gdkreg gc --cleanup"),
    (storage_check.check, spoiled.room(50_000_000_000, 12), "error", "12 files can still be made", "gdkreg gc --cleanup"),
    (gdk.own_registry, spoiled.gdks_own, "error", "GDK's own registry runs, container eager_gdk", "gdk stop registry"),
    (gdk.own_registry, spoiled.gdks_own_in_runit, "error", "GDK's own registry runs (pid 8)", "gdkreg gdk on"),
    (
        gdk.procfile,
        spoiled.procfile(b"redis: exec redis\nwhat is this\n"),
        "warning",
        "Procfile:2 is no line of the form NAME: COMMAND",
        "gdk reconfigure",
    ),
    (gdk.procfile, spoiled.procfile(b"\xff\xfe"), "error", "is not UTF-8", "gdk reconfigure"),
    (gdk.hooks, spoiled.gdk_block("gdk: yes please\n"), "error", "gdk.yml:3: gdk: expected keys and values", "edit"),
    (
        gdk.hooks,
        spoiled.gdk_block("gdk:\n  start_hooks: echo\n"),
        "error",
        "gdk.yml:4: gdk.start_hooks: expected before: and after:",
        "edit",
    ),
    (
        gdk.hooks,
        spoiled.gdk_block("gdk:\n  start_hooks:\n    before: echo\n"),
        "error",
        "gdk.start_hooks.before: expected a list of commands",
        "edit",
    ),
    (
        gdk.hooks,
        spoiled.gdk_block("gdk:\n  stop_hooks:\n    after:\n      - [a]\n"),
        "error",
        "gdk.stop_hooks.after: expected a list",
        "edit",
    ),
    (
        gdk.hooks,
        spoiled.gdk_block("gdk:\n  start_hooks:\n    before:\n      - /opt/gone start\n"),
        "error",
        "there is no /opt/gone",
        "edit",
    ),
    (gdk.api_url, spoiled.http_for_rails, "warning", "says api_url: http://gdk.test:5000", "sed -i.bak"),
    (
        runner.check,
        spoiled.runner_file(spoiled.RUNNER),
        "warning",
        "gitlab-runner-config.toml is not patched",
        "gdkreg runner-patch",
    ),
    (runner.check, spoiled.runner_file(spoiled.RUNNER + "    volumes = 7\n"), "error", "runners.docker.volumes", "volumes"),
    (runner.check, spoiled.runner_file(spoiled.RUNNER + "  x = = 1\n"), "error", "gitlab-runner-config.toml", ""),
    (runner.check, spoiled.runner_missing, "warning", "there is no /none/config.toml", "gitlab-runner register"),
    (runner.check, spoiled.runner_rewritten, "changed", "somebody else wrote over it", "gdkreg reconfigure"),
]


@pytest.mark.parametrize(("check", "spoil", "level", "text", "fix"), CASES, ids=[case[3][:50] for case in CASES])
def test_right_to_be_silent_and_right_to_complain(
    scene: Scene, check: Check, spoil: Callable[[Scene], None], level: str, text: str, fix: str
) -> None:
    before = [item for item in complaints(check(scene.seen())) if "after a reboot" not in item.text]
    assert before == []
    spoil(scene)
    files, net = dict(scene.host.files), list(scene.host.net)
    found = [item for item in complaints(check(scene.seen())) if text in item.text]
    assert found, check(scene.seen())
    assert found[0].level == level
    assert fix in found[0].fix
    assert found[0].why or check in {root_check.check, CHECKS["address"][0]} or found[0].text.count(": "), "why it matters"
    assert (scene.host.files, scene.host.net) == (files, net), "nothing is changed, ever"


def test_every_check_has_its_case() -> None:
    tested = {case[0] for case in CASES}
    assert {check for checks in CHECKS.values() for check in checks} <= tested


def test_every_subject_is_in_the_documentation() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/troubleshooting.md").read_text()
    table = page.partition("| Subject |")[2].partition("\n\n")[0]
    assert [row.split("|")[1].strip() for row in table.splitlines()[2:]] == list(CHECKS)


# right to be silent, where it is not plain


def closed_to_us(path: str) -> Callable[[Scene], None]:
    return lambda scene: scene.host.unreadable.add(Path(path))


def both(*spoils: Callable[[Scene], None]) -> Callable[[Scene], None]:
    def spoil(scene: Scene) -> None:
        for one in spoils:
            one(scene)

    return spoil


def listed_as_secure(scene: Scene) -> None:
    scene.info["RegistryConfig"]["IndexConfigs"]["registry.test:5000"] = {"Secure": True}


def on_loopback(scene: Scene) -> None:
    scene.edit("gdk.yml", "  listen_address: 172.16.123.1", "  listen_address: 127.0.0.1")


def by_the_stand_in(scene: Scene) -> None:
    scene.edit(".gdkreg/applied.json", '"issuer":"gitlab"', '"issuer":"local"')


def capitals(scene: Scene) -> None:
    scene.container["HostConfig"]["ExtraHosts"] = ["GDK.test:172.16.123.1", "REGISTRY.TEST:172.16.123.1"]


def in_desktop(scene: Scene) -> None:
    scene.kind = "desktop"


def as_a_user(scene: Scene) -> None:
    scene.host.platform = msgspec.structs.replace(scene.host.platform, uid=1000, gid=1000)


def persisted(scene: Scene) -> None:
    scene.edit("gdk.yml", "  image", "  persist: true\n  image")


SSH = "### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n"
PODMANS = '[[registry]]\nlocation = "registry.test:5000"\ninsecure = true\n'
SILENT: list[tuple[str, Check, Callable[[Scene], None], str]] = [
    ("tabs", hosts.check, spoiled.hosts_file(lambda old: b"10.0.0.1\t\tother.test\n" + old), ""),
    ("Windows line ends", hosts.check, spoiled.hosts_file(lambda old: old.replace(b"\n", b"\r\n")), "has Windows line ends"),
    ("no end of the last line", hosts.check, spoiled.hosts_file(lambda old: old + b"10.0.0.1 x"), "has no end"),
    ("twice the same", hosts.check, spoiled.hosts_file(lambda old: b"127.0.0.1 localhost\n" + old), ""),
    ("a bind mount", hosts.check, spoiled.mounted("/home/dev/hosts", "rw,relatime"), ""),
    ("an engine's bridge", CHECKS["address"][0], both(spoiled.covering("br-0a1b"), persisted), "172.16.123.1 on lo:gdkreg"),
    ("daemon.json of root's", engine.configuration, closed_to_us("/etc/docker/daemon.json"), "cannot be seen without root"),
    ("no daemon.json", engine.configuration, lambda scene: scene.host.remove(Path("/etc/docker/daemon.json")), ""),
    ("plain and listed", insecure.check, both(spoiled.plain, spoiled.listed), ""),
    ("plain and covered", insecure.check, both(spoiled.plain, spoiled.covered), ""),
    ("plain in Podman", insecure.check, both(spoiled.plain, spoiled.podman(PODMANS)), ""),
    ("listed as secure", insecure.check, listed_as_secure, ""),
    ("what every engine covers", insecure.check, on_loopback, ""),
    ("nobody asked, and listed", trust_check.check, both(spoiled.not_asked_for, spoiled.listed), ""),
    ("the stand-in signs", certificates.issuer, both(spoiled.other_signer, by_the_stand_in), ""),
    ("GDK's own is down", gdk.own_registry, lambda scene: setattr(scene, "runit", Runit("down", "down", 0)), ""),
    ("no engine", insecure.check, both(spoiled.plain, spoiled.silent), ""),
    ("trust in the list", trust_check.check, both(spoiled.listed, lambda scene: None), "registry_host.crt is in"),
    ("rootless knows it", names.in_the_engine, spoiled.rootless("172.16.123.1 gdk.test registry.test\n"), ""),
    ("in a container", names.in_a_container, lambda scene: None, "in a container with --add-host registry.test:172.16.123.1"),
    ("hosts of root's", names.in_a_container, closed_to_us("/data/x/hosts"), "in a container with --add-host"),
    ("ufw lets in", containers.firewall, spoiled.ufw(SSH.replace("tcp 22", "tcp 5000")), "ufw lets 5000 in"),
    (
        "ufw of root's",
        containers.firewall,
        both(spoiled.ufw(SSH), closed_to_us("/etc/ufw/user.rules")),
        "cannot be seen without root",
    ),
    ("docker0 let in", containers.firewall, spoiled.iptables("-A INPUT -i docker0 -j ACCEPT"), "no firewall is in the way"),
    ("nft lets in", containers.firewall, spoiled.nft("tcp dport { 22, 5000 } accept"), "no firewall is in the way"),
    ("not root", containers.firewall, as_a_user, "a firewall cannot be seen without root"),
    ("a machine of its own", containers.firewall, both(in_desktop, spoiled.iptables()), ""),
    ("and no forwarding", containers.forwarding, both(in_desktop, spoiled.forwarding_off), ""),
    ("a little off", clock.check, spoiled.off_by(-10), ""),
    (
        "another storage",
        storage_check.check,
        both(spoiled.room(1), spoiled.asks("  config:\n    storage:\n      s3: {bucket: b}\n", "")),
        "",
    ),
    ("whose port it is nobody can tell", registry.port, spoiled.hung, ""),
    ("another root's rival", gdk.own_registry, lambda scene: setattr(scene, "rival", ("x", "/other")), ""),
    (
        "hooks",
        gdk.hooks,
        spoiled.gdk_block("gdk:\n  start_hooks:\n    before:\n      - echo $HOME/x; true\n      - support/x\n"),
        "",
    ),
    ("schema 1 on 2.8", registry.fits, spoiled.asks("  compatibility_schema1_enabled: true\n", spoiled.TWO), ""),
    ("an unknown registry", registry.fits, spoiled.asks("  compatibility_schema1_enabled: true\n", ""), "cannot be told"),
    ("a shell runner", runner.check, spoiled.runner_file('[[runners]]\n  executor = "shell"\n'), "is patched"),
    (
        "a runner of root's",
        runner.check,
        both(spoiled.runner_file(""), closed_to_us(f"{ROOT}/gitlab-runner-config.toml")),
        "without root",
    ),
]


@pytest.mark.parametrize(("check", "spoil", "text"), [case[1:] for case in SILENT], ids=[case[0] for case in SILENT])
def test_right_to_be_silent(scene: Scene, check: Check, spoil: Callable[[Scene], None], text: str) -> None:
    scene.host.put(ROOT / "support/x", "")
    spoil(scene)
    found = check(scene.seen())
    assert complaints(found) == []
    assert not text or [item for item in found if text in item.text], found


def test_an_engine_that_the_registry_runs_in_is_needed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_binary", lambda *_: "/usr/bin/docker-registry")
    scene.edit("gdk.yml", "  runtime: docker", "  runtime: auto")
    spoiled.hung(scene)
    (found,) = engine.answers(scene.seen())
    assert (found.level, found.why, found.fix) == ("error", "the registry runs in it", "sudo systemctl restart docker")


def test_a_name_in_capitals_is_the_same(scene: Scene) -> None:
    capitals(scene)
    assert names.in_a_container(scene.seen()) == []


def test_a_user_who_was_added_in_this_session(scene: Scene) -> None:
    spoiled.closed(scene)
    scene.host.put("/etc/group", "docker:x:998:other,dev\n")
    assert engine.answers(scene.seen())[0].fix == "newgrp docker"


def test_what_cannot_be_looked_at_hides_nothing_else(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene.host, "interfaces", lambda: (_ for _ in ()).throw(OSError("no netlink")))
    scene.host.unreadable |= {spoiled.HOSTS, Path("/etc/group"), ROOT / "registry_host.crt", ROOT / "localhost.key"}
    scene.edit("gdk.yml", "  image", "  uid: 7\n  image")
    monkeypatch.setattr(doctor, "Seen", lambda root: scene.seen())
    found = doctor.examine(scene.root())
    assert {"root", "engine", "names", "registry", "storage", "runner"} <= {subject.name for subject in found}
    assert doctor.is_broken(found)
    said = [(subject.name, note.text) for subject in found for note in subject.notes if "cannot read /etc/hosts" in note.text]
    assert said == [("root", "cannot read /etc/hosts"), ("names", "cannot read /etc/hosts")]


def test_a_machine_on_which_all_is_well(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "Seen", lambda root: scene.seen())
    found = doctor.examine(scene.root())
    assert not doctor.is_broken(found)
    standing.show_checks(found)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:-1] if line.startswith("✓")] == [name for name in CHECKS if name != "gdk"]
    assert lines[-1] == "Nothing is broken, 1 warning.", "the alias is gone after a reboot"
    assert len(lines) == len(CHECKS) - 1 + 3


def test_other_peoples_words_are_masked(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.edit("gitlab/config/gitlab.yml", "issuer: gitlab-issuer", "issuer: https://me:s3cr3t@gitlab.test/")
    monkeypatch.setattr(doctor, "Seen", lambda root: scene.seen())
    texts = str(doctor.examine(scene.root()))
    assert "gitlab.yml:6 has issuer: https://***@gitlab.test/" in texts
    assert "s3cr3t" not in texts


# macOS. `ls -lO` prints the flags behind the group, "-" for none (ls(1) of macOS 14); no Mac was at hand.


@pytest.mark.parametrize(
    ("flags", "complains"), [("-", False), ("schg", True), ("uchg,hidden", True), ("restricted,compressed", False)]
)
def test_an_immutable_hosts_file_on_a_mac(scene: Scene, flags: str, complains: bool) -> None:
    scene.host.platform = msgspec.structs.replace(scene.host.platform, system="darwin")
    line = f"-rw-r--r--  1 root  wheel  {flags} 213 Jan  1  2024 /etc/hosts\n"
    scene.host.answers = {("ls", "-lO", "/etc/hosts"): Completed(0, line)}
    found = [item for item in hosts.check(scene.seen()) if "immutable" in item.text]
    assert [item.fix for item in found] == (["sudo chflags noschg,nouchg /etc/hosts"] if complains else [])


def test_the_commands_are_a_macs_on_a_mac(scene: Scene) -> None:
    scene.host.platform = msgspec.structs.replace(scene.host.platform, system="darwin")
    scene.host.answers = {}
    spoiled.off_by(100)(scene)
    assert clock.check(scene.seen())[0].fix == "sudo sntp -sS time.apple.com"
    scene.kind = "desktop"
    assert clock.check(scene.seen())[0].fix == "restart Docker Desktop"
    spoiled.silent(scene)
    assert engine.answers(scene.seen())[0].fix == "open -a Docker"
    assert containers.firewall(scene.seen()) == containers.forwarding(scene.seen()) == []


def test_names_are_waited_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(name: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        if name == "slow.test":
            time.sleep(0.5)
        if name == "none.test":
            raise OSError
        return [(0, 0, 0, "", ("10.0.0.1", 0)), (0, 0, 0, "", ("10.0.0.1", 0))]

    monkeypatch.setattr(names, "PATIENCE", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", answer)
    assert names.look_up(["slow.test", "none.test", "here.test"]) == {"none.test": [], "here.test": ["10.0.0.1"]}
