"""The tunnel through a real sshd on another machine's network: what is reached from there, and what becomes of it on bad days."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.box import Box
from tests.machines import far as other
from tests.machines.far import ADDRESS, REGISTRY_PORT, Far, kill, sshs

GDK_YML = """\
registry:
  enabled: true
  runtime: process
  token_issuer: local
  listen_address: 172.16.123.1
auto_devops:
  enabled: true
  gitlab:
    port: 20001
  tunnel:
    host: far.test
    port: 2222
"""
PUBLIC = f"http://far.test:{REGISTRY_PORT}/v2/"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Box, Far]]:
    """A registry that runs, and a far machine; no tunnel yet."""
    box = Box(tmp_path_factory.mktemp("box"), engine=False)
    try:
        assert not other.absent(), other.absent()
        far = Far(box)
        box.configure(GDK_YML)
        box.ok("reconfigure", "--yes")
        box.ok("start")
        yield box, far
    finally:
        box.close()


@pytest.fixture
def up(place: tuple[Box, Far]) -> Iterator[tuple[Box, Far]]:
    """The tunnel runs."""
    box, far = place
    box.ok("start", "tunnel", "--yes")
    yield box, far
    box.ok("stop", "tunnel")
    far.wait_for(REGISTRY_PORT, gone=True)


@pytest.fixture
def down(place: tuple[Box, Far]) -> tuple[Box, Far]:
    """No tunnel, and the far machine as it should be."""
    return place


def tunnel(box: Box) -> dict[str, object]:
    found: dict[str, object] = json.loads(box.gdkreg("status", "--json").out)["services"]["tunnel"]
    return found


def until(box: Box, running: bool, verdict: str, patience: float = 40) -> None:
    deadline = time.monotonic() + patience
    while (now := tunnel(box))["running"] != running or verdict not in f"{now['verdict']} {now['detail']}":
        assert time.monotonic() < deadline, (now, log(box))
        time.sleep(0.2)


def log(box: Box) -> list[str]:
    return box.gdkreg("tail", "tunnel", "--no-follow").out.splitlines()


def failed(box: Box, *arguments: str) -> dict[str, str]:
    result = box.gdkreg(*arguments, "--json")
    assert result.code == 1, result
    found: dict[str, str] = json.loads(result.out)["error"]
    return found


def keeper(box: Box) -> int:
    return int(json.loads((box.root / ".gdkreg/tunnel.pid").read_text())["pid"])


def image(folder: Path) -> Path:
    """An image of nothing, as skopeo keeps one in a folder."""
    import hashlib

    folder.mkdir()
    config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{}}'
    digest = hashlib.sha256(config).hexdigest()
    kind = "application/vnd.oci.image.config.v1+json"
    described = {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(config)}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described,
        "layers": [],
    }
    (folder / digest).write_bytes(config)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "version").write_text("Directory Transport Version: 1.1\n")
    return folder


# what it opens, and who is asked


def test_nothing_is_published_that_nobody_agreed_to(down: tuple[Box, Far]) -> None:
    box, far = down
    told = json.loads(box.ok("start", "tunnel", "--dry-run", "--json").out)
    assert [item["action"] for item in told["actions"]] == ["WriteFile", "start"]
    assert "publishes the registry of this machine" in "\n".join(told["notes"])
    error = failed(box, "start", "tunnel")
    assert error["fix"] == "gdkreg start tunnel --yes"
    assert f"port {REGISTRY_PORT} of far.test reaches it" in error["details"]
    box.ok("start")
    assert tunnel(box)["running"] is False, "start alone does not publish either"
    assert far.listeners(REGISTRY_PORT) == []
    assert not (box.root / ".gdkreg/published").exists()
    done = json.loads(box.ok("start", "tunnel", "--yes", "--json").out)
    assert [item["text"] for item in done["actions"]] == [item["text"] for item in told["actions"]]
    box.ok("stop", "tunnel")
    box.ok("start")
    assert tunnel(box)["running"] is True, "agreed to once"
    box.ok("stop")
    box.ok("start", "registry")
    assert tunnel(box)["running"] is False
    box.ok("start", "tunnel")
    box.ok("undo", "--yes")
    assert sshs(box) == []
    box.ok("start")
    box.ok("stop", "tunnel")


def test_a_push_and_a_pull_from_the_far_side(up: tuple[Box, Far], tmp_path: Path) -> None:
    box, far = up
    assert far.listeners(REGISTRY_PORT) == ["0.0.0.0", "[::]"]
    assert far.run("curl", "-so", "/dev/null", "-w", "%{http_code}", f"http://{ADDRESS}:{REGISTRY_PORT}/v2/").out == "401"
    token = box.ok("token", "repository:group/far:pull,push").out.strip()
    target = f"docker://{ADDRESS}:{REGISTRY_PORT}/group/far:1"
    source = image(box.folder / "image")
    pushed = ["skopeo", "copy", "--dest-tls-verify=false", "-q", f"dir:{source}", target]
    assert far.run(*pushed).code != 0, "nobody gets in without a token"
    assert (done := far.run(*pushed, "--dest-registry-token", token)).code == 0, done
    back = box.folder / "back"
    pulled = ["skopeo", "copy", "--src-tls-verify=false", "-q", "--src-registry-token", token, target, f"dir:{back}"]
    assert (done := far.run(*pulled)).code == 0, done
    assert (back / "manifest.json").read_bytes() == (source / "manifest.json").read_bytes()
    assert box.ok("tags", "group/far").out.split() == ["1"], "it is in the registry here"
    assert tunnel(box)["url"] == PUBLIC


def test_a_far_end_that_listens_for_itself_alone_is_told(down: tuple[Box, Far]) -> None:
    box, far = down
    for setting, listens in (("no", ["127.0.0.1", "[::1]"]), ("yes", ["0.0.0.0", "[::]"])):
        far.down()
        far.up(setting)
        result = box.ok("start", "tunnel", "--yes")
        assert far.listeners(REGISTRY_PORT) == listens
        assert ("! connected, but nobody outside reaches it. far.test listens for itself alone" in result.out) == (
            setting == "no"
        )
        assert ("GatewayPorts clientspecified in its sshd_config" in result.out) == (setting == "no"), "and what helps"
        assert (f"{PUBLIC} is public" in result.out) == (setting == "yes")
        assert (tunnel(box)["verdict"] == "ready") == (setting == "yes")
        box.ok("stop", "tunnel")
        far.wait_for(REGISTRY_PORT, gone=True)
    far.down()
    far.up()


def test_a_front_with_tls_of_its_own(down: tuple[Box, Far]) -> None:
    """As the QA tunnel's: its sshd may listen for itself alone, and the public name leads to the front."""
    box, far = down
    far.down()
    far.up("no")
    front, certificate = far.front("images.far.test")
    trust = {"SSL_CERT_FILE": str(certificate)}
    try:
        box.configure(GDK_YML.replace("registry:\n", "registry:\n  host: images.far.test\n", 1))
        box.ok("reconfigure", "--yes")
        assert "images.far.test" not in box.hosts.read_text().partition(">>>")[2], "the name is the far machine's"
        box.ok("start")
        done = box.gdkreg("start", "tunnel", "--yes", env=trust)
        assert "https://images.far.test/v2/ is public\n" in done.out
        token = box.ok("token", "repository:group/front:pull,push").out.strip()
        target = "docker://images.far.test/group/front:1"
        pushed = ("skopeo", "copy", "-q", "--dest-registry-token", token, f"dir:{image(box.folder / 'fronted')}", target)
        assert (copied := far.run(*pushed, **trust)).code == 0, copied
        assert box.ok("tags", "group/front").out.split() == ["1"]
        box.ok("stop", "tunnel")
        far.wait_for(REGISTRY_PORT, gone=True)
    finally:
        far.run("sh", "-c", "kill $(pgrep -f front.py)")
        front.wait()
        far.down()
        far.up()
        box.configure(GDK_YML)
        box.ok("reconfigure", "--yes")
        box.ok("start")


