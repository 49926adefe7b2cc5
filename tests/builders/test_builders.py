"""verify with the clients that bring an engine of their own: docker buildx and Docker in Docker."""

from __future__ import annotations

import json
import os
import shlex
import signal
import time
from collections.abc import Iterator

import pytest

from tests.e2e.box import GDK_YML, HOST, Box, child

BUILDKIT = "moby/buildkit:buildx-stable-1"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A box whose engine starts privileged containers, with buildx and the images that it and `dind` need."""
    opened = Box(tmp_path_factory.mktemp("box"), privileged=True)
    try:
        opened.import_registry()
        opened.import_dind()
        opened.install_buildx()
        opened.configure(GDK_YML)
        opened.ok("up", "--yes")
        yield opened
    finally:
        opened.close()


@pytest.fixture
def builder(box: Box) -> Iterator[Box]:
    """With BuildKit's image, and no builder in use but the engine's own, before and after."""
    box.import_buildkit(BUILDKIT)
    yield box
    names = box.run("docker", "buildx", "ls", "--format", "{{.Name}}").out.split() or ["default"]
    for name in {name.rstrip("*") for name in names} - {"default"}:
        box.run("docker", "buildx", "rm", name)
    box.run("docker", "buildx", "use", "default")


def hops(box: Box, client: str, *, realm_trusted: bool = True) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code of a verification, and its hops by name."""
    env = {"SSL_CERT_FILE": str(box.root / "registry_host.crt")} if realm_trusted else {}
    result = box.gdkreg("verify", "--client", client, "--json", env=env)
    return result.code, {hop["name"]: hop for hop in json.loads(result.out)[client]}


def proven(box: Box, client: str) -> dict[str, dict[str, str]]:
    """It goes the whole way and leaves nothing behind."""
    code, found = hops(box, client)
    assert code == 0, list(found.values())[-1]
    assert list(found)[-3:] == ["push", "pull", "delete"]
    nothing_left(box)
    return found


def nothing_left(box: Box) -> None:
    assert "gdkreg-verify" not in box.run("docker", "ps", "-a").out + box.run("docker", "images").out
    assert not list((box.root / "registry/storage/docker/registry/v2/repositories").glob("gdkreg-verify/_manifests/tags/*"))


def broken(box: Box, client: str, hop: str, *, realm_trusted: bool = True) -> dict[str, str]:
    """It stops at this hop; what it said of it."""
    code, found = hops(box, client, realm_trusted=realm_trusted)
    assert (code, list(found)[-1]) == (1, hop), list(found.values())[-1]
    nothing_left(box)
    return found[hop]


def restart_engine(box: Box) -> None:
    box.restart_engine()
    box.ok("start")


# buildx


def test_the_engines_own_builder(box: Box) -> None:
    """Docker Engine 20.10 reads certs.d for its BuildKit when it starts; newer ones with each build."""
    if hops(box, "buildx")[0] == 1:
        assert broken(box, "buildx", "trust")["remedy"] == "sudo systemctl restart docker; gdkreg start"
        restart_engine(box)
    found = proven(box, "buildx")
    assert "driver docker" in found["engine"]["detail"]
    assert found["trust"]["detail"] == f"/etc/docker/certs.d/{HOST}/ca.crt"


def test_a_builder_in_a_container_has_trust_of_its_own(builder: Box) -> None:
    box = builder
    assert box.run("docker", "buildx", "create", "--use", "--driver-opt", "network=host").code == 0
    said = broken(box, "buildx", "trust")
    assert f"ca of {HOST} in /etc/buildkit/buildkitd.toml" in said["detail"]
    assert "is missing" in said["detail"]

    refused = box.run("docker", "buildx", "build", "-", stdin=f"FROM {HOST}/group/app:1\n")
    assert "unknown authority" in refused.err
    explained = box.run("python", "-m", "gdkreg", "explain", stdin=refused.err)
    assert "BuildKit does not trust" in explained.out
    assert "gdkreg verify --client buildx" in explained.out

    cured = box.run(*shlex.split(said["remedy"]))
    assert cured.code == 0, cured
    assert "registry_host.crt in buildx_buildkit_" in proven(box, "buildx")["trust"]["detail"]


def test_buildx_asks_the_realm_by_itself(builder: Box) -> None:
    """Not the builder but the plugin fetches the token, with the certificates of the system."""
    box = builder
    create = ["docker", "buildx", "create", "--use", "--driver-opt", "network=host", "--buildkitd-config"]
    assert box.run(*create, str(box.root / "registry/buildkitd.toml")).code == 0
    said = broken(box, "buildx", "token", realm_trusted=False)
    assert "buildx does not trust the realm" in said["detail"]
    assert said["remedy"] == f"export SSL_CERT_FILE={box.root}/registry_host.crt"

    box.ok("login")
    context = box.folder / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    build = ["docker", "buildx", "build", "--push", "--tag", f"{HOST}/group/built:1", str(context)]
    refused = box.run(*build)
    assert "/jwt/auth" in refused.err
    assert "asks it by itself" in box.run("python", "-m", "gdkreg", "explain", stdin=refused.err).out
    cured = box.run(*build, env={"SSL_CERT_FILE": str(box.root / "registry_host.crt")})
    assert cured.code == 0, cured


def test_a_builder_in_a_container_has_names_of_its_own(builder: Box) -> None:
    box = builder
    config = str(box.root / "registry/buildkitd.toml")
    assert box.run("docker", "buildx", "create", "--use", "--buildkitd-config", config).code == 0
    said = broken(box, "buildx", "name")
    assert "this machine finds registry.test, buildx does not" in said["detail"]
    assert said["remedy"] == f"docker buildx create --use --driver-opt network=host --buildkitd-config {config}"


