"""Stores of trust that another tool keeps: VMs, nodes, the operating system's own store, the macOS keychain.

None of Colima, Rancher Desktop, docker-machine, podman machine, minikube or a Mac was run. Their commands are stood in for: what
they are given is handed to a real shell as their documentation and sources say they do it (`colima ssh -- ARGV` and
`docker exec` pass words as they are; `docker-machine ssh`, `podman machine ssh` and `minikube ssh` join them for sshd's shell),
on a folder in the place of the VM's /etc. `security` answers as security(1) describes it.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from cryptography.x509 import load_pem_x509_certificate

from gdkreg.engines import present, stores
from gdkreg.engines.api import Api, EngineError
from gdkreg.engines.detect import Endpoint, Engine
from gdkreg.engines.present import Around
from gdkreg.engines.stores import BY_KEY, ROWS, Store
from gdkreg.errors import GdkregError
from gdkreg.host.base import Completed, digest
from gdkreg.plan.actions import ForgetFact, Leave, RunCommand, sentence
from gdkreg.plan.ledger import Entry
from gdkreg.resources import x509
from gdkreg.resources.store_seen import der, instead_of
from gdkreg.resources.trust_stores import TrustStores
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import apply, executor, files, journal, levels, plan

A, NODE = "registry.test:5000", "gdk-control-plane"
CERTIFICATE = ROOT / "registry_host.crt"
JOINED = ("docker-machine", "podman", "minikube")  # which join their words
# The engine in use, where its VMs' names are, and the words before what is run inside.
TOOLS = {
    "colima-vm": ("docker", "colima", 6),
    "rancher-vm": ("docker", "rancher", 3),
    "docker-machine": ("docker", "machine", 3),
    "podman-machine": ("podman", "none", 4),
    "kind": ("kind", "docker", 4),
    "k3d": ("kind", "docker", 4),
    "minikube-vm": ("minikube", "none", 5),
}
_NOTHING = "The specified item could not be found in the keychain."
# As `GET /containers/json` of Docker Engine 20.10 has them, cut down; names and labels are kind's and k3d's own.
CONTAINERS = [
    {"Names": [f"/{NODE}"], "Labels": {"io.x-k8s.kind.cluster": "gdk", "io.x-k8s.kind.role": "control-plane"}},
    {"Names": ["/k3d-gdk-server-0"], "Labels": {"app": "k3d", "k3d.role": "server"}},
    {"Names": ["/k3d-gdk-serverlb"], "Labels": {"app": "k3d", "k3d.role": "loadbalancer"}},
    {"Names": ["/registry"], "Labels": {}},
]
MACHINES = '[{"Name": "podman-machine-default*", "Running": true}]'  # podman-machine-list(1), --format json


class Tools(FakeHost):
    """A machine with those tools; `away` are the programs that do not reach their VM any more."""

    def __init__(self, folder: Path, system: Any = "linux") -> None:
        super().__init__(system, 0, "/home/dev", {"PATH": str(folder / "bin"), "DOCKER_MACHINE_NAME": "default"})
        self.folder, self.away = folder, set[str]()
        self.keychain: list[bytes] = []
        (folder / "bin").mkdir()
        (folder / "bin/sudo").write_text('#!/bin/sh\nexec "$@"\n')
        (folder / "bin/sudo").chmod(0o755)
        self.answers[("podman", "machine", "list")] = Completed(0, MACHINES)

    def install(self, *programs: str) -> None:
        for name in programs:
            (self.folder / "bin" / name).write_text("#!/bin/sh\n")
            (self.folder / "bin" / name).chmod(0o755)

    def query(self, argv: Sequence[str], within: float | None = None) -> Completed:
        done = super().query(argv, within)
        return self._reach(argv, "") if done.code == 127 else done

    def run(self, argv: Sequence[str], *, stdin: str = "", as_root: bool = False) -> Completed:
        if argv[0] in {*JOINED, "colima", "rdctl", "docker", "security"}:
            self.ran.append((tuple(argv), stdin))
            return self._reach(argv, stdin)
        return super().run(argv, stdin=stdin, as_root=as_root)

    def _reach(self, argv: Sequence[str], stdin: str) -> Completed:
        if argv[0] in self.away:
            return Completed(255, "", f"{argv[0]}: it does not run")
        if argv[0] == "security":
            return self._security(list(argv))
        skip = next((at + 1 for at, word in enumerate(argv) if word == "--"), 3)
        skip = {"docker": 4, "podman": 4, "rdctl": 2}.get(argv[0], skip)
        inside = [re.sub(r" /(?=etc/|var/)", f" {self.folder}/", word) for word in argv[skip:]]
        words = ["sh", "-c", " ".join(inside)] if argv[0] in JOINED else inside
        env = {"PATH": f"{self.folder}/bin:/usr/bin:/bin"}
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, env=env, check=False)
        return Completed(done.returncode, done.stdout, done.stderr)

    def _security(self, argv: list[str]) -> Completed:
        if argv[1] == "add-trusted-cert":
            self.keychain.append(self.files[Path(argv[-1])])
        elif argv[1] == "delete-certificate":
            sha1 = argv[argv.index("-Z") + 1]
            self.keychain = [pem for pem in self.keychain if hashlib.sha1(der(pem)).hexdigest().upper() != sha1]
        name = argv[argv.index("-c") + 1] if "-c" in argv else ""
        found = [pem for pem in self.keychain if name in load_pem_x509_certificate(pem).subject.rfc4514_string()]
        if argv[1] == "find-certificate" and not found:
            return Completed(44, "", f"security: SecKeychainSearchCopyNext: {_NOTHING}\n")
        return Completed(0, b"".join(found).decode())

    def inside(self, row: str) -> Path:
        return self.folder / BY_KEY[row].place.format(authority=A).lstrip("/") / "ca.crt"


class Containers:
    """In the place of the engine's API; `found` None: it does not answer."""

    def __init__(self, found: list[Any] | None) -> None:
        self.found = found

    def call(self, *_: Any, **__: Any) -> Any:
        if self.found is None:
            raise EngineError("no answer")
        return self.found


