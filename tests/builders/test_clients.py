"""Everybody's clients, the real ones: refused for want of trust, cured by the very line that is told, logged in, push and pull,
and refused outside their grant. Each refusal is explained."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from gdkreg.clients.table import BY_NAME
from tests.e2e.box import HOST, Box, Result

OTHERS = Path(sys.prefix) / "clients"  # made by clients.sh
THEIRS, OWN = f"{HOST}/group/app:1", f"{HOST}/own/app:1"
ORAS = (
    "import oras.client, sys; c = oras.client.OrasClient(hostname='{host}', tls_verify=True)\n"
    "c.auth.load_configs(c.get_container('{reference}'))\n"
    "print(c.get_manifest('{reference}')['schemaVersion'])\n"
)
REQUESTS = (
    "import requests, sys; r = requests.get('https://{host}/v2/{repository}/tags/list', auth=None,"
    " headers={{'Authorization': 'Bearer ' + sys.argv[3]}}); r.raise_for_status()\n"
)
NODE = """\
const made = require('OTHERS/node_modules/docker-registry-client').createClientV2(
  {name: process.argv[2], username: process.argv[3], password: process.argv[4]});
made.getManifest({ref: '1'}, (error) => { if (error) { console.error(error.stack || error); process.exit(1); } });
""".replace("OTHERS", str(OTHERS))


class Case(NamedTuple):
    """`pull` and `push` are lines of a shell with {reference}; $1, $2 and $3 are a name, a password and a token."""

    pull: str
    push: str = ""
    denied: str = "insufficient scope"  # what a request outside the grant is explained as


CASES = {
    "docker": Case("docker pull -q {reference}", "docker push -q {reference}"),
    "podman": Case("podman pull -q {reference}", "podman tag {theirs} {reference}; podman push -q {reference}"),
    "buildah": Case("buildah pull -q --policy always {reference}", "buildah push -q {theirs} docker://{reference}"),
    "skopeo": Case("skopeo inspect -n docker://{reference}", "skopeo copy -q docker://{theirs} docker://{reference}"),
    "containerd": Case(
        "ctr images pull --hosts-dir /etc/containerd/certs.d ${{1:+--user $1:$2}} {reference}",
        "ctr images tag --force {theirs} {reference}; "
        "ctr images push --hosts-dir /etc/containerd/certs.d --user $1:$2 {reference}",
    ),
    "curl": Case(
        'curl -sSf -H "Authorization: Bearer $3" https://{host}/v2/{repository}/tags/list',
        "python -m gdkreg token --curl repository:own/app:pull,push | sh | grep -E '^HTTP.* 202'; "
        "python -m gdkreg token --curl repository:own/app:pull,push | sh | grep -E '^HTTP.* 204'",
        "unauthorized",
    ),
    "dxf": Case("dxf list-aliases {repository}", "dxf push-blob {repository} /etc/hosts", "unauthorized"),
    "oras-py": Case(f'{OTHERS}/bin/python -c "{ORAS}" $1 $2', denied="unauthorized"),
    "requests": Case(f'{OTHERS}/bin/python -c "{REQUESTS}" "$1" "$2" "$3"', denied="unauthorized"),
    "npm": Case("node {script} {host}/{repository} $1 $2", denied="unauthorized"),
}


@pytest.fixture(scope="module")
def world(box: Box) -> Box:
    """A registry with group/app:1, an administrator, and `own`, who may do everything below own/."""
    box.up_with_an_image()
    (box.folder / "client.js").write_text(NODE)
    box.run("docker", "logout", HOST)
    for name, grants in (("all", ["--admin"]), ("own", ["--push", "own/**", "--pull", "own/**"])):
        done = box.run(sys.executable, "-m", "gdkreg", "user", "add", name, *grants, "--password-stdin", stdin="hunter22\n")
        assert done.code == 0, done
    return box


class Shell:
    """One client's shell: what is exported in it stays for its later lines."""

    def __init__(self, box: Box, name: str) -> None:
        storage = box.folder / f"storage-{name}.conf"
        storage.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{box.folder}/store-{name}"\nrunroot = "/run/{name}"\n')
        self.box, self.name, self.exports = box, name, ""
        self.env: Mapping[str, str] = {
            "PATH": f"{Path(sys.executable).parent}:{OTHERS}/bin:{OTHERS}/node_modules/.bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "CONTAINERS_STORAGE_CONF": str(storage),
            "CONTAINERD_ADDRESS": "/run/docker-exec/containerd/containerd.sock",
            "DXF_HOST": HOST,
        }

    def run(self, line: str, *arguments: str) -> Result:
        user, password, _ = (*arguments, "", "", "")[:3]
        env = {**self.env, **({"DXF_USERNAME": user, "DXF_PASSWORD": password} if user else {})}
        return self.box.run("sh", "-c", f"{self.exports}\n{line}", "sh", *arguments, env=env)

    def ask(self, reference: str, *arguments: str, push: bool = False) -> Result:
        case = CASES[self.name]
        repository = reference.partition("/")[2].rpartition(":")[0]
        names = {"reference": reference, "theirs": THEIRS, "host": HOST, "repository": repository}
        line = (case.push if push else case.pull).format(**names, script=self.box.folder / "client.js")
        for _ in range(15):  # Go programs remember /etc/hosts for 5 seconds
            result = self.run(line, *arguments)
            if result.code == 0 or "lookup " not in result.err + result.out:
                break
        return result

    def explained(self, result: Result) -> dict[str, str]:
        assert result.code != 0, result
        done = self.box.run(sys.executable, "-m", "gdkreg", "explain", "--json", stdin=result.out + result.err)
        assert done.code == 0, (result, done)
        found: dict[str, str] = json.loads(done.out)
        return found


