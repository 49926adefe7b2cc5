"""trust-docker-registry --client and trust, as a person sees them; the programs are empty files on PATH."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from gdkreg.host.base import Completed
from tests.cli.test_cli import ROOT, gdkreg
from tests.cli.test_cli import fake as fake
from tests.fakes import FakeHost

PODMANS = Path("/home/dev/.config/containers/certs.d/registry.test:5000/ca.crt")
CONTAINERDS = Path("/etc/containerd/certs.d/registry.test:5000/ca.crt")
ANCHOR = Path("/usr/local/share/ca-certificates/gdkreg-registry.test-5000.crt")
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


@pytest.fixture
def host(fake: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    """With podman, containerd and Debian's update-ca-certificates, which makes the bundle of what lies there."""
    for name in ("skopeo", "ctr", "update-ca-certificates", "minikube"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    fake.platform = msgspec.structs.replace(fake.platform, env={**fake.platform.env, "PATH": str(tmp_path)})
    for folder in (ANCHOR.parent, BUNDLE.parent):
        fake.put(folder / ".keep", "")
    fake.put(BUNDLE, "")
    run = fake.run

    def made(argv: list[str], *, stdin: str = "", as_root: bool = False) -> Completed:
        done = run(argv, stdin=stdin, as_root=as_root)
        if argv[0] == "update-ca-certificates" and done.code == 0:
            fake.put(BUNDLE, fake.files.get(ANCHOR, b""))
        return done

    monkeypatch.setattr(fake, "run", made)
    gdkreg("reconfigure")
    return fake


def table() -> list[str]:
    return [" ".join(row.split()) for row in gdkreg("trust").output.splitlines()]


def test_named_shown_kept_current_and_taken_away(host: FakeHost) -> None:
    before = dict(host.files)
    wanted = "gdkreg trust-docker-registry --client"
    assert table() == [
        f"- podman podman, buildah and skopeo {PODMANS} not there → {wanted} podman",
        f"- containerd containerd {CONTAINERDS} not there → {wanted} containerd",
        f"- minikube minikube's next start /home/dev/.minikube/certs/gdkreg-registry.test-5000.pem not there → {wanted} minikube",
        f"- system this machine's own store {ANCHOR} not there → {wanted} system",
        "Not here: docker, buildx, kind, runner",
    ]
    assert host.files == before
    told = gdkreg("trust-docker-registry", "--client", "containerd,system", "--dry-run").output
    assert "run update-ca-certificates" in told
    text = gdkreg("trust-docker-registry", "--client", "containerd,system").output
    assert "registry.test:5000 is trusted by containerd, system" in text
    assert "is trusted by containerd, system already" in gdkreg("trust-docker-registry", "--client", "containerd,system").output
    assert PODMANS not in host.files
    assert table()[1] == f"✓ containerd containerd {CONTAINERDS} registry_host.crt"
    status = " ".join(gdkreg("status").output.split())
    assert f"trust_stores this machine's own store: {ANCHOR}" in status
    assert "trust_choice containerd, system" in status

    gdkreg("cert", "renew", "tls")
    new = host.files[ROOT / "registry_host.crt"]
    assert new not in before.values()
    assert (host.files[ANCHOR], host.files[CONTAINERDS], host.files[BUNDLE]) == (new, new, new)
    assert "Nothing to do" in gdkreg("reconfigure").output

    gdkreg("trust-docker-registry", "--remove", "--client", "containerd")
    assert (CONTAINERDS in host.files, ANCHOR in host.files) == (False, True)
    gdkreg("undo")
    assert host.files[CONTAINERDS] == new
    gdkreg("trust-docker-registry", "--remove", "--client", "containerd")
    gdkreg("trust-docker-registry", "--remove", "--client", "system")
    assert (ANCHOR in host.files, host.files[BUNDLE]) == (False, b"")
    assert not [path for path in host.files if path.name == "trust.json"]
    assert "was not trusted by system" in gdkreg("trust-docker-registry", "--remove", "--client", "system").output


def test_the_usual_ones_without_one_of_them(host: FakeHost) -> None:
    gdkreg("trust-docker-registry")
    mine = Path("/home/dev/.docker/certs.d/registry.test:5000/ca.crt")
    assert mine in host.files
    assert PODMANS in host.files
    gdkreg("trust-docker-registry", "--remove", "--client", "podman")
    gdkreg("reconfigure")
    assert (mine in host.files, PODMANS in host.files) == (True, False)
    assert "the usual ones; without podman" in gdkreg("status").output
    gdkreg("trust-docker-registry")
    assert PODMANS in host.files, "whoever asks for the usual ones gets them"


def test_down_takes_back_what_was_named(host: FakeHost) -> None:
    gdkreg("trust-docker-registry", "--client", "all,system")
    assert BUNDLE in host.files
    gdkreg("down")
    assert host.files[BUNDLE] == b""
    assert not [path for path in host.files if "registry.test" in str(path)]
    assert Path("/home/dev/.minikube") not in host.infos


def test_errors_are_sentences(host: FakeHost) -> None:
    text = gdkreg("trust-docker-registry", "--client", "kind", code=1).output
    assert "kind is not on this machine" in text
    assert "looked for containers of the engine with the label io.x-k8s.kind.cluster (kind) or app=k3d (k3d)" in text
    assert "there is no such client" in gdkreg("trust-docker-registry", "--client", "dockr", code=2).output
    found = json.loads(gdkreg("trust", "--json").output)
    assert set(found) == {"command", "root", "authority", "certificate", "stores", "absent", "problem"}
    assert set(found["stores"][0]) == {"client", "of", "reads", "state", "chosen", "restart", "why", "fix", "prove"}


def test_root_is_asked_for_by_the_command_to_type(host: FakeHost) -> None:
    host.platform = msgspec.structs.replace(host.platform, uid=1000)
    host.refuse_root = True
    text = gdkreg("trust-docker-registry", "--client", "containerd", code=4).output
    assert "sudo install -d" in text


def test_a_hosts_toml_of_containerds_is_told_until_it_leads_there(host: FakeHost) -> None:
    toml, line = CONTAINERDS.with_name("hosts.toml"), f'ca = "{CONTAINERDS}"'
    host.put(toml, '[host."https://registry.test:5000"]\n')
    assert f"! {CONTAINERDS} does not count: {toml} does" in gdkreg("trust-docker-registry", "--client", "containerd").output
    assert f"add to it: {line}" in table()[1]
    host.put(toml, f'[host."https://registry.test:5000"]\n{line}\n')
    assert "does not count" not in gdkreg("trust-docker-registry", "--client", "containerd").output
    assert table()[1] == f"✓ containerd containerd {CONTAINERDS} registry_host.crt"
