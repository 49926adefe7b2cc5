"""Each kind of error, provoked from a real client, and what gdkreg makes of it."""

from __future__ import annotations

import pytest

from gdkreg.resources import x509
from tests.certs import dated
from tests.e2e.box import GDK_YML, HOST, IMAGE, Box, Result

SERVER = (
    "import http.server as h, ssl, sys\n"
    "s = h.HTTPServer(('172.16.123.1', 5443), h.SimpleHTTPRequestHandler)\n"
    "c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain(sys.argv[1])\n"
    "s.socket = c.wrap_socket(s.socket, server_side=True); s.serve_forever()\n"
)


@pytest.fixture(scope="module", autouse=True)
def up(box: Box) -> None:
    box.up_with_an_image()


def explained(box: Box, result: Result) -> str:
    assert result.code != 0 or "HTTP/" in result.out, result
    done = box.run("python", "-m", "gdkreg", "explain", "--json", stdin=result.err + result.out)
    assert done.code == 0, (result, done)
    import json

    found = json.loads(done.out)
    assert found["remedy"]
    assert found["state"]
    return str(found["name"])


def curl(box: Box, *options: str, cacert: bool = True, url: str = f"https://{HOST}/v2/") -> Result:
    trust = ["--cacert", str(box.root / "registry_host.crt")] if cacert else []
    return box.run("curl", "-sSi", *trust, *options, url)


def settled(box: Box, text: str) -> None:
    box.configure(text)
    box.ok("reconfigure")
    box.ok("restart")


@pytest.mark.parametrize(("begins", "ends", "name"), [(-20, -10, "expired"), (10, 20, "clock skew")])
def test_certificates_out_of_time(box: Box, begins: int, ends: int, name: str) -> None:
    key, path = x509.new_tls_key(), box.folder / f"dated{begins}.pem"
    path.write_bytes(x509.pem(key) + dated(key, "registry.test", begins, ends))
    server = box.popen("python3", "-c", SERVER, str(path))
    box.run("sleep", "0.7")
    # Docker too: Go says it in other words than curl.
    certs = box.folder / "etc-docker/certs.d/registry.test:5443"
    certs.mkdir(exist_ok=True)
    (certs / "ca.crt").write_bytes(path.read_bytes())
    results = [curl(box, "--cacert", str(path), cacert=False, url="https://registry.test:5443/")]
    results.append(box.run("docker", "pull", "registry.test:5443/x"))
    box.run("sh", "-c", "kill $(ss -Hltnp sport = :5443 | sed 's/.*pid=\\([0-9]*\\).*/\\1/')")
    server.wait()
    assert [explained(box, result) for result in results] == [name, name]


def test_trust(box: Box) -> None:
    assert explained(box, curl(box, cacert=False)) == "unknown authority"
    other = curl(box, "--resolve", "other.test:5000:172.16.123.1", url="https://other.test:5000/v2/")
    assert explained(box, other) == "name mismatch"
    ca = box.folder / "etc-docker/certs.d/registry.test:5000/ca.crt"
    kept = ca.read_bytes()
    ca.unlink()
    assert explained(box, box.run("docker", "pull", f"{HOST}/group/app:1")) == "unknown authority"
    ca.write_bytes(kept)


def test_plain_and_tls(box: Box) -> None:
    answer = curl(box, url=f"http://{HOST}/v2/", cacert=False)
    assert explained(box, answer) == "https answer to an http client"
    settled(box, GDK_YML.replace("self_signed: true", "self_signed: false") + "  auth_enabled: false\n")
    assert explained(box, box.run("docker", "pull", f"{HOST}/group/app:1")) == "http answer to an https client"
    assert explained(box, curl(box, cacert=False)) == "http answer to an https client"
    settled(box, GDK_YML)
    box.ok("trust-docker-registry")
    box.ok("start")


def test_names_and_addresses(box: Box) -> None:
    assert explained(box, box.run("docker", "pull", "unknown.test:5000/x")) == "no such host"
    assert explained(box, curl(box, url="https://unknown.test:5000/")) == "no such host"
    away = box.run("docker", "run", "--rm", "-p", "172.16.99.99:5000:5000", IMAGE, "--version")
    assert explained(box, away) == "cannot assign requested address"
    taken = box.run("docker", "run", "--rm", "-p", "172.16.123.1:5000:5000", IMAGE, "--version")
    assert explained(box, taken) == "port in use"
    box.ok("stop", "auth")
    assert explained(box, box.run("docker", "pull", f"{HOST}/group/app:1")) == "realm unreachable"
    box.ok("start", "auth")
    box.ok("stop", "registry")
    assert explained(box, box.run("docker", "pull", f"{HOST}/group/app:1")) == "connection refused"
    assert explained(box, curl(box)) == "connection refused"
    box.ok("start", "registry")


def token(box: Box, *scopes: str) -> list[str]:
    return ["-H", f"Authorization: Bearer {box.ok('token', *scopes).out.strip()}"]


def test_challenges(box: Box) -> None:
    assert explained(box, curl(box)) == "unauthorized"
    bad = ["-H", "Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.e30.AAAA"]
    assert explained(box, curl(box, *bad, url=f"https://{HOST}/v2/group/app/tags/list")) == "invalid token"
    little = token(box, "repository:other:pull")
    assert explained(box, curl(box, *little, url=f"https://{HOST}/v2/group/app/tags/list")) == "insufficient scope"
    wrong = box.run("docker", "login", "-u", "developer", "--password-stdin", HOST, stdin="wrong")
    assert explained(box, wrong) == "wrong password"
    box.run("docker", "logout", HOST)
    assert explained(box, box.run("docker", "push", f"{HOST}/group/app:1")) == "not logged in"
    assert explained(box, box.run("skopeo", "inspect", f"docker://{HOST}/group/app:1")) == "not logged in"


def test_images_and_uploads(box: Box) -> None:
    box.ok("login")
    assert explained(box, box.run("docker", "pull", f"{HOST}/group/app:none")) == "manifest unknown"
    both = token(box, "repository:group/app:pull,push")
    bogus = f"https://{HOST}/v2/group/app/blobs/uploads/00000000-0000-0000-0000-000000000000?_state=bogus"
    assert explained(box, curl(box, *both, "-X", "PATCH", url=bogus)) == "blob upload invalid"


def test_denied(box: Box) -> None:
    done = box.run("python", "-m", "gdkreg", "user", "add", "ro", "--pull", "**", "--password-stdin", stdin="hunter22\n")
    assert done.code == 0, done
    done = box.run("python", "-m", "gdkreg", "login", "-u", "ro", "--password-stdin", stdin="hunter22\n")
    assert done.code == 0, done
    assert explained(box, box.run("docker", "push", f"{HOST}/group/app:1")) == "insufficient scope"
    box.ok("user", "remove", "ro")
    box.ok("login")


def test_read_only(box: Box) -> None:
    settled(box, GDK_YML + "  read_only_maintenance_enabled: true\n")
    assert explained(box, box.run("docker", "push", f"{HOST}/group/app:1")) == "read-only"
    settled(box, GDK_YML)


def test_what_is_not_known(box: Box) -> None:
    done = box.gdkreg("explain", "the moon is in the seventh house")
    assert done.code == 1
    assert "gdkreg verify" in done.out