def test_a_renewed_certificate_is_unknown_to_an_older_builder(builder: Box) -> None:
    box = builder
    create = ["docker", "buildx", "create", "--use", "--driver-opt", "network=host", "--buildkitd-config"]
    assert box.run(*create, str(box.root / "registry/buildkitd.toml")).code == 0
    proven(box, "buildx")
    assert "Next: gdkreg start" in box.ok("cert", "renew", "tls", "--yes").out
    box.ok("start")
    assert "is not registry_host.crt" in broken(box, "buildx", "trust")["detail"]
    restart_engine(box)


def test_a_builder_without_its_image_is_not_fetched(box: Box) -> None:
    box.run("docker", "image", "rm", BUILDKIT)
    assert box.run("docker", "buildx", "create", "--use", "--name", "far").code == 0
    code, found = hops(box, "buildx")
    assert (code, found["engine"]["verdict"]) == (1, "absent")
    assert BUILDKIT in found["engine"]["detail"]
    box.run("docker", "buildx", "rm", "far")


def test_buildx_of_a_read_only_registry(box: Box) -> None:
    box.configure(GDK_YML + "  read_only_maintenance_enabled: true\n")
    box.ok("reconfigure")
    box.ok("start")
    assert "gdkreg readonly off" in broken(box, "buildx", "push")["remedy"]
    box.configure(GDK_YML)
    box.ok("reconfigure")
    box.ok("start")


def test_docker_where_the_storage_is_not_writable(box: Box) -> None:
    storage = str(box.root / "registry/storage")
    # Root writes everywhere, so the folder of the repositories is turned into a file.
    box.run("sh", "-c", f"mv {storage}/docker {storage}/docker.kept; : > {storage}/docker")
    found = broken(box, "docker", "push")
    assert "registry/storage" in found["remedy"]
    box.run("sh", "-c", f"rm {storage}/docker; mv {storage}/docker.kept {storage}/docker")


# Docker in Docker


def test_dind(box: Box) -> None:
    found = proven(box, "dind")
    assert found["engine"]["detail"].startswith("docker:dind, engine ")
    assert found["trust"]["detail"] == f"{box.home}/.docker/certs.d/{HOST}/ca.crt"
    assert box.run("docker", "volume", "ls", "-q", "--filter", "dangling=true").out == ""


def test_dind_without_the_runners_trust(box: Box) -> None:
    folder = box.home / ".docker/certs.d"
    kept = folder.rename(box.folder / "kept")
    said = broken(box, "dind", "trust")
    assert "is missing" in said["detail"]
    assert said["remedy"] == "gdkreg trust-docker-registry"
    assert not folder.exists(), "the engine would make it for root"
    kept.rename(folder)


def test_dind_that_does_not_start(box: Box) -> None:
    box.import_small("docker:dind")
    assert "docker:dind does not start" in broken(box, "dind", "engine")["detail"]
    box.run("docker", "image", "rm", "docker:dind")
    assert hops(box, "dind")[1]["engine"]["verdict"] == "absent"
    box.import_dind()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_dind_is_gone(box: Box, ending: signal.Signals) -> None:
    running = box.popen("python", "-m", "gdkreg", "verify", "--client", "dind")
    deadline = time.monotonic() + 10
    while "gdkreg-verify" not in box.run("docker", "ps").out:
        assert time.monotonic() < deadline
    os.kill(child(running.pid), ending)
    running.communicate(timeout=20)
    assert running.returncode == 130
    nothing_left(box)


def test_what_a_killed_one_left_is_removed_by_the_next(box: Box) -> None:
    running = box.popen("python", "-m", "gdkreg", "verify", "--client", "dind")
    deadline = time.monotonic() + 10
    while "gdkreg-verify" not in box.run("docker", "ps").out:
        assert time.monotonic() < deadline
    os.kill(child(running.pid), signal.SIGKILL)
    running.wait()
    assert "gdkreg-verify" in box.run("docker", "ps").out
    proven(box, "dind")


def test_all_of_them(box: Box) -> None:
    """A client that is not here is no fault."""
    box.run("docker", "image", "rm", "docker:dind")
    result = box.gdkreg("verify", "--client", "all", env={"SSL_CERT_FILE": str(box.root / "registry_host.crt")})
    assert result.code == 0, result
    assert "- dind  engine    there is no image docker:dind here" in result.out


def test_dind_cannot_reach_a_loopback_address(box: Box) -> None:
    box.import_dind()
    box.configure(GDK_YML.replace("172.16.123.1", "127.0.0.1"))
    box.ok("reconfigure")
    box.ok("start")
    said = broken(box, "dind", "port")
    assert "this machine reaches 127.0.0.1:5000, dind does not" in said["detail"]
    assert "127.0.0.1 is the container itself there" in said["remedy"]


def test_plain_http(box: Box) -> None:
    box.configure(GDK_YML.replace("self_signed: true", "self_signed: false"))
    box.ok("reconfigure")
    box.ok("start")
    assert proven(box, "dind")["trust"]["verdict"] == "skipped"
    for client in ("docker", "buildx"):
        said = broken(box, client, "trust")
        assert f"{client} refuses plain HTTP" in said["detail"]
        assert "registry.self_signed true" in said["remedy"]
    box.import_buildkit(BUILDKIT)
    assert box.run("docker", "buildx", "create", "--use", "--driver-opt", "network=host").code == 0
    remedy = broken(box, "buildx", "trust")["remedy"]
    assert remedy.startswith("gdkreg config set registry.self_signed true; gdkreg up; docker buildx create")
    cured = box.run("sh", "-c", remedy.replace("gdkreg up", "gdkreg up --yes"))
    assert cured.code == 0, cured
    proven(box, "buildx")
