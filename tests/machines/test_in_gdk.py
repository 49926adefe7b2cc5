"""Under GDK's supervisor, with Debian's runit, in both ways in which GDK links its services."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.box import GDK_YML, HOST, Box, child
from tests.machines import gdk_root
from tests.machines.gdk_root import gdk, log

WAYS: list[gdk_root.Way] = ["procfile", "services"]


@pytest.fixture(autouse=True)
def _runit() -> None:
    if shutil.which("runsvdir") is None:
        pytest.fail("Debian's runit is missing: support/bootstrap test")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> gdk_root.Way:
    found: gdk_root.Way = request.param
    return found


@pytest.fixture
def root(lone_engine_box: Box, way: gdk_root.Way) -> Box:
    box = lone_engine_box
    box.import_registry()
    gdk_root.make(box, way)
    box.configure(GDK_YML)
    box.ok("reconfigure", "--yes")
    return box


def until(box: Box, what: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, log(box)
        time.sleep(0.1)


def containers(box: Box) -> list[str]:
    return box.run("docker", "ps", "--format", "{{.Names}}").out.split()


def snapshot(box: Box) -> dict[str, str]:
    """What stands in services and sv, but runit's own."""
    found = {}
    for top in ("services", "sv"):
        for folder, names, files in os.walk(box.root / top):
            for name in [*names, *files]:
                path = Path(folder) / name
                if "supervise" not in path.parts and path.name != path.parent.name:
                    text = os.readlink(path) if path.is_symlink() else path.read_text() if path.is_file() else "folder"
                    found[str(path.relative_to(box.root))] = text
    return found


def status(box: Box) -> dict[str, object]:
    found: dict[str, object] = json.loads(box.ok("gdk", "status", "--json").out)
    return found


def test_gdks_commands_drive_ours_and_off_gives_its_own_back(root: Box, way: gdk_root.Way) -> None:
    box = root
    gdk(box, "start")  # GDK's own, as before us
    before = snapshot(box)
    assert ("services/registry" in before) == (way == "procfile")
    if way == "procfile":
        until(box, lambda: "own registry of gdk" in log(box))
    told = box.ok("gdk", "on", "--dry-run").out
    box.ok("gdk", "on", "--yes")
    assert "gdk start drives this registry" in told
    assert not (box.root / "services/registry").is_symlink()

    gdk(box, "start", "registry")
    until(box, lambda: "runs" in log(box) and box.listeners(5000) == ["172.16.123.1"])
    assert "run: " in gdk(box, "status", "registry")
    assert "registry : " in log(box) or way == "services"
    found = status(box)
    assert (found["gdk"], found["service"], found["supervisor"], found["whose"]) == (True, "gdkreg", True, "gdkreg")
    assert box.gdkreg("plan", "--exit-code").code == 0

    gdk(box, "stop", "registry")
    assert containers(box) == []
    assert box.listeners(5000) == []
    assert box.listeners(5001) == []
    assert "not run" not in box.ok("status").out
    gdk(box, "start")  # with everything, and what GDK drops into our folder is harmless
    until(box, lambda: log(box).count("runs") == 2)
    gdk(box, "restart", "registry")
    until(box, lambda: bool(box.listeners(5000)) and log(box).count("runs") >= 3)
    assert len(containers(box)) == 1

    box.ok("gdk", "off", "--yes")
    assert containers(box) == []
    assert snapshot(box) == before
    gdk(box, "start", "registry", ok=way == "procfile")
    if way == "procfile":
        until(box, lambda: log(box).count("own registry of gdk") >= 2)
    assert status(box)["service"] == ("gdk" if way == "procfile" else "")


def test_gdkreg_and_the_supervisor_agree(root: Box) -> None:
    box = root
    box.ok("start")  # without the supervisor, which does not run yet
    gdk(box, "status", ok=False)
    before_us = snapshot(box)
    (one,) = containers(box)
    box.ok("gdk", "on", "--yes")  # what runs is taken over, as it is
    until(box, lambda: "runs" in log(box))
    assert containers(box) == [one]
    assert status(box)["wanted"] == "up"

    assert "under GDK's supervisor" not in box.ok("start").out
    box.ok("stop", "registry")
    assert containers(box) == []
    assert box.listeners(5001) == []
    assert "down: " in gdk(box, "status", "registry", ok=False)
    assert status(box)["wanted"] == "down"

    assert "under GDK's supervisor" in box.ok("start", "registry").out
    until(box, lambda: log(box).count("runs") == 2)
    assert "run: " in gdk(box, "status", "registry")
    before = status(box)["pid"]
    box.ok("restart")
    time.sleep(3)
    found = status(box)
    assert (found["wanted"], found["state"], found["whose"]) == ("up", "run", "gdkreg")
    assert found["pid"] == before, log(box)  # it follows what a restart puts in the place of what it followed
    assert len(containers(box)) == 1
    assert box.listeners(5001)

    box.ok("down", "--yes")
    assert containers(box) == []
    assert snapshot(box) == before_us
    assert not (box.root / ".gdkreg").exists()