@pytest.fixture
def host(tmp_path: Path, request: pytest.FixtureRequest) -> Tools:
    made = Tools(tmp_path, getattr(request, "param", "linux"))
    made.put(ROOT / "gdk.yml", "")
    renew(made)
    for folder in (
        ".colima/default",
        ".rd",
        ".docker/machine/machines/default",
        ".local/share/containers/podman/machine",
        ".minikube/profiles/minikube",
    ):
        made.put(f"/home/dev/{folder}/.keep", "")
    made.infos.pop(Path("/home/dev/.minikube/profiles/.keep"), None)
    return made


def renew(host: FakeHost) -> bytes:
    pem = x509.self_signed(x509.new_tls_key(), "registry.test", ("registry.test",), 9, journal(host).identity.id).certificate
    host.put(CERTIFICATE, pem)
    return pem


def engine(kind: Any) -> Engine:
    socket = "/home/dev/.colima/default/docker.sock" if kind == "colima" else "/var/run/docker.sock"
    return Engine(kind, Endpoint(f"unix://{socket}", "x"), "1")


def resource(host: FakeHost, *clients: str, kind: str = "docker", found: list[Any] | None = CONTAINERS) -> TrustStores:
    api = cast(Api, Containers(found))
    owned = files(host, "trust_stores")
    owned = msgspec.structs.replace(owned, marked=lambda content: x509.root_of(content) == owned.journal.identity.id)
    return TrustStores(A, CERTIFICATE, clients, owned.journal, owned, lambda: Around(host, engine(kind), api, "", {}))


def of_row(host: Tools, key: str, *, wanted: bool = True) -> TrustStores:
    client, kind, _ = TOOLS[key]
    if key == "podman-machine":
        host.platform = msgspec.structs.replace(host.platform, system="darwin")
    return resource(host, *([client] if wanted else []), kind=kind)


