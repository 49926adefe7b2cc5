"""In a root that a GDK made: what it generated serves on, is given back, and its own registry is recognised."""

from __future__ import annotations

import json
import subprocess

from tests.e2e.box import IMAGE, Box

GDK_YML = f"""\
hostname: gdk.test
listen_address: 172.16.123.1
gdk:
  overwrite_changes: true
gitaly:
  enabled: true
registry:
  enabled: true
  host: gdk.test
  listen_address: 172.16.123.1
  self_signed: true
  auth_enabled: true
  image: {IMAGE}
"""
GDK_CONFIG = "version: 0.1\nlog:\n  level: info\nhttp:\n  addr: :5000\n"


def openssl_pair(box: Box, stem: str, host: str, days: int = 365) -> None:
    """As GDK's Makefile makes them: RSA, one DNS name."""
    request = ["openssl", "req", "-newkey", "rsa:2048", "-x509", "-days", str(days), "-nodes", "-subj", f"/CN={host}"]
    names = ["-addext", f"subjectAltName=DNS:{host}"]
    out = ["-keyout", str(box.root / f"{stem}.key"), "-out", str(box.root / f"{stem}.crt")]
    subprocess.run([*request, *names, *out], check=True, capture_output=True)


def test_what_gdk_made_serves_on_and_comes_back(box: Box) -> None:
    box.configure(GDK_YML)
    openssl_pair(box, "registry_host", "gdk.test")
    openssl_pair(box, "localhost", "localhost")
    (box.root / "registry").mkdir()
    (box.root / "registry/config.yml").write_text(GDK_CONFIG)
    (box.root / "gitlab-runner-config.toml").write_text('[[runners]]\n  name = "gdk"\n  executor = "docker"\n')
    before = {path.name: path.read_bytes() for path in box.root.rglob("*") if path.is_file()}
    box.ok("up", "--yes")
    assert (box.root / "registry_host.crt").read_bytes() == before["registry_host.crt"]
    assert "not made by gdkreg" in box.ok("status").out
    assert box.listeners(5000) == ["172.16.123.1"]
    assert "gdk.test:172.16.123.1" in (box.root / "gitlab-runner-config.toml").read_text()

    (box.root / "registry/config.yml").write_text(GDK_CONFIG + "# gdk reconfigure was here\n")
    (box.root / "gitlab-runner-config.toml").write_bytes(before["gitlab-runner-config.toml"])
    status = box.ok("status").out
    assert status.count("somebody else wrote over it, perhaps gdk reconfigure") == 2
    assert "protected_config_files" in status
    box.ok("reconfigure")
    assert box.gdkreg("plan", "--exit-code").code == 0

    box.ok("down")
    after = {path.name: path.read_bytes() for path in box.root.rglob("*") if path.is_file() and "storage" not in path.parts}
    assert after == {**before, "config.yml": (GDK_CONFIG + "# gdk reconfigure was here\n").encode()}


def test_gdks_own_registry_on_our_port(box: Box) -> None:
    box.ok("reconfigure")
    mounts = ["-v", f"{box.root}/registry/storage:/var/lib/registry"]
    mounts += ["-v", f"{box.root}/registry/config.yml:/etc/docker/registry/config.yml"]
    for name in ("registry_host.crt", "registry_host.key", "localhost.crt"):
        mounts += ["-v", f"{box.root}/{name}:/etc/docker/registry/{name}"]
    serve = [IMAGE, "serve", "/etc/docker/registry/config.yml"]
    started = box.run("docker", "run", "-d", "--rm", "--name", "eager_gdk", "--net", "host", *mounts, *serve)
    assert started.code == 0, started
    for _ in range(50):
        if box.listeners(5000):
            break
        box.run("sleep", "0.1")
    result = box.gdkreg("start", "registry")
    assert result.code == 1
    assert "port 5000 is held by GDK's own registry, container eager_gdk" in result.err
    assert "gdk stop registry" in result.err
    found = box.gdkreg("doctor")
    assert found.code == 1
    assert "GDK's own registry runs, container eager_gdk: both would serve one port and one storage" in found.out
    assert "→ gdk stop registry" in found.out
    box.run("docker", "rm", "-f", "eager_gdk")
    box.ok("start", "registry")


def test_the_image_override_file(box: Box) -> None:
    box.run("docker", "tag", IMAGE, "registry:mine")
    text = GDK_YML.replace(f"  image: {IMAGE}\n", "")
    box.configure(text)
    (box.root / "registry_image").write_text("registry:mine\n")
    box.ok("reconfigure")
    box.ok("restart", "registry")
    assert json.loads(box.ok("status", "--json").out)["services"]["registry"]["current"] is True
    assert box.ok("config", "get", "registry.image").out == "registry:mine\n"
    box.ok("down")


def test_a_certificate_of_gdks_that_expired_is_an_error_not_a_replacement(box: Box) -> None:
    openssl_pair(box, "registry_host", "old.test")
    before = (box.root / "registry_host.crt").read_bytes()
    result = box.gdkreg("reconfigure")
    assert result.code == 1
    assert "is not gdkreg's and does not serve" in result.err
    assert "it is for old.test, not for gdk.test" in result.err
    assert (box.root / "registry_host.crt").read_bytes() == before
