"""The tunnel's far end: another machine's network in the box, with a real sshd in it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.e2e.box import Box, Result

HOST, ADDRESS, PORT = "far.test", "10.99.0.2", 2222
REGISTRY_PORT = 25001
_NET = f"""
ip netns add far
ip link add near0 type veth peer name far0 netns far
ip address add 10.99.0.1/24 dev near0
ip link set near0 up
ip -n far address add {ADDRESS}/24 dev far0
ip -n far link set far0 up
ip -n far link set lo up
mkdir -p /run/sshd
"""


_FRONT = """
import socket, ssl, sys, threading

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])


def pump(source, target):
    try:
        while block := source.recv(65536):
            target.sendall(block)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(plain):
    try:
        outside = context.wrap_socket(plain, server_side=True)
        inside = socket.create_connection(("127.0.0.1", int(sys.argv[3])))
    except OSError:
        return
    threading.Thread(target=pump, args=(outside, inside), daemon=True).start()
    pump(inside, outside)


with socket.create_server(("0.0.0.0", 443)) as door:
    while True:
        threading.Thread(target=serve, args=(door.accept()[0],), daemon=True).start()
"""


class Far:
    """`sshd` runs with one setting of GatewayPorts; `known` has its host key, and `key` is taken there."""

    def __init__(self, box: Box, gateway_ports: str = "clientspecified") -> None:
        self.box = box
        self.folder = box.folder / "far"
        self.folder.mkdir()
        self.key, self.known = box.home / ".ssh/id_ed25519", box.home / ".ssh/known_hosts"
        self.key.parent.mkdir(mode=0o700, exist_ok=True)
        self._ok("sh", "-ec", _NET)
        box.hosts.write_bytes(box.hosts.read_bytes() + f"{ADDRESS}\t{HOST}\n".encode())
        self.make_key(self.folder / "host_key")
        self.make_key(self.key)
        (self.folder / "taken_keys").write_text(self.key.with_suffix(".pub").read_text())
        self.know()
        self._sshd: subprocess.Popen[str] | None = None
        self.up(gateway_ports)

    def _ok(self, *command: str) -> Result:
        done = self.box.run(*command)
        assert done.code == 0, done
        return done

    def make_key(self, path: Path, *more: str) -> None:
        path.unlink(missing_ok=True)
        self._ok("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path), *more)

    def know(self) -> None:
        kind, key = (self.folder / "host_key.pub").read_text().split()[:2]
        self.known.write_text(f"[{HOST}]:{PORT} {kind} {key}\n")

    def inside(self, *command: str) -> list[str]:
        return ["nsenter", "--net=/run/netns/far", "--", *command]

    def run(self, *command: str, **more: str) -> Result:
        """A command on the far machine."""
        return self.box.run(*self.inside(*command), env=more or None)

    def up(self, gateway_ports: str = "clientspecified", *more: str) -> None:
        lines = [
            f"Port {PORT}",
            f"ListenAddress {ADDRESS}",
            f"HostKey {self.folder}/host_key",
            f"AuthorizedKeysFile {self.folder}/taken_keys",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "PermitRootLogin prohibit-password",
            f"PidFile {self.folder}/pid",
            f"GatewayPorts {gateway_ports}",
            *more,
        ]
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n")
        self._sshd = self.box.popen(*self.inside("/usr/sbin/sshd", "-D", "-e", "-f", str(self.folder / "sshd_config")))
        self.wait_for(PORT, ADDRESS)

    def down(self) -> None:
        """sshd with every session of its own, at once."""
        self.box.run("sh", "-c", "for pid in $(pgrep -x sshd); do kill -9 $pid; done")
        if self._sshd is not None:
            self._sshd.wait()
            self._sshd = None

    def listeners(self, port: int) -> list[str]:
        rows = self.run("ss", "-Hltn", f"sport = :{port}").out.splitlines()
        return sorted(row.split()[3].rpartition(":")[0] for row in rows if row.strip())

    def wait_for(self, port: int, address: str = "", *, gone: bool = False, patience: float = 20) -> None:
        deadline = time.monotonic() + patience
        while (address in self.listeners(port) if address else bool(self.listeners(port))) == gone:
            assert time.monotonic() < deadline, self.run("ss", "-ltn")
            time.sleep(0.1)

    def hold(self, port: int) -> subprocess.Popen[str]:
        """Somebody has a port there; `release` ends it."""
        both = f"socket.create_server(('::', {port}), family=socket.AF_INET6, dualstack_ipv6=True)"
        listen = f"import socket, time; held = {both}; time.sleep(600)"
        holder = self.box.popen(*self.inside("python3", "-c", listen))
        self.wait_for(port)
        return holder

    def release(self, holder: subprocess.Popen[str], port: int) -> None:
        self.run("sh", "-c", f"ss -Hltnp 'sport = :{port}' | grep -o 'pid=[0-9]*' | cut -d= -f2 | xargs kill")
        holder.wait()
        self.wait_for(port, gone=True)

    def front(self, name: str) -> tuple[subprocess.Popen[str], Path]:
        """A front that ends TLS and leads to the registry's port, as the QA tunnel's; and the certificate to trust."""
        certificate, key = self.folder / "front.crt", self.folder / "front.key"
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        self._ok(*made, "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(certificate))
        (self.folder / "front.py").write_text(_FRONT)
        self.box.hosts.write_bytes(self.box.hosts.read_bytes() + f"{ADDRESS}\t{name}\n".encode())
        words = ["python3", str(self.folder / "front.py"), str(certificate), str(key), str(REGISTRY_PORT)]
        started = self.box.popen(*self.inside(*words))
        self.wait_for(443)
        return started, certificate

    def cut(self) -> None:
        """The line between the two machines is dead, and neither is told."""
        self._ok("ip", "link", "set", "near0", "down")

    def mend(self) -> None:
        self._ok("ip", "link", "set", "near0", "up")


def sshs(box: Box) -> list[int]:
    """The ssh clients in the box, as its processes are numbered inside; nobody there takes corpses away."""
    return [int(word) for word in box.run("pgrep", "-r", "D,R,S", "-x", "ssh").out.split()]


def kill(box: Box, pid: int, how: signal.Signals = signal.SIGKILL) -> None:
    box.run("kill", f"-{int(how)}", str(pid))


def absent() -> str:
    """What is missing here to play the far end."""
    return "" if os.path.exists("/usr/sbin/sshd") else "openssh-server is not installed"
