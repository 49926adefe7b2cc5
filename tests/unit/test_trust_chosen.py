"""Whose trust is chosen by name, what that leaves and takes, and what `gdkreg trust` says of each place."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import yaml

from gdkreg.config.settings import load
from gdkreg.engines import trust
from gdkreg.engines.api import Api
from gdkreg.engines.detect import Endpoint, Engine
from gdkreg.errors import ConfigError, GdkregError
from gdkreg.host.base import digest
from gdkreg.options import Choice, Options
from gdkreg.plan import state
from gdkreg.resources.inventory import Inventory
from gdkreg.resources.trusts import Trusts
from gdkreg.verbs import trusted, trusting
from gdkreg.verbs.root import Root
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import journal
from tests.unit.test_inventory import KEYS, wrote
from tests.unit.test_stores import CONTAINERS, Containers

A = "registry.test:5000"
MINE, THEIRS = Path("/home/dev/.docker/certs.d"), Path("/etc/docker/certs.d")
SOCKET = "/home/dev/engine.sock"


def engine(kind: Any = "docker") -> Engine:
    return Engine(kind, Endpoint(f"unix://{SOCKET}", "x"), "1")


def trusts(host: FakeHost, options: Options | None = None, kind: Any = "docker") -> Trusts:
    host.put(ROOT / "gdk.yml", yaml.safe_dump({"hostname": "gdk.test", "registry": KEYS}))

    def found() -> tuple[Engine, Api]:
        return engine(kind), cast(Api, Containers(CONTAINERS))

    places = trust.places(engine(kind), host.platform)
    return Inventory(load(ROOT, host), host, journal(host), lambda: list(places), options or Options(), found).trusts()


def chosen(host: FakeHost, choice: Choice, kind: Any = "docker") -> list[str]:
    found = trusts(host, Options(choice=choice), kind).docker_trust()
    return [str(place.folder) for place in found.places] + (["builder"] if found.builder else [])


def own(host: FakeHost, folder: Path) -> None:
    path = folder / A / "ca.crt"
    host.put(path, "CERTIFICATE")
    wrote(host, "docker_trust", "file", str(path), before="", after=digest(b"CERTIFICATE"))


def test_without_a_choice_all_is_as_it_was(fake: FakeHost) -> None:
    assert trusts(fake).choice() == Choice(False)
    assert [item.name for item in trusts(fake).all()] == ["docker_trust"]
    assert trusts(fake, Options(trust=True)).choice() == Choice(True)
    own(fake, THEIRS)
    assert trusts(fake).choice() == Choice(True)
    assert [item.name for item in trusts(fake).all()] == ["docker_trust"]


def test_one_client_is_added_or_taken_away_alone(fake: FakeHost) -> None:
    assert chosen(fake, Choice(True)) == [str(MINE), str(THEIRS), "builder"]
    assert chosen(fake, Choice(True, ("containerd",))) == [str(MINE), str(THEIRS), "/etc/containerd/certs.d", "builder"]
    assert chosen(fake, Choice(False, ("podman",))) == ["/home/dev/.config/containers/certs.d"]
    assert chosen(fake, Choice(False, ("buildx",))) == ["builder"]
    assert chosen(fake, Choice(True, (), ("runner", "buildx"))) == [str(THEIRS)]
    assert chosen(fake, Choice(True, (), ("docker",))) == [str(MINE), "builder"]
    assert chosen(fake, Choice(True, (), ("docker",)), "desktop") == [str(MINE), "builder"], "the runner reads it too"
    assert chosen(fake, Choice(False, ("docker",)), "podman") == [str(THEIRS)]
    assert chosen(fake, Choice(False, ("podman",)), "podman")[-1] == "/etc/containers/certs.d"


def test_what_an_engine_that_is_away_just_now_has_is_kept(fake: FakeHost) -> None:
    own(fake, THEIRS)
    own(fake, Path("/etc/containerd/certs.d"))
    away = Choice(True, ("containerd",))
    assert str(THEIRS) in chosen(fake, away, "none")
    assert str(THEIRS) not in chosen(fake, Choice(True, ("containerd",), ("docker",)), "none")
    assert "/etc/containerd/certs.d" not in chosen(fake, Choice(True, (), ("docker",)), "none")
    assert chosen(fake, Choice(False)) == []


def test_the_choice_is_kept_in_a_file_that_says_more_than_the_journal(fake: FakeHost) -> None:
    def planned(choice: Choice) -> list[str]:
        found = trusts(fake, Options(choice=choice)).trust_choice()
        return [type(action).__name__ for action in found.plan(found.inspect(fake), True)]

    state.write(fake, ROOT, "id", journal(fake).identity.id.encode())
    assert planned(Choice(True)) == []
    assert planned(Choice(True, ("system",))) == ["WriteFile"]
    assert planned(Choice(True, (), ("docker",))) == ["WriteFile"]
    state.write_value(fake, ROOT, "trust.json", Choice(False, ("system",)))
    assert trusts(fake).choice() == Choice(False, ("system",))
    assert [item.name for item in trusts(fake).all()] == ["trust_choice", "docker_trust", "trust_stores"]
    assert trusts(fake, Options(trust=True)).choice() == Choice(True, ("system",)), "up brings the usual ones back"
    fake.put(ROOT / ".gdkreg/trust.json", "{", 0o600)
    assert trusts(fake).choice() == Choice(False), "down goes on; whoever looks at the file itself is told"


@pytest.fixture
def root(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Root:
    fake.put(ROOT / "gdk.yml", yaml.safe_dump({"hostname": "gdk.test", "registry": KEYS}))
    fake.put(ROOT / "registry_host.crt", "CERTIFICATE")
    fake.put(SOCKET, "")
    made = Root(ROOT, fake)
    made.__dict__["found_engine"] = (engine(), cast(Api, Containers([])))
    return made


def with_engine(root: Root, kind: Any, containers: list[Any]) -> FakeHost:
    root.__dict__["found_engine"] = (engine(kind), cast(Api, Containers(containers)))
    return cast(FakeHost, root.host)


def line(root: Root, of: str) -> trusted.Trusting:
    return next(one for one in trusted.look(root).stores if one.of == of)


def test_names_that_there_are_not(root: Root) -> None:
    with pytest.raises(ConfigError, match="nonsense: there is no such client"):
        trusting.named("docker,nonsense", root)
    with pytest.raises(ConfigError):
        trusting.named(",", root)
    with pytest.raises(GdkregError, match="minikube is not on this machine") as error:
        trusting.named("minikube", root)
    assert error.value.why == "looked for minikube on PATH"
    assert trusting.named("minikube", root, remove=True) == ("minikube",), "what is taken away needs no tool"
    assert trusting.named("all", root) == ("docker",)
    assert "system" not in trusting.named("all", root, remove=True)


def test_which_file_is_read_and_whether_it_is_the_certificate(root: Root) -> None:
    host = with_engine(root, "docker", [])
    path = THEIRS / A / "ca.crt"
    missing = line(root, "Docker Engine")
    assert (missing.reads, missing.state, missing.chosen) == (str(path), "missing", False)
    assert missing.fix == "gdkreg trust-docker-registry --client docker"
    host.put(path, "CERTIFICATE")
    assert (line(root, "Docker Engine").state, line(root, "Docker Engine").fix) == ("current", "")
    host.put(path, "ANOTHER")
    assert line(root, "Docker Engine").state == "other"
    host.unreadable.add(path)
    assert line(root, "Docker Engine").state == "unread"
    assert trusted.look(root).absent["minikube"] == "minikube on PATH"


@pytest.mark.parametrize(
    ("kind", "of", "client"),
    [
        ("machine", "docker-machine's VM default", "docker"),
        ("colima", "Colima's VM default", "docker"),
        ("podman", "Docker Engine", "docker"),
        ("rootless", "podman, buildah and skopeo", "podman"),
    ],
)
def test_what_reconfigure_does_not_keep_is_asked_for_by_name(root: Root, tmp_path: Path, kind: str, of: str, client: str) -> None:
    """The usual clients are kept in the folders of the engine in use alone."""
    host = with_engine(root, kind, [])
    root.__dict__["found_engine"] = (
        Engine(cast(Any, kind), Endpoint("unix:///home/dev/.colima/default/docker.sock", "x")),
        cast(Api, Containers([])),
    )
    for name in ("dockerd", "podman"):
        (tmp_path / name).touch(0o755)
    env = {"PATH": str(tmp_path), "DOCKER_MACHINE_NAME": "default"}
    host.platform = msgspec.structs.replace(host.platform, env={**host.platform.env, **env})
    root.options = root.options.also(trust=True)
    found = line(root, of)
    assert (found.chosen, found.fix) == (False, f"gdkreg trust-docker-registry --client {client}")


@pytest.mark.parametrize(
    ("kind", "of", "folder", "fix"),
    [
        ("desktop", "Docker Desktop", MINE, "docker desktop restart"),
        ("orbstack", "OrbStack", MINE, "orb restart docker"),
        ("rancher", "Rancher Desktop", MINE, "rdctl shutdown; rdctl start"),
    ],
)
def test_a_restart_is_due_where_the_file_is_newer_than_the_vms_start(
    root: Root, kind: str, of: str, folder: Path, fix: str
) -> None:
    host = with_engine(root, kind, [])
    path = folder / A / "ca.crt"
    host.put(path, "CERTIFICATE")
    host.times |= {Path(SOCKET): 100.0, path: 99.0}
    assert not line(root, of).restart
    host.times[path] = 101.0
    due = line(root, of)
    assert (due.state, due.restart, due.fix) == ("current", True, fix)
    assert due.why == f"the file is newer than the start of {of}, which copies it then"


def test_rootless_docker_holds_the_hosts_file_of_its_start(root: Root) -> None:
    host = with_engine(root, "rootless", [])
    path = Path("/home/dev/.config/docker/certs.d") / A / "ca.crt"
    host.put(path, "CERTIFICATE")
    host.times |= {Path(SOCKET): 100.0, path: 101.0, Path("/etc/hosts"): 99.0}
    assert not line(root, "rootless Docker").restart, "it reads certificates at each pull"
    host.times[Path("/etc/hosts")] = 101.0
    assert line(root, "rootless Docker").fix == "systemctl --user restart docker"


def test_a_builder_that_is_older_than_its_file(root: Root) -> None:
    host = with_engine(root, "docker", [{"Names": ["/buildx_buildkit_mine0"], "Created": 100}])
    host.put("/home/dev/.docker/cli-plugins/docker-buildx", "")
    host.put(ROOT / "registry/buildkitd.toml", "")
    of = "builders of docker buildx"
    assert not line(root, of).restart
    host.times[ROOT / "registry_host.crt"] = 101.0
    due = line(root, of)
    assert due.restart
    create = f"docker buildx create --use --driver-opt network=host --buildkitd-config {ROOT}/registry/buildkitd.toml"
    assert due.fix == f"docker buildx rm mine; {create}"


def test_podman_reads_the_first_folder_that_there_is(root: Root, tmp_path: Path) -> None:
    import msgspec

    (tmp_path / "skopeo").write_text("")
    (tmp_path / "skopeo").chmod(0o755)
    host = with_engine(root, "docker", [])
    host.platform = msgspec.structs.replace(host.platform, env={"PATH": str(tmp_path)})
    of = "podman, buildah and skopeo"
    assert line(root, of).reads == f"/home/dev/.config/containers/certs.d/{A}/ca.crt"
    host.put(THEIRS / A / "ca.crt", "CERTIFICATE")
    assert (line(root, of).reads, line(root, of).state) == (f"{THEIRS}/{A}/ca.crt", "current")
    host.put(f"/home/dev/.config/containers/certs.d/{A}/other.crt", "")
    assert line(root, of).state == "missing", "the first one counts, whatever is in it"


def test_without_a_certificate_there_is_nothing_to_trust(root: Root) -> None:
    cast(FakeHost, root.host).infos.pop(ROOT / "registry_host.crt")
    assert "there is no" in trusted.look(root).problem
