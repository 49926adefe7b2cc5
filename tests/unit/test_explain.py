"""What clients print, and what gdkreg takes it for. From a real client of Debian 12, unless the line says (text)."""

from __future__ import annotations

import pytest

from gdkreg.config import settings as configuration
from gdkreg.config.effective import Settings
from gdkreg.explain import explain, kind_of
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT

GO = 'Get "https://registry.test:5000/v2/": '
TEXTS = {
    "engine": [
        "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get "
        '"http://%2Fvar%2Frun%2Fdocker.sock/v1.24/version": dial unix /var/run/docker.sock: connect: permission denied',
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
    ],
    "credential helper": [
        'error getting credentials - err: exec: "docker-credential-desktop": executable file not found in $PATH, out: ``'
    ],
    "clock skew": [
        GO + "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time "
        "2026-11-21T10:00:00Z is before 2026-12-01T10:00:00Z",
    ],
    "expired": [
        GO + "x509: certificate has expired or is not yet valid: current time 2026-11-21T10:00:00Z is after 2026-11-11T10:00:00Z",
        "curl: (60) SSL certificate problem: certificate has expired",
    ],
    "name mismatch": [
        GO + "x509: certificate relies on legacy Common Name field, use SANs instead",
        GO
        + "tls: failed to verify certificate: x509: certificate relies on legacy Common Name field, use SANs instead",  # (text)
        GO + "x509: certificate is valid for registry.test, not images.test",
    ],
    "realm unreachable": [
        'Get "https://registry.test:5001/jwt/auth?account=x": dial tcp 172.16.123.1:5001: connect: connection refused',
    ],
    "realm not trusted": [
        'failed to fetch oauth token: Post "https://registry.test:5001/jwt/auth": tls: failed to verify certificate: '
        "x509: certificate signed by unknown authority",
    ],
    "unknown authority in containerd": [  # (text)
        'Failed to pull image "registry.test:5000/x:1": failed to pull and unpack image "registry.test:5000/x:1": failed to '
        'resolve reference "registry.test:5000/x:1": failed to do request: Head "https://registry.test:5000/v2/x/manifests/1": '
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
    ],
    "unknown authority in a build": [
        "ERROR: failed to solve: registry.test:5000/a/b:c: failed to resolve source metadata for registry.test:5000/a/b:c: "
        'failed to do request: Head "https://registry.test:5000/v2/a/b/manifests/c": tls: failed to verify certificate: '
        "x509: certificate signed by unknown authority",
    ],
    "unknown authority": ["Error response from daemon: " + GO + "x509: certificate signed by unknown authority"],
    "no such host": ["Error response from daemon: " + GO + "dial tcp: lookup registry.test on 10.0.0.1:53: no such host"],
    "connection refused": [
        "curl: (7) Failed to connect to registry.test port 5000 after 7 ms: Could not connect to server",  # of Debian 13
        "Error response from daemon: " + GO + "dial tcp 172.16.123.1:5000: connect: connection refused",
    ],
    "no answer": [  # (text)
        GO + "net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
        GO + "net/http: TLS handshake timeout",
        GO + "read tcp 172.17.0.2:41000->172.16.123.1:5000: read: connection reset by peer",
        GO + "EOF",
    ],
    "trust not readable": [
        "open /etc/docker/certs.d/registry.test:5000/ca.crt: permission denied",
    ],
    "wrong password": [
        "Error: trying to reuse blob sha256:1b at destination: checking whether a blob sha256:1b exists in registry.test:5000/a: "
        "unable to retrieve auth token: invalid username/password: unauthorized: HTTP Basic: Access denied",
        "Error response from daemon: " + GO + "unauthorized: HTTP Basic: Access denied",
    ],
    "token expired on a large push": [
        'writing blob: Put "https://registry.test:5000/v2/a/blobs/uploads/1b?_state=x": unauthorized: authentication required',
        "4f4fb700ef54: Pushing [====>    ]  512MB/2GB\nunauthorized: authentication required",
    ],
    "insufficient scope": [
        "Error: initializing source docker://registry.test:5000/group/app:1: reading manifest 1 in registry.test:5000/group/app: "
        "errors:\ndenied: requested access to the resource is denied\nunauthorized: authentication required\n",
        'level=fatal msg="Error listing repository tags: unable to retrieve auth token: invalid username/password: errors:\\n'
        'denied: requested access to the resource is denied\\nunauthorized: authentication required\\n"',
        "denied: requested access to the resource is denied",
        "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: "
        "authorization failed",
    ],
    "not logged in": [
        "denied: access forbidden",
        'level=fatal msg="Error parsing image name: Requesting bearer token: invalid status code from registry 403 (Forbidden)"',
        "no basic auth credentials",
        "requests.exceptions.HTTPError: 403 Client Error: Forbidden for url: https://registry.test:5001/jwt/auth?service=x",
        'No matching credentials were found for "registry.test:5000"\nError: fetching manifest registry.test:5000/a:1: GET '
        "https://registry.test:5001/jwt/auth?scope=x&service=container_registry: DENIED: access forbidden",
        "failed to authorize: failed to fetch anonymous token: unexpected status: 403 Forbidden",
        'ForbiddenError: {"errors":[{"code":"DENIED","message":"access forbidden"}]}',
    ],
    "unauthorized": [
        "Copying blob 4f4fb700ef54 [====]\nError: trying to reuse blob sha256:4f at destination: checking whether a blob "
        "sha256:4f exists in registry.test:5000/other/app: unauthorized: authentication required",
        "HTTP/1.1 401 Unauthorized",
    ],
    "storage not writable": [  # (text)
        "filesystem: mkdir /var/lib/registry/docker: permission denied",
        "received unexpected HTTP status: 500 Internal Server Error",
    ],
    "disk full": ["write /var/lib/registry/x: no space left on device"],  # (text)
    "digest mismatch": ["DIGEST_INVALID: provided digest did not match uploaded content"],  # (text)
    "catalog refused": [
        'Error: 1 error occurred:\n\t* couldn\'t search registry "registry.test:5000": unable to retrieve auth token: '
        "invalid username/password: errors:\ndenied: requested access to the resource is denied\n"
        "unauthorized: authentication required\n",
    ],
    "read-only": [
        "error parsing HTTP 405 response body: invalid character",
        "HTTP/2 405",
        'time="2026-11-21T21:26:20Z" level=fatal msg="writing manifest: uploading manifest new to registry.test:5000/group/app: '
        'StatusCode: 405, Method not allowed\\n"',
        "unknown: Method not allowed",  # docker 26, of Debian 13
        "unsupported: The operation is unsupported.",
        "unsupported",
    ],
    "manifest unknown": [
        "manifest for registry.test:5000/group/app:none not found: manifest unknown: manifest unknown",
        'failed to resolve reference "registry.test:5000/x:none": registry.test:5000/x:none: not found',  # (text)
    ],
    "": ["500 MB pushed", "it ended with exit status 405 MB", "permission denied", "a mirror of the moon"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in TEXTS.items() for text in texts])