def test_an_open_registry_is_never_published(up: tuple[Box, Far]) -> None:
    """Neither one that is configured so, nor one that comes to run so meanwhile."""
    box, far = up
    try:
        box.configure(GDK_YML.replace("registry:\n", "registry:\n  auth_enabled: false\n", 1))
        box.ok("reconfigure", "--yes")
        assert tunnel(box)["running"] is True, "what runs asks for tokens still"
        told = box.ok("start", "registry")
        assert "tunnel stopped" in told.out
        assert far.listeners(REGISTRY_PORT) == []
        error = failed(box, "start", "tunnel", "--yes")
        assert error["why"] == "registry.auth_enabled is false"
        box.configure(GDK_YML)
        box.ok("reconfigure", "--yes")
        assert "asks nobody for a token" in failed(box, "start", "tunnel", "--yes")["why"], "what runs is open still"
    finally:
        box.configure(GDK_YML)
        box.ok("reconfigure", "--yes")
        box.ok("start")


def test_a_collection_does_not_open_what_is_published(up: tuple[Box, Far]) -> None:
    """It starts the registry anew, with what was applied by then."""
    box, far = up
    box.ok("verify", "--client", "http")  # what it pushed and deleted is there to be collected
    try:
        box.configure(GDK_YML.replace("registry:\n", "registry:\n  auth_enabled: false\n", 1))
        box.ok("reconfigure", "--yes")
        steps = [
            (item["resource"], item["action"])
            for item in json.loads(box.ok("gc", "--untagged", "--dry-run", "--json").out)["actions"]
        ]
        assert ("registry", "hold") in steps, steps
        assert steps.index(("tunnel", "stop")) < steps.index(("registry", "hold"))
        box.ok("gc", "--untagged", "--yes")
        assert far.listeners(REGISTRY_PORT) == []
    finally:
        box.configure(GDK_YML)
        box.ok("reconfigure", "--yes")
        box.ok("start")


