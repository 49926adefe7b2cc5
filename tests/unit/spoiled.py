"""A machine in memory on which all is well, and each thing that can go wrong with it, for the checks of `doctor`."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gdkreg.engines.api import Api
from gdkreg.engines.detect import Endpoint, Engine
from gdkreg.errors import GdkregError
from gdkreg.host import network
from gdkreg.host.base import Completed, FileInfo, Interface
from gdkreg.host.runit import Seen as Runit
from gdkreg.plan.reconcile import Note
from gdkreg.resources import x509
from gdkreg.services import storage
from gdkreg.services.ready import Answer
from gdkreg.services.registry import UNKNOWN, State
from gdkreg.verbs.checks.seen import Seen
from gdkreg.verbs.root import Root
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT

GDK_YML = """\
hostname: gdk.test
listen_address: 172.16.123.1
registry:
  enabled: true
  host: registry.test
  listen_address: 172.16.123.1
  self_signed: true
  runtime: docker
  image: registry:dev
  token_issuer: gitlab
"""
HOSTS = Path("/etc/hosts")
SOCKET = Endpoint("unix:///var/run/docker.sock", "default socket")
# As Docker Engine 20.10.24 of Debian 12 answered, cut down.
INFO = {
    "ServerVersion": "20.10.24+dfsg1",
    "IPv4Forwarding": True,
    "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]],
    "RegistryConfig": {
        "InsecureRegistryCIDRs": ["127.0.0.0/8"],
        "IndexConfigs": {"docker.io": {"Name": "docker.io", "Mirrors": [], "Secure": True, "Official": True}},
    },
}
RAILS = f"""\
production:
  registry:
    enabled: true
    api_url: https://gdk.test:5000
    key: {ROOT}/localhost.key
    issuer: gitlab-issuer