@pytest.mark.parametrize("name", CASES)
def test_a_client(world: Box, name: str) -> None:
    box, shell, case = world, Shell(world, name), CASES[name]
    token = {who: box.ok("token", f"repository:{who}:pull").out.strip() for who in ("group/app", "own/app")}
    box.ok("trust-docker-registry", "--remove")
    box.ok("logout")
    box.run("rm", "-rf", "/etc/containerd/certs.d")

    # Refused for want of trust; the very line that is told cures it.
    refused = shell.explained(shell.ask(THEIRS, "all", "hunter22", token["group/app"]))
    assert refused["name"].startswith("unknown authority"), refused
    assert refused["client"] in {name, "podman"}, refused  # the tools that share podman's library share its words
    cure = refused["remedy"]
    if cure.startswith("export "):
        told = box.ok("env", name).out.strip()
        assert told == cure
        shell.exports = cure
    else:
        cured = shell.run(cure.replace("gdkreg ", "python -m gdkreg "))
        assert "unknown authority" not in cured.out + cured.err, cured

    # Without a login, then with one.
    if name not in {"oras-py"}:  # which tries for minutes
        nobody = shell.explained(shell.ask(THEIRS))
        assert nobody["name"] in {"not logged in", "unauthorized", "wrong password"}, nobody
    login(shell, "all")
    pulled = shell.ask(THEIRS, "all", "hunter22", token["group/app"])
    assert pulled.code == 0, pulled

    # Within its grant and outside it.
    login(shell, "own")
    if case.push:
        if name == "docker":
            box.run("docker", "tag", THEIRS, OWN)
        if name == "skopeo":
            login(shell, "all")
        pushed = shell.ask(OWN, "own", "hunter22", token["own/app"], push=True)
        assert pushed.code == 0, pushed
        login(shell, "own")
        assert shell.ask(OWN, "own", "hunter22", token["own/app"]).code == 0 or name in {"npm"}
    denied = shell.explained(shell.ask(THEIRS, "own", "hunter22", token["own/app"]))
    assert denied["name"] in {case.denied, "insufficient scope"}, denied


def login(shell: Shell, user: str) -> None:
    client = {"oras-py": "docker"}.get(shell.name, shell.name)  # which reads docker's logins
    if client != shell.name:
        shell.box.ok("trust-docker-registry")
    if BY_NAME[client].login:
        words = ["login", "--client", client, "-u", user, "--password-stdin"]
        done = shell.box.run(sys.executable, "-m", "gdkreg", *words, stdin="hunter22\n")
        assert done.code == 0, done