def test_what_gdk_wrote_over_is_healed_and_what_was_killed_leaves_nothing(root: Box, way: gdk_root.Way) -> None:
    box = root
    box.ok("gdk", "on", "--yes")
    (box.root / "registry/config.yml").write_text("version: 0.1\nhttp:\n  addr: :5000\n")  # as gdk reconfigure does
    gdk(box, "start", "registry")
    until(box, lambda: "runs" in log(box))
    assert log(box).count("put right first: registry/config.yml") == 1
    assert box.listeners(5000) == ["172.16.123.1"]

    pid = int(str(status(box)["pid"]))
    box.run("kill", "-9", str(pid))  # the follower alone: what serves is stopped by `finish`, and started by the next one
    until(box, lambda: log(box).count("runs") == 2)
    assert len(containers(box)) == 1
    box.run("docker", "kill", containers(box)[0])  # it dies with its container, and runit begins anew
    until(box, lambda: "the registry has ended" in log(box))
    until(box, lambda: log(box).count("runs") == 3)
    assert "Traceback" not in log(box)
    box.run("sv", "once", str(box.root / "services/registry"))  # so that nobody but `finish` can clean up
    box.run("kill", "-9", str(status(box)["pid"]))
    until(box, lambda: containers(box) == [] and not box.listeners(5001))
    if way == "services":
        box.ok("down", "--yes")
        assert not (box.root / "services/registry").exists()


def test_an_engine_that_is_away_is_waited_for(root: Box) -> None:
    box = root
    box.ok("gdk", "on", "--yes")
    gdk(box, "start", "registry")
    until(box, lambda: "runs" in log(box))
    box.run("sh", "-c", 'kill "$(cat /run/docker.pid)"; while [ -e /run/docker.pid ]; do sleep 0.05; done')
    until(box, lambda: "waiting: " in log(box), 40)
    time.sleep(6)
    assert log(box).count("waiting: ") == 1
    assert "Traceback" not in log(box)
    box.run("sh", "-c", 'setsid bash "$BOX/engine" >/dev/null 2>&1')
    until(box, lambda: "is back" in log(box), 60)
    assert len(containers(box)) == 1
    gdk(box, "stop", "registry")
    assert containers(box) == []


def test_a_gdkreg_that_is_uninstalled_does_not_stop_gdk_start(root: Box) -> None:
    box = root
    box.ok("gdk", "on", "--yes")
    run = box.root / "services/registry/run"
    whole = run.read_text()
    run.write_text(whole.replace("import gdkreg", "import gdkreg_that_is_gone"))
    finish = box.root / "services/registry/finish"
    finish.write_text(finish.read_text().replace("import gdkreg", "import gdkreg_that_is_gone"))
    gdk(box, "start")
    time.sleep(3)
    assert log(box).count("gdkreg is not installed any more") == 1
    assert "run: " in gdk(box, "status", "registry")
    gdk(box, "stop")


def test_in_a_terminal_and_where_no_gdk_is(lone_engine_box: Box) -> None:
    box = lone_engine_box
    box.import_registry()
    box.configure(GDK_YML)
    box.ok("reconfigure", "--yes")
    assert "this is no GDK" in box.gdkreg("gdk", "on").err
    for way in (signal.SIGTERM, signal.SIGINT):
        process = box.popen("gdkreg", "run", "registry")
        until(box, lambda: bool(box.listeners(5000)) and bool(containers(box)))
        time.sleep(1)
        second = box.gdkreg("run", "registry")
        assert second.code == 1
        assert "runs in the foreground already" in second.err
        assert box.listeners(5000), "the second one stopped what the first one runs"
        begin = time.monotonic()
        os.kill(child(process.pid), way)
        out, _ = process.communicate(timeout=20)
        assert process.returncode == 0, out
        assert time.monotonic() - begin < 12
        assert "listening on" in out, out
        assert containers(box) == []
        assert not box.listeners(5000)
        assert not box.listeners(5001)
        assert "it was started and does not run" not in box.ok("status").out

    process = box.popen("gdkreg", "run", "registry")
    until(box, lambda: bool(box.listeners(5000)) and bool(containers(box)))
    time.sleep(1)
    box.run("docker", "kill", containers(box)[0])
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 1, out
    assert "the registry has ended" in out
    assert not box.listeners(5001)

    process = box.popen("gdkreg", "run", "registry")
    until(box, lambda: bool(box.listeners(5000)) and bool(containers(box)))
    time.sleep(1)
    box.ok("stop")
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0, out


