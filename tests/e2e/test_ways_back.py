"""Undo, down and stop in the orders in which people use them: nothing is stranded, nothing of theirs is lost."""

from __future__ import annotations

import os

import pytest

from tests.e2e.box import IMAGE, Box

PROCESS = """\
registry:
  enabled: true
  host: registry.test
  listen_address: 172.16.123.1
  self_signed: true
  auth_enabled: false
  runtime: process
"""
DOCKER = PROCESS.replace("runtime: process", f"runtime: docker\n  image: {IMAGE}")
NO_ENGINE = {"DOCKER_HOST": "unix:///run/nowhere.sock"}


@pytest.fixture(autouse=True)
def clean(box: Box) -> None:
    box.hosts.write_bytes(b"127.0.0.1\tlocalhost\n")
    box.configure(PROCESS)


def test_undo_of_the_first_run_stops_what_it_started(box: Box) -> None:
    box.ok("reconfigure")
    box.ok("start")
    box.ok("undo", "--yes")
    assert box.listeners(5000) == []
    box.ok("down")
    assert sorted(os.listdir(box.root)) == ["gdk.yml"]


def test_down_without_an_engine_does_not_forget_a_container(box: Box) -> None:
    box.configure(DOCKER)
    box.ok("reconfigure")
    box.ok("start")
    result = box.gdkreg("down", "--yes", env=NO_ENGINE)
    assert result.code == 1
    assert "left: remove registry" in result.out
    assert "cannot tell whether the registry's container runs" in result.out
    assert "start the engine" in result.out
    assert "172.16.123.1" not in box.addresses(), "the rest is taken back"
    assert box.hosts.read_bytes() == b"127.0.0.1\tlocalhost\n"
    assert sorted(os.listdir(box.root)) == [".gdkreg", "gdk.yml"], "it is kept in mind"
    assert box.run("docker", "ps", "-q").out != ""
    box.ok("down")
    assert box.run("docker", "ps", "-aq").out == ""
    assert sorted(os.listdir(box.root)) == ["gdk.yml"]


def test_a_container_stays_known_while_a_process_takes_its_place(box: Box) -> None:
    box.configure(DOCKER)
    box.ok("reconfigure")
    box.ok("start")
    status = box.gdkreg("status", env=NO_ENGINE)
    assert "nobody can tell whether it runs: no engine answers" in status.out
    box.configure(DOCKER.replace("runtime: docker", "runtime: process"))
    box.ok("reconfigure")
    box.ok("stop")
    assert box.gdkreg("start", env=NO_ENGINE).code == 0
    box.ok("down")
    assert box.run("docker", "ps", "-aq").out == ""


def test_undo_brings_a_former_address_back_and_goes_on_to_the_run_before(box: Box) -> None:
    box.ok("reconfigure")
    box.configure(PROCESS.replace("172.16.123.1", "172.16.123.9"))
    box.ok("reconfigure")
    box.ok("undo")
    assert "172.16.123.1" in box.addresses()
    assert "172.16.123.9" not in box.addresses()
    box.ok("undo")
    assert "172.16.123.1" not in box.addresses()
    assert "Nothing to undo" in box.ok("undo").out
    box.ok("down")


@pytest.mark.parametrize("broken", ["a: [", "", None])
def test_a_broken_configuration_stops_nothing_from_being_stopped(box: Box, broken: str | None) -> None:
    box.ok("reconfigure")
    box.ok("start")
    path = box.root / "registry/config.yml"
    path.unlink() if broken is None else path.write_text(broken)
    status = box.ok("status")
    assert "registry/config.yml" in status.out
    assert "pid" in status.out
    assert box.gdkreg("restart").code == 1
    assert box.listeners(5000) == ["172.16.123.1"], "it is not stopped where it could not be started again"
    assert "registry stopped" in box.ok("stop").out
    result = box.gdkreg("start")
    assert "gdkreg reconfigure" in result.err
    box.ok("down", "--keep-edits")


def test_an_original_comes_back_even_where_ours_was_deleted(box: Box) -> None:
    (box.root / "registry").mkdir(exist_ok=True)
    path = box.root / "registry/config.yml"
    path.write_text("version: 0.1 # mine\n")
    box.ok("reconfigure")
    path.unlink()
    (box.root / "jwks.json").unlink()
    box.hosts.write_bytes(box.hosts.read_bytes() + b"9.9.9.9 mine\n")
    box.ok("down")
    assert path.read_text() == "version: 0.1 # mine\n"
    assert not (box.root / ".gdkreg").exists()
    assert box.hosts.read_bytes() == b"127.0.0.1\tlocalhost\n9.9.9.9 mine\n"


def test_a_runner_file_that_is_gone_is_no_obstacle(box: Box) -> None:
    runner = box.home / ".gitlab-runner/config.toml"
    runner.parent.mkdir(exist_ok=True)
    runner.write_text("concurrent = 1\n")
    assert "holds no Docker runner" in box.ok("up", "--yes").out
    runner.write_text('[[runners]]\n  name = "a"\n  executor = "docker"\n')
    box.ok("runner-patch")
    runner.unlink()
    box.ok("reconfigure")
    assert "there is no" in box.ok("status").out
    box.ok("down")
    assert not (box.root / ".gdkreg").exists()


def test_two_roots_share_an_address(box: Box) -> None:
    other = box.folder / "other"
    other.mkdir()
    (other / "gdk.yml").write_text(PROCESS.replace("registry.test", "other.test") + "  port: 5002\n")
    box.ok("up", "--yes")
    box.ok("up", "--yes", "--root", str(other))
    box.ok("down")
    assert "172.16.123.1" in box.addresses()
    assert box.gdkreg("verify", "--root", str(other)).code == 0
    box.ok("down", "--root", str(other))


def test_disabled_takes_everything_back(box: Box) -> None:
    box.ok("up", "--yes")
    box.configure(PROCESS.replace("enabled: true", "enabled: false", 1))
    assert box.gdkreg("restart").code == 1
    assert box.listeners(5000) == ["172.16.123.1"]
    box.ok("reconfigure")
    assert box.listeners(5000) == []
    assert not (box.root / ".gdkreg").exists()


def test_two_starts_at_once(box: Box) -> None:
    box.ok("reconfigure")
    both = [box.popen("python", "-m", "gdkreg", "start", "registry") for _ in range(2)]
    outputs = sorted(process.communicate()[0] for process in both)
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum("already running" in text for text in outputs) == 1
    box.ok("down")


def test_an_engine_that_answers_with_errors(box: Box) -> None:
    script = (
        "import http.server as h\n"
        "class A(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        good = self.path.endswith(('/version', '/info'))\n"
        '        body = b\'{"ApiVersion":"1.41","Version":"1"}\' if good else b\'{"message":"broken"}\'\n'
        "        self.send_response(200 if good else 500)\n"
        "        self.send_header('Content-Length', str(len(body))); self.end_headers()\n"
        "        self.wfile.write(body)\n"
        "h.HTTPServer(('127.0.0.1', 2375), A).serve_forever()\n"
    )
    engine = box.popen("python3", "-c", script)
    box.configure(DOCKER)
    box.ok("reconfigure")
    box.run("sleep", "0.5")
    result = box.gdkreg("start", env={"DOCKER_HOST": "tcp://127.0.0.1:2375"})
    assert result.code == 1
    assert "Traceback" not in result.err
    engine.kill()
    engine.wait()
    box.run("sh", "-c", "kill $(ss -Hltnp sport = :2375 | sed 's/.*pid=\\([0-9]*\\).*/\\1/')")
    box.ok("down")
