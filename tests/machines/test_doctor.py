"""doctor on a real machine: it changes nothing, and what it says of a network, a firewall, a list or a clock is so."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.box import GDK_YML, HOST, Box, Result
from tests.machines import gdk_root

# A registry as far as /v2/ goes, whose clock is off by as many seconds as the file `off` says.
_REGISTRY = f"""#!{sys.executable}
import os, ssl, time
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response_only(200)
        self.send_header("Date", self.date_time_string(time.time() + float(open("OFF").read())))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Length", "0")
        self.end_headers()
host, _, port = os.environ["REGISTRY_HTTP_ADDR"].rpartition(":")
server = HTTPServer((host, int(port)), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.environ["REGISTRY_HTTP_TLS_CERTIFICATE"], os.environ["REGISTRY_HTTP_TLS_KEY"])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def up(box: Box) -> Box:
    box.import_image("curl:dev", {"bin/curl": shutil.which("curl") or "/usr/bin/curl"}, 'ENTRYPOINT ["/bin/curl"]')
    box.up_with_an_image()
    return box


@pytest.fixture
def well(up: Box) -> Iterator[Box]:
    """A machine on which nothing is broken, before and after."""
    assert up.gdkreg("doctor").code == 0, up.gdkreg("doctor")
    yield up
    assert up.gdkreg("doctor").code == 0, up.gdkreg("doctor")


def doctor(box: Box, code: int) -> Result:
    result = box.gdkreg("doctor")
    assert result.code == code, result
    assert "Traceback" not in result.err
    return result


def snapshot(box: Box) -> dict[str, object]:
    """All that a command of ours could change."""
    tree = {}
    for folder in (box.root, box.home, box.folder / "etc-docker", box.folder / "etc-systemd", box.hosts):
        for path in [folder, *(folder.rglob("*") if folder.is_dir() else [])]:
            if path.parent == box.root / ".gdkreg/log":
                continue  # a service tells there that it was asked
            found = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            tree[str(path)] = (found.st_mode, found.st_uid, found.st_gid, found.st_ino, found.st_mtime_ns, content)
    told = [
        "ip -j address",
        "ip route",
        "iptables-save -t filter",
        "docker ps -aq --no-trunc",
        "docker images -q | sort",
        "docker network ls -q",
    ]
    container = json.loads(box.run("sh", "-c", "docker inspect $(docker ps -aq)").out)
    kept = [{key: item[key] for key in ("Id", "State", "ExecIDs", "HostConfig", "Config")} for item in container]
    said = {command: _without_counters(box.run("sh", "-c", command).out) for command in told}
    return {
        "tree": tree,
        "containers": kept,
        "ps": box.run("sh", "-c", "ps -eo pid,args --no-headers | grep -v ps").out.count("\n"),
        **said,
    }


def _without_counters(text: str) -> str:
    return "\n".join(line.split(" [")[0] for line in text.splitlines() if not line.startswith("#"))


def test_nothing_is_changed(well: Box) -> None:
    before = snapshot(well)
    text = doctor(well, 0).out
    found = json.loads(well.ok("doctor", "--json").out)
    after = snapshot(well)
    assert {key: (before[key], after[key]) for key in before if before[key] != after[key]} == {}
    subjects = [item["name"] for item in found["findings"]]
    assert subjects == ["root", "engine", "address", "names", "certificates", "trust", "containers", "registry", "storage"]
    assert {"level", "text", "why", "fix"} == set(found["findings"][0]["notes"][0])
    assert text.splitlines()[-1] == "Nothing is broken, 1 warning."
    assert len(text.splitlines()) <= 13, text


def reaches(box: Box, network: str) -> bool:
    """Whether a container there gets an answer of the registry's at the alias."""
    ask = ["-sk", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}", "https://172.16.123.1:5000/v2/"]
    return box.run("docker", "run", "--rm", "--network", network, "curl:dev", *ask).out == "401"


