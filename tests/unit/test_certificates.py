from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from gdkreg.errors import GdkregError
from gdkreg.plan.actions import Step, WriteFile
from gdkreg.resources import x509
from gdkreg.resources.certificates import Certificate, Jwks
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import apply, executor, files, journal, levels, plan

NAMES = ("registry.test", "172.16.123.1")
ID = "0123456789abcdef"


def tls(
    host: FakeHost, names: tuple[str, ...] = NAMES, days: int = 365, *, wanted: bool = True, renew: bool = False
) -> Certificate:
    return Certificate(
        "registry_host", "tls", names[0], names, days, ROOT, ID, files(host, "registry_host.crt"), wanted=wanted, renew=renew
    )


def token(host: FakeHost, days: int = 365, *, renew: bool = False) -> Certificate:
    return Certificate("localhost", "token", "gitlab-issuer", (), days, ROOT, ID, files(host, "localhost.crt"), renew=renew)


def jwks(host: FakeHost) -> Jwks:
    return Jwks(ROOT / "localhost.crt", ROOT / "jwks.json", files(host, "jwks.json"))


def foreign(host: FakeHost, stem: str, names: tuple[str, ...], days: int = 365) -> x509.KeyPair:
    """A pair as GDK makes it: with the DNS name only."""
    pair = x509.self_signed(x509.new_token_key(), names[0], names, days)
    host.put(ROOT / f"{stem}.key", pair.key, 0o600)
    host.put(ROOT / f"{stem}.crt", pair.certificate)
    return pair