def test_gdks_own_runner_file(root: Box) -> None:
    box = root
    runner = box.root / "gitlab-runner-config.toml"
    runner.write_text('[[runners]]\n  name = "a"\n  executor = "docker"\n')
    result = box.gdkreg("runner-patch", "--check")
    assert (result.code, len(result.out.splitlines())) == (1, 1), result
    mine = "gdk:\n  protected_config_files:\n    - 'Procfile' # mine\nrunner:\n  extra_hosts: ['other.test:10.0.0.1']\n"
    box.configure(GDK_YML + mine)
    out = box.ok("runner-patch", str(runner)).out
    lines = [line.strip() for line in out.splitlines() if line.startswith("    ")]
    assert "+    - gitlab-runner-config.toml" in lines
    assert any(
        line.startswith("+  extra_hosts: ['other.test:10.0.0.1', ") and "registry.test:172.16.123.1" in line for line in lines
    )
    assert box.ok("runner-patch", "--check").out.endswith(" is patched\n")
    # By the very lines that were told, GDK leaves it alone.
    rows = [line.strip() for line in lines if line[:1] in "+-" and line[:3] not in {"+++", "---"}]
    text = (box.root / "gdk.yml").read_text().splitlines()
    at = next(at for at, line in enumerate(text) if "extra_hosts" in line)
    text[at] = next(row[1:] for row in rows if row.startswith("+  extra_hosts"))
    text.insert(next(at for at, line in enumerate(text) if "# mine" in line) + 1, rows[0][1:])
    box.configure("\n".join(text) + "\n")
    box.ok("runner-patch", str(runner), "--remove")
    assert "renders this file anew" not in box.ok("runner-patch", str(runner)).out
    found = json.loads(box.ok("runner-patch", "--check", "--json").out)
    assert (found["patched"], [item["name"] for item in found["runners"]]) == (True, ["a"])


def test_a_runner_in_a_container(lone_engine_box: Box) -> None:
    box = lone_engine_box
    busybox = shutil.which("busybox") or "/bin/busybox"
    box.import_image("gitlab/gitlab-runner:latest", {"bin/sleep": busybox, "bin/cat": busybox}, "ENV PATH=/bin")
    box.import_registry()
    box.configure(GDK_YML + "listen_address: 172.16.123.1\n")
    box.ok("reconfigure", "--yes")
    folder = box.home / "runner"
    folder.mkdir()
    file = folder / "config.toml"
    before = '[[runners]]\n  name = "a"\n  executor = "docker"\n'
    file.write_text(before)
    assert "lives in" not in box.ok("runner-patch", str(file)).out
    box.ok("runner-patch", str(file), "--remove")
    run = ("docker", "run", "-d", "--name", "gitlab-runner")
    box.client(*run, "-v", f"{file}:/etc/gitlab-runner/config.toml", "gitlab/gitlab-runner", "sleep", "1000")
    out = box.ok("runner-patch", str(file)).out
    assert "this runner lives in container gitlab-runner" in out
    assert f"{box.home}/.docker/certs.d has to be there" in out
    assert "-v /var/run/docker.sock:/var/run/docker.sock" in out
    assert "--add-host gdk.test:172.16.123.1" in out
    assert "docker restart gitlab-runner" in out
    seen = box.run("docker", "exec", "gitlab-runner", "cat", "/etc/gitlab-runner/config.toml").out
    assert seen == before, "it would see the new one, and no restart were needed"
    box.client("docker", "restart", "-t", "0", "gitlab-runner")
    seen = box.run("docker", "exec", "gitlab-runner", "cat", "/etc/gitlab-runner/config.toml").out
    assert seen == file.read_text() != before

    box.client("docker", "rm", "-f", "gitlab-runner")
    box.ok("runner-patch", str(file), "--remove")
    more = ("-v", "/var/run/docker.sock:/var/run/docker.sock", "--add-host", "gdk.test:172.16.123.1")
    box.client(*run, "-v", f"{folder}:/etc/gitlab-runner", *more, "gitlab/gitlab-runner", "sleep", "1000")
    out = box.ok("runner-patch", str(file)).out
    assert "has to be there" in out
    assert [word for word in ("docker restart", "docker.sock", "--add-host") if word in out] == []
    seen = box.run("docker", "exec", "gitlab-runner", "cat", "/etc/gitlab-runner/config.toml").out
    assert seen == file.read_text()


