"""For each row of the trust matrix that can run here: refused before, accepted after, refused again after removal.

A kind node is stood in for by a container with kind's label, whose certs.d the box's own containerd client then reads. Colima,
Docker Desktop, podman machine, minikube, docker-machine and the macOS keychain cannot run here: tests/unit/test_stores.py.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

import pytest

from tests.e2e.box import HOST, IMAGE, Box, Result

GDK_YML = f"""\
registry:
  enabled: true
  host: registry.test
  listen_address: 172.16.123.1
  self_signed: true
  auth_enabled: false
  image: {IMAGE}
"""
APP = f"{HOST}/group/app:1"
NODE = "gdk-control-plane"
BUSY = ("sh", "mkdir", "cat", "chmod", "mv", "ls", "rm", "rmdir", "test", "sleep")
# An /etc and a folder of certificates of its own: update-ca-certificates really runs, and not on the machine's.
_OWN = """
set -e
mkdir /run/etc /run/local && cp -a /etc/. /run/etc && cp -a /usr/local/share/ca-certificates/. /run/local
mount --bind /run/local /usr/local/share/ca-certificates
umount /etc/hosts; mount --bind /run/etc /etc
"""
_STORAGE = '[storage]\ndriver = "vfs"\ngraphroot = "{box}/store"\nrunroot = "/run/store"\n'
ASK = {
    "docker": ("docker", "pull", "-q", APP),
    "podman": ("podman", "pull", "-q", APP),
    "skopeo": ("skopeo", "inspect", "-n", f"docker://{APP}"),
    "containerd": ("ctr", "images", "pull", "--snapshotter", "native", "--hosts-dir", "/etc/containerd/certs.d", APP),
    "kind": ("ctr", "images", "pull", "--snapshotter", "native", "--hosts-dir", "NODE", APP),
    "system": ("curl", "-sSf", f"https://{HOST}/v2/"),
}
CLIENT = {"skopeo": "podman"}
# Who reads another's place, too: podman's library Docker's; every program that is started anew the system's.
ALSO = {"docker": ("podman", "skopeo"), "system": ("podman", "skopeo", "containerd", "kind")}
# What is read is one of these; nothing of it is left afterwards.
PLACES = (
    "/etc/docker/certs.d",
    "/etc/containerd",
    "/etc/containers/certs.d",
    "$HOME/.config/containers",
    "$HOME/.docker/certs.d",
)


class World:
    def __init__(self, box: Box) -> None:
        self.box = box
        storage = box.folder / "storage.conf"
        storage.write_text(_STORAGE.format(box=box.folder))
        self.node = box.folder / "node"
        self.env = {
            "CONTAINERS_STORAGE_CONF": str(storage),
            "CONTAINERD_ADDRESS": "/run/docker-exec/containerd/containerd.sock",
            **{name: "" for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ},
        }

    def ask(self, name: str) -> Result:
        words = [str(self.node) if word == "NODE" else word for word in ASK[name]]
        for _ in range(15):  # Go programs remember /etc/hosts for 5 seconds
            result = self.box.run(*words, env=self.env)
            if "lookup " not in result.err + result.out:
                break
        return result

    def refuses(self, name: str) -> None:
        result = self.ask(name)
        assert result.code != 0, name
        assert "certificate" in result.err + result.out, result

    def accepts(self, name: str) -> None:
        result = self.ask(name)
        assert result.code == 0, result

    def trusted(self, name: str) -> dict[str, Any]:
        """The line of `gdkreg trust` on this client."""
        found = json.loads(self.box.ok("trust", "--json").out)
        return next(one for one in found["stores"] if one["client"] == CLIENT.get(name, name))

    def left(self) -> str:
        places = " ".join(PLACES)
        found = f"find {places} /usr/local/share/ca-certificates /etc/ssl/certs -name '*registry.test*'"
        return self.box.run("sh", "-c", f"{found}; find /etc/ssl/certs -xtype l").out

    def start_node(self) -> None:
        done = self.box.run(
            *("docker", "run", "-d", "--name", NODE, "--label", "io.x-k8s.kind.cluster=gdk", "--network", "none"),
            *("-v", f"{self.node}:/etc/containerd/certs.d", "node:dev", "/bin/sleep", "1000000"),
        )
        assert done.code == 0, done


@pytest.fixture(scope="module")
def world(box: Box) -> World:
    done = box.run("sh", "-c", _OWN)
    assert done.code == 0, done
    box.configure(GDK_YML)
    box.ok("reconfigure", "--yes")
    box.ok("start")
    box.import_small(APP)
    busybox = shutil.which("busybox") or "/bin/busybox"
    box.import_image("node:dev", {f"bin/{name}": busybox for name in BUSY}, "ENV PATH=/bin")
    found = World(box)
    found.start_node()
    box.ok("trust-docker-registry", "--client", "docker", "--yes")
    box.client("docker", "push", APP)
    box.ok("trust-docker-registry", "--remove", "--yes")
    assert found.left() == ""
    return found


@pytest.mark.parametrize("name", ASK)
def test_refused_accepted_refused(world: World, name: str) -> None:
    box, client = world.box, CLIENT.get(name, name)
    world.refuses(name)
    assert world.trusted(name)["state"] == "missing"
    told = box.ok("trust-docker-registry", "--client", client, "--dry-run", "--json")
    done = box.ok("trust-docker-registry", "--client", client, "--yes", "--json")
    assert [item["text"] for item in json.loads(told.out)["actions"]] == [
        item["text"] for item in json.loads(done.out)["actions"]
    ]
    world.accepts(name)
    line = world.trusted(name)
    assert (line["state"], line["chosen"], line["restart"]) == ("current", True, False)
    for other in set(ASK) - {name}:
        if CLIENT.get(other, other) != client and other not in ALSO.get(name, ()):
            world.refuses(other)
    again = json.loads(box.ok("trust-docker-registry", "--client", client, "--yes", "--json").out)
    assert again["actions"] == []
    box.ok("trust-docker-registry", "--remove", "--client", client, "--yes")
    world.refuses(name)
    assert world.left() == ""
    assert box.run("sh", "-c", f"ls -A {world.node}").out == ""


def test_all_is_kept_current_and_one_is_taken_back_alone(world: World) -> None:
    box = world.box
    box.ok("trust-docker-registry", "--client", "all", "--yes")
    world.refuses("system")
    box.ok("trust-docker-registry", "--client", "system", "--yes")
    for name in ASK:
        world.accepts(name)
    box.ok("cert", "renew", "tls", "--yes")
    box.ok("start")
    for name in ASK:
        world.accepts(name)
    shown = box.ok("status").out
    assert "kind's node gdk-control-plane" in shown
    assert "/usr/local/share/ca-certificates/gdkreg-registry.test-5000.crt" in shown

    told = box.ok("trust-docker-registry", "--remove", "--client", "podman", "--yes").out
    assert "podman reads /etc/docker/certs.d/registry.test:5000/ca.crt too" in told
    box.ok("trust-docker-registry", "--remove", "--client", "system", "--yes")
    box.ok("trust-docker-registry", "--remove", "--client", "docker", "--yes")
    for command in (["reconfigure", "--yes"], ["trust"]):
        box.ok(*command)
        for name in ASK:
            (world.accepts if name in {"containerd", "kind"} else world.refuses)(name)
    box.ok("trust-docker-registry", "--client", "docker,podman,system", "--yes")
    box.ok("trust-docker-registry", "--remove", "--client", "docker,podman,system", "--yes")
    box.ok("undo", "--yes")
    for name in ASK:
        world.accepts(name)

    # A node that is gone is told, and the rest goes on.
    box.run("docker", "rm", "-f", NODE)
    told = box.ok("trust-docker-registry", "--remove", "--yes").out
    assert "kind's node gdk-control-plane is gone" in told
    for name in ASK:
        if name != "kind":
            world.refuses(name)
    assert world.left() == ""
    world.box.run("sh", "-c", f"rm -rf {world.node}/*")
    world.start_node()


def test_undo_and_down_take_back_what_was_named(world: World) -> None:
    box = world.box
    box.ok("trust-docker-registry", "--client", "system,kind", "--yes")
    world.accepts("system")
    world.accepts("kind")
    box.ok("undo", "--yes")
    world.refuses("system")
    world.refuses("kind")
    assert world.left() == ""
    box.ok("trust-docker-registry", "--client", "system,kind,containerd", "--yes")
    box.run("docker", "stop", "-t", "0", NODE)
    left = box.gdkreg("down", "--yes")
    assert left.code == 1
    assert f"ca.crt of kind's node {NODE}" in left.out
    assert world.left() == ""
    box.run("docker", "start", NODE)
    box.ok("down", "--yes")
    assert box.run("sh", "-c", f"ls -A {world.node}").out == ""
    assert sorted(os.listdir(box.root)) == ["gdk.yml", "registry"], "the images stay"


def test_a_client_that_is_not_here(world: World) -> None:
    box = world.box
    box.ok("reconfigure", "--yes")
    refused = box.gdkreg("trust-docker-registry", "--client", "minikube", "--yes")
    assert refused.code == 1
    assert "minikube is not on this machine" in refused.err
    assert "looked for minikube on PATH" in refused.err
    wrong = box.gdkreg("trust-docker-registry", "--client", "nonsense")
    assert wrong.code == 2
    assert "Traceback" not in wrong.err