def test_a_registry_that_opens_behind_its_back_is_not_published_any_longer(up: tuple[Box, Far]) -> None:
    box, far = up
    box.ok("stop", "registry")
    served = box.root / "open.yml"
    served.write_text((box.root / "registry/config.yml").read_text().partition("\nauth:")[0] + "\n")
    text = served.read_text().replace("/var/lib/registry", str(box.root / "registry/storage"))
    served.write_text(text.replace("addr: :5000", "addr: 172.16.123.1:5000"))
    opened = box.popen("docker-registry", "serve", str(served))
    try:
        until(box, False, "the registry lets everybody in")
        far.wait_for(REGISTRY_PORT, gone=True)
        assert sshs(box) == []
    finally:
        box.run("pkill", "-x", "docker-registry")
        opened.wait()
        box.ok("start", "registry")


def test_another_program_in_the_registrys_place_is_not_published(up: tuple[Box, Far]) -> None:
    box, far = up
    box.ok("stop", "registry")
    other = box.popen("python3", "-m", "http.server", "5000", "--bind", "172.16.123.1")
    try:
        until(box, False, "another program has the registry's place")
        far.wait_for(REGISTRY_PORT, gone=True)
    finally:
        box.run("pkill", "-f", "http.server 5000")
        other.wait()
        box.ok("start", "registry")


# how it ends, and comes back


def test_it_comes_back_when_the_far_end_does(up: tuple[Box, Far]) -> None:
    box, far = up
    before = len(log(box))
    far.down()
    until(box, True, "cannot be reached")
    time.sleep(4)
    far.up()
    far.wait_for(REGISTRY_PORT)
    until(box, True, "ready")
    said = [next((word for word in ("was lost", "cannot be reached", "is public") if word in line), line) for line in log(box)]
    assert said[before:] == ["was lost", "cannot be reached", "is public"], "one line for each change, however often it tried"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_ssh_outlives_its_keeper(up: tuple[Box, Far], how: signal.Signals) -> None:
    box, far = up
    assert len(sshs(box)) == 1
    kill(box, keeper(box), how)
    far.wait_for(REGISTRY_PORT, gone=True)
    assert sshs(box) == []
    assert tunnel(box)["running"] is False
    status = box.gdkreg("status").out
    assert "it was started and does not run" in status
    box.ok("start", "tunnel")


def test_an_ssh_whose_shell_was_killed_is_replaced(up: tuple[Box, Far]) -> None:
    box, far = up
    (before,) = sshs(box)
    shells = box.run("pgrep", "-P", str(keeper(box))).out.split()
    for shell in shells:
        kill(box, int(shell))
    far.wait_for(REGISTRY_PORT, gone=True)
    far.wait_for(REGISTRY_PORT)
    until(box, True, "ready")
    (after,) = sshs(box)
    assert after != before


def test_stop_and_down_leave_no_ssh_behind(down: tuple[Box, Far]) -> None:
    box, far = down
    box.ok("start", "tunnel", "--yes")
    box.ok("restart", "tunnel")
    assert len(sshs(box)) == 1
    assert len(far.listeners(REGISTRY_PORT)) == 2
    before = {path.name for path in box.root.iterdir()} - {".gdkreg", "registry"}
    box.ok("down", "--yes")
    assert sshs(box) == []
    assert "auto_devops_registry_port" in before
    assert not (box.root / ".gdkreg").exists()
    assert not (box.root / "auto_devops_registry_port").exists()
    box.ok("reconfigure", "--yes")
    box.ok("start")