def test_rails_api_url(root: Box) -> None:
    box = root
    path = box.root / "gitlab/config/gitlab.yml"
    path.parent.mkdir(parents=True)
    path.write_text(
        "production: &base\n  registry:\n    enabled: true\n    api_url: http://registry.test:5000/\n    host: registry.test\n"
    )
    out = box.ok("gdk", "on", "--yes").out
    assert "-    api_url: http://registry.test:5000/" in out
    assert "+    api_url: https://registry.test:5000/" in out
    cure = next(line.strip() for line in out.splitlines() if "sed -i" in line)
    assert "api_url: http://" in box.gdkreg("doctor").out
    assert box.run("sh", "-c", cure.partition("&&")[0]).code == 0
    assert "says api_url" not in box.gdkreg("doctor").out
    assert box.ok("gdk", "on").out.startswith("Nothing to do")


def test_a_process_in_the_place_of_a_container(lone_box: Box) -> None:
    box = lone_box
    gdk_root.make(box, "procfile")
    box.configure(GDK_YML.replace("  image:", "  runtime: process\n  image:"))
    box.ok("reconfigure", "--yes")
    gdk(box, "start")
    before = snapshot(box)
    box.ok("gdk", "on", "--yes")
    until(box, lambda: "runs" in log(box))  # GDK's own ran, so ours does
    box.run("kill", "-9", str(status(box)["pid"]))
    until(box, lambda: log(box).count("runs") == 2)
    one = json.loads((box.root / ".gdkreg/registry.pid").read_text())["pid"]
    box.run("kill", "-9", str(one))
    until(box, lambda: log(box).count("runs") == 3)
    assert log(box).count("the registry has ended") == 1
    assert "Traceback" not in log(box)
    box.ok("undo", "--yes")  # of what run registry started last
    until(box, lambda: not box.listeners(5000))
    box.ok("gdk", "off", "--yes")
    assert snapshot(box) == before
    assert not box.listeners(5000)
    assert not box.listeners(5001)


def test_undo_of_gdk_on(root: Box) -> None:
    box = root
    gdk(box, "start")
    before = snapshot(box)
    box.ok("gdk", "on", "--yes", "--dry-run")
    gdk(box, "stop")
    box.ok("gdk", "on", "--yes")
    box.ok("undo", "--yes")
    assert snapshot(box) == before
    assert "Nothing to do" in box.ok("gdk", "off").out

    gdk(box, "start")
    box.ok("gdk", "on", "--yes")
    box.ok("start")
    box.ok("gdk", "off", "--yes")
    gdk(box, "status", ok=False)  # which links GDK's own again, where it has one
    told = box.ok("undo", "--dry-run").out
    assert "write" in told
    box.ok("undo", "--yes")
    assert status(box)["service"] == "gdkreg"
    until(box, lambda: status(box)["whose"] == "gdkreg" and status(box)["wanted"] == "up")
    box.ok("gdk", "off", "--yes")
    assert snapshot(box) == before


def test_what_else_replaces_the_registry_meanwhile(lone_engine_box: Box) -> None:
    box = lone_engine_box
    box.import_registry()
    gdk_root.make(box, "services")
    box.up_with_an_image()
    gdk(box, "start")
    box.ok("gdk", "on", "--yes")
    until(box, lambda: "runs" in log(box))
    pid = status(box)["pid"]
    box.ok("rm", "group/app:1", "--yes")
    box.ok("gc", "--untagged", "--yes")
    box.ok("gc", "restore", "--yes")
    box.ok("readonly", "on")
    box.ok("readonly", "off")
    box.gdkreg("trace", "--", "docker", "pull", f"{HOST}/group/none:1")
    time.sleep(3)
    found = status(box)
    assert (found["state"], found["whose"]) == ("run", "gdkreg"), log(box)
    assert found["pid"] == pid, log(box)
    assert box.listeners(5001)
    gdk(box, "stop", "registry")
    assert containers(box) == []
