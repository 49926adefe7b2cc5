"""Certificates and whom a request trusts, over real TLS."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests

from gdkreg.config import settings as configs
from gdkreg.registry import remote, session
from gdkreg.resources import x509
from tests.fakes import FakeHost


class Fine(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response_only(204)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[str]:
    """A server at 127.0.0.1 with a certificate of its own, which lies in the folder as a root's registry_host.crt."""
    pair = x509.self_signed(x509.new_tls_key(), "127.0.0.1", ("127.0.0.1",), 9)
    (tmp_path / "registry_host.crt").write_bytes(pair.certificate)
    (tmp_path / "key").write_bytes(pair.key)
    server = HTTPServer(("127.0.0.1", 0), Fine)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "registry_host.crt", tmp_path / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_a_registry_is_trusted_by_its_own_certificate_alone(secure: str, tmp_path: Path) -> None:
    assert session.request("GET", secure, tmp_path / "registry_host.crt").status_code == 204
    with pytest.raises(requests.exceptions.SSLError):
        session.request("GET", secure, None)
    host = FakeHost()
    port = secure.rpartition(":")[2]
    host.put(tmp_path / "gdk.yml", f"registry: {{enabled: true, self_signed: true, host: 127.0.0.1, port: {port}}}")
    assert remote.bare(configs.load(tmp_path, host)).probe().status == 204


def test_a_gitlab_is_trusted_as_this_system_trusts(secure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trusting = ssl.create_default_context(cafile=str(tmp_path / "registry_host.crt"))
    monkeypatch.setattr(session, "system_trust", lambda: trusting)
    assert session.request("GET", secure, None).status_code == 204
    other = x509.self_signed(x509.new_tls_key(), "127.0.0.1", ("127.0.0.1",), 9).certificate
    (tmp_path / "other.crt").write_bytes(other)
    with pytest.raises(requests.exceptions.SSLError):
        session.request("GET", secure, tmp_path / "other.crt")


def test_a_certificate_is_good_for_clocks_that_are_an_hour_late() -> None:
    found = x509.facts(x509.self_signed(x509.new_tls_key(), "s" * 70, ("a.test",), 30, "0123456789abcdef").certificate)
    assert found is not None
    assert (found.not_after - found.not_before).days == 30
    left = found.not_after - found.not_before
    assert left.total_seconds() == 30 * 24 * 3600
    assert found.days_left == 29
    assert f"CN={'s' * 64}," in found.subject + ","
    assert found.root == "0123456789abcdef"
    import datetime

    age = datetime.datetime.now(datetime.timezone.utc) - found.not_before
    assert 3600 <= age.total_seconds() < 3700


def test_which_keys_and_certificates_can_be_read() -> None:
    pair = x509.self_signed(x509.new_tls_key(), "a.test", ("a.test",), 9)
    other = x509.self_signed(x509.new_token_key(), "a.test", (), 9)
    assert x509.is_pair(pair.key, pair.certificate)
    assert not x509.is_pair(other.key, pair.certificate)
    assert not x509.is_pair(pair.certificate, pair.certificate)
    assert x509.root_of(pair.certificate) == x509.root_of(b"no") == ""
    found = x509.facts(other.certificate)
    assert found is not None
    assert (found.kind, found.names) == ("RSA 2048", ())
    token, tls = x509.load_key(other.key), x509.load_key(pair.key)
    assert token is not None
    assert tls is not None
    assert (x509.is_rsa(token), x509.is_rsa(tls)) == (True, False)
