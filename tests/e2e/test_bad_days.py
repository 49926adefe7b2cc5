"""What goes wrong on a real machine: each one clear error with a way out, and nothing half-done."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.box import IMAGE, Box, child

BASE = """\
registry:
  enabled: true
  host: registry.test
  listen_address: 172.16.123.1
  self_signed: true
  auth_enabled: false
"""
PROCESS = BASE + "  runtime: process\n"
DOCKER = BASE + f"  runtime: docker\n  image: {IMAGE}\n"


def files_of(box: Box) -> list[str]:
    return sorted(str(path.relative_to(box.root)) for path in box.root.rglob("*") if path.is_file())


@pytest.mark.parametrize("moment", range(0, 18, 2))
def test_killed_at_any_moment_then_converged(lone_box: Box, moment: int) -> None:
    """`moment` is how many lines of the journal are written when it is killed."""
    box = lone_box
    box.configure(PROCESS)
    before = box.hosts.read_bytes()
    journal = box.root / ".gdkreg/journal.jsonl"
    process = box.popen("python", "-m", "gdkreg", "reconfigure")
    inside = child(process.pid)
    while process.poll() is None and (journal.read_bytes().count(b"\n") if journal.exists() else 0) < moment:
        pass
    os.kill(inside, signal.SIGKILL)
    process.wait()
    hosts = box.hosts.read_text()
    assert hosts.count(">>> managed") == hosts.count("# <<< gdkreg"), "no half file"
    assert box.gdkreg("plan", "--exit-code").code == 3, "it was killed before the end"
    box.ok("reconfigure")
    assert not [name for name in files_of(box) if "gdkreg-new" in name]
    assert box.gdkreg("plan", "--exit-code").code == 0
    box.ok("down")
    assert box.hosts.read_bytes() == before
    assert files_of(box) == ["gdk.yml"]


def test_two_at_once_one_waits(lone_box: Box) -> None:
    box = lone_box
    box.configure(PROCESS)
    (box.root / ".gdkreg").mkdir(mode=0o700)
    holder = box.popen("flock", str(box.root), "sleep", "1.5")
    time.sleep(0.3)
    begin = time.monotonic()
    result = box.ok("reconfigure")
    assert "another gdkreg is at work in this root; waiting for it" in result.err
    assert time.monotonic() - begin > 0.8
    holder.wait()
    box.configure(PROCESS + "  port: 5001\n")
    both = [box.popen("python", "-m", "gdkreg", "reconfigure") for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum("Nothing to do" in text for text in outputs) == 1


def test_full_disk_leaves_the_old_file_whole(lone_box: Box) -> None:
    box = lone_box
    small = box.folder / "gdk"
    assert box.run("mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(small), cwd=box.folder).code == 0
    box.run("sh", "-c", f"cat > {small}/gdk.yml", stdin=PROCESS, cwd=box.folder)
    box.ok("reconfigure")
    old = box.run("cat", "registry/config.yml").out
    box.run("sh", "-c", "sed -i 's/process/process\\n  port: 5001/' gdk.yml; head -c 300k /dev/zero > filler")
    result = box.gdkreg("reconfigure")
    assert result.code == 1
    assert "the disk is full" in result.err
    assert "Traceback" not in result.err
    assert box.run("cat", "registry/config.yml").out == old
    box.run("rm", "filler")
    box.ok("reconfigure")
    assert "addr: :5001" in box.run("cat", "registry/config.yml").out


def test_a_full_disk_under_a_bind_mounted_hosts_file(lone_box: Box) -> None:
    box = lone_box
    box.configure(PROCESS)
    script = (
        "mkdir /run/s; mount -t tmpfs -o size=4k tmpfs /run/s; cp /etc/hosts /run/s/hosts; mount --bind /run/s/hosts /etc/hosts"
    )
    assert box.run("sh", "-c", script).code == 0
    # One page of 4096 bytes, nearly full: our block does not fit any more.
    filled = box.run("sh", "-c", "yes '# a long list of names' | head -c $((4040 - $(stat -c %s /run/s/hosts))) >> /run/s/hosts")
    assert filled.code == 0
    before = box.run("cat", "/etc/hosts").out
    result = box.gdkreg("reconfigure")
    assert result.code == 1
    assert "the disk is full" in result.err
    assert box.run("cat", "/etc/hosts").out == before


@pytest.mark.parametrize(
    ("spoil", "heal", "sentence"),
    [
        ("chattr +i", "chattr -i", "chattr -i /etc/hosts"),
        ("mount -o remount,ro,bind", "mount -o remount,rw,bind", "read-only file system"),
    ],
)
def test_a_hosts_file_that_cannot_be_written(lone_box: Box, spoil: str, heal: str, sentence: str) -> None:
    box = lone_box
    box.configure(PROCESS)
    before = box.hosts.read_bytes()
    target = "/etc/hosts"
    if box.run(*spoil.split(), target).code != 0:
        pytest.fail(f"{spoil} does not work here")
    try:
        result = box.gdkreg("reconfigure")
        assert result.code == 1
        assert sentence in result.err
        assert box.hosts.read_bytes() == before
    finally:
        box.run(*heal.split(), target)
    box.ok("reconfigure")


def test_without_sudo_the_commands_are_told_and_work(lone_box: Box) -> None:
    box = lone_box
    box.configure(PROCESS)
    box.run("chown", "-R", "65534:65534", str(box.root), str(box.home))
    # Not root, but able to read this checkout, wherever it lies.
    reads = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
    as_nobody: tuple[str, ...] = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *reads)
    as_nobody += ("python", "-m", "gdkreg", "reconfigure")
    told: list[str] = []
    for _ in range(4):
        result = box.run(*as_nobody, env={"PYTHONDONTWRITEBYTECODE": "1"})
        if result.code == 0:
            break
        assert result.code == 4, result
        assert "there is no sudo on this machine" in result.err or "sudo wants a password" in result.err
        (command,) = re.findall(r"^  ((?:printf .*\| )?sudo .*)$", result.err, re.MULTILINE)
        told.append(command)
        done = box.run("sh", "-c", command.replace("sudo ", ""))
        assert done.code == 0, done
    assert result.code == 0, told
    assert len(told) == 2
    assert "172.16.123.1 registry.test" in box.hosts.read_text()


def test_docker_stopped(box: Box) -> None:
    box.configure(DOCKER)
    box.ok("reconfigure")
    result = box.gdkreg("start", "registry", env={"DOCKER_HOST": "unix:///run/nowhere.sock"})
    assert result.code == 1
    assert "no engine answers at unix:///run/nowhere.sock: there is no such socket" in result.err
    assert "gdkreg config set registry.runtime process" in result.err


def test_image_missing(box: Box) -> None:
    box.configure(DOCKER.replace(IMAGE, "registry.invalid/no/such:image"))
    box.ok("reconfigure")
    result = box.gdkreg("start", "registry")
    assert result.code == 1
    assert "cannot pull registry.invalid/no/such:image" in result.err
    assert "docker pull registry.invalid/no/such:image" in result.err


def test_auto_falls_back_to_the_process_and_says_why(box: Box) -> None:
    box.configure(DOCKER.replace(IMAGE, "registry.invalid/no/such:image").replace("runtime: docker", "runtime: auto"))
    box.ok("reconfigure")
    result = box.ok("start", "registry")
    assert "cannot pull registry.invalid/no/such:image" in result.out + result.err
    assert json.loads(box.ok("status", "--json").out)["services"]["registry"]["runtime"] == "process"
    box.ok("stop", "registry")


@pytest.mark.parametrize("text", [DOCKER, PROCESS])
def test_dies_while_starting_shows_its_last_lines(box: Box, text: str) -> None:
    box.configure(text + "  config: {storage: {nosuch: {}}}\n")
    box.ok("reconfigure")
    begin = time.monotonic()
    result = box.gdkreg("start", "registry")
    assert result.code == 1
    assert "the registry died while starting" in result.err
    assert "StorageDriver not registered: nosuch" in result.err
    assert time.monotonic() - begin < 5, "it fails as soon as it dies"
    assert "nosuch" in box.ok("tail", "registry", "--no-follow").out, "the log is kept"


@pytest.mark.parametrize("text", [DOCKER, PROCESS])
def test_port_taken_names_the_holder(box: Box, text: str) -> None:
    box.configure(text)
    box.ok("reconfigure")
    script = "import socket,time; s=socket.socket(); s.bind(('172.16.123.1',5000)); s.listen(); time.sleep(30)"
    holder = box.popen("python3", "-c", script)
    try:
        for _ in range(100):
            if box.listeners(5000):
                break
            time.sleep(0.05)
        result = box.gdkreg("start", "registry")
        assert result.code == 1
        assert re.search(r"port 5000 of 172.16.123.1 is held by python3?\S* \(pid \d+\)", result.err), result
        assert "gdkreg config set registry.port 5001" in result.err
    finally:
        os.kill(child(holder.pid), signal.SIGKILL)
        holder.wait()


def test_airplay_is_recognised(box: Box) -> None:
    box.configure(PROCESS)
    box.ok("reconfigure")
    script = (
        "import http.server as h\n"
        "class A(h.BaseHTTPRequestHandler):\n"
        "    server_version = 'AirTunes/745.83'; sys_version = ''\n"
        "    def do_GET(self): self.send_response(403); self.end_headers()\n"
        "h.HTTPServer(('0.0.0.0', 5000), A).serve_forever()\n"
    )
    holder = box.popen("python3", "-c", script)
    try:
        for _ in range(100):
            if box.listeners(5000):
                break
            time.sleep(0.05)
        assert "is held by AirPlay" in box.gdkreg("start", "registry").err
    finally:
        os.kill(child(holder.pid), signal.SIGKILL)
        holder.wait()


def test_another_user_reads_what_it_must_and_storage_must_be_writable(box: Box) -> None:
    box.configure(DOCKER + "  uid: 1000\n  gid: 1001\n")
    box.ok("reconfigure")
    copy = (box.root / ".gdkreg/mounts/registry_host.key").stat()
    assert (copy.st_mode & 0o777, copy.st_uid, copy.st_gid) == (0o400, 1000, 1001)
    box.ok("start", "registry")
    user = box.run("docker", "ps", "-q", "--filter", "label=gdkreg.root").out.strip()
    assert box.run("docker", "inspect", "-f", "{{.Config.User}}", user).out.strip() == "1000:1001"
    box.import_small("registry.test:5000/by/user:1")
    box.ok("trust-docker-registry")
    box.client("docker", "push", "registry.test:5000/by/user:1")
    box.ok("stop", "registry")
    box.run("chown", "0:0", str(box.root / "registry/storage"))
    result = box.gdkreg("restart", "registry")
    assert result.code == 1
    assert "is not writable for user 1000" in result.err
    assert "sudo chown -R 1000" in result.err
    box.ok("reconfigure")
    box.ok("start", "registry")
    box.configure(DOCKER)
    box.ok("reconfigure")
    assert (box.root / "registry/storage").stat().st_uid == 0
    box.ok("stop")


@pytest.mark.parametrize("text", [DOCKER, PROCESS])
def test_the_alias_is_gone_while_it_runs(box: Box, text: str) -> None:
    box.configure(text)
    box.ok("reconfigure")
    box.ok("start", "registry")
    box.run("sh", "-c", "ip addr del 172.16.123.1/32 dev lo 2>/dev/null || ip link del gdkreg0")
    assert "172.16.123.1 is missing" in box.ok("status").out
    assert box.gdkreg("doctor").code == 1
    box.ok("reconfigure")
    assert box.gdkreg("doctor").code == 0, box.gdkreg("doctor")
    box.ok("stop", "registry")
    box.run("sh", "-c", "ip addr del 172.16.123.1/32 dev lo 2>/dev/null || ip link del gdkreg0")
    result = box.gdkreg("start", "registry")
    assert result.code == 1
    assert "172.16.123.1 is not an address of this machine" in result.err
    assert "fix: gdkreg reconfigure" in result.err
    box.ok("reconfigure")


def test_changes_that_were_not_applied(box: Box) -> None:
    box.configure(PROCESS)
    box.ok("reconfigure")
    box.configure(PROCESS + "  port: 5009\n")
    result = box.ok("start", "registry")
    assert "registry.port: 5000 → 5009" in result.out
    assert box.listeners(5000) == ["172.16.123.1"]
    box.ok("reconfigure")
    box.ok("restart", "registry")
    assert box.listeners(5009) == ["172.16.123.1"]
    assert box.listeners(5000) == []
    box.ok("stop")


def test_a_pid_that_was_given_to_another_process_is_not_touched(box: Box) -> None:
    box.configure(PROCESS)
    box.ok("reconfigure")
    box.ok("start", "registry")
    box.ok("stop", "registry")
    other = box.popen("sleep", "60")
    inside = child(other.pid)
    pid = int(re.findall(r"NSpid:\s+\d+\s+(\d+)", Path(f"/proc/{inside}/status").read_text())[0])
    record = {"pid": pid, "started": 1.0, "digest": "x"}
    (box.root / ".gdkreg/registry.pid").write_text(json.dumps(record))
    assert "was not running" in box.ok("stop", "registry").out
    assert other.poll() is None
    os.kill(inside, signal.SIGKILL)
    other.wait()


def test_ctrl_c_in_tail_and_in_start(box: Box) -> None:
    box.configure(PROCESS)
    box.ok("reconfigure")
    box.ok("start", "registry")
    tail = box.popen("python", "-m", "gdkreg", "tail", "registry")
    time.sleep(1)
    os.kill(child(tail.pid), signal.SIGINT)
    text = tail.communicate(timeout=5)[0]
    assert tail.returncode == 0
    assert "listening on" in text
    assert "Traceback" not in text
    box.ok("stop", "registry")


def test_another_address_belongs_to_another_machine(lone_box: Box) -> None:
    box = lone_box
    script = """
