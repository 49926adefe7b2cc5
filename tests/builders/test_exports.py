"""What ci and export print, used for what it is for: GitLab's schema and a runner's jobs, NGINX, docker-compose, curl."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.builders.test_clients import OTHERS
from tests.e2e.box import GDK_YML, HOST, Box, Result

PLAIN = GDK_YML.replace("self_signed: true", "self_signed: false")
USER, PASSWORD = "ci", "hunter2hunter2"
RUNNER = str(OTHERS / "node_modules/.bin/gitlab-ci-local")
ADDRESS = "172.16.123.1"
# What the real ones are made of, as far as these jobs go: they have no network to be pulled over.
DIND = """\
#!/bin/sh
exec dockerd --host=unix:///run/docker.sock --host=tcp://0.0.0.0:2375 "$@" \
  --bridge=none --iptables=false --ip6tables=false --storage-driver=vfs
"""
WAIT = """\
#!/bin/bash
for _ in $(seq 150); do (exec 3<>/dev/tcp/${1%:*}/${1#*:}) 2>/dev/null && exit 0; sleep 0.2; done
exit 1
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A box whose engine starts privileged containers, a registry that runs, and the images that a runner needs."""
    opened = Box(tmp_path_factory.mktemp("box"), privileged=True)
    try:
        opened.import_registry()
        opened.configure(GDK_YML)
        opened.ok("up", "--yes")
        added = [sys.executable, "-m", "gdkreg", "user", "add", USER, "--admin", "--password-stdin"]
        assert opened.run(*added, stdin=f"{PASSWORD}\n").code == 0
        _images(opened)
        yield opened
    finally:
        opened.close()


def _images(box: Box) -> None:
    box.import_dind("docker:base")
    busybox, shell = "/bin/busybox", {"bin/bash": "/bin/bash"}
    shell |= {f"bin/{name}": busybox for name in ("sh", "seq", "sleep", "chown", "chmod", "cat", "mkdir")}
    tools = {"usr/bin/docker": "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "/usr/local/bin/docker"}
    path = "ENV PATH=/usr/bin:/bin"
    box.import_image("docker:28", {**shell, **tools}, path)
    box.import_image("docker.io/firecow/gitlab-ci-local-util:latest", shell, path)
    for name, text in (("dind", DIND), ("wait", WAIT)):
        (box.folder / name).write_text(text)
        (box.folder / name).chmod(0o755)
    box.import_image(
        "docker.io/sumina46/wait-for-it:latest", {**shell, "wait": str(box.folder / "wait")}, path, 'ENTRYPOINT ["/wait"]'
    )
    names = ("dockerd", "containerd", "containerd-shim-runc-v2", "runc", "docker-proxy", "docker-init")
    found = {f"usr/bin/{name}": box.run("sh", "-c", f"command -v {name}").out.strip() for name in names}
    programs = {place: path for place, path in found.items() if path}
    box.import_image(
        "docker:28-dind",
        {**programs, "bin/sh": busybox, "dind": str(box.folder / "dind")},
        path,
        'ENTRYPOINT ["/dind"]',
        "EXPOSE 2375/tcp",
        "VOLUME /var/lib/docker",
    )


def project(box: Box, name: str, *command: str) -> Path:
    """A checkout with what `ci …` writes into it."""
    folder = box.folder / name
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    box.ok("ci", *command, "-o", str(folder / ".gitlab-ci.yml"))
    git = "git init -q -b main && git add . && git -c user.name=a -c user.email=a@b commit -qm one"
    done = box.run("sh", "-c", f"{git} && git remote add origin git@gdk.test:group/{name}.git", cwd=folder)
    assert done.code == 0, done
    return folder


def run_jobs(box: Box, folder: Path, *options: str) -> Result:
    variables = {
        "CI_REGISTRY": HOST,
        "CI_REGISTRY_IMAGE": f"{HOST}/group/{folder.name}",
        "CI_REGISTRY_USER": USER,
        "CI_REGISTRY_PASSWORD": PASSWORD,
    }
    given = [word for key, value in variables.items() for word in ("--variable", f"{key}={value}")]
    return box.run(RUNNER, "--privileged", "--pull-policy", "if-not-present", *given, *options, cwd=folder, timeout=240)


def hosts() -> list[str]:
    return ["--extra-host", f"registry.test:{ADDRESS}"]


def tags(box: Box, repository: str) -> list[str]:
    done = box.gdkreg("tags", repository, "--json")
    return [item["tag"] for item in json.loads(done.out)["tags"]] if done.code == 0 else []


@pytest.mark.parametrize("text", [GDK_YML, PLAIN], ids=["self-signed", "plain"])
def test_gitlabs_schema_takes_them(box: Box, text: str) -> None:
    """The schema that GitLab publishes, as gitlab-ci-local carries it."""
    node = "import('SCHEMA').then(m => console.log(JSON.stringify(m.schema ?? m.default ?? Object.values(m)[0])))"
    schema = OTHERS / "node_modules/gitlab-ci-local/src/schema/schema.js"
    printed = subprocess.run([OTHERS / "bin/node", "-e", node.replace("SCHEMA", str(schema))], capture_output=True, text=True)
    (box.folder / "schema.json").write_text(printed.stdout)
    configured(box, text)
    for command in (["image"], ["build"], ["scan"], ["scan", "--analyzer", "klar", "--no-certificate"], ["auto-devops"]):
        (box.folder / "file.json").write_text(json.dumps(yaml.safe_load(box.ok("ci", *command).out)))
        check = "import json, sys, jsonschema; jsonschema.validate(*[json.load(open(name)) for name in sys.argv[1:]])"
        argv = [str(OTHERS / "bin/python"), "-c", check, str(box.folder / "file.json"), str(box.folder / "schema.json")]
        done = subprocess.run(argv, capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stderr[-2000:])
    (box.folder / "file.json").write_text('{"build": {"script": 1}}')
    assert subprocess.run(argv, capture_output=True).returncode != 0, "the schema refuses what is wrong"


def configured(box: Box, text: str) -> None:
    users = yaml.safe_load((box.root / "gdk.yml").read_text())["registry"]["users"]
    made: dict[str, Any] = yaml.safe_load(text)
    made["registry"]["users"] = users
    box.configure(yaml.safe_dump(made))
    box.ok("reconfigure")
    if made["registry"]["self_signed"]:  # its certificate may be a new one
        box.ok("trust-docker-registry", "--yes")
    box.ok("start")


def test_a_job_runs_in_an_image_of_the_registry(box: Box) -> None:
    configured(box, GDK_YML)
    assert box.run("docker", "login", "-u", USER, "--password-stdin", HOST, stdin=PASSWORD).code == 0
    for words in (
        ["tag", "docker:28", f"{HOST}/group/tool:1"],
        ["push", f"{HOST}/group/tool:1"],
        ["rmi", f"{HOST}/group/tool:1"],
    ):
        box.client("docker", *words)
    folder = project(box, "image", "image", "--image", "group/tool:1")
    done = run_jobs(box, folder)
    assert done.code == 0, done
    assert "This job runs in an image of the local registry" in done.out
    assert f"{HOST}/group/tool" in box.run("docker", "images").out, "it was pulled"


def test_a_build_pushes_to_a_self_signed_registry_with_the_mount_alone(box: Box) -> None:
    configured(box, GDK_YML)
    folder = project(box, "signed", "build")
    refused = run_jobs(box, folder, *hosts())
    assert refused.code != 0
    assert "x509" in refused.out + refused.err
    mount = f"{box.home}/.docker/certs.d:/etc/docker/certs.d"
    assert mount in (folder / ".gitlab-ci.yml").read_text()
    done = run_jobs(box, folder, *hosts(), "--volume", mount)
    assert done.code == 0, done
    assert len(tags(box, "group/signed/main")) == 1
    assert PASSWORD not in done.out + done.err


def test_a_build_pushes_to_a_plain_registry(box: Box) -> None:
    configured(box, PLAIN)
    folder = project(box, "plain", "build")
    done = run_jobs(box, folder, *hosts())
    assert done.code == 0, done
    assert len(tags(box, "group/plain/main")) == 1
    text = (folder / ".gitlab-ci.yml").read_text()
    (folder / ".gitlab-ci.yml").write_text(text.replace(f', "--insecure-registry={HOST}"', ""))
    refused = run_jobs(box, folder, *hosts())
    assert "server gave HTTP response to HTTPS client" in refused.out + refused.err


# NGINX


def nginx(box: Box, conf: Path) -> str:
    """A whole configuration around the server block that was exported."""
    work = box.folder / "nginx"
    work.mkdir(exist_ok=True)
    temps = "".join(f"{kind}_temp_path {work}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    whole = f"user root; pid {work}/pid; error_log {work}/error.log; events {{}} http {{ access_log {work}/access.log; {temps}\n"
    (box.folder / "nginx.conf").write_text(f"{whole}include {conf};\n}}\n")
    return str(box.folder / "nginx.conf")


@pytest.mark.parametrize("text", [GDK_YML, PLAIN], ids=["self-signed", "plain"])
def test_a_push_through_nginx(box: Box, text: str) -> None:
    """In front of a registry with TLS, and of one without."""
    configured(box, GDK_YML)
    kept = {name: (box.root / f"registry_host.{name}").read_bytes() for name in ("crt", "key")}
    configured(box, text)
    conf = box.folder / "registry.conf"
    said = box.gdkreg("export", "nginx", "-o", str(conf), "--yes")
    assert said.code == 0, said
    for line in ("registry.external_port 443", "registry.config.http.relativeurls true"):
        assert f"config set {line}" in said.out
        box.ok("config", "set", *line.split())
    box.ok("reconfigure")
    box.ok("restart", "registry")
    box.ok("export", "nginx", "-o", str(conf), "--yes")
    if text is PLAIN:  # where a certificate of one's own lies
        for name, content in kept.items():
            (box.folder / f"own.{name}").write_bytes(content)
        own = conf.read_text().replace("/etc/ssl/certs/registry.test.crt", f"{box.folder}/own.crt")
        conf.write_text(own.replace("/etc/ssl/private/registry.test.key", f"{box.folder}/own.key"))
    whole = nginx(box, conf)
    tested = box.run("nginx", "-t", "-c", whole)
    assert tested.code == 0, tested
    assert box.run("nginx", "-c", whole).code == 0
    try:
        certs = box.folder / "etc-docker/certs.d/registry.test"
        certs.mkdir(parents=True, exist_ok=True)
        (certs / "ca.crt").write_bytes((box.root / "registry_host.crt").read_bytes() if text is GDK_YML else kept["crt"])
        big = box.folder / "context"
        big.mkdir(exist_ok=True)
        (big / "Dockerfile").write_text("FROM scratch\nCOPY big /\n")
        (big / "big").write_bytes(os.urandom(32 << 20))  # more than NGINX takes by itself, in a layer too
        name = f"registry.test/through/nginx:{'signed' if text is GDK_YML else 'plain'}"
        login = box.run("docker", "login", "-u", USER, "--password-stdin", "registry.test", stdin=PASSWORD)
        assert login.code == 0, login
        box.client("docker", "build", "-q", "-t", name, str(big))
        box.client("docker", "push", name)
        box.client("docker", "rmi", name)
        box.client("docker", "pull", name)
        assert " 201 " in (box.folder / "nginx/access.log").read_text()
    finally:
        box.run("nginx", "-s", "stop", "-c", whole)


# compose


@pytest.mark.parametrize("text", [GDK_YML, PLAIN], ids=["self-signed", "plain"])
def test_a_push_to_what_compose_starts(box: Box, text: str) -> None:
    configured(box, text)
    folder = box.folder / f"compose-{'plain' if text is PLAIN else 'signed'}"
    folder.mkdir()
    file = folder / "docker-compose.yml"
    box.ok("export", "compose", "-o", str(file))
    checked = box.run("docker-compose", "config", cwd=folder)
    assert checked.code == 0, checked
    assert yaml.safe_load(checked.out)["services"]["registry"]["environment"]["REGISTRY_STORAGE_DELETE_ENABLED"] == "true"
    box.ok("stop", "registry")
    started = box.run("docker-compose", "up", "-d", cwd=folder)
    assert started.code == 0, started
    try:
        assert box.listeners(5000) == [ADDRESS]
        scheme = "http" if text is PLAIN else "https"
        name = f"compose/{scheme}:1"
        assert box.gdkreg("token").code == 0
        pushed = box.run(
            "skopeo",
            "copy",
            "--insecure-policy",
            f"--dest-creds={USER}:{PASSWORD}",
            *(["--dest-tls-verify=false"] if text is PLAIN else []),
            "docker-daemon:docker:28",
            f"docker://{HOST}/{name}",
        )
        assert pushed.code == 0, pushed
        assert (box.root / f"registry/storage/docker/registry/v2/repositories/compose/{scheme}").is_dir()
    finally:
        box.run("docker-compose", "down", cwd=folder)
    box.ok("start")
    assert tags(box, f"compose/{scheme}") == ["1"], "the same images"


# curl


def test_the_walk_by_curl(box: Box) -> None:
    configured(box, GDK_YML)
    box.import_small(f"{HOST}/group/app:1")
    assert box.run("docker", "login", "-u", USER, "--password-stdin", HOST, stdin=PASSWORD).code == 0
    box.client("docker", "push", f"{HOST}/group/app:1")
    script = box.ok("export", "curl").out
    folder = box.folder / "walk"
    folder.mkdir()
    done = box.run("sh", "-s", "group/app", "1", stdin=script, cwd=folder)
    assert done.code == 0, done
    assert '"repositories"' in done.out
    assert '"group/app"' in done.out
    assert '"mediaType"' in done.out
    assert box.run("tar", "-tzf", str(folder / "layer.tar.gz")).out.split() == ["hello"]
    box.ok("down", "--yes")
