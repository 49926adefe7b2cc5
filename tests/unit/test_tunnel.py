"""The tunnel's ssh, what its words mean, whose ports are kept, and the tether that lets no program outlive us."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gdkreg.cli.session import Terminal
from gdkreg.config.effective import Settings
from gdkreg.config.settings import load
from gdkreg.errors import GdkregError
from gdkreg.host.base import Completed
from gdkreg.host.tether import Tethered
from gdkreg.plan.outcome import Silent
from gdkreg.resources.published import Published, is_agreed
from gdkreg.resources.tunnel_ports import TunnelPorts
from gdkreg.services.tunnel import command, failures, reach
from gdkreg.services.tunnel.life import Tunnel
from tests.fakes import FakeHost
from tests.unit import helpers
from tests.unit.conftest import ROOT

GDK_YML = "auto_devops: {enabled: true, gitlab: {port: 20001}, tunnel: {host: far.test, port: 2222, user: dev}}"


def settings(fake: FakeHost, text: str = GDK_YML) -> Settings:
    fake.put(ROOT / "gdk.yml", text)
    return load(ROOT, fake)


# derived values, and the ports that are kept


def test_the_port_is_chosen_once_for_a_root_and_a_machine(fake: FakeHost) -> None:
    on = "auto_devops: {enabled: true}"
    found = settings(fake, on).auto_devops
    assert found.gitlab.port is not None
    assert 20000 <= found.gitlab.port < 25000
    assert found.registry.port == found.gitlab.port + 5000
    assert settings(fake, on).auto_devops == found, "the run does what the dry run told"
    fake.put("/etc/machine-id", "another\n")
    assert settings(fake, on).auto_devops.gitlab.port != found.gitlab.port, "two machines share the far end"


def test_the_ports_are_kept_where_gdk_keeps_them(fake: FakeHost) -> None:
    on = settings(fake, "auto_devops: {enabled: true}")
    helpers.apply(fake, TunnelPorts(on, helpers.files(fake, "tunnel_ports")))
    kept = fake.files[ROOT / "auto_devops_gitlab_port"]
    assert kept == f"{on.auto_devops.gitlab.port}\n".encode()
    fake.put("/etc/machine-id", "another\n")
    again = settings(fake, "auto_devops: {enabled: true}")
    assert again.auto_devops == on.auto_devops, "kept, whatever would be chosen now"
    assert helpers.plan(fake, TunnelPorts(again, helpers.files(fake, "tunnel_ports"))) == []
    off = TunnelPorts(settings(fake, ""), helpers.files(fake, "tunnel_ports"))
    assert helpers.plan(fake, off) == [], "for the next time"
    helpers.apply(fake, off, present=False)
    assert ROOT / "auto_devops_gitlab_port" not in fake.files


def test_ports_of_gdks_own_stay_gdks(fake: FakeHost) -> None:
    fake.put(ROOT / "auto_devops_gitlab_port", "21000", mode=0o600)
    fake.put(ROOT / "auto_devops_registry_port", "26001\n")
    found = settings(fake, "auto_devops: {enabled: true}")
    assert (found.auto_devops.gitlab.port, found.auto_devops.registry.port) == (21000, 26001)
    resource = TunnelPorts(found, helpers.files(fake, "tunnel_ports"))
    assert helpers.plan(fake, resource) == []
    assert helpers.plan(fake, resource, present=False) == []


def test_gdk_yml_goes_before_the_files(fake: FakeHost) -> None:
    found = settings(fake)
    assert [str(action.path.name) for action in helpers.plan(fake, TunnelPorts(found, helpers.files(fake, "t")))] == [  # type: ignore[union-attr]
        "auto_devops_registry_port"
    ]
    assert command.inner(found) == ("127.0.0.1", 5000)
    assert command.inner(settings(fake, GDK_YML + "\nregistry: {port: 5005}")) == ("127.0.0.1", 5005)


def test_no_password_goes_to_the_tunnels_name(fake: FakeHost) -> None:
    found = settings(fake, GDK_YML + "\nregistry: {token_issuer: local}")
    assert found.realm == "http://127.0.0.1:5001/jwt/auth"
    assert found.names() == {}
    named = settings(fake, GDK_YML + "\nregistry: {host: images.example.org, listen_address: 172.16.123.1}")
    assert named.names() == {}, "the far end answers to that name, for this machine too"


# the argv


def test_the_ssh_that_is_run(fake: FakeHost) -> None:
    fake.put("/home/dev/.ssh/id_rsa", "KEY")
    found = command.argv("/usr/bin/ssh", settings(fake), fake)
    options = [after for word, after in itertools.pairwise(found) if word == "-o"]
    assert found[:6] == ["/usr/bin/ssh", "-v", "-N", "-T", "-F", "none"]
    assert found[-8:] == ["-p", "2222", "-l", "dev", "-R", ":25001:127.0.0.1:5000", "--", "far.test"]
    assert found[found.index("-i") + 1] == "/home/dev/.ssh/id_rsa"
    for option in (
        "IdentitiesOnly=yes",
        "BatchMode=yes",
        "ControlPath=none",
        "ControlMaster=no",
        'UserKnownHostsFile="/home/dev/.ssh/known_hosts"',
        "StrictHostKeyChecking=yes",
        "ExitOnForwardFailure=yes",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=2",
    ):
        assert option in options
    assert "KEY" not in " ".join(found)


def test_odd_paths_mean_themselves(fake: FakeHost) -> None:
    text = GDK_YML.replace("user: dev", "key: keys/%d id, known_hosts: ~/a b%h")
    fake.put(ROOT / "keys/%d id", "KEY")
    found = command.argv("ssh", settings(fake, text), fake)
    assert found[found.index("-i") + 1] == f"{ROOT}/keys/%%d id"
    assert 'UserKnownHostsFile="/home/dev/a b%%h"' in found


# what ssh says: the sentences of Debian 12's client and server (OpenSSH 9.2p1), with LC_ALL=C

SAID = [
    ("dev@far.test: Permission denied (publickey).", "denied", True),
    ("Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures", "denied", True),
    ("No ED25519 host key is known for [far.test]:2222 and you have requested strict checking.", "unknown host", True),
    ("@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.", "changed host", True),
    ("Error: remote port forwarding failed for listen port 25001", "taken", False),
    ("ssh: Could not resolve hostname far.test: Temporary failure in name resolution", "away", False),
    ("ssh: connect to host far.test port 2222: Connection refused", "away", False),
    ("ssh: connect to host far.test port 2222: No route to host", "away", False),
    ("Timeout, server far.test not responding.", "lost", False),
    ("Connection to far.test closed by remote host.", "lost", False),
    ("kex_exchange_identification: read: Connection reset by peer", "lost", False),
    ("client_loop: send disconnect: Broken pipe", "lost", False),
    ("@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @\ndev@far.test: Permission denied (publickey).", "key", True),
    ('Load key "/k": error in libcrypto\ndev@far.test: Permission denied (publickey).', "key", True),
    ("", "ended", False),
    ("something new", "ended", False),
]


@pytest.mark.parametrize(("said", "kind", "lasting"), SAID)
def test_what_ssh_said(fake: FakeHost, said: str, kind: str, lasting: bool) -> None:
    lines = ["OpenSSH_9.2p1", "debug1: Connection refused somewhere in a debug line", *said.splitlines()]
    found = failures.of(lines, 255, settings(fake), "/k", "/known")
    assert (found.kind, found.lasting) == (kind, lasting)
    assert found.what
    assert found.why
    assert found.fix


def test_what_the_far_side_says_is_one_harmless_line(fake: FakeHost) -> None:
    """Its banner comes on stderr, too."""
    said = '\x1b]0;title\x07 " level=info msg="fine ' + "x" * 5000
    found = failures.of([said], 255, settings(fake), "/k", "/known")
    assert found.why.isprintable()
    assert '"' not in found.why
    assert len(found.why) <= 300


# agreed to, and what keeps it from starting


def test_another_way_out_is_asked_for_anew(fake: FakeHost) -> None:
    found = settings(fake)
    assert not is_agreed(found, fake)
    helpers.apply(fake, Published(found, helpers.files(fake, "published")))
    assert is_agreed(found, fake)
    for text in (
        GDK_YML.replace("far.test", "other.test"),
        GDK_YML + "\nregistry: {port: 5005}",
        GDK_YML.replace("20001", "20002"),
    ):
        assert not is_agreed(settings(fake, text), fake), text


def test_who_is_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[object] = []

    def confirm(*_: object, **options: object) -> bool:
        asked.append(options["default"])
        return len(asked) == 2

    monkeypatch.setattr("typer.confirm", confirm)
    assert Silent().publish(["what"]) is None, "a program has to say so"
    assert Terminal(yes=True).publish(["what"])
    assert Terminal().publish(["what"]) is None, "nobody is there"
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert [Terminal().publish(["what"]), Terminal().publish(["what"])] == [False, True]
    assert asked == [False, False], "whoever only presses Enter says no"
    assert capsys.readouterr().out.count("what") == 2


def refusal(fake: FakeHost, text: str = GDK_YML) -> GdkregError:
    with pytest.raises(GdkregError) as error:
        Tunnel(settings(fake, text), fake).check()
    return error.value


def test_what_keeps_it_from_starting(fake: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "there is no tunnel to start" in refusal(fake, "").what
    assert "everybody on the internet" in refusal(fake, GDK_YML + "\nregistry: {auth_enabled: false}").what
    fake.platform.env["PATH"] = str(tmp_path)  # type: ignore[index]
    assert "ssh is not installed" in refusal(fake).what
    (tmp_path / "ssh").write_text("#!/bin/sh\n")
    (tmp_path / "ssh").chmod(0o755)
    assert "there is no key" in refusal(fake).what
    fake.put("/home/dev/.ssh/id_ed25519", "KEY")
    fake.answers["ssh-keygen",] = Completed(1)
    fake.answers["ssh-keyscan",] = Completed(1, "", "getaddrinfo far.test: Name or service not known")
    assert "cannot be asked" in refusal(fake).what
    # as ssh-keyscan of OpenSSH 9.2p1 prints it, with short keys; other versions print the comment on stdout
    rows = "# far.test:2222 SSH-2.0-OpenSSH_9.2p1\n[far.test]:2222 ssh-rsa AAAA\n[far.test]:2222 ssh-ed25519 AAAB\n"
    fake.answers["ssh-keyscan",] = Completed(0, rows)
    error = refusal(fake)
    assert "ssh-ed25519 SHA256:" in error.why
    assert "echo '[far.test]:2222 ssh-ed25519 AAAB' >> /home/dev/.ssh/known_hosts" in error.fix
    fake.answers["ssh-keygen",] = Completed(0)
    Tunnel(settings(fake), fake).check()


# the tether: nothing in it is of one system, so what holds here holds on a Mac

_KEEPER = """
import os, sys, time
from gdkreg.host.tether import Tethered
held = Tethered(["/bin/sleep", sys.argv[1]], os.environ)
print("up", flush=True)
time.sleep(60)
"""


def sleepers(seconds: str) -> list[str]:
    rows = subprocess.run(["ps", "axo", "stat,args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [row for row in rows if row.endswith(f"/bin/sleep {seconds}") and "sh -c" not in row and not row.startswith("Z")]


def gone(seconds: str) -> bool:
    deadline = time.monotonic() + 5
    while sleepers(seconds):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_us_however_we_end(how: signal.Signals) -> None:
    seconds = f"{100 + os.getpid() % 100}.{int(how)}"
    keeper = subprocess.Popen([sys.executable, "-c", _KEEPER, seconds], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert keeper.stdout is not None
    assert keeper.stdout.readline() == b"up\n"
    deadline = time.monotonic() + 5
    while not sleepers(seconds):
        assert time.monotonic() < deadline
    keeper.send_signal(how)
    keeper.wait()
    keeper.stdout.close()
    assert gone(seconds)


def test_it_ends_when_it_is_told_and_tells_how_it_ended() -> None:
    seconds = f"{300 + os.getpid() % 100}"
    held = Tethered(["/bin/sleep", seconds], os.environ)
    assert held.ended() is None
    held.end()
    assert gone(seconds)
    spoken = Tethered(["/bin/sh", "-c", "echo one >&2; printf tw >&2; sleep 0.2; echo o >&2; exit 7"], os.environ)
    said: list[str] = []
    deadline = time.monotonic() + 10
    while (code := spoken.ended()) is None and time.monotonic() < deadline:
        said += spoken.lines(0.2)
    spoken.end()
    assert (said, code) == (["one", "two"], 7)


# whether it is reached: real sockets, with whatever answers there


@pytest.mark.parametrize(
    ("answer", "url", "why"),
    [
        (b"401", "direct", ""),
        (b"200", "", "/v2/ answered 200"),
        (b"another", "", "another registry answers"),
        (b"page", "", "not as a registry"),
        (b"nothing", "", "nothing listens there"),
    ],
)
def test_it_has_to_be_this_registry_that_answers(fake: FakeHost, answer: bytes, url: str, why: str) -> None:
    """A port of this machine stands for the far one; its public name leads nowhere."""
    with socket.create_server(("127.0.0.1", 0)) as far:
        port = far.getsockname()[1]
        text = f"auto_devops: {{enabled: true, registry: {{port: {port}}}, tunnel: {{host: 127.0.0.1}}}}\n"
        found = settings(fake, text + "registry: {host: no.invalid}")
        realm = found.realm if answer == b"401" else "https://other/jwt/auth"
        said = b"" if answer == b"page" else b"Docker-Distribution-Api-Version: registry/2.0\r\n"
        said += b"" if answer == b"200" else f'WWW-Authenticate: Bearer realm="{realm}"\r\n'.encode()
        status = b"200 OK" if answer in {b"200", b"page"} else b"401 Unauthorized"

        def serve() -> None:
            with far.accept()[0] as visitor:
                visitor.recv(4096)
                visitor.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n" + said + b"\r\n")

        if answer == b"nothing":
            far.close()
        else:
            threading.Thread(target=serve, daemon=True).start()
        reached = reach.prove(found)
    assert reached.url == (f"http://127.0.0.1:{port}/v2/" if url else "")
    assert why in reached.why
    assert ("GatewayPorts" in reached.why) == (answer == b"nothing")
    assert reached.fix


def test_a_tunnel_that_may_not_run_says_why(fake: FakeHost) -> None:
    off = settings(fake, GDK_YML + "\nregistry: {auth_enabled: false}")
    assert Tunnel(off, fake).state().detail == "registry.auth_enabled is false"
    assert Tunnel(settings(fake), fake).state().detail == ""