@pytest.mark.parametrize("name", ["registry.test", "172.16.123.1"])
def test_a_real_handshake(name: str, tmp_path: Path) -> None:
    pair = x509.self_signed(x509.new_tls_key(), NAMES[0], NAMES, 365, ID)
    (tmp_path / "crt").write_bytes(pair.certificate)
    (tmp_path / "key").write_bytes(pair.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    client = ssl.create_default_context(cafile=str(tmp_path / "crt"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    left, right = socket.socketpair()
    thread = threading.Thread(target=lambda: server.wrap_socket(left, server_side=True).recv(1), daemon=True)
    thread.start()
    with client.wrap_socket(right, server_hostname=name) as secure:
        assert secure.version() == "TLSv1.3"
        secure.send(b"x")
    thread.join(5)
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(server, ssl.create_default_context(cafile=str(tmp_path / "crt")), "other.test")


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    left, right = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(left, server_side=True)
        except OSError:
            left.close()

    threading.Thread(target=serve, daemon=True).start()
    client.wrap_socket(right, server_hostname=name).close()


def test_openssl_reads_what_we_made(tmp_path: Path) -> None:
    pair = x509.self_signed(x509.new_tls_key(), NAMES[0], NAMES, 365, ID)
    (tmp_path / "crt").write_bytes(pair.certificate)
    text = subprocess.run(
        ["openssl", "x509", "-in", str(tmp_path / "crt"), "-noout", "-text"], capture_output=True, text=True, check=True
    ).stdout
    assert "DNS:registry.test, IP Address:172.16.123.1" in text
    assert "CA:FALSE" in text
    assert "prime256v1" in text


def test_facts() -> None:
    found = x509.facts(x509.self_signed(x509.new_tls_key(), NAMES[0], NAMES, 100, ID).certificate)
    assert found is not None
    assert (found.names, found.kind, found.days_left) == (NAMES, "EC secp256r1", 99)
    assert x509.facts(b"no") is None
    assert not x509.is_pair(b"no", b"no")
    assert not x509.is_pair(x509.pem(x509.new_tls_key()), b"no")


def test_the_pair_is_made_once_and_private(fake: FakeHost) -> None:
    apply(fake, tls(fake))
    assert fake.infos[ROOT / "registry_host.key"].mode == 0o600
    assert fake.infos[ROOT / "registry_host.crt"].mode == 0o644
    assert x509.is_pair(fake.files[ROOT / "registry_host.key"], fake.files[ROOT / "registry_host.crt"])
    assert plan(fake, tls(fake)) == []
    assert levels(fake, tls(fake)) == ["ok"]
    journal = (ROOT / ".gdkreg" / "backups").as_posix()
    secrets = [raw for path, raw in fake.files.items() if path.as_posix().startswith(journal) and b"PRIVATE" in raw]
    assert secrets == []


def test_a_key_that_became_readable_is_closed_again(fake: FakeHost) -> None:
    apply(fake, tls(fake))
    fake.put(ROOT / "registry_host.key", fake.files[ROOT / "registry_host.key"], 0o644)
    (action,) = plan(fake, tls(fake))
    assert isinstance(action, WriteFile)
    assert (action.mode, action.reason) == (0o600, "the key is readable for others")


@pytest.mark.parametrize(
    ("names", "days", "reason"),
    [
        (("images.test", "172.16.123.1"), 365, "it is for registry.test, 172.16.123.1, not for images.test"),
        (("registry.test", "172.16.123.2"), 365, "not for 172.16.123.2"),
    ],
)
def test_made_anew_when_host_or_address_changed(fake: FakeHost, names: tuple[str, ...], days: int, reason: str) -> None:
    apply(fake, tls(fake))
    before = fake.files[ROOT / "registry_host.key"]
    assert reason in plan(fake, tls(fake, names, days))[0].reason
    assert levels(fake, tls(fake, names)) == ["changed"]
    apply(fake, tls(fake, names))
    assert fake.files[ROOT / "registry_host.key"] != before


def test_made_anew_when_few_days_are_left_and_the_token_key_stays(fake: FakeHost) -> None:
    pair = x509.self_signed(x509.new_token_key(), "gitlab-issuer", (), 20, ID)
    _as_ours(fake, "localhost", pair)
    assert "it expires in 19 days" in plan(fake, token(fake))[0].reason
    apply(fake, token(fake))
    assert fake.files[ROOT / "localhost.key"] == pair.key
    found = x509.facts(fake.files[ROOT / "localhost.crt"])
    assert found is not None
    assert found.days_left == 364


def _as_ours(fake: FakeHost, stem: str, pair: x509.KeyPair) -> None:
    """Lay a pair down as an earlier gdkreg would have."""
    at_work = executor(fake, journal(fake))
    for ending, content, mode in (("key", pair.key, 0o600), ("crt", pair.certificate, 0o644)):
        path = ROOT / f"{stem}.{ending}"
        action = WriteFile(path=path, content=content, reason="", before=fake.files.get(path), mode=mode)
        at_work.carry_out([Step(f"{stem}.crt", action)])


def test_made_anew_when_the_pair_does_not_match(fake: FakeHost) -> None:
    good = x509.self_signed(x509.new_tls_key(), NAMES[0], NAMES, 365, ID)
    other = x509.self_signed(x509.new_tls_key(), NAMES[0], NAMES, 365, ID)
    _as_ours(fake, "registry_host", x509.KeyPair(good.key, other.certificate))
    assert "the key is not the certificate's" in plan(fake, tls(fake))[0].reason
    _as_ours(fake, "registry_host", x509.KeyPair(b"broken", other.certificate))
    assert "registry_host.key cannot be read" in plan(fake, tls(fake))[0].reason
    _as_ours(fake, "registry_host", x509.KeyPair(good.key, b"broken"))
    assert "registry_host.crt cannot be read" in plan(fake, tls(fake))[0].reason


def test_one_half_missing(fake: FakeHost) -> None:
    apply(fake, token(fake))
    key = fake.files[ROOT / "localhost.key"]
    fake.remove(ROOT / "localhost.crt")
    apply(fake, token(fake))
    assert fake.files[ROOT / "localhost.key"] == key


def test_a_foreign_pair_that_serves_is_left_alone(fake: FakeHost) -> None:
    pair = foreign(fake, "registry_host", ("registry.test",), days=20)
    assert plan(fake, tls(fake)) == []
    assert levels(fake, tls(fake)) == ["ok", "warning"]
    assert plan(fake, tls(fake), present=False) == []
    assert fake.files[ROOT / "registry_host.crt"] == pair.certificate


@pytest.mark.parametrize(("names", "days"), [(("other.test",), 365), (("registry.test",), 0)])
def test_a_foreign_pair_that_does_not_serve_is_never_replaced(fake: FakeHost, names: tuple[str, ...], days: int) -> None:
    foreign(fake, "registry_host", names, days)
    with pytest.raises(GdkregError, match="is not gdkreg's and does not serve") as error:
        plan(fake, tls(fake))
    assert "rm " in error.value.fix
    assert levels(fake, tls(fake)) == ["error"]


def test_renew(fake: FakeHost) -> None:
    apply(fake, tls(fake), token(fake))
    assert [action.reason for action in plan(fake, tls(fake, renew=True))] == ["asked for", "asked for"]
    foreign(fake, "registry_host", ("registry.test",))
    with pytest.raises(GdkregError, match="not gdkreg's"):
        plan(fake, tls(fake, renew=True))


def test_no_longer_wanted(fake: FakeHost) -> None:
    apply(fake, tls(fake))
    apply(fake, tls(fake, wanted=False))
    assert ROOT / "registry_host.key" not in fake.files
    assert levels(fake, tls(fake, wanted=False)) == ["off"]


def test_a_plan_shows_names_and_no_secret(fake: FakeHost) -> None:
    from gdkreg.plan import diff

    key, certificate = plan(fake, tls(fake))
    assert diff.of(key) == "(contents not shown: a secret)"
    assert "+(a self-signed P-256 certificate for registry.test, 172.16.123.1, valid for 365 days)" in diff.of(certificate)


# jwks.json and the libtrust id, against values worked out by openssl and the standard library alone


def test_the_libtrust_id_and_the_jwk_set(tmp_path: Path) -> None:
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            tmp_path / "k",
            "-out",
            tmp_path / "c",
            "-subj",
            "/CN=x",
        ],
        check=True,
        capture_output=True,
    )
    certificate = (tmp_path / "c").read_bytes()
    der = subprocess.run(
        ["openssl", "pkey", "-in", tmp_path / "k", "-pubout", "-outform", "DER"], check=True, capture_output=True
    ).stdout
    raw = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    expected = ":".join(raw[at : at + 4] for at in range(0, 48, 4))
    modulus = subprocess.run(
        ["openssl", "x509", "-in", tmp_path / "c", "-noout", "-modulus"], check=True, capture_output=True, text=True
    ).stdout
    assert x509.libtrust_id(certificate) == expected
    (key,) = json.loads(x509.jwks(certificate))["keys"]
    assert key["kid"] == expected
    assert base64.urlsafe_b64decode(key["n"] + "==").hex().upper() == modulus.strip().removeprefix("Modulus=")
    assert key["e"] == "AQAB"


def test_jwks_follows_the_certificate(fake: FakeHost) -> None:
    assert levels(fake, jwks(fake)) == ["changed"]
    apply(fake, token(fake))
    apply(fake, jwks(fake))
    assert plan(fake, jwks(fake)) == []
    assert levels(fake, jwks(fake)) == ["ok"]
    apply(fake, jwks(fake), present=False)
    assert ROOT / "jwks.json" not in fake.files


def test_a_certificate_that_cannot_sign_gitlabs_tokens_is_an_error(fake: FakeHost) -> None:
    fake.put(ROOT / "localhost.crt", x509.self_signed(x509.new_tls_key(), "x", (), 365).certificate)
    with pytest.raises(GdkregError, match="cannot sign GitLab's tokens"):
        plan(fake, jwks(fake))
    assert levels(fake, jwks(fake)) == ["error"]