def test_kinds(name: str, text: str) -> None:
    assert kind_of(text) == name


@pytest.fixture
def settings(fake: FakeHost) -> Settings:
    registry = "registry: {enabled: true, host: registry.test, listen_address: 127.9.9.9, self_signed: true, token_issuer: local}"
    fake.put(ROOT / "gdk.yml", registry)
    return configuration.load(ROOT, fake)


@pytest.mark.parametrize(
    "text",
    [
        'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host',
        "pull access denied for hello-world, repository does not exist or may require 'docker login': denied: requested access",
        "pull access denied for other.test:5000/x, repository does not exist",
    ],
)
def test_another_registry_is_told_from_ours(fake: FakeHost, settings: Settings, text: str) -> None:
    found = explain(text + "\ndenied: requested access to the resource is denied", settings, fake)
    assert found is not None
    assert "and this registry is registry.test:5000" in found.cause
    assert found.remedy == "if you meant this registry: use the name registry.test:5000"


def test_the_machines_state_counts(fake: FakeHost, settings: Settings) -> None:
    text = TEXTS["unknown authority"][0]
    found = explain(text, settings, fake)
    assert found is not None
    assert found.remedy.startswith("gdkreg up")
    fake.put(ROOT / "registry_host.crt", "CERTIFICATE")
    found = explain(text, settings, fake)
    assert found is not None
    assert found.remedy == "gdkreg trust-docker-registry"
    fake.put("/etc/docker/certs.d/registry.test:5000/ca.crt", "CERTIFICATE")
    found = explain(text, settings, fake)
    assert found is not None
    assert found.remedy == "gdkreg verify --client docker"


CURL = """curl: (60) SSL certificate problem: self-signed certificate
More details here: https://curl.se/docs/sslcerts.html

curl failed to verify the legitimacy of the server and therefore could not
establish a secure connection to it. To learn more about this situation and
how to fix it, please visit the web page mentioned above.
"""
PYTHON = (
    "requests.exceptions.SSLError: HTTPSConnectionPool(host='registry.test', port=5000): Max retries exceeded with url: /v2/ "
    "(Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
    "self-signed certificate (_ssl.c:1006)')))"
)
NODE = "Error: self-signed certificate\n    at TLSSocket.onConnectSecure (node:_tls_wrap:1699:34)"
CTR = (
    'time="2026-11-21T18:04:29Z" level=info msg="trying next host" error="failed to do request: Head '
    '\\"https://mirror.test/v2/a/manifests/1\\": dial tcp: lookup mirror.test: no such host" host="mirror.test"\n'
    'time="2026-11-21T18:04:29Z" level=info msg="trying next host" error="failed to do request: Head '
    '\\"https://registry.test:5000/v2/a/manifests/1\\": x509: certificate signed by unknown authority" '
    'host="registry.test:5000"\n'
    'ctr: failed to resolve reference "registry.test:5000/a:1": failed to do request: Head '
    '"https://registry.test:5000/v2/a/manifests/1": x509: certificate signed by unknown authority'
)
CRANE = (
    "Error: fetching manifest registry.test:5000/a:1: " + GO + "tls: failed to verify certificate: x509: certificate signed by "
)
FILE = f"{ROOT}/registry_host.crt"


