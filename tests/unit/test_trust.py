"""Which engine is in use and where it keeps trust. `docker info` is cut down from recorded output: Docker Engine
20.10.24 and Podman 4.3 on Debian 12 were run; Docker Desktop, OrbStack, Colima and Rancher are from their documentation."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from gdkreg.engines import detect, trust
from gdkreg.engines.detect import Endpoint, Engine, Kind
from gdkreg.plan.actions import Leave, MakeFolder
from gdkreg.resources.docker_trust import DockerTrust
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import apply, files, levels, plan

SOCKET = Endpoint("unix:///var/run/docker.sock", "default socket")
HOME = Path("/home/dev")
CERTIFICATE = ROOT / "registry_host.crt"
BUILDKIT = CERTIFICATE.parent / "registry/buildkitd.toml"


@pytest.mark.parametrize(
    ("info", "version", "url", "kind"),
    [
        (
            {
                "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
                "Name": "vm",
                "SecurityOptions": ["name=seccomp,profile=default"],
            },
            {},
            "",
            "docker",
        ),
        ({"OperatingSystem": "Ubuntu 24.04", "SecurityOptions": ["name=seccomp", "name=rootless"]}, {}, "", "rootless"),
        ({"OperatingSystem": "Docker Desktop", "Name": "docker-desktop"}, {}, "", "desktop"),
        ({"OperatingSystem": "OrbStack", "Name": "orbstack"}, {}, "", "orbstack"),
        ({"OperatingSystem": "Ubuntu 24.04", "Name": "colima"}, {}, "", "colima"),
        ({"OperatingSystem": "Alpine Linux", "Name": "lima-rancher-desktop"}, {}, "", "rancher"),
        ({"OperatingSystem": "debian"}, {"Components": [{"Name": "Podman Engine"}]}, "", "podman"),
        ({"SecurityOptions": ["name=rootless"]}, {"Components": [{"Name": "Podman Engine"}]}, "", "podman-rootless"),
        ({"OperatingSystem": "Debian"}, {}, "tcp://10.0.0.1:2376", "remote"),
    ],
)
def test_kinds(info: dict[str, Any], version: dict[str, Any], url: str, kind: str) -> None:
    at = Endpoint(url or SOCKET.url, "x")
    assert detect.kind_of(at, info, version, FakeHost().platform) == kind


def test_docker_machine() -> None:
    at = Endpoint("tcp://192.168.99.100:2376", "DOCKER_HOST")
    host = FakeHost(env={"DOCKER_MACHINE_NAME": "default", "DOCKER_HOST": at.url})
    assert detect.kind_of(at, {}, {}, host.platform) == "machine"


def test_the_endpoint_is_found_as_dockers_own_client_does() -> None:
    host = FakeHost(home="/home/dev")
    assert detect.endpoint(host).url == "unix:///var/run/docker.sock"
    host.put("/home/dev/.docker/run/docker.sock", "")
    assert detect.endpoint(host).url == "unix:///home/dev/.docker/run/docker.sock"
    host.put("/home/dev/.docker/config.json", json.dumps({"currentContext": "colima"}))
    name = hashlib.sha256(b"colima").hexdigest()
    meta = {"Endpoints": {"docker": {"Host": "unix:///home/dev/.colima/default/docker.sock"}}}
    host.put(f"/home/dev/.docker/contexts/meta/{name}/meta.json", json.dumps(meta))
    assert detect.endpoint(host) == Endpoint("unix:///home/dev/.colima/default/docker.sock", "context colima")
    with_env = FakeHost(env={"DOCKER_HOST": "tcp://x:1", "DOCKER_CONTEXT": "colima"})
    assert detect.endpoint(with_env) == Endpoint("tcp://x:1", "DOCKER_HOST")
    gone = FakeHost(env={"DOCKER_CONTEXT": "gone"})
    assert detect.endpoint(gone).url == ""
    broken = FakeHost(home="/home/dev")
    broken.put("/home/dev/.docker/config.json", "{")
    assert detect.endpoint(broken).source == "default socket"


def test_no_engine_says_what_was_tried() -> None:
    engine, client = detect.detect(FakeHost(env={"DOCKER_HOST": "unix:///nowhere/docker.sock"}))
    assert client is None
    assert not engine.answers
    assert not engine.local
    assert "unix:///nowhere/docker.sock: there is no such socket" in engine.why
    assert "gone has no endpoint" in detect.detect(FakeHost(env={"DOCKER_CONTEXT": "gone"}))[0].why


def folders(kind: Kind, **env: str) -> list[tuple[str, bool]]:
    engine = Engine(kind, SOCKET)
    return [(str(place.folder), place.as_root) for place in trust.places(engine, FakeHost(home="/home/dev", env=env).platform)]


def test_places() -> None:
    mine = ("/home/dev/.docker/certs.d", False)
    assert folders("docker") == [mine, ("/etc/docker/certs.d", True)]
    assert folders("rootless") == [mine, ("/home/dev/.config/docker/certs.d", False)]
    assert folders("rootless", XDG_CONFIG_HOME="/x") == [mine, ("/x/docker/certs.d", False)]
    assert folders("podman") == [mine, ("/etc/containers/certs.d", True)]
    assert folders("desktop") == folders("none") == folders("colima") == [mine]
    assert folders("none", PATH=str(Path(__file__).parent)) == [mine]
    (desktop,) = trust.places(Engine("desktop", SOCKET), FakeHost().platform)
    assert "restart Docker Desktop" in desktop.then


def test_podmans_tools_are_served_where_no_engine_is(tmp_path: Path) -> None:
    (tmp_path / "skopeo").write_text("#!/bin/sh\n")
    (tmp_path / "skopeo").chmod(0o755)
    theirs = ("/home/dev/.config/containers/certs.d", False)
    assert folders("none", PATH=str(tmp_path)) == [("/home/dev/.docker/certs.d", False), theirs]
    assert theirs not in folders("docker", PATH=str(tmp_path)), "they read /etc/docker/certs.d too"


@pytest.mark.parametrize(
    ("kind", "text"),
    [("remote", "another machine"), ("none", "no engine answers"), ("docker", "")],
)
def test_hints(kind: Kind, text: str) -> None:
    found = trust.hint(Engine(kind, SOCKET))
    assert text in found
    assert bool(found) == bool(text)


# the resource


def resource(
    host: FakeHost, authority: str = "registry.test:5000", *, wanted: bool = True, kind: Kind = "docker", keep: bool = False
) -> DockerTrust:
    return DockerTrust(
        authority,
        CERTIFICATE,
        BUILDKIT,
        trust.places(Engine(kind, SOCKET), host.platform),
        wanted,
        files(host, "docker_trust", keep_edits=keep),
    )


@pytest.fixture
def with_certificate(fake: FakeHost) -> FakeHost:
    fake.put(CERTIFICATE, "CERTIFICATE")
    return fake


def test_into_both_places_readable_for_all(with_certificate: FakeHost) -> None:
    host = with_certificate
    apply(host, resource(host))
    for folder in ("/home/dev/.docker/certs.d", "/etc/docker/certs.d"):
        path = Path(folder) / "registry.test:5000" / "ca.crt"
        assert host.files[path] == b"CERTIFICATE"
        assert (host.infos[path].mode, host.infos[path.parent].mode) == (0o644, 0o755)
    assert levels(host, resource(host)) == ["ok"]
    host.put(CERTIFICATE, "NEW")
    assert levels(host, resource(host)) == ["changed"]
    apply(host, resource(host))
    apply(host, resource(host), present=False)
    assert Path("/etc/docker") not in host.infos
    assert Path("/home/dev/.docker") not in host.infos


def test_builders_get_a_buildkitd_toml(with_certificate: FakeHost) -> None:
    host = with_certificate
    apply(host, resource(host))
    told = tomlkit.parse(host.files[BUILDKIT].decode()).unwrap()
    assert told == {"registry": {"registry.test:5000": {"ca": [str(CERTIFICATE)]}}}
    apply(host, resource(host, "images.test:5000"))
    assert list(tomlkit.parse(host.files[BUILDKIT].decode()).unwrap()["registry"]) == ["images.test:5000"]
    apply(host, resource(host), present=False)
    assert BUILDKIT not in host.files
    apply(host, resource(host))
    host.files[BUILDKIT] += b"# mine"
    assert levels(host, resource(host)) == ["changed"]
    assert any("was edited after" in action.reason for action in plan(host, resource(host), present=False))


def test_the_folder_of_a_former_name_goes_and_the_others_stay(with_certificate: FakeHost) -> None:
    host = with_certificate
    host.put("/etc/docker/certs.d/other.test/ca.crt", "OTHER")
    apply(host, resource(host))
    apply(host, resource(host, "images.test:5000"))
    assert host.entries(Path("/etc/docker/certs.d")) == ["images.test:5000", "other.test"]
    apply(host, resource(host, "images.test:5000", wanted=False))
    assert host.entries(Path("/etc/docker/certs.d")) == ["other.test"]
    assert levels(host, resource(host, wanted=False)) == ["off"]


def test_a_foreign_ca_is_backed_up_and_given_back(with_certificate: FakeHost) -> None:
    host = with_certificate
    path = Path("/etc/docker/certs.d/registry.test:5000/ca.crt")
    host.put(path, "THEIRS")
    apply(host, resource(host))
    assert host.files[path] == b"CERTIFICATE"
    apply(host, resource(host), present=False)
    assert host.files[path] == b"THEIRS"


def test_an_unreadable_folder_is_opened(with_certificate: FakeHost) -> None:
    host = with_certificate
    host.put("/etc/docker/certs.d/.keep", "")
    host.make_folder(Path("/etc/docker/certs.d/registry.test:5000"), mode=0o700)
    made = [action.path for action in plan(host, resource(host)) if isinstance(action, MakeFolder)]
    assert Path("/etc/docker/certs.d/registry.test:5000") in made


def test_an_edited_ca_stops_with_a_diff(with_certificate: FakeHost) -> None:
    host = with_certificate
    apply(host, resource(host))
    host.put("/etc/docker/certs.d/registry.test:5000/ca.crt", "EDITED")
    (left,) = [action for action in plan(host, resource(host), present=False) if isinstance(action, Leave)]
    assert "+***" in left.details
    apply(host, resource(host, keep=True), present=False)
    assert host.files[Path("/etc/docker/certs.d/registry.test:5000/ca.crt")] == b"EDITED"


def test_a_rootless_engine_gets_all_the_folders_above(with_certificate: FakeHost) -> None:
    host = with_certificate
    above = [Path("/home/dev/.config"), *(Path("/home/dev/.config") / part for part in ("docker", "docker/certs.d"))]
    made = [action.path for action in plan(host, resource(host, kind="rootless")) if isinstance(action, MakeFolder)]
    assert [path for path in made if ".config" in path.parts] == [*above, above[-1] / "registry.test:5000"]
    apply(host, resource(host, kind="rootless"))
    apply(host, resource(host, kind="rootless"), present=False)
    assert above[0] not in host.infos


def test_how_trust_stands(with_certificate: FakeHost) -> None:
    host = with_certificate

    def said(*, wanted: bool = True) -> str:
        found = resource(host, wanted=wanted)
        return found.notes(found.inspect(host))[0].text

    system = "/etc/docker/certs.d/registry.test:5000/ca.crt"
    mine = "/home/dev/.docker/certs.d/registry.test:5000/ca.crt"
    assert said(wanted=False) == "not asked for"
    assert said() == f"{mine}, {system} is not registry_host.crt"
    apply(host, resource(host))
    assert said() == f"{mine}, {system}"
    host.put(system, "other")
    assert said() == f"{system} is not registry_host.crt"
    host.put(system, "CERTIFICATE")
    host.put(BUILDKIT, "other")
    assert said() == f"{BUILDKIT} is not as gdkreg writes it"
