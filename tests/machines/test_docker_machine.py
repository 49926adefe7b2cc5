"""docker-machine: a VM with an engine in it, whose address is the registry's.

The VM is a network namespace with an engine of its own, an /etc/hosts of its own and the folders of this machine, as VirtualBox
shares them. docker-machine is not packaged any more: a stand-in answers `ip`, `env`, `ls` and `ssh` with what Docker Machine's
documentation shows for 0.16 ("Get started with Docker Machine and a local VM", and its command-line reference).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.box import GDK_YML, HOST, Box, Result

IP = "192.168.99.100"
STAND_IN = f"""#!/bin/sh
case $1 in
ip) cat "$BOX/vm-ip" ;;
ls) cat "$BOX/vm-list" ;;
ssh)
  shift 2
  # It gives all its words to a shell in the VM; "unshared" hides the folders that the VM would not see.
  if [ -e "$BOX/unshared" ]; then case "$*" in "test -e"*) exit 1 ;; esac; fi
  exec nsenter --net=/run/netns/vm --mount=/proc/$(cat "$BOX/vm.pid")/ns/mnt sh -c "$*" ;;
env)
  echo 'export DOCKER_TLS_VERIFY="1"'
  echo 'export DOCKER_HOST="tcp://{IP}:2376"'
  echo "export DOCKER_CERT_PATH=\\"$BOX/machine\\""
  echo 'export DOCKER_MACHINE_NAME="default"'
  echo '# Run this command to configure your shell: '
  echo '# eval $(docker-machine env default)' ;;
esac
"""
VM = f"""
set -e
ip netns add vm; ip link add vm0 type veth peer name eth1 netns vm
ip address add 192.168.99.1/24 dev vm0; ip link set vm0 up
ip -n vm address add {IP}/24 dev eth1; ip -n vm link set eth1 up; ip -n vm link set lo up
echo {IP} > "$BOX/vm-ip"; echo "default Running" > "$BOX/vm-list"
cd "$BOX/machine"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=ca -keyout ca.key -out ca.pem 2>/dev/null
for who in server client; do
  name=$who; [ $who = client ] && name=cert
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$who -keyout $who.key -out $who.csr 2>/dev/null
  printf 'subjectAltName=IP:{IP}\\nextendedKeyUsage=serverAuth,clientAuth\\n' > ext
  openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile ext -out $name.pem 2>/dev/null
done
cp client.key key.pem
printf '127.0.0.1 localhost\\n' > "$BOX/vm-hosts"; mkdir -p "$BOX/vm-docker"
cat > "$BOX/vm" <<'END'
mount --make-rprivate /
mount --bind "$BOX/vm-hosts" /etc/hosts; mount --bind "$BOX/vm-docker" /etc/docker
echo $$ > "$BOX/vm.pid"
exec dockerd --data-root "$BOX/data" --exec-root /run/docker-exec -p /run/docker.pid -H tcp://{IP}:2376 --tlsverify \\
  --tlscacert "$BOX/machine/ca.pem" --tlscert "$BOX/machine/server.pem" --tlskey "$BOX/machine/server.key"
END
nsenter --net=/run/netns/vm unshare --mount bash "$BOX/vm" >>"$BOX/dockerd.log" 2>&1 &
for _ in $(seq 300); do
  docker -H tcp://{IP}:2376 --tlsverify --tlscacert ca.pem --tlscert cert.pem --tlskey key.pem version >/dev/null 2>&1 && break
  sleep 0.05
