"""What is in a registry: every command on a real registry with authentication and a certificate of its own, against what real
clients pushed."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.box import GDK_YML, HOST, Box, child

PUSH = """\
import json, sys
from gdkreg.config import settings
from gdkreg.host.machine import Machine
from gdkreg.registry.remote import connect
from pathlib import Path
from tests import pushed
host = Machine()
root = settings.find_root(Path.cwd(), host, None)
with connect(settings.load(root, host), host) as images:
    {body}
"""


@pytest.fixture(scope="module", autouse=True)
def up(box: Box) -> None:
    box.configure(GDK_YML.replace("image: registry:dev", "image: registry:dev\n  runtime: process\n  token_issuer: local"))
    box.ok("reconfigure")
    box.ok("start")
    box.ok("trust-docker-registry")


def push(box: Box, *lines: str) -> Any:
    """Lines of Python with `images` and `pushed`; what they put into `told`."""
    body = "\n    ".join(("told = {}", *lines, "print(json.dumps(told))"))
    repo = str(Path(__file__).resolve().parents[2])
    done = box.run(sys.executable, "-c", PUSH.format(body=body), env={"PYTHONPATH": repo})
    assert done.code == 0, done
    return json.loads(done.out)


def skopeo(box: Box, *arguments: str) -> Any:
    """skopeo, logged in as the first user."""
    auth = box.folder / "auth.json"
    if not auth.exists():
        first = json.loads((box.root / ".gdkreg/first_user").read_text())
        secret = base64.b64encode(f"{first['name']}:{first['password']}".encode()).decode()
        auth.write_text(json.dumps({"auths": {HOST: {"auth": secret}}}))
    done = box.client("skopeo", arguments[0], "--authfile", str(auth), *arguments[1:])
    return json.loads(done.out) if done.out.startswith("{") else done.out


def data(box: Box, *arguments: str) -> Any:
    return json.loads(box.ok(*arguments, "--json").out)


@pytest.fixture(scope="module")
def images(box: Box, up: None) -> dict[str, Any]:
    """group/app: 1 and same on one index, of which a child is tagged too; old; an SBOM of 1. What is nested in its name; an
    artifact without layers."""
    found: dict[str, Any] = push(
        box,
        "base = b'b' * 5000",
        "run = {'Entrypoint': ['/app'], 'Labels': {'l': 'v'}, 'Env': ['A=1']}",
        "kids = [pushed.image(images, 'group/app', layers=[base, a.encode()], arch=a, **run) for a in ('amd64', 'arm64')]",
        "told['index'] = pushed.index(images, 'group/app', '1', 'same', children=kids)",
        "content = images.manifest('group/app', kids[0]['digest'])",
        "images.put_manifest('group/app', 'child', content.content, content.media_type)",
        "told['old'] = pushed.image(images, 'group/app', 'old', layers=[base], created='2020-01-01T00:00:00Z', docker=True)",
        "told['sbom'] = pushed.artifact(images, 'group/app', kind='application/x.sbom', subject=told['index'])",
        "pushed.index(images, 'group/app', told['index']['digest'].replace(':', '-'), children=[told['sbom']])",
        "pushed.image(images, 'group/app/nested', 'latest')",
        "pushed.artifact(images, 'artifact', 'v1', kind='application/x.thing')",
        "told['kids'] = kids",
    )
    return found


def test_the_catalog(box: Box, images: dict[str, Any]) -> None:
    names = box.ok("catalog").out.splitlines()
    assert {"group/app", "group/app/nested", "artifact"} <= set(names)
    assert data(box, "catalog")["repositories"] == [{"name": name} for name in names]
    whole = box.ok("catalog", "--tags").out.splitlines()
    assert {"group/app:1", "group/app:child", "group/app/nested:latest", "artifact:v1"} <= set(whole)


def test_tags_are_what_skopeo_lists(box: Box, images: dict[str, Any]) -> None:
    theirs = skopeo(box, "list-tags", f"docker://{HOST}/group/app")["Tags"]
    assert sorted(box.ok("tags", "group/app").out.splitlines()) == sorted(theirs)
    found = {item["tag"]: item for item in data(box, "tags", "group/app")["tags"]}
    assert found["1"]["digest"] == found["same"]["digest"] == images["index"]["digest"]
    assert (found["child"]["digest"], found["child"]["platforms"]) == (images["kids"][0]["digest"], ["linux/amd64"])
    assert found["1"]["platforms"] == ["linux/amd64", "linux/arm64"]
    assert box.ok("tags", "group/app", "--sort", "created").out.splitlines()[-2] == "old"
    assert box.ok("tags", "group/app", "--sort", "name", "--limit", "2").out == "1\nchild\n"


def test_an_image_is_what_skopeo_sees(box: Box, images: dict[str, Any]) -> None:
    theirs = skopeo(box, "inspect", "--override-os", "linux", "--override-arch", "amd64", f"docker://{HOST}/group/app:1")
    ours = data(box, "inspect", "group/app:1", "--platform", "linux/amd64")
    assert ours["digest"] == theirs["Digest"] == images["index"]["digest"]
    assert [layer["digest"] for layer in ours["layers"]] == theirs["Layers"]
    assert (ours["labels"], ours["env"], ours["created"]) == (theirs["Labels"], theirs["Env"], theirs["Created"])
    assert ours["entrypoint"] == ["/app"]
    assert sorted(ours["layers"][0]["shared_by"]) == ["child", "old", "same"]
    assert [item["artifact_type"] for item in ours["referrers"]] == ["application/x.sbom"]
    text = box.ok("inspect", f"{HOST}/group/app:1").out
    assert "application/x.sbom" in text
    assert images["index"]["digest"] in text
    assert data(box, "inspect", "artifact:v1")["layers"] == []
    assert data(box, "inspect", "group/app")["tags"] == 5
    assert data(box, "inspect", "group/app/nested")["tag"] == "latest"


def test_raw_bytes_hash_to_the_digest(box: Box, images: dict[str, Any]) -> None:
    program = f"{sys.executable} -m gdkreg"
    for reference, digest in (
        ("group/app:1", images["index"]["digest"]),
        ("group/app:old", images["old"]["digest"]),
        (f"group/app@{images['sbom']['digest']}", images["sbom"]["digest"]),
    ):
        for command in ("manifest", "inspect"):
            summed = box.run("sh", "-c", f"{program} {command} --raw {reference} | sha256sum").out.split()[0]
            assert f"sha256:{summed}" == digest
    theirs = skopeo(box, "inspect", "--raw", f"docker://{HOST}/group/app:1")
    assert data(box, "manifest", "group/app:1")["manifest"] == theirs


def test_the_walk_of_the_howto(box: Box, images: dict[str, Any]) -> None:
    """Catalog, tags, manifest, layers, blob: no token, certificate or header typed."""
    (layer, _) = data(box, "layers", "group/app:1")["layers"]
    file = box.folder / "layer"
    box.ok("blob", f"group/app@{layer['digest']}", "-o", str(file))
    assert file.read_bytes() == b"b" * 5000


def test_a_copy_is_the_same_for_skopeo(box: Box, images: dict[str, Any]) -> None:
    dry = data(box, "copy", "group/app:1", "copied/app:2", "--dry-run")
    assert "copied/app" not in box.ok("catalog").out
    done = data(box, "copy", "group/app:1", "copied/app:2")
    assert [item["text"] for item in done["actions"]] == [item["text"] for item in dry["actions"]]
    folder = box.folder / "copied"
    skopeo(box, "copy", "--all", "--preserve-digests", f"docker://{HOST}/copied/app:2", f"dir:{folder}")
    content = (folder / "manifest.json").read_bytes()
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == images["index"]["digest"]
    assert "is there already" in box.ok("copy", "group/app:1", "copied/app:2").out


def test_to_and_from_another_registry(box: Box, images: dict[str, Any]) -> None:
    """A stranger's, without TLS on this machine; and ours as one, by docker's login and certs.d alone."""
    config = box.folder / "other.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {box.folder}/other}}}}\nhttp: {{addr: 127.0.0.1:5055}}\n"
    )
    other = box.popen("env", "-u", "AWS_CA_BUNDLE", "docker-registry", "serve", str(config))
    try:
        box.run("sh", "-c", "until curl -sf http://127.0.0.1:5055/v2/; do sleep 0.05; done")
        box.ok("copy", "group/app:1", "127.0.0.1:5055/there/app")
        assert box.ok("catalog", "--registry", "127.0.0.1:5055").out == "there/app\n"
        assert data(box, "inspect", "there/app:1", "--registry", "127.0.0.1:5055")["digest"] == images["index"]["digest"]
        box.ok("copy", "127.0.0.1:5055/there/app:1", "back/app:3")
        assert data(box, "inspect", "back/app:3")["digest"] == images["index"]["digest"]
    finally:
        os.kill(child(other.pid), signal.SIGKILL)
        other.wait()
    elsewhere = box.folder / "elsewhere"
    elsewhere.mkdir()
    ask = (sys.executable, "-m", "gdkreg", "tags", "group/app", "--registry", HOST)
    box.ok("trust-docker-registry", "--remove")
    refused = box.run(*ask, cwd=elsewhere)
    assert f"the registry {HOST} is not trusted" in refused.err
    box.ok("trust-docker-registry")
    refused = box.run(*ask, cwd=elsewhere)
    assert "answered 403 to nobody" in refused.err
    assert f"docker login {HOST}" in refused.err
    box.ok("login")
    assert "old\n" in box.run(*ask, cwd=elsewhere).out


def test_a_user_has_what_was_granted(box: Box, images: dict[str, Any]) -> None:
    kept = (box.root / "gdk.yml").read_text()
    add = (sys.executable, "-m", "gdkreg", "user", "add", "ci", "--pull", "group/app", "--password-stdin")
    assert box.run(*add, stdin="s3cret-word\n").code == 0
    env = {"GDKREG_PASSWORD": "s3cret-word"}
    assert "old\n" in box.gdkreg("tags", "group/app", "--user", "ci", env=env).out
    for arguments, option in (
        (("tags", "group/app/nested"), "--pull group/app/nested"),
        (("catalog",), "--admin"),
        (("copy", "group/app:1", "mine/app"), "--pull mine/app --push mine/app"),
    ):
        refused = box.gdkreg(*arguments, "--user", "ci", env=env)
        assert refused.code == 1
        assert "refuses ci" in refused.err, refused
        assert f"gdkreg user add ci {option}" in refused.err or option in refused.err, refused
        assert "s3cret-word" not in refused.err
    wrong = box.gdkreg("tags", "group/app", "--user", "ci", env={"GDKREG_PASSWORD": "wrong"})
    assert "answered 401 to ci" in wrong.err
    (box.root / "gdk.yml").write_text(kept)


def test_what_is_not_there(box: Box, images: dict[str, Any]) -> None:
    for arguments, words in (
        (("tags", "group/ap"), ("there is no repository group/ap", "did you mean group/app", "gdkreg catalog")),
        (("inspect", "group/app:odl"), ("group/app has no tag odl", "did you mean old?", "gdkreg tags group/app")),
        (("manifest", "group/app"), ("has no tag latest",)),
        (("blob", f"group/app@sha256:{'0' * 64}", "-o", "x"), ("answered 404",)),
    ):
        result = box.gdkreg(*arguments)
        assert result.code == 1
        for word in words:
            assert word in result.err, result
    assert not (box.root / "x").exists()
    box.ok("stop", "registry")
    result = box.gdkreg("catalog")
    assert "does not answer" in result.err
    assert "gdkreg start registry" in result.err
    box.ok("start")


def test_a_blob_resumes_after_a_cut_connection(box: Box) -> None:
    """Through a proxy on the box's loopback that lets each connection live for some megabytes."""
    content = secrets.token_bytes(20_000_000)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    _plant(box, "big", digest, content)
    script = box.folder / "cutting.py"
    script.write_text(_CUTTING)
    proxy = box.popen(sys.executable, str(script), "5066", "172.16.123.1", "5000", "6000000")
    assert proxy.stdout is not None
    assert proxy.stdout.readline() == "ready\n"
    before = (box.root / "gdk.yml").read_text()
    hosts = box.hosts.read_text()
    try:
        file = box.folder / "big"
        done = box.run(sys.executable, "-c", _THROUGH, str(file), digest, cwd=box.root)
        assert done.code == 0, done
        assert file.read_bytes() == content
        assert not list(box.folder.glob("big.*.part"))
    finally:
        os.kill(child(proxy.pid), signal.SIGKILL)
        told, _ = proxy.communicate(timeout=10)
        (box.root / "gdk.yml").write_text(before)
        box.hosts.write_text(hosts)
    assert told.count("cut\n") >= 3, "it broke off again and again"