set -e
ip link add veth0 type veth peer name veth1
setsid unshare --net sleep 60 </dev/null >/dev/null 2>&1 &
pid=$!; sleep 0.3
ip link set veth1 netns $pid
ip addr add 10.9.0.1/24 dev veth0; ip link set veth0 up
nsenter --target $pid --net sh -c 'ip addr add 10.9.0.2/24 dev veth1; ip link set veth1 up'
"""
    assert box.run("sh", "-c", script).code == 0
    box.configure(PROCESS.replace("172.16.123.1", "10.9.0.2"))
    result = box.gdkreg("reconfigure")
    assert result.code == 1
    assert "10.9.0.2 belongs to another machine" in result.err
    box.configure(PROCESS.replace("172.16.123.1", "10.9.0.1"))
    assert "10.9.0.1 is the address of veth0" in box.gdkreg("reconfigure").err
    box.configure(PROCESS.replace("172.16.123.1", "10.9.0.77"))
    assert "veth0 is on 10.9.0.0/24, which covers 10.9.0.77" in box.ok("reconfigure").out


def test_ctrl_c_while_it_starts_stops_what_was_begun(box: Box) -> None:
    slow = box.root / "slow-registry"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    box.configure(PROCESS + "  bin: slow-registry\n")
    box.ok("reconfigure")
    start = box.popen("python", "-m", "gdkreg", "start", "registry")
    time.sleep(1.2)
    os.kill(child(start.pid), signal.SIGINT)
    text = start.communicate(timeout=10)[0]
    assert start.returncode == 130
    assert "interrupted" in text
    assert "Traceback" not in text
    assert "was not running" in box.ok("stop", "registry").out
    box.configure(PROCESS)
    box.ok("reconfigure")
    slow.unlink()


def test_a_health_check_inside_where_the_image_has_a_shell(box: Box) -> None:
    """GitLab's own check reads «unhealthy» with TLS on; ours fits the configuration."""
    box.import_registry("registry:shell", shell=True)
    box.configure(DOCKER.replace(IMAGE, "registry:shell"))
    box.ok("reconfigure")
    box.ok("start", "registry")
    name = box.run("docker", "ps", "-q", "--filter", "label=gdkreg.root").out.strip()
    test = json.loads(box.run("docker", "inspect", "-f", "{{json .Config.Healthcheck}}", name).out)
    assert test["Test"][0] == "CMD-SHELL"
    inside = box.run("docker", "exec", name, "/bin/sh", "-c", test["Test"][1])
    assert inside.code == 0, inside
    spoilt = box.run("docker", "exec", name, "/bin/sh", "-c", test["Test"][1].replace(":5000", ":5999"))
    assert spoilt.code != 0
    box.ok("stop", "registry")