done
"""


class MachineBox(Box):
    """`eval "$(docker-machine env default)"` was run in the shell of all that runs in it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        for name in ("machine", "bin"):
            (folder / name).mkdir()
        (folder / "bin/docker-machine").write_text(STAND_IN)
        (folder / "bin/docker-machine").chmod(0o755)
        super().__init__(folder, start=VM)
        self.machine = {
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_HOST": f"tcp://{IP}:2376",
            "DOCKER_CERT_PATH": str(folder / "machine"),
            "DOCKER_MACHINE_NAME": "default",
        }

    def run(
        self,
        *command: str,
        cwd: Path | None = None,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> Result:
        path = {"PATH": f"{self.folder}/bin:{self._env['PATH']}"}
        return super().run(
            *command, cwd=cwd, stdin=stdin, env={**path, **(self.machine if env is None else env)}, timeout=timeout
        )


@pytest.fixture(scope="module")
def vm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MachineBox]:
    opened = MachineBox(tmp_path_factory.mktemp("vm") / "box")
    try:
        opened.import_registry()
        yield opened
    finally:
        opened.close()


IN_A_VM = GDK_YML + "  auth_enabled: false\n"


def told(box: MachineBox, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(box.ok(*arguments, "--json").out)
    return found


def test_the_registry_is_at_the_vms_address(vm: MachineBox) -> None:
    before = vm.hosts.read_bytes()
    vm.configure(IN_A_VM)
    dry = told(vm, "up", "--dry-run")
    up = told(vm, "up", "--yes")
    assert [item["text"] for item in up["actions"]] == [item["text"] for item in dry["actions"]]
    assert f"{IP} registry.test" in vm.hosts.read_text()
    assert "172.16.123.1" not in vm.addresses()
    assert vm.listeners(5000) == [], "nothing of it is on this machine"
    assert told(vm, "cert", "show")["registry_host.crt"]["names"] == ["registry.test", IP]
    status = told(vm, "status")
    assert (status["engine"]["kind"], status["engine"]["source"]) == ("machine", "docker-machine default")
    assert status["services"]["registry"]["url"] == f"https://{IP}:5000"
    assert status["services"]["registry"]["verdict"] == "ready"
    assert status["unapplied"] == []

    # What up tells to do in the VM; the certificate is there already.
    (told_to,) = [note for note in up["notes"] if "in the VM" in note]
    assert vm.run("sh", "-c", told_to.splitlines()[-1].replace("sudo ", "")).code == 0
    trusted = vm.folder / "vm-docker/certs.d" / HOST / "ca.crt"
    assert trusted.read_bytes() == (vm.root / "registry_host.crt").read_bytes()
    vm.import_small(f"{HOST}/group/app:1")
    vm.client("docker", "push", f"{HOST}/group/app:1")
    assert "group/app" in vm.ok("catalog").out
    assert (vm.root / "registry/storage/docker").is_dir(), "the images lie in this root"

    outside = vm.run("python", "-m", "gdkreg", "stop", env={})
    assert outside.code == 1
    assert (
        'it is in docker-machine default, and this shell uses another engine: eval "$(docker-machine env default)"' in outside.err
    )
    for command in (("stop",), ("start",), ("restart",), ("gc", "--yes"), ("verify",)):
        vm.ok(*command)
    left = vm.run("python", "-m", "gdkreg", "down", "--yes", env={})
    assert left.code == 1, "the container is left, told and kept in mind"
    assert "it is in docker-machine default" in left.out + left.err, left
    vm.ok("down", "--yes")
    assert vm.run("docker", "ps", "-aq").out == ""
    assert not trusted.parent.exists()
    assert vm.hosts.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GDK_YML, "the stand-in for /jwt/auth has to be where the registry is"),
        (IN_A_VM.replace("host: registry.test", "host: gdk.test"), "gdk.test cannot lead to the registry and to GitLab"),
    ],
)
def test_what_cannot_work_in_a_vm_is_refused_before_anything_changes(vm: MachineBox, text: str, words: str) -> None:
    before = vm.hosts.read_bytes()
    vm.configure(text)
    refused = vm.gdkreg("up", "--yes")
    assert refused.code == 1
    assert words in refused.err, refused
    assert vm.hosts.read_bytes() == before
    assert not (vm.root / "registry/config.yml").exists()