_CUTTING = """\
import socket, sys, threading
listen, host, port, most = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
server = socket.create_server(("127.0.0.1", listen))
print("ready", flush=True)
def pump(a, b, limit):
    passed = 0
    try:
        while data := a.recv(65536):
            b.sendall(data)
            passed += len(data)
            if limit and passed > limit:
                print("cut", flush=True)
                break
    except OSError:
        pass
    for s in (a, b):
        try: s.shutdown(socket.SHUT_RDWR)
        except OSError: pass
while True:
    client, _ = server.accept()
    there = socket.create_connection((host, port))
    threading.Thread(target=pump, args=(client, there, 0), daemon=True).start()
    threading.Thread(target=pump, args=(there, client, most), daemon=True).start()
"""
# The own registry's name leads to the proxy, for this one process.
_THROUGH = """\
import socket, sys
from pathlib import Path
real = socket.getaddrinfo
socket.getaddrinfo = lambda host, port, *rest, **more: real("127.0.0.1", 5066, *rest, **more)
from gdkreg.host.machine import Machine
from gdkreg.registry.remote import connect
from gdkreg.registry.names import Reference
from gdkreg.verbs import blobs
from gdkreg.verbs.root import open_root
root = open_root()
with connect(root.in_force, root.host) as images:
    saved = blobs.save(images, Reference("big", digest=sys.argv[2]), Path(sys.argv[1]))
"""


def _plant(box: Box, repository: str, digest: str, content: bytes) -> Path:
    """A blob in the registry's own storage."""
    tree, hexed = box.root / "registry/storage/docker/registry/v2", digest[7:]
    link = tree / "repositories" / repository / "_layers/sha256" / hexed / "link"
    blob = tree / "blobs/sha256" / hexed[:2] / hexed / "data"
    for path, text in ((link, digest.encode()), (blob, content)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    return blob


def test_a_corrupt_blob_is_told_and_leaves_no_file(box: Box) -> None:
    content = b"content" * 1000
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    for wrong in (content[:-1], content[:-1] + b"T"):
        _plant(box, "corrupt", digest, wrong)
        result = box.gdkreg("blob", f"corrupt@{digest}", "-o", "x")
        assert result.code == 1
        assert f"blob {digest} came back changed" in result.err
        assert not list(box.root.glob("x*"))
