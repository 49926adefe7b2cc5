"""trace, between real clients and a real registry; the tests build on the registry that the first brings up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e import gitlab
from tests.e2e.box import GDK_YML, HOST, Box, Result, child


@pytest.fixture(scope="module", autouse=True)
def up(box: Box) -> None:
    box.up_with_an_image()


@pytest.fixture(autouse=True)
def registry_is_back(box: Box) -> Iterator[None]:
    """Whatever a trace met, the registry stands where it stood."""
    yield
    assert box.listeners(5000) == ["172.16.123.1"]
    assert "registry already running" in box.ok("start", "registry").out


def trace(box: Box, *command: str, options: tuple[str, ...] = ()) -> Result:
    result = box.run("python", "-m", "gdkreg", "trace", *options, "--", *command)
    assert "Traceback" not in result.err + result.out
    return result


@contextmanager
def tracing(box: Box) -> Iterator[subprocess.Popen[str]]:
    """A trace without a command, until the block ends."""
    running = box.popen("python", "-m", "gdkreg", "trace")
    assert running.stdout is not None
    assert "tracing" in running.stdout.readline()
    try:
        yield running
    finally:
        if running.poll() is None:
            os.kill(child(running.pid), signal.SIGINT)
        running.communicate(timeout=20)


def test_trace_explains_the_dialog_and_masks_secrets(box: Box) -> None:
    box.ok("login")
    har = box.folder / "trace.har"
    result = box.run("python", "-m", "gdkreg", "trace", "--har", str(har), "--", "docker", "push", f"{HOST}/group/app:1")
    assert result.code == 0, result
    assert "the registry wants a token of https://registry.test:5001/jwt/auth" in result.out
    assert "granted to developer: repository:group/app:" in result.out
    text = har.read_text()
    assert json.loads(text)["log"]["entries"]
    password = json.loads((box.root / ".gdkreg/first_user").read_text())["password"]
    for secret in ("eyJ", password):
        assert secret not in text
        assert secret not in result.out
    assert box.listeners(5000) == ["172.16.123.1"]
    open_ = box.run(
        "python", "-m", "gdkreg", "trace", "--show-secrets", "--har", str(har), "--", "docker", "pull", f"{HOST}/group/app:1"
    )
    assert open_.code == 0, open_
    assert "eyJ" in har.read_text()


def test_the_har_is_masked_where_the_terminal_is(box: Box) -> None:
    har = box.folder / "masked.har"
    secret = "glpat-0123456789"
    url = f"https://{HOST}/v2/?private_token={secret}&password={secret}&X-Amz-Signature={secret}&n=7"
    headers = ["-H", f"Private-Token: {secret}", "-H", f"X-Registry-Auth: {secret}", "-H", f"Cookie: a={secret}"]
    result = trace(box, "curl", "-s", "--cacert", str(box.root / "registry_host.crt"), *headers, url, options=("--har", str(har)))
    assert "n=7" in result.out
    assert secret not in result.out + har.read_text()
    (entry,) = json.loads(har.read_text())["log"]["entries"]
    assert entry["response"]["content"]["mimeType"].startswith("application/json")
    assert har.stat().st_mode & 0o777 == 0o600


def test_clients_that_do_not_get_through(box: Box) -> None:
    assert "a client does not trust the registry's certificate" in trace(box, "curl", "-s", f"https://{HOST}/v2/").out
    assert "a client speaks plain HTTP" in trace(box, "curl", "-s", f"http://{HOST}/v2/").out
    odd = ["-H", "Content-Length: many", "-X", "POST", f"https://{HOST}/v2/"]
    assert "many" in trace(box, "curl", "-s", "--cacert", str(box.root / "registry_host.crt"), *odd).out


def test_a_realm_that_does_not_answer_is_named(box: Box) -> None:
    box.ok("stop", "auth")
    result = trace(box, "docker", "pull", f"{HOST}/group/app:1")
    assert result.code != 0
    assert "the realm https://registry.test:5001/jwt/auth did not answer" in result.out
    box.ok("start", "auth")


@pytest.mark.parametrize("head", ["Content-Length: 1000000\\r\\n\\r\\nabc", "Transfer-Encoding: chunked\\r\\n\\r\\n5\\r\\nabc"])
def test_a_client_that_goes_away(box: Box, head: str) -> None:
    """A cut-off upload is no whole one, and nothing spins."""
    script = (
        "import socket, ssl, sys\n"
        "s = ssl._create_unverified_context().wrap_socket(socket.create_connection(('172.16.123.1', 5000)))\n"
        f"s.sendall(b'PUT /v2/x HTTP/1.1\\r\\nHost: x\\r\\n{head}'); s.close()\n"
    )
    begin = time.monotonic()
    result = trace(box, "python3", "-c", script + "import time; time.sleep(1)")
    # The registry may refuse the path before it has read the body; then it is the answer that nobody waits for.
    assert "the client went away in the middle of its request" in result.out or "went away before it had" in result.out
    assert "did not answer" not in result.out
    assert time.monotonic() - begin < 15


def test_an_impostor_does_not_get_the_users_token(box: Box) -> None:
    """The realm gets the password, so its certificate has to be trusted, as the client itself would ask for."""
    running, pem = gitlab.start(box)
    box.configure(GDK_YML + gitlab.KEYS)
    box.ok("reconfigure")
    box.ok("start")
    log = pem.with_suffix(".pem.log")
    ask = ["curl", "-s", "--cacert", str(box.root / "registry_host.crt"), "-u", "gitlab-token:glpat-1"]
    ask.append(f"https://{HOST}/jwt/auth?service=container_registry")
    assert "did not answer" in trace(box, *ask).out
    assert "glpat-1" not in log.read_text()
    trusting = box.run("env", f"SSL_CERT_FILE={pem}", "python", "-m", "gdkreg", "trace", "--", *ask)
    assert " 200 " in trusting.out, trusting
    assert log.read_text().splitlines()[-1] == "gdk.test:3443 gitlab-token:glpat-1"
    gitlab.stop(running)
    box.configure(GDK_YML)
    box.ok("reconfigure")
    box.ok("start")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_however_it_ends(box: Box, ending: signal.Signals) -> None:
    with tracing(box) as running:
        assert box.listeners(5000) == ["172.16.123.1"]
        os.kill(child(running.pid), ending)
        running.communicate(timeout=20)


@pytest.mark.parametrize("endings", [[signal.SIGINT], [signal.SIGHUP, signal.SIGHUP], [signal.SIGINT] * 3])
def test_an_early_end(box: Box, endings: list[signal.Signals]) -> None:
    """As soon as it has begun to move the registry, and a second time while it puts it back."""
    mark = box.root / ".gdkreg/trace"
    running = box.popen("python", "-m", "gdkreg", "trace")
    inside = child(running.pid)
    while not mark.exists():
        assert running.poll() is None
    for ending in endings:
        with suppress(ProcessLookupError):  # it has ended by then
            os.kill(inside, ending)
        time.sleep(0.1)
    assert "Traceback" not in running.communicate(timeout=20)[0]
    assert not mark.exists()


def test_a_hostile_client_reaches_neither_the_terminal_nor_the_memory(box: Box) -> None:
    """Escape bytes of a path, and a chunk whose size has no end."""
    script = (
        "import socket, ssl\n"
        "def say(text, more=b'', times=0):\n"
        "    s = ssl._create_unverified_context().wrap_socket(socket.create_connection(('172.16.123.1', 5000)))\n"
        "    s.settimeout(20)\n"
        "    try:\n"
        "        s.sendall(text)\n"
        "        for _ in range(times): s.sendall(more)\n"
        "        s.recv(10)\n"
        "    except OSError: pass\n"
        "say(b'GET /v2/\\x1b]0;owned\\x07\\x9b2J HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
        "say(b'PUT /v2/x HTTP/1.1\\r\\nHost: x\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n', b'1' * 1000000, 300)\n"
    )
    running = box.popen("python", "-m", "gdkreg", "trace", "--", "python3", "-c", script)
    inside, peak = child(running.pid), 0
    while running.poll() is None:
        with suppress(OSError, IndexError):
            status = Path(f"/proc/{inside}/status").read_text()
            peak = max(peak, int(status.partition("VmHWM:")[2].split()[0]))
        time.sleep(0.05)
    assert running.stdout is not None
    out = running.stdout.read()
    assert r"/v2/\x1b]0;owned\x07\x9b2J" in out
    assert not {"\x1b", "\x07", "\x9b"} & set(out)
    assert "a line between chunks has more than 1024 bytes" in out
    assert 0 < peak < 100_000, "in KB"


def test_a_large_upload_that_is_refused_is_the_registrys_answer(box: Box) -> None:
    """The registry answers before it has read the body, and closes."""
    large = box.folder / "large"
    assert box.run("sh", "-c", f"head -c 60000000 /dev/zero > {large}").code == 0
    curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", str(box.root / "registry_host.crt"), "-X", "PUT"]
    curl += ["-H", "Expect:", "-H", "Authorization: Bearer bad", "--data-binary", f"@{large}"]
    result = trace(box, *curl, f"https://{HOST}/v2/x/blobs/uploads/1")
    assert "  401  " in result.out, result
    assert "the registry wants a token" in result.out


def test_nothing_else_moves_the_registry_meanwhile(box: Box) -> None:
    with tracing(box):
        for arguments in (["trace", "--", "true"], ["start"], ["stop"], ["restart"], ["down", "--yes"]):
            result = box.gdkreg(*arguments)
            assert result.code == 1, result
            assert "a trace of this registry is running" in result.err


def test_a_har_is_not_overwritten_by_nothing(box: Box) -> None:
    har = box.folder / "precious.har"
    har.write_text("precious")
    with tracing(box):
        assert box.gdkreg("trace", "--har", str(har), "--", "true").code == 1
    assert har.read_text() == "precious"


def test_what_cannot_be_done_is_said_before(box: Box) -> None:
    nowhere = trace(box, "true", options=("--har", "/nowhere/x.har"))
    assert nowhere.code == 1
    assert "/nowhere" in nowhere.err
    for command in ("no-such-command", "/etc/hostname"):
        result = trace(box, command)
        assert result.code == 1
        assert f"cannot run {command}" in result.err
    assert trace(box, "sh", "-c", "exit 7").code == 7


def test_a_client_that_does_not_trust_is_told_what_it_reads(box: Box) -> None:
    result = box.gdkreg("trace", "--", "curl", "-sS", f"https://{HOST}/v2/")
    assert result.code == 60, result
    assert f"export CURL_CA_BUNDLE={box.root}/registry_host.crt" in result.out, result