@pytest.mark.parametrize("row", TOOLS)
def test_into_a_vm_or_node_renewed_and_taken_out_again(host: Tools, row: str) -> None:
    done = apply(host, of_row(host, row))
    assert [action for action in done if isinstance(action, RunCommand) and row in action.fact.target.split()]
    place = host.inside(row)
    assert place.read_bytes() == host.files[CERTIFICATE]
    assert place.stat().st_mode & 0o777 == 0o644
    assert plan(host, of_row(host, row)) == []
    assert set(levels(host, of_row(host, row))) == {"ok"}
    first, second = host.files[CERTIFICATE], renew(host)
    assert "changed" in levels(host, of_row(host, row))
    apply(host, of_row(host, row))
    assert place.read_bytes() == second != first
    apply(host, of_row(host, row, wanted=False))
    assert not place.parent.exists()
    assert not journal(host).facts("store")


@pytest.mark.parametrize("row", TOOLS)
def test_undo_puts_back_the_certificate_of_before(host: Tools, row: str) -> None:
    apply(host, of_row(host, row))
    first = host.files[CERTIFICATE]
    renew(host)
    apply(host, of_row(host, row))
    entries = [entry for entry in journal(host).entries if entry.kind == "store" and entry.target.startswith(f"{row} ")]
    undo(host, of_row(host, row), entries[-1])
    assert host.inside(row).read_bytes() == first
    undo(host, of_row(host, row), entries[0])
    assert not host.inside(row).exists()


def undo(host: Tools, found: TrustStores, entry: Entry) -> None:
    from gdkreg.plan.actions import Step

    at_work = executor(host, found.journal, "undo")
    at_work.carry_out([Step("trust_stores", action, undoes=entry.key) for action in found.back(entry, host)])


def test_what_somebody_else_put_there_stays(host: Tools) -> None:
    place = host.inside("kind")
    place.parent.mkdir(parents=True)
    place.write_text("-----BEGIN CERTIFICATE-----\nTHEIRS\n-----END CERTIFICATE-----\n")
    with pytest.raises(GdkregError, match="of kind's node gdk-control-plane is somebody else's") as error:
        plan(host, of_row(host, "kind"))
    assert error.value.fix.startswith("look at it, then: docker exec -i gdk-control-plane sh -c ")
    assert "THEIRS" in place.read_text()


def test_a_hosts_toml_beside_it_counts_in_its_place(host: Tools) -> None:
    apply(host, of_row(host, "kind"))
    host.inside("kind").with_name("hosts.toml").write_text("")
    (note, *_) = of_row(host, "kind").notes(of_row(host, "kind").inspect(host))
    assert note.level == "warning"
    assert 'ca = "/etc/containerd/certs.d/registry.test:5000/ca.crt"' in note.fix


def test_a_hosts_toml_that_names_it_is_as_it_should_be(host: Tools) -> None:
    ca = "/etc/containerd/certs.d/registry.test:5000/ca.crt"
    apply(host, of_row(host, "kind"))
    beside = host.inside("kind").with_name("hosts.toml")
    for text, counts in {
        f'[host."https://{A}"]\n  ca = "{ca}"': True,
        f'[host."https://{A}"]\n  ca = ["/x.crt", "{ca}"]\n': True,
        f'ca = "{ca}"\n[host."https://{A}"]\n': False,
        f'[host."https://{A}"]\n# ca = "{ca}"\n': False,
        f'[host."https://{A}"\n ca = "{ca}"\n': False,
    }.items():
        beside.write_text(text)
        assert levels(host, of_row(host, "kind")) == (["ok", "ok"] if counts else ["warning", "ok"]), text
        host.put(Path(ca).with_name("hosts.toml"), text)
        assert instead_of(Path(ca), host) == ("" if counts else str(Path(ca).with_name("hosts.toml")))


def test_a_vm_that_does_not_answer_is_left_and_one_that_is_gone_forgotten(host: Tools) -> None:
    found = of_row(host, "colima-vm")
    apply(host, found)
    host.away.add("colima")
    assert levels(host, of_row(host, "colima-vm")) == ["warning"], "and reconfigure goes on"
    assert plan(host, of_row(host, "colima-vm")) == []
    (left,) = plan(host, of_row(host, "colima-vm", wanted=False))
    assert isinstance(left, Leave)
    assert "it does not run" in left.reason
    host.remove_tree(Path("/home/dev/.colima/default"))
    (gone,) = plan(host, of_row(host, "colima-vm", wanted=False))
    assert isinstance(gone, ForgetFact)
    assert sentence(gone) == (
        f"forget store colima-vm default /etc/docker/certs.d/{A}  (Colima's VM default is gone, and our certificate with it)"
    )
    apply(host, of_row(host, "colima-vm", wanted=False))
    assert not journal(host).facts("store")