def test_another_network_covers_the_alias(well: Box) -> None:
    """One that another machine is on, which reaches the registry then; an engine's own is no matter."""
    assert reaches(well, "bridge")
    assert well.run("docker", "network", "create", "--subnet", "172.16.0.0/16", "wide").code == 0
    assert "covers" not in doctor(well, 0).out
    assert reaches(well, "wide")
    well.run("docker", "network", "rm", "wide")
    away = """
        ip netns add away
        ip link add lan0 type veth peer name far netns away
        ip address add 172.16.0.1/16 dev lan0
        ip link set lan0 up
        ip -n away address add 172.16.0.2/16 dev far
        ip -n away link set far up
    """
    assert well.run("sh", "-ec", away).code == 0
    try:
        out = doctor(well, 0).out
        assert "lan0 is on 172.16.0.0/16, which covers 172.16.123.1: that network may reach the registry" in out
        assert "→ gdkreg config set registry.listen_address 10.123.123.1; gdkreg up" in out
        ask = ["curl", "-sk", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}", "https://172.16.123.1:5000/v2/"]
        assert well.run("ip", "netns", "exec", "away", *ask).out == "401", "what was said is so"
    finally:
        well.run("ip", "link", "del", "lan0")
    assert "covers" not in doctor(well, 0).out


def test_a_firewall(well: Box) -> None:
    closed = "iptables -A INPUT -i lo -j ACCEPT; iptables -A INPUT -m state --state ESTABLISHED -j ACCEPT; iptables -P INPUT DROP"
    assert well.run("sh", "-c", closed).code == 0
    try:
        out = doctor(well, 0).out
        assert "the firewall refuses containers that ask for port 5000: jobs and builds time out" in out
        assert not reaches(well, "bridge"), "what was said is so"
        fix = next(line for line in out.splitlines() if "→ sudo iptables" in line).partition("sudo ")[2]
        assert well.run(*fix.split()).code == 0
        assert reaches(well, "bridge"), "the cure cures"
        assert "no firewall is in the way" in doctor(well, 0).out
    finally:
        well.run("sh", "-c", "iptables -P INPUT ACCEPT; iptables -F INPUT")


def test_somebody_has_the_port(well: Box) -> None:
    well.ok("stop")
    assert "registry: stopped" in doctor(well, 1).out
    other = well.popen("python3", "-m", "http.server", "5000", "--bind", "172.16.123.1")
    try:
        for _ in range(100):
            if well.listeners(5000):
                break
            time.sleep(0.05)
        out = doctor(well, 1).out
        assert "port 5000 of 172.16.123.1 is held by python3" in out
        assert "→ gdkreg config set registry.port 5001; gdkreg reconfigure; gdkreg start" in out
    finally:
        well.run("sh", "-c", "kill $(ss -Hltnp 'sport = :5000' | sed 's/.*pid=//; s/,.*//')")
        other.wait()
    well.ok("start")


def reload(box: Box, text: str) -> None:
    box.run("sh", "-c", "cat > /etc/docker/daemon.json; kill -HUP $(cat /run/docker.pid); sleep 1", stdin=text)


def test_the_insecure_list(up: Box) -> None:
    listed = json.dumps({"insecure-registries": [HOST]})
    reload(up, listed)
    out = doctor(up, 0).out
    assert f"{HOST} is in the engine's insecure-registries" in out
    assert "→ gdkreg insecure off" in out
    up.configure(GDK_YML.replace("self_signed: true", "self_signed: false\n  auth_enabled: false"))
    up.ok("up", "--yes", "--no-verify") if "--no-verify" in up.gdkreg("up", "--help").out else up.gdkreg("up", "--yes")
    assert "insecure-registries" not in doctor(up, 0).out
    up.client("docker", "push", f"{HOST}/group/app:1")
    reload(up, '{"insecure-registries": []}')
    out = doctor(up, 1).out
    assert f"{HOST} speaks plain HTTP and is not in insecure-registries: the engine refuses it" in out
    assert "gave HTTP response to HTTPS client" in up.client("docker", "push", f"{HOST}/group/app:1", want=False).err
    reload(up, "{}")
    up.configure(GDK_YML)
    up.ok("up", "--yes")
    doctor(up, 0)


