"""verify on a real engine, registry and clients: the whole way, and each hop broken on purpose."""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.box import GDK_YML, Box


@pytest.fixture(scope="module", autouse=True)
def up(box: Box) -> None:
    box.configure(GDK_YML)
    box.ok("up", "--yes")


@pytest.mark.parametrize("client", ["http", "docker", "skopeo", "podman"])
def test_verify(box: Box, client: str) -> None:
    env = podman_env(box)
    result = box.gdkreg("verify", "--client", client, "--json", env=env)
    assert result.code == 0, result
    hops = json.loads(result.out)[client]
    assert [hop["name"] for hop in hops][-3:] == ["push", "pull", "delete"]
    assert all(hop["ms"] >= 0 for hop in hops)
    assert tags_left(box) == []
    assert "gdkreg-verify" not in box.run("docker", "images").out
    assert "gdkreg-verify" not in box.run("sh", "-c", f"{box.ok('token', '--curl', 'registry:catalog:*').out}").out


def hop(box: Box, client: str, name: str) -> dict[str, str]:
    told = json.loads(box.gdkreg("verify", "--client", client, "--json", env=podman_env(box)).out)[client]
    found: dict[str, str] = next(item for item in told if item["name"] == name)
    return found


@pytest.mark.parametrize("client", ["docker", "podman", "skopeo"])
def test_verify_uses_the_login_that_the_user_has(box: Box, client: str) -> None:
    box.run(client, "logout", "registry.test:5000")
    nobody = hop(box, client, "token")
    assert (nobody["verdict"], nobody["remedy"]) == ("warning", f"gdkreg login --client {client}")
    assert f"{client} is not logged in" in nobody["detail"]
    box.ok("login", "--client", client)
    own = hop(box, client, "token")
    assert own["verdict"] == "ok"
    assert "as developer (/" in own["detail"]
    file = box.home / ".docker/config.json" if client == "docker" else Path("/run/containers/0/auth.json")
    wrong = json.dumps({"auths": {"registry.test:5000": {"auth": base64.b64encode(b"developer:wrong").decode()}}})
    box.run("sh", "-c", f"cat > {file}", stdin=wrong)
    refused = hop(box, client, "token")
    assert (refused["verdict"], refused["remedy"]) == ("broken", f"gdkreg login --client {client}")
    box.run(client, "logout", "registry.test:5000")


def podman_env(box: Box) -> dict[str, str]:
    """Podman with a storage of its own that works anywhere."""
    conf = box.folder / "storage.conf"
    conf.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{box.folder}/podman"\nrunroot = "/run/podman-root"\n')
    return {"CONTAINERS_STORAGE_CONF": str(conf)}


def tags_left(box: Box) -> list[str]:
    """Tags that a verification left in the registry's storage."""
    folder = box.root / "registry/storage/docker/registry/v2/repositories/gdkreg-verify/_manifests/tags"
    return [str(path) for path in folder.glob("*")]


def test_a_client_that_is_not_here_says_what_it_needs(box: Box) -> None:
    for name, needs in (("buildx", "the buildx plugin is not installed"), ("skopeo", "skopeo is not installed")):
        result = box.run("env", "PATH=/nowhere", sys.executable, "-m", "gdkreg", "verify", "--client", name)
        assert result.code == 1
        assert needs in result.out
    result = box.gdkreg("verify", "--client", "dind")
    assert result.code == 1
    assert "docker pull docker:dind" in result.out


# verify with each hop broken on purpose


def broken(box: Box, client: str = "docker") -> tuple[str, str, str]:
    result = box.gdkreg("verify", "--client", client, "--json")
    assert result.code == 1, result
    last = json.loads(result.out)[client][-1]
    assert last["verdict"] == "broken"
    assert tags_left(box) == []
    return last["name"], last["detail"], last["remedy"]


def test_engine_broken(box: Box) -> None:
    result = box.gdkreg("verify", "--client", "docker", "--json", env={"DOCKER_HOST": "unix:///run/nowhere.sock"})
    last = json.loads(result.out)["docker"][-1]
    assert (result.code, last["name"]) == (1, "engine")


def test_name_broken(box: Box) -> None:
    before = box.hosts.read_text()
    box.hosts.write_text("127.0.0.1 localhost\n")
    assert broken(box)[::2] == ("name", "gdkreg reconfigure")
    box.hosts.write_text(before + "10.1.1.1 registry.test\n")
    assert broken(box)[::2] == ("name", "gdkreg reconfigure --take-over")
    box.hosts.write_text(before)