@pytest.mark.parametrize(
    ("row", "variable", "place"),
    [
        ("docker-machine", {}, "/home/dev/.docker/machine/machines/default"),
        ("docker-machine", {"MACHINE_STORAGE_PATH": "/vms"}, "/vms/machines/default"),
        ("colima-vm", {"COLIMA_HOME": "/colima"}, "/colima/default"),
        ("colima-vm", {"XDG_CONFIG_HOME": "/xdg"}, "/xdg/colima/default"),
    ],
)
def test_a_vm_that_is_off_is_gone_with_its_own_folder_alone(host: Tools, row: str, variable: dict[str, str], place: str) -> None:
    apply(host, of_row(host, row))
    host.platform = msgspec.structs.replace(host.platform, env={**host.platform.env, **variable})
    for folder in (".colima", ".docker"):
        host.remove_tree(Path("/home/dev") / folder)
    host.put(f"{place}/config.json", "")
    host.put(f"{Path(place).parent}/another/config.json", "")
    host.away.add(BY_KEY[row].look[0])
    (left,) = plan(host, of_row(host, row, wanted=False))
    assert isinstance(left, Leave), "it is only off"
    host.remove_tree(Path(place))
    (gone,) = plan(host, of_row(host, row, wanted=False))
    assert isinstance(gone, ForgetFact)


def test_what_is_not_in_use_just_now_keeps_its_trust(host: Tools) -> None:
    """As after docker-machine was left: its VM, on or off, is no reason to fail, and down takes it back."""
    apply(host, of_row(host, "docker-machine"))
    left = resource(host, "docker")
    assert plan(host, left) == []
    host.away.add("docker-machine")
    assert plan(host, left) == []
    assert levels(host, left) == ["ok"]
    assert [type(action) for action in plan(host, left, present=False)] == [Leave]
    host.away.clear()
    (back,) = plan(host, left, present=False)
    assert isinstance(back, RunCommand)
    apply(host, left, present=False)
    assert not host.inside("docker-machine").exists()


def test_what_has_to_be_left_keeps_nobody_from_the_rest(host: Tools) -> None:
    """The registry has another name by now, and the VM that trusts the former one is off."""
    apply(host, of_row(host, "docker-machine"))
    host.away.add("docker-machine")
    renamed = msgspec.structs.replace(resource(host, "docker"), authority="new.test:5000")
    (left,) = plan(host, renamed)
    assert isinstance(left, Leave)
    apply(host, renamed)
    assert journal(host).facts("store")


@pytest.mark.parametrize(("containers", "kind"), [([], ForgetFact), (None, Leave)])
def test_a_node_that_is_gone_or_whose_engine_is(host: Tools, containers: list[Any] | None, kind: type) -> None:
    apply(host, of_row(host, "kind"))
    host.away.add("docker")
    actions = plan(host, resource(host, found=containers))
    assert [type(action) for action in actions] == [kind, kind], "kind's and k3d's"
    entry = next(entry for entry in journal(host).entries if entry.kind == "store")
    assert [type(action) for action in resource(host, found=containers).back(entry, host)] == [kind]


def test_a_removal_that_was_killed_is_done_again(host: Tools) -> None:
    apply(host, of_row(host, "kind"))
    (entry, *_) = [entry for entry in journal(host).entries if entry.kind == "store"]
    removal = msgspec.structs.replace(entry, run="killed", before=entry.after, after="")
    journal(host).begin(removal)
    assert entry.target in journal(host).facts("store")
    addition = msgspec.structs.replace(entry, run="killed-too", target=entry.target.replace("gdk", "new"), after="x")
    journal(host).begin(addition)
    assert addition.target in journal(host).facts("store")


