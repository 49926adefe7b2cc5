"""The main job on a real engine, in the order of a developer's day. The tests of this file build on each other."""

from __future__ import annotations

import json
import ssl
import subprocess

from tests.e2e.box import GDK_YML, Box

AUTH_OFF = GDK_YML + "  auth_enabled: false\n  token_issuer: gitlab\n"
REFERENCE = "registry.test:5000/group/project:v1"


def test_before_anything_start_says_what_to_run(box: Box) -> None:
    box.configure(AUTH_OFF)
    box.import_small(REFERENCE)
    box.folder.joinpath("hosts.before").write_bytes(box.hosts.read_bytes())
    result = box.gdkreg("start", "registry")
    assert result.code == 1
    assert "gdkreg reconfigure" in result.err


def test_reconfigure_then_start(box: Box) -> None:
    box.ok("reconfigure")
    assert "172.16.123.1" in box.addresses()
    assert "172.16.123.1 registry.test" in box.hosts.read_text()
    started = json.loads(box.ok("start", "registry", "--json").out)["services"]["registry"]
    assert started["runtime"] == "docker"
    assert box.listeners(5000) == ["172.16.123.1"]


def test_the_container_is_named_labelled_and_read_only_where_it_should_be(box: Box) -> None:
    (container,) = json.loads(box.run("docker", "inspect", *box.run("docker", "ps", "-q").out.split()).out)
    assert container["Name"].startswith("/gdkreg-registry-")
    assert container["Config"]["Labels"]["gdkreg.root"] == str(box.root)
    modes = {mount["Destination"]: mount["RW"] for mount in container["Mounts"]}
    assert modes.pop("/var/lib/registry") is True
    assert set(modes.values()) == {False}
    assert container["HostConfig"]["RestartPolicy"]["Name"] == "no"


def test_push_is_refused_before_trust_and_accepted_after(box: Box) -> None:
    refused = box.client("docker", "push", REFERENCE, want=False)
    assert "x509" in refused.err + refused.out
    box.ok("trust-docker-registry")
    box.client("docker", "push", REFERENCE)
    box.run("docker", "rmi", REFERENCE)
    box.client("docker", "pull", REFERENCE)


def test_a_second_reconfigure_changes_nothing(box: Box) -> None:
    assert "Nothing to do" in box.ok("reconfigure").out
    assert box.gdkreg("plan", "--exit-code").code == 0
    assert "already running" in box.ok("start", "registry").out


def test_the_host_is_renamed_and_everything_follows(box: Box) -> None:
    box.configure(AUTH_OFF.replace("registry.test", "images.test"))
    assert box.gdkreg("plan", "--exit-code").code == 3
    box.ok("reconfigure")
    assert "registry.test" not in box.hosts.read_text()
    for certs in (box.home / ".docker/certs.d", box.folder / "etc-docker/certs.d"):
        assert [folder.name for folder in certs.iterdir()] == ["images.test:5000"]
    assert "recreated" in box.ok("start", "registry").out
    reference = REFERENCE.replace("registry.test", "images.test")
    box.run("docker", "tag", REFERENCE, reference)
    box.client("docker", "push", reference)


def test_the_certificate_serves_name_and_address(box: Box) -> None:
    pem = (box.root / "registry_host.crt").read_text()
    assert ssl.PEM_cert_to_DER_cert(pem)
    for name in ("images.test", "172.16.123.1"):
        done = box.run("curl", "-sS", "--cacert", str(box.root / "registry_host.crt"), f"https://{name}:5000/v2/")
        assert done.code == 0, done
        assert done.out.strip() == "{}"
    strict = "import ssl,socket,sys; c=ssl.create_default_context(cafile=sys.argv[1]); c.verify_flags|=ssl.VERIFY_X509_STRICT; "
    strict += "c.wrap_socket(socket.create_connection(('images.test',5000)),server_hostname='images.test')"
    done = box.run("python3", "-c", strict, str(box.root / "registry_host.crt"))
    assert done.code == 0, done


def test_auth_on_gives_401_with_the_right_realm(box: Box) -> None:
    box.configure(AUTH_OFF.replace("registry.test", "images.test").replace("auth_enabled: false", "auth_enabled: true"))
    box.ok("reconfigure")
    box.ok("start", "registry")
    done = box.run("curl", "-sSi", "--cacert", str(box.root / "registry_host.crt"), "https://images.test:5000/v2/")
    assert " 401 " in done.out.splitlines()[0]
    assert 'Bearer realm="http://gdk.test:3000/jwt/auth",service="container_registry"' in done.out


def test_stop_is_idempotent_and_tail_shows_the_log(box: Box) -> None:
    assert "listening on" in box.ok("tail", "registry", "--no-follow", "-n", "1000").out
    assert "registry stopped" in box.ok("stop", "registry").out
    assert "not running" in box.ok("stop", "registry").out
    assert box.listeners(5000) == []


def test_the_same_as_a_process(box: Box) -> None:
    box.configure(AUTH_OFF + "  runtime: process\n")
    box.ok("up", "--yes")
    assert box.listeners(5000) == ["172.16.123.1"]
    box.client("docker", "push", REFERENCE)
    box.run("docker", "rmi", REFERENCE)
    box.client("docker", "pull", REFERENCE)


def test_down_gives_the_machine_back_and_keeps_the_images(box: Box) -> None:
    box.ok("down")
    assert box.hosts.read_bytes() == (box.folder / "hosts.before").read_bytes()
    assert "172.16.123.1" not in box.addresses()
    assert box.listeners(5000) == []
    assert box.run("docker", "ps", "-aq").out == ""
    assert not (box.folder / "etc-docker/certs.d").exists()
    assert not (box.home / ".docker/certs.d").exists()
    assert sorted(path.name for path in box.root.iterdir()) == ["gdk.yml", "registry"]
    stored = subprocess.run(["find", str(box.root / "registry/storage"), "-name", "link"], capture_output=True, text=True).stdout
    assert "group/project" in stored