# errors


def test_a_far_end_that_is_away(down: tuple[Box, Far]) -> None:
    box, far = down
    far.down()
    error = failed(box, "start", "tunnel", "--yes")
    assert error["what"] == "far.test:2222 cannot be reached"
    assert "Connection refused" in error["why"]
    assert tunnel(box)["running"] is False
    box.ok("start")  # agreed to above: the rest runs all the same, and it goes on trying
    assert tunnel(box)["running"] is (box.root / ".gdkreg/published").exists()
    far.up()
    box.ok("stop", "tunnel")


def test_a_host_key_that_is_not_known(down: tuple[Box, Far]) -> None:
    box, far = down
    far.known.write_text("")
    try:
        error = failed(box, "start", "tunnel", "--yes")
        shown = far.run("ssh-keygen", "-lf", str(far.folder / "host_key.pub")).out.split()[1]
        assert error["what"] == "the host key of [far.test]:2222 is not known"
        assert shown in error["why"]
        rest = json.loads(box.gdkreg("start", "--json").out)
        assert [(item["action"], item["target"], item["status"]) for item in rest["actions"]] == [("Leave", "tunnel", "left")]
        assert rest["services"]["registry"]["running"] is True, "the registry does not wait for it"
        assert box.run("sh", "-c", error["fix"].partition("then: ")[2]).code == 0
        box.ok("start", "tunnel", "--yes")
        box.ok("stop", "tunnel")
    finally:
        far.know()


def test_a_host_key_that_changed_is_never_taken(up: tuple[Box, Far]) -> None:
    box, far = up
    try:
        far.down()
        far.make_key(far.folder / "host_key")
        known = far.known.read_text()
        far.up()
        until(box, False, "another host key")
        assert sshs(box) == []
        error = failed(box, "start", "tunnel")
        assert "somebody may be in between" in error["what"]
        assert far.known.read_text() == known
    finally:
        far.know()
        box.ok("start", "tunnel")


def test_a_key_that_is_not_taken(down: tuple[Box, Far]) -> None:
    box, far = down
    taken = (far.folder / "taken_keys").read_text()
    (far.folder / "taken_keys").write_text("")
    try:
        error = failed(box, "start", "tunnel", "--yes")
        assert error["what"] == f"far.test:2222 does not take the key {far.key}"
        assert "Permission denied" in error["why"]
    finally:
        (far.folder / "taken_keys").write_text(taken)
    far.key.chmod(0o644)
    try:
        assert failed(box, "start", "tunnel", "--yes")["fix"] == f"chmod 600 {far.key}"
    finally:
        far.key.chmod(0o600)
    aside = far.key.rename(far.key.with_name("aside"))
    try:
        assert failed(box, "start", "tunnel", "--yes")["what"] == "there is no key to log in with"
    finally:
        aside.rename(far.key)


def test_a_master_of_the_users_own_is_not_used(down: tuple[Box, Far]) -> None:
    """Through one, ssh would end at once, and the forward would be the master's."""
    box, far = down
    config, path = box.folder / "ssh_config", box.folder / "master"
    own = f"  IdentityFile {far.key}\n  UserKnownHostsFile {far.known}\n"
    config.write_text(f"Host *\n  ControlMaster auto\n  ControlPath {path}\n{own}")
    box.run("mount", "--bind", str(config), "/etc/ssh/ssh_config")
    master = box.popen("ssh", "-MN", "-p", "2222", "far.test")
    try:
        deadline = time.monotonic() + 10
        while not path.exists():
            assert time.monotonic() < deadline, master.communicate()
            time.sleep(0.1)
        assert box.run("ssh", "-N", "-p", "2222", "-R", ":25002:127.0.0.1:5000", "far.test").code == 0, (
            "ssh's own way ends at once"
        )
        box.ok("start", "tunnel", "--yes")
        box.ok("stop", "tunnel")
        assert len(sshs(box)) == 1, "the user's own lives on"
        far.wait_for(REGISTRY_PORT, gone=True)
    finally:
        box.run("umount", "/etc/ssh/ssh_config")
        box.run("pkill", "-x", "ssh")
        master.wait()