def test_address_broken(box: Box) -> None:
    box.run("sh", "-c", "ip addr del 172.16.123.1/32 dev lo 2>/dev/null || ip link del gdkreg0")
    assert broken(box)[::2] == ("address", "gdkreg reconfigure")
    box.ok("reconfigure")


def test_port_broken(box: Box) -> None:
    box.ok("stop", "registry")
    assert broken(box)[::2] == ("port", "gdkreg start registry")
    holder = box.popen("python3", "-m", "http.server", "--bind", "172.16.123.1", "5000")
    time.sleep(0.7)
    name, detail, _ = broken(box)
    assert name in {"port", "tls"}
    assert "no registry" in detail or "plain HTTP" in detail
    os.kill(int(Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()[0]), signal.SIGKILL)
    holder.wait()
    box.ok("start")


def test_tls_broken(box: Box) -> None:
    paths = [box.root / f"registry_host.{ending}" for ending in ("crt", "key")]
    before = [path.read_bytes() for path in paths]
    from gdkreg.resources import x509

    pair = x509.self_signed(x509.new_tls_key(), "registry.test", ("registry.test", "172.16.123.1"), 365)
    paths[0].write_bytes(pair.certificate)
    paths[1].write_bytes(pair.key)
    assert broken(box)[::2] == ("tls", "gdkreg start")
    for path, content in zip(paths, before, strict=True):
        path.write_bytes(content)


def test_trust_broken(box: Box) -> None:
    file = box.folder / "etc-docker/certs.d/registry.test:5000/ca.crt"
    before = file.read_bytes()
    file.unlink()
    assert broken(box)[::2] == ("trust", "gdkreg trust-docker-registry")
    file.write_bytes(before)


def test_challenge_broken(box: Box) -> None:
    box.configure(GDK_YML + "  config: {auth: {token: {realm: 'https://elsewhere.test/jwt/auth'}}}\n")
    box.ok("reconfigure")
    box.ok("restart")
    name, detail, _ = broken(box)
    assert name == "challenge"
    assert "elsewhere.test" in detail
    box.configure(GDK_YML)
    box.ok("reconfigure")
    box.ok("restart")


def test_token_broken(box: Box) -> None:
    box.ok("stop", "auth")
    assert broken(box)[::2] == ("token", "gdkreg start auth")
    box.ok("start", "auth")


def test_scope_broken(box: Box) -> None:
    env = {"GDKREG_USER": "reader", "GDKREG_PASSWORD": "hunter22"}
    add = ["python", "-m", "gdkreg", "user", "add", "reader", "--pull", "**", "--password-stdin"]
    assert box.run(*add, stdin="hunter22\n").code == 0
    result = box.gdkreg("verify", "--client", "http", "--json", env=env)
    last = json.loads(result.out)["http"][-1]
    assert last["name"] == "scope"
    assert "missing scope" in last["detail"]
    box.ok("user", "remove", "reader")


def test_push_broken_read_only(box: Box) -> None:
    box.configure(GDK_YML + "  read_only_maintenance_enabled: true\n")
    box.ok("reconfigure")
    box.ok("restart")
    for client in ("http", "docker"):
        name, _, remedy = broken(box, client)
        assert name == "push"
        assert "gdkreg readonly off" in remedy
    box.configure(GDK_YML)
    box.ok("reconfigure")
    box.ok("restart")


def test_push_broken_storage_not_writable(box: Box) -> None:
    storage = str(box.root / "registry/storage")
    # Root writes everywhere, so the folder of the repositories is turned into a file.
    box.run("sh", "-c", f"mv {storage}/docker {storage}/docker.kept; : > {storage}/docker")
    name, _, remedy = broken(box, "http")  # docker tries for most of a minute first: tests/builders
    assert name == "push"
    assert "registry/storage" in remedy
    box.run("sh", "-c", f"rm {storage}/docker; mv {storage}/docker.kept {storage}/docker")


def test_delete_broken(box: Box) -> None:
    box.configure(GDK_YML + "  config: {storage: {delete: {enabled: false}}}\n")
    box.ok("reconfigure")
    box.ok("restart")
    result = box.gdkreg("verify", "--client", "http", "--json")
    last = json.loads(result.out)["http"][-1]
    assert last["name"] == "delete"
    assert "storage.delete" in last["remedy"]
    box.configure(GDK_YML)
    box.ok("reconfigure")
    box.ok("restart")