def test_a_command_that_fails_made_nothing(host: Tools) -> None:
    found = of_row(host, "kind")
    actions = plan(host, found)
    host.away.add("docker")
    from gdkreg.plan.actions import Step

    with pytest.raises(GdkregError, match="failed"):
        executor(host, found.journal).carry_out([Step("trust_stores", actions[0])])
    assert not journal(host).facts("store")


# the keychain


@pytest.mark.parametrize("host", ["darwin"], indirect=True)
def test_the_keychain(host: Tools) -> None:
    theirs = x509.self_signed(x509.new_tls_key(), "registry.test", ("registry.test",), 9).certificate
    host.install("security")
    host.keychain.append(theirs)
    apply(host, resource(host, "system", kind="none"))
    keychain = "/home/dev/Library/Keychains/login.keychain-db"
    assert list(host.ran[-1][0]) == ["security", "add-trusted-cert", "-r", "trustRoot", "-k", keychain, str(CERTIFICATE)]
    first = host.files[CERTIFICATE]
    assert host.keychain == [theirs, first]
    second = renew(host)
    apply(host, resource(host, "system", kind="none"))
    assert host.keychain == [theirs, second]
    apply(host, resource(host, kind="none"))
    assert host.keychain == [theirs], "what is not ours stays"
    sha1 = hashlib.sha1(der(second)).hexdigest().upper()
    assert list(host.ran[-1][0]) == ["security", "delete-certificate", "-Z", sha1, "-t", keychain]
    assert not journal(host).facts("store")


@pytest.mark.parametrize("host", ["darwin"], indirect=True)
def test_the_keychain_gives_up_a_former_name(host: Tools) -> None:
    host.install("security")
    apply(host, resource(host, "system", kind="none"))
    new = x509.self_signed(x509.new_tls_key(), "new.test", ("new.test",), 9, journal(host).identity.id).certificate
    host.put(CERTIFICATE, new)
    apply(host, msgspec.structs.replace(resource(host, "system", kind="none"), authority="new.test:5000"))
    assert host.keychain == [new], "the one of before would be believed for ever"


# the operating system's own store, and minikube's folder


@pytest.mark.parametrize(
    ("program", "folder", "argv", "back"),
    [
        ("update-ca-certificates", "/usr/local/share/ca-certificates", (), ("--fresh",)),
        ("update-ca-trust", "/etc/pki/ca-trust/source/anchors", ("extract",), ("extract",)),
        ("trust", "/etc/ca-certificates/trust-source/anchors", ("extract-compat",), ("extract-compat",)),
    ],
)
def test_the_systems_own_store(host: Tools, program: str, folder: str, argv: tuple[str, ...], back: tuple[str, ...]) -> None:
    argv, back = (program, *argv), (program, *back)
    host.install(program)
    host.put(f"{folder}/.keep", "")
    row = next(row for row in ROWS if row.refresh == argv)
    path = Path(folder) / "gdkreg-registry.test-5000.crt"
    written, refreshed = plan(host, resource(host, "system"))
    assert written.as_root
    assert refreshed.as_root
    assert isinstance(refreshed, RunCommand)
    assert refreshed.argv == argv
    host.put(row.bundle, b"# theirs\n" + host.files[CERTIFICATE].replace(b"\n", b"\r\n"))
    apply(host, resource(host, "system"))
    assert host.files[path] == host.files[CERTIFICATE]
    assert plan(host, resource(host, "system")) == []
    host.put(row.bundle, b"")
    assert [type(action) for action in plan(host, resource(host, "system"))] == [RunCommand], "it is made anew"
    done = apply(host, resource(host))
    assert path not in host.files
    assert cast(RunCommand, done[-1]).argv == back, "the bundle is made anew without it"
    assert not journal(host).facts("store")


def test_the_systems_own_store_by_its_mark_alone(host: Tools) -> None:
    host.install("update-ca-certificates")
    host.put("/usr/local/share/ca-certificates/gdkreg-registry.test-5000.crt", host.files[CERTIFICATE])
    lost = msgspec.structs.replace(resource(host), lost=True)
    removed, refreshed = plan(host, lost, present=False)
    assert "remove /usr/local/share/ca-certificates/gdkreg-registry.test-5000.crt" in sentence(removed)
    assert cast(RunCommand, refreshed).argv == ("update-ca-certificates", "--fresh")