def test_a_hosts_file_from_windows(well: Box) -> None:
    before = well.hosts.read_bytes()
    try:
        well.hosts.write_bytes(before.replace(b"\n", b"\r\n"))
        out = doctor(well, 0).out
        assert "- " in out
        assert "/etc/hosts has Windows line ends: the system and Docker read them" in out
        assert well.run("getent", "hosts", "registry.test").out.split()[0] == "172.16.123.1"
        well.ok("login")
        well.client("docker", "push", f"{HOST}/group/app:1")
        fix = next(line for line in out.splitlines() if "→ sudo sed" in line).partition("sudo ")[2]
        well.run("sh", "-c", f"{fix.replace(' -i ', ' ')} > /run/h; cat /run/h > /etc/hosts")  # no rename over a mount
        assert well.hosts.read_bytes() == before
        first, _, rest = before.partition(b"\n")
        well.hosts.write_bytes(
            b"\xef\xbb\xbf172.16.123.1 registry.test\n" + first + b"\n" + rest.replace(b"172.16.123.1 registry.test", b"#")
        )
        out = doctor(well, 1).out
        assert "begins with a byte order mark: its first line counts for nothing" in out
        assert "registry.test cannot be looked up" in out
    finally:
        well.hosts.write_bytes(before)


def test_files_that_are_broken(well: Box) -> None:
    """Each is a finding with its place, and no traceback."""
    gdk_root.make(well, "procfile")
    (well.root / "Procfile").write_text("redis: exec redis\nwhat is this\n")
    well.configure(GDK_YML + "gdk:\n  start_hooks:\n    before: echo\n")
    well.run("sh", "-c", "echo '{,}' > /etc/docker/daemon.json")
    (well.root / "gitlab-runner-config.toml").write_text("[[runners]]\nexecutor = 'docker'\nx = = 1\n")
    out = doctor(well, 1).out
    assert "/etc/docker/daemon.json:1: not valid JSON" in out
    assert f"{well.root}/Procfile:2 is no line of the form NAME: COMMAND" in out
    assert "gdk.start_hooks.before: expected a list of commands" in out
    assert f"{well.root}/gitlab-runner-config.toml" in out
    well.configure(GDK_YML)
    well.run("sh", "-c", "rm -r /etc/docker/daemon.json Procfile gitlab-runner-config.toml lib bin")


def test_a_user_who_may_not_ask_the_engine(well: Box) -> None:
    reads = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
    nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *reads)
    result = well.run(*nobody, sys.executable, "-m", "gdkreg", "doctor", env={"PYTHONDONTWRITEBYTECODE": "1", "USER": "nobody"})
    assert result.code == 1, result
    assert "docker.sock is for the group" in result.out
    assert "→ sudo usermod -aG" in result.out
    assert "Traceback" not in result.err


def test_a_clock_that_is_off(lone_box: Box) -> None:
    box = lone_box
    off = box.root / "off"
    off.write_text("-300")
    program = box.root / "slow-clock"
    program.write_text(_REGISTRY.replace("OFF", str(off)))
    program.chmod(0o755)
    keys = "  runtime: process\n  bin: slow-clock\n  auth_enabled: false\n"
    box.configure(GDK_YML + keys)
    box.ok("reconfigure", "--yes")
    box.ok("start", "registry")
    out = doctor(box, 1).out
    assert "the registry's clock is 300 s behind: it refuses tokens as expired or not valid yet" in out or "301 s behind" in out
    assert "→ sudo timedatectl set-ntp true" in out
    off.write_text("0")
    out = box.gdkreg("doctor").out
    assert "clock" not in out


def test_a_disk_that_is_nearly_full(lone_box: Box) -> None:
    box = lone_box
    box.configure(GDK_YML + "  runtime: process\n  auth_enabled: false\n")
    box.ok("reconfigure", "--yes")
    small: Path = box.root / "registry/storage"
    assert box.run("mount", "-t", "tmpfs", "-o", "size=50m", "tmpfs", str(small)).code == 0
    box.ok("start", "registry")
    out = doctor(box, 1).out
    assert "MB are free for the storage: a push breaks off when the disk is full" in out