def test_folders_that_the_vm_does_not_see_and_an_address_of_before(vm: MachineBox) -> None:
    vm.configure(IN_A_VM)
    (vm.folder / "unshared").touch()
    refused = vm.gdkreg("up", "--yes")
    (vm.folder / "unshared").unlink()
    assert refused.code == 1
    assert f"docker-machine default does not see {vm.root}" in refused.err, refused
    (vm.folder / "vm-ip").write_text("192.168.99.101\n")
    moved = vm.gdkreg("up", "--yes")
    (vm.folder / "vm-ip").write_text(f"{IP}\n")
    assert moved.code == 1
    assert "docker-machine default is at 192.168.99.101 now" in moved.err, moved
    assert 'eval "$(docker-machine env default)"' in moved.err
    assert not (vm.root / "registry/config.yml").exists()


def test_env_leads_out_of_the_vm_and_back(vm: MachineBox) -> None:
    """In a shell, as it is meant: with quotes and without."""
    names = "DOCKER_HOST DOCKER_MACHINE_NAME DOCKER_CERT_PATH DOCKER_TLS_VERIFY"
    show = f"for name in {names}; do eval echo $name=\\$$name; done"
    for switch in ('eval "$(python -m gdkreg env)"', "eval $(python -m gdkreg env)"):
        out = vm.run("sh", "-c", f"{switch}; {show}")
        assert [line.partition("=")[2] for line in out.out.splitlines()] == ["", "", "", ""], out
        back = vm.run("sh", "-c", f"{switch}; {show}", env={})
        assert back.out.splitlines() == [f"{name}={vm.machine[name]}" for name in names.split()], back
    found = json.loads(vm.gdkreg("env", "--json").out)
    assert (found["machine"], found["address"], found["client"]) == ("default", IP, "")
    assert found["unset"] == ["DOCKER_CERT_PATH", "DOCKER_HOST", "DOCKER_MACHINE_NAME", "DOCKER_TLS_VERIFY"]
    outside = json.loads(vm.run("python", "-m", "gdkreg", "env", "--json", env={}).out)
    assert (outside["machine"], outside["run"]) == ("", 'eval "$(docker-machine env default)"')
    assert outside["machines"] == [{"name": "default", "state": "Running"}]


def test_the_vm_is_left_while_it_is_off(vm: MachineBox) -> None:
    """Its trust and its container stay there: reconfigure goes on, tells of both, and down takes them back later."""
    crt, tool = vm.folder / "vm-docker/certs.d" / HOST / "ca.crt", vm.folder / "bin/docker-machine"
    vm.configure(IN_A_VM)
    crt.unlink(missing_ok=True)  # of the tests before
    vm.run("mkdir", "-p", f"{vm.folder}/home/.docker/machine/machines/default")
    vm.ok("up", "--yes")
    vm.ok("trust-docker-registry", "--client", "docker", "--yes")
    assert crt.exists()
    tool.write_text(STAND_IN.replace("ssh)\n", "ssh) echo 'Host is not running' >&2; exit 1\n", 1))
    left = vm.run("python", "-m", "gdkreg", "reconfigure", "--yes", env={})
    again = vm.run("python", "-m", "gdkreg", "reconfigure", "--yes", env={})
    tool.write_text(STAND_IN)
    assert left.code == 0, left
    assert "a container of the registry may be left behind: it is in docker-machine default" in left.out
    assert (again.code, "Nothing to do" in again.out) == (0, True), again
    refused = vm.gdkreg("down", "--yes")
    assert "fix: unset DOCKER_CERT_PATH DOCKER_HOST DOCKER_MACHINE_NAME DOCKER_TLS_VERIFY, then the same command again" in (
        refused.out
    ), refused
    assert not crt.exists()
    vm.run("docker", "rm", "-f", vm.run("docker", "ps", "-aq").out.strip())