def test_the_systems_own_store_gives_up_a_name_without_port(host: Tools) -> None:
    host.install("update-ca-certificates")
    host.put("/usr/local/share/ca-certificates/.keep", "")
    chosen = msgspec.structs.replace(resource(host, "system"), authority="registry.test")
    host.put("/etc/ssl/certs/ca-certificates.crt", host.files[CERTIFICATE])
    apply(host, chosen)
    path = Path("/usr/local/share/ca-certificates/gdkreg-registry.test.crt")
    assert path in host.files
    apply(host, msgspec.structs.replace(resource(host), authority="registry.test"))
    assert path not in host.files


def test_undo_of_the_systems_own_store_makes_it_anew_after_its_file(host: Tools) -> None:
    host.install("update-ca-certificates")
    host.put("/usr/local/share/ca-certificates/.keep", "")
    host.put("/etc/ssl/certs/ca-certificates.crt", host.files[CERTIFICATE])
    apply(host, resource(host, "system"))
    found = resource(host, "system")
    entries = [entry for entry in found.journal.entries if entry.resource == "trust_stores"]
    actions = [action for entry in reversed(entries) for action in found.back(entry, host)]
    assert [type(action).__name__ for action in actions] == ["RemoveFile", "RunCommand"]


def test_minikube_gets_the_file_for_its_next_start_too(host: Tools) -> None:
    apply(host, of_row(host, "minikube-vm"))
    path = Path(f"/home/dev/.minikube/certs/gdkreg-{A.replace(':', '-')}.pem")
    assert host.files[path] == host.files[CERTIFICATE]
    host.away.add("minikube")
    apply(host, of_row(host, "minikube-vm"), command="again")
    host.away.clear()
    apply(host, of_row(host, "minikube-vm", wanted=False))
    assert path not in host.files


# the table


@pytest.mark.parametrize("row", [row for row in ROWS if row.how in {"file", "command"}], ids=lambda row: row.key)
@pytest.mark.parametrize("authority", [A, "registry.test"])  # port 443 stands in no name
def test_a_line_of_the_journal_is_read_again_and_others_are_refused(row: stores.Row, authority: str) -> None:
    platform = FakeHost(home="/home/dev").platform
    name = "default" if row.names else ""
    store = Store(row, authority if row.key != "keychain" else "", stores.path_of(row, authority, platform), name)
    assert stores.parse(store.target, platform) == store
    for wrong in (f"{row.key} x /etc/passwd", f"{row.key} -x;y {store.path}", f"{row.key}", f"{row.key} - {store.path}/.."):
        assert stores.parse(wrong, platform) is None
    evil = Store(row, "--x", stores.path_of(row, "--x", platform))
    assert row.key == "keychain" or stores.parse(evil.target, platform) is None


def test_no_word_that_is_run_in_a_vm_holds_a_quote() -> None:
    for row in (row for row in ROWS if row.how == "command" and row.fed):
        for words in (row.look, row.put, row.back):
            script = words[-1].removeprefix("sudo sh -c '").removesuffix("'")
            assert "'" not in script
            assert '"' not in script


def test_who_is_here(host: Tools) -> None:
    def missing(kind: str = "none", containers: list[Any] | None = None) -> set[str]:
        around = Around(host, engine(kind), cast(Api, Containers(containers)), "", {})
        return {client for client in stores.CLIENTS if present.looked_for(client, around)}

    assert missing() >= {"docker", "podman", "buildx", "containerd", "kind", "minikube", "runner"}
    host.install("podman", "docker-buildx", "ctr", "minikube", "gitlab-runner", "dockerd", "trust")
    assert missing() == {"kind"}
    assert missing("docker", CONTAINERS) == set()
    assert missing("docker", CONTAINERS[3:]) == {"kind"}


def test_the_digest_in_the_journal_is_that_of_what_was_fed(host: Tools) -> None:
    apply(host, of_row(host, "kind"))
    facts = journal(host).facts("store")
    assert {entry.after for entry in facts.values()} == {digest(host.files[CERTIFICATE])}