@pytest.mark.parametrize(
    ("text", "client", "remedy"),
    [
        (CURL, "curl", f"export CURL_CA_BUNDLE={FILE}"),
        (PYTHON, "requests", f"export REQUESTS_CA_BUNDLE={FILE}"),
        (f'File "/v/lib/python3.11/site-packages/dxf/main.py", line 9\n{PYTHON}', "dxf", f"export DXF_TLSVERIFY={FILE}"),
        (f'File "/v/site-packages/oras/provider.py", line 9\n{PYTHON}', "oras-py", f"export REQUESTS_CA_BUNDLE={FILE}"),
        (NODE, "npm", f"export NODE_EXTRA_CA_CERTS={FILE}"),
        (CRANE + "unknown authority", "crane", f"export SSL_CERT_FILE={FILE}"),
        (
            "Error: fetching manifest registry.test:5000/a:1: GET https://registry.test:5001/jwt/auth: DENIED: access forbidden",
            "crane",
            "gdkreg login --client crane",
        ),
        (
            CTR,
            "containerd",
            "gdkreg trust-docker-registry --client containerd && "
            "ctr images pull --hosts-dir /etc/containerd/certs.d registry.test:5000/a:1",
        ),
    ],
)
def test_each_client_is_told_what_it_reads(fake: FakeHost, settings: Settings, text: str, client: str, remedy: str) -> None:
    fake.put(ROOT / "registry_host.crt", "CERTIFICATE")
    fake.put("/etc/docker/certs.d/registry.test:5000/ca.crt", "CERTIFICATE")
    found = explain(text, settings, fake)
    assert found is not None
    assert (found.client, found.remedy) == (client, remedy)


@pytest.mark.parametrize(
    ("resolver", "address", "remedy"),
    [
        ("192.168.65.7", "127.9.9.9", "gdkreg config set registry.listen_address 172.16.123.1; gdkreg up"),
        ("192.168.65.7", "172.16.123.1", "gdkreg config set registry.host 172.16.123.1; gdkreg up"),
        (
            "127.0.0.11",
            "172.16.123.1",
            "docker run --add-host registry.test:172.16.123.1 …; for a runner's jobs gdkreg runner-patch",
        ),
        ("10.0.2.3", "172.16.123.1", "systemctl --user restart docker; gdkreg start"),  # rootless Docker 20.10, run in a box
        ("10.0.0.1", "172.16.123.1", "gdkreg reconfigure"),
    ],
)
def test_who_looked_the_name_up_counts(fake: FakeHost, settings: Settings, resolver: str, address: str, remedy: str) -> None:
    fake.put(ROOT / "registry_host.crt", "CERTIFICATE")
    fake.put("/etc/resolv.conf", "search test\nnameserver 10.0.0.1\n")
    fake.put(ROOT / "gdk.yml", f"registry: {{enabled: true, host: registry.test, listen_address: {address}, self_signed: true}}")
    text = f"dial tcp: lookup registry.test on {resolver}:53: no such host"
    found = explain(text, configuration.load(ROOT, fake), fake)
    assert found is not None
    assert found.remedy == remedy


def test_a_cache_takes_no_pushes(fake: FakeHost, settings: Settings) -> None:
    fake.put(ROOT / "registry_host.crt", "CERTIFICATE")
    cache = "registry: {enabled: true, listen_address: 127.9.9.9, config: {proxy: {remoteurl: 'https://mirror.test'}}}"
    fake.put(ROOT / "gdk.yml", cache)
    found = explain("unsupported: The operation is unsupported.", configuration.load(ROOT, fake), fake)
    assert found is not None
    assert "pull-through cache" in found.cause
    assert found.remedy.startswith("take proxy out of registry.config")


def test_the_issuers_port_is_told_from_the_registrys(fake: FakeHost, settings: Settings) -> None:
    fake.put(ROOT / "registry_host.crt", "CERTIFICATE")
    found = explain("dial tcp 127.9.9.9:5001: connect: connection refused", settings, fake)
    assert found is not None
    assert (found.name, found.remedy) == ("realm unreachable", "gdkreg start auth")


def test_the_error_is_looked_for_at_the_end() -> None:
    """A whole log may be pasted; only its end is searched, so that none takes long."""
    assert kind_of("no such host\n" + "a" * 9000 + "\nmanifest unknown") == "manifest unknown"
    assert kind_of("no such host\n" + "a" * 9000) == ""