"""
RUNNER = '[[runners]]\n  name = "a"\n  executor = "docker"\n  [runners.docker]\n    image = "x"\n'
GROUPS = "root:x:0:\ndocker:x:998:other\n"


class Scene:
    """A machine that is set up, with an engine and a registry that answer."""

    def __init__(self, host: FakeHost, patch: pytest.MonkeyPatch | None = None) -> None:
        self.host = host
        self.patch = patch or pytest.MonkeyPatch()
        self.now = float(int(time.time()))
        self.kind: Any = "docker"
        self.why = ""
        self.info: dict[str, Any] = copy.deepcopy(INFO)
        self.state = State(True, "docker", "container x, Up", "https://172.16.123.1:5000", "ready", wanted=True)
        self.container: dict[str, Any] = {"HostConfig": {"ExtraHosts": []}, "HostsPath": "/data/x/hosts"}
        self.date = formatdate(self.now, usegmt=True)
        self.leads = {"gdk.test": ["172.16.123.1"], "registry.test": ["172.16.123.1"]}
        self.holder: network.Holder | None = None
        self.rival = ("", "")
        self.version = "docker-registry github.com/docker/distribution 2.8.2+ds1"
        self.room: tuple[int, int | None] = (50_000_000_000, 1_000_000)
        self.runit: Runit | None = None
        self.notes: dict[str, list[Note]] = {}  # instead of what a resource says

    def edit(self, path: str | Path, old: str, new: str) -> None:
        path = ROOT / path
        text = self.host.files[path].decode()
        assert old in text
        self.host.put(path, text.replace(old, new), self.host.infos[path].mode)

    def root(self) -> Root:
        root = Root(ROOT, self.host)
        api = Api(SOCKET.url, None)
        api.info = self.info
        found = Engine(self.kind, SOCKET, "20.10.24", self.why)
        root.__dict__["found_engine"] = (found, api if found.answers else None)
        return root

    def seen(self) -> Seen:
        seen = Seen(self.root())
        seen.__dict__["states"] = {"registry": self.state} if seen.root.applied is not None else {}
        seen.__dict__["container"] = self.container
        seen.__dict__["answer"] = Answer("ready", date=self.date) if self.state.running else None
        seen.notes.update(self.notes)
        if seen.services is not None:
            seen.services.__dict__["rival"] = lambda: self.rival
        return seen


# what goes wrong


def closed(scene: Scene) -> None:
    scene.kind, scene.why = (
        "none",
        "no engine answers at unix:///var/run/docker.sock: permission denied; are you in the group docker?",
    )


def silent(scene: Scene) -> None:
    scene.kind, scene.why = "none", "no engine answers at unix:///var/run/docker.sock: there is no such socket"


def open_socket(scene: Scene) -> None:
    scene.host.infos[Path("/var/run/docker.sock")] = FileInfo("other", 0o666, 0, 998)


def broken_daemon(scene: Scene) -> None:
    scene.host.put("/etc/docker/daemon.json", '{\n  "log-level": "info",\n}\n')


def wrong_daemon(scene: Scene) -> None:
    scene.host.put("/etc/docker/daemon.json", '{"insecure-registries": "registry.test:5000"}')


def listed(scene: Scene) -> None:
    scene.info["RegistryConfig"]["IndexConfigs"]["registry.test:5000"] = {"Secure": False}


def covered(scene: Scene) -> None:
    scene.info["RegistryConfig"]["InsecureRegistryCIDRs"].append("172.16.0.0/12")


def plain(scene: Scene) -> None:
    scene.edit("gdk.yml", "self_signed: true", "self_signed: false")


def docker_29(scene: Scene) -> None:
    plain(scene)
    listed(scene)
    scene.info |= {"ServerVersion": "29.0.1", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}


def podman(text: str) -> Callable[[Scene], None]:
    def spoil(scene: Scene) -> None:
        scene.kind = "podman"
        scene.host.put("/etc/containers/registries.conf.d/x.conf", text)

    return spoil


def no_alias(scene: Scene) -> None:
    scene.host.net = scene.host.net[:1]


def covering(name: str) -> Callable[[Scene], None]:
    return lambda scene: scene.host.net.append(Interface(name, "172.16.0.7", 16))


def leads(*addresses: str) -> Callable[[Scene], None]:
    return lambda scene: scene.leads.update({"registry.test": list(addresses)})


def slow(scene: Scene) -> None:
    del scene.leads["registry.test"]


def rootless(hosts_of_engine: str) -> Callable[[Scene], None]:
    def spoil(scene: Scene) -> None:
        scene.kind = "rootless"
        scene.host.put("/run/user/0/docker.pid", "77\n")
        scene.host.put("/proc/77/root/etc/hosts", hosts_of_engine)

    return spoil


def old_copy(scene: Scene) -> None:
    scene.host.put("/data/x/hosts", "10.0.0.9 registry.test\n")


def hosts_file(change: Callable[[bytes], bytes]) -> Callable[[Scene], None]:
    return lambda scene: scene.host.put(HOSTS, change(scene.host.files[HOSTS]))


def mounted(source: str, options: str) -> Callable[[Scene], None]:
    row = f"175 143 254:0 {source} /etc/hosts {options} - ext4 /dev/vda rw\n"
    return lambda scene: scene.host.put("/proc/self/mountinfo", row)


def linked(scene: Scene) -> None:
    scene.host.put("/etc/static/hosts", scene.host.files[HOSTS])
    scene.host.link("/etc/hosts", "/etc/static/hosts")


def immutable(scene: Scene) -> None:
    scene.host.answers[("lsattr",)] = Completed(0, "----i---------e------- /etc/hosts\n")


def wsl(scene: Scene) -> None:
    scene.host.put("/proc/sys/kernel/osrelease", "5.15.90.1-microsoft-standard-WSL2")


def without(path: str) -> Callable[[Scene], None]:
    return lambda scene: scene.host.remove(ROOT / path)


def other_pair(stem: str, days: int = 300) -> Callable[[Scene], None]:
    def spoil(scene: Scene) -> None:
        key = x509.new_tls_key() if stem == "registry_host" else x509.new_token_key()
        pair = x509.self_signed(key, "registry.test", ("other.test",), days)
        scene.host.put(ROOT / f"{stem}.crt", pair.certificate)

    return spoil


def readable_key(scene: Scene) -> None:
    scene.host.infos[ROOT / "localhost.key"] = FileInfo("file", 0o640, 0, 0)


def from_tomorrow(scene: Scene) -> None:
    facts = x509.facts(scene.host.files[ROOT / "registry_host.crt"])
    assert facts is not None
    late = msgspec.structs.replace(facts, not_before=facts.not_after)
    scene.patch.setattr(x509, "facts", lambda raw: late)


def other_signer(scene: Scene) -> None:
    scene.edit("gitlab/config/gitlab.yml", "/localhost.key", "/other.key")
    scene.host.put(ROOT / "other.key", x509.pem(x509.new_token_key()), 0o600)


def no_signer(scene: Scene) -> None:
    scene.edit("gitlab/config/gitlab.yml", "/localhost.key", "/other.key")


def other_issuer(scene: Scene) -> None:
    scene.edit("gitlab/config/gitlab.yml", "gitlab-issuer", "omnibus-gitlab-issuer")


def not_asked_for(scene: Scene) -> None:
    scene.notes["docker_trust"] = [Note("off", "not asked for", "gdkreg trust-docker-registry")]


def no_trust(scene: Scene) -> None:
    scene.host.remove(Path("/etc/docker/certs.d/registry.test:5000/ca.crt"))


def forwarding_off(scene: Scene) -> None:
    scene.info["IPv4Forwarding"] = False


def forwarding_off_in_the_kernel(scene: Scene) -> None:
    scene.host.put("/proc/sys/net/ipv4/ip_forward", "0\n")


def ufw(rules: str) -> Callable[[Scene], None]:
    def spoil(scene: Scene) -> None:
        scene.host.put("/etc/ufw/ufw.conf", "LOGLEVEL=low\nENABLED=yes\n")
        scene.host.put("/etc/default/ufw", 'IPV6=yes\nDEFAULT_INPUT_POLICY="DROP"\n')
        scene.host.put("/etc/ufw/user.rules", rules, 0o640)

    return spoil


def iptables(*rules: str) -> Callable[[Scene], None]:
    out = "\n".join(["-P INPUT DROP", *rules])
    return lambda scene: scene.host.answers.update({("iptables", "-S", "INPUT"): Completed(0, out)})


def nft(rules: str) -> Callable[[Scene], None]:
    head = "type filter hook input priority filter; policy drop;"

    def spoil(scene: Scene) -> None:
        chains = f"table inet filter {{\n\tchain input {{\n\t\t{head}\n\t}}\n}}\n"
        scene.host.answers[("nft", "list", "chains")] = Completed(0, chains)
        chain = f"table inet filter {{\n\tchain input {{\n\t\t{head}\n\t\t{rules}\n\t}}\n}}\n"
        scene.host.answers[("nft", "list", "chain", "inet", "filter", "input")] = Completed(0, chain)

    return spoil


def died(scene: Scene) -> None:
    scene.state = State(False, "docker", "Exited (2)", "https://172.16.123.1:5000", wanted=True)


def hung(scene: Scene) -> None:
    """The engine that the registry runs in says nothing; its proxy holds the port."""
    scene.kind, scene.why = "none", "no engine answers at unix:///var/run/docker.sock: no answer within 5 s; does it hang?"
    scene.state = State(False, "docker", f"{UNKNOWN}{scene.why}", "https://172.16.123.1:5000", wanted=True)
    scene.holder = network.Holder(7, "docker-proxy")


def held(scene: Scene) -> None:
    died(scene)
    scene.holder = network.Holder(7, "nginx")


def asks(more: str, version: str) -> Callable[[Scene], None]:
    def spoil(scene: Scene) -> None:
        scene.edit("gdk.yml", "  image: registry:dev\n", f"  image: registry:dev\n{more}")
        scene.version = version

    return spoil


TWO = "docker-registry github.com/docker/distribution 2.8.2+ds1"
THREE = "registry github.com/distribution/distribution/v3 v3.1.1"
GITLAB = "registry github.com/docker/distribution v4.28.0-gitlab"


def off_by(seconds: int) -> Callable[[Scene], None]:
    def spoil(scene: Scene) -> None:
        scene.date = formatdate(scene.now + seconds, usegmt=True)

    return spoil


def room(free: int, files: int = 100_000) -> Callable[[Scene], None]:
    def spoil(scene: Scene) -> None:
        scene.room = (free, files)

    return spoil


def no_writing(scene: Scene) -> None:
    scene.patch.setattr(
        storage, "problem", lambda settings, host: GdkregError("storage is not writable for user 7", why="x", fix="sudo chown")
    )


def gdks_own(scene: Scene) -> None:
    scene.rival = ("eager_gdk", "")


def gdks_own_in_runit(scene: Scene) -> None:
    scene.runit = Runit("up", "run", 8)


def procfile(text: bytes) -> Callable[[Scene], None]:
    return lambda scene: scene.host.put(ROOT / "Procfile", text)


def gdk_block(text: str) -> Callable[[Scene], None]:
    return lambda scene: scene.edit("gdk.yml", "registry:\n", f"{text}registry:\n")


def http_for_rails(scene: Scene) -> None:
    scene.edit("gitlab/config/gitlab.yml", "https://", "http://")


def runner_file(text: str) -> Callable[[Scene], None]:
    return lambda scene: scene.host.put(ROOT / "gitlab-runner-config.toml", text, 0o600)


def runner_missing(scene: Scene) -> None:
    scene.edit("gdk.yml", "registry:\n", "runner:\n  enabled: true\n  config_file: /none/config.toml\nregistry:\n")


def runner_rewritten(scene: Scene) -> None:
    scene.host.put("/home/dev/.gitlab-runner/config.toml", RUNNER, 0o600)


def changed_gdk_yml(scene: Scene) -> None:
    scene.edit("gdk.yml", "image: registry:dev", "image: registry:other")


def forgotten(scene: Scene) -> None:
    scene.host.remove(ROOT / ".gdkreg/applied.json")
