"""Commands that die, or are refused, at each system call that changes something; and what has to hold afterwards.

A point is one command, one fault and the number of the call at which it happens. After it, `reconfigure` has to converge or
`down` to give the machine back, byte for byte: hosts file, addresses, folders, processes.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.e2e.box import Box, Result

GDK_YML = """\
registry:
  enabled: true
  host: registry.test
  listen_address: 172.16.123.1
  self_signed: true
  runtime: process
"""
DAEMON = '{\n    "debug": false\n}\n'
CHANGING = "write,pwrite64,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,ftruncate,fsync,fchmod,fchown"
FAULTS = ("signal=KILL", "error=ENOSPC", "error=EIO", "error=EROFS")
USER = "nobody"


_CAS, _BUNDLE = "/usr/local/share/ca-certificates", "/etc/ssl/certs/ca-certificates.crt"


class Scenario(NamedTuple):
    """`before` are the commands that lead to it; `bound`: /etc/hosts is a bind mount; `sudo`: by a user with sudo;
    `engine`: with a Docker Engine, and a registry without TLS."""

    name: str
    command: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    bound: bool = False
    sudo: bool = False
    stdin: str = ""
    engine: bool = False


_SET_UP = (("reconfigure", "--yes"),)
_BY_NAME = ("trust-docker-registry", "--client", "containerd,system", "--yes")
_RUNS = (("up", "--yes"),)
SCENARIOS = [
    Scenario("reconfigure", ("reconfigure", "--yes")),
    Scenario("reconfigure, hosts bound", ("reconfigure", "--yes"), bound=True),
    Scenario("reconfigure, sudo", ("reconfigure", "--yes"), sudo=True),
    Scenario("reconfigure, sudo, hosts bound", ("reconfigure", "--yes"), bound=True, sudo=True),
    Scenario("up", ("up", "--yes")),
    Scenario("down", ("down", "--yes"), _SET_UP),
    Scenario("down, hosts bound", ("down", "--yes"), _SET_UP, bound=True),
    Scenario("down, sudo, hosts bound", ("down", "--yes"), _SET_UP, bound=True, sudo=True),
    Scenario("down of what runs", ("down", "--yes"), _RUNS),
    Scenario("undo", ("undo", "--yes"), _SET_UP),
    Scenario("undo, hosts bound", ("undo", "--yes"), _SET_UP, bound=True),
    Scenario("trust", ("trust-docker-registry", "--yes"), _SET_UP),
    Scenario("trust by name", ("trust-docker-registry", "--client", "containerd,podman,system", "--yes"), _SET_UP),
    Scenario("distrust by name", ("trust-docker-registry", "--remove", "--client", "system", "--yes"), (*_SET_UP, _BY_NAME)),
    Scenario("runner-patch", ("runner-patch", "config.toml"), _SET_UP),
    Scenario("cert renew", ("cert", "renew", "--yes"), _SET_UP),
    Scenario("config set", ("config", "set", "registry.certificate_days", "90"), _SET_UP),
    Scenario("gdk on", ("gdk", "on", "--yes"), _SET_UP),
    Scenario("gdk off", ("gdk", "off", "--yes"), (*_SET_UP, ("gdk", "on", "--yes"))),
    Scenario("insecure on", ("insecure", "on", "--yes"), _SET_UP, engine=True),
    Scenario("insecure on, sudo", ("insecure", "on", "--yes"), _SET_UP, sudo=True, engine=True),
    Scenario("insecure off", ("insecure", "off", "--yes"), (*_SET_UP, ("insecure", "on", "--yes")), engine=True),
    Scenario("insecure, undo", ("undo", "--yes"), (*_SET_UP, ("insecure", "on", "--yes")), engine=True),
    Scenario("user add", ("user", "add", "ci", "--admin", "--password-stdin"), _SET_UP, stdin="hunter22\n"),
]


class Rig:
    """A box in which one scenario is played again and again."""

    def __init__(self, box: Box, scenario: Scenario) -> None:
        self.box, self.scenario = box, scenario
        self._trace = box.folder / "trace"
        self._runner = '[[runners]]\n  name = "a"\n  executor = "docker"\n'
        # An /etc of its own, for boxes may be at work side by side; a bind mount cannot be renamed over.
        box.run("sh", "-c", "mkdir /run/etc; cp -a /etc/. /run/etc; umount /etc/hosts; mount --bind /run/etc /etc")
        box.run("sh", "-c", f"cp -a {_CAS} /run/cas; mount --bind /run/cas {_CAS}; update-ca-certificates; cp {_BUNDLE} /run")
        if scenario.bound:
            box.run("sh", "-c", "cp /etc/hosts /run/hosts; mount --bind /run/hosts /etc/hosts", cwd=box.folder)
        if scenario.sudo:
            rule = f"{USER} ALL=(ALL) NOPASSWD: ALL"
            box.run("sh", "-c", f"echo '{rule}' > /run/sudoers; chmod 440 /run/sudoers; mount --bind /run/sudoers /etc/sudoers")
            box.run("chown", "-R", f"{USER}:", str(box.home), str(box.root))
            box.run("sh", "-c", "chmod 666 /run/docker.sock || true")  # as for one of the group docker
        self.hosts = box.run("cat", "/etc/hosts").out
        self.reset()
        self.clean = self.look()

    def _words(self, *arguments: str) -> list[str]:
        # Not root, but able to read this checkout, wherever it lies.
        reads = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
        as_user = ["setpriv", "--reuid", USER, "--regid", "65534", "--clear-groups", *reads] if self.scenario.sudo else []
        return [*as_user, sys.executable, "-B", "-m", "gdkreg", *arguments]

    def gdkreg(self, *arguments: str, stdin: str = "") -> Result:
        return self.box.run(*self._words(*arguments), stdin=stdin)

    def reset(self) -> None:
        """The machine as it was, by hand: what gdkreg does is what is to be proven."""
        box = self.box
        script = """
ip addr del 172.16.123.1/32 dev lo; ip link del gdkreg0
rm -rf .gdkreg* registry *.crt *.key jwks.json gdk.yml "$HOME"/.docker "$HOME"/.gdkreg-roots "$HOME"/.config /etc/docker/certs.d
rm -rf /etc/containerd/certs.d /usr/local/share/ca-certificates/gdkreg-*
cat /run/ca-certificates.crt > /etc/ssl/certs/ca-certificates.crt; find /etc/ssl/certs -xtype l -delete
rm -f /etc/.hosts.gdkreg-new; cat > /etc/hosts
for p in /proc/[0-9]*; do
  tr "\\0" " " < $p/cmdline 2>/dev/null | grep -qE "[i]ssuer.serve|registry/[c]onfig.yml" && kill -9 ${p#/proc/}
done
"""
        box.run("sh", "-c", script, stdin=self.hosts)
        if self.scenario.name.startswith("gdk"):
            box.run("sh", "-c", 'rm -rf services sv; mkdir -p services sv/registry; ln -s "$PWD/sv/registry" services/registry')
        if self.scenario.engine:
            self._engine_as_it_was()
        plain = GDK_YML.replace("self_signed: true", "self_signed: false")
        (box.root / "gdk.yml").write_text(plain if self.scenario.engine else GDK_YML)
        (box.root / "config.toml").write_text(self._runner)
        if self.scenario.sudo:
            box.run("chown", "-R", f"{USER}:", str(box.root))

    def _engine_as_it_was(self) -> None:
        """Without a list; it gives up the one that it has when it reads an empty one."""
        script = """
rm -f /etc/docker/.daemon.json.gdkreg-new
echo '{"insecure-registries": []}' > /etc/docker/daemon.json; kill -HUP "$(cat /run/docker.pid)"
for _ in $(seq 50); do docker info 2>&1 | grep -q registry.test || break; sleep 0.05; done
cat > /etc/docker/daemon.json
"""
        self.box.run("sh", "-c", script, stdin=DAEMON)

    def prepare(self) -> None:
        self.reset()
        for command in self.scenario.before:
            done = self.gdkreg(*command)
            assert done.code == 0, done

    def _strace(self, *options: str) -> Result:
        """The scenario's command below strace; with its children only where they change files for it, through sudo."""
        follow = ["-f"] if self.scenario.sudo else []
        argv = ["strace", *follow, "-qq", "-o", str(self._trace), *options, *self._words(*self.scenario.command)]
        return self.box.run(*argv, stdin=self.scenario.stdin)

    def points(self) -> list[tuple[str, int]]:
        """Every call that changes something: its name, and the how manieth of that name it is."""
        self.prepare()
        done = self._strace("-e", f"trace={CHANGING}")
        assert done.code == 0, done
        counted: Counter[tuple[str, str]] = Counter()
        for line in self._trace.read_text().splitlines():
            found = re.match(r"(?:(\d+) +)?(\w+)\(", line)
            if found:
                counted[(found[1] or "", found[2])] += 1
        # strace counts the calls of each process by itself.
        most: dict[str, int] = {}
        for (_, name), count in counted.items():
            most[name] = max(most.get(name, 0), count)
        return [(name, number) for name, count in sorted(most.items()) for number in range(1, count + 1)]

    def play(self, fault: str, call: str, number: int) -> str:
        """One point; what is wrong afterwards, empty where nothing is."""
        self.prepare()
        self._strace("-e", f"trace={CHANGING}", "-e", f"inject={call}:{fault}:when={number}")
        again = number % 2 == 0
        if again:
            done = self.gdkreg("reconfigure", "--yes")
            if done.code != 0 or self.gdkreg("plan", "--exit-code").code != 0:
                return f"reconfigure does not converge: {done}"
        done = self.gdkreg("down", "--yes")
        if done.code != 0:
            return f"down{' after reconfigure' if again else ''}: {done}"
        now = self.look()
        if now != self.clean:
            gone = {key: value for key, value in self.clean.items() if now.get(key) != value}
            new = {key: value for key, value in now.items() if self.clean.get(key) != value}
            return f"not given back{' after reconfigure' if again else ''}: was {gone}, is {new}; {done}"
        return ""

    def look(self) -> dict[str, str]:
        """All that gdkreg may touch. The images stay, and gdk.yml is the user's."""
        box, found = self.box, dict[str, str]()
        found["hosts"] = box.run("cat", "/etc/hosts").out
        found["litter"] = box.run("sh", "-c", "ls -A /etc | grep gdkreg").out
        found["addresses"] = " ".join(sorted(box.addresses()))
        found["trust"] = box.run("sh", "-c", "find /etc/docker /etc/containerd /etc/systemd/system | sort").out
        found["system"] = box.run("sh", "-c", f"ls {_CAS}; sha256sum {_BUNDLE}; find /etc/ssl/certs | sort | sha256sum").out
        if self.scenario.engine:
            found["daemon.json"] = box.run("cat", "/etc/docker/daemon.json").out
            found["insecure"] = box.run("docker", "info", "--format", "{{json .RegistryConfig}}").out
        running = box.run("ps", "-eo", "args").out.splitlines()
        found["processes"] = " ".join(row for row in running if "issuer.serve" in row or "registry/config.yml" in row)
        for top in (box.home, box.root):
            found |= dict(_tree(top, top))
        return found


def _tree(folder: Path, top: Path) -> Iterator[tuple[str, str]]:
    for item in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path, info = Path(item.path), item.stat(follow_symlinks=False)
        name = str(path.relative_to(top.parent))
        if path.name in {"gdk.yml", ".config", ".cache"} or name.endswith("registry/storage"):
            continue
        if stat.S_ISDIR(info.st_mode):
            if path.name == "registry" and [entry.name for entry in os.scandir(path)] == ["storage"]:
                continue
            yield name, f"{stat.S_IMODE(info.st_mode):o}"
            yield from _tree(path, top)
        else:
            content = path.read_bytes() if stat.S_ISREG(info.st_mode) else b""
            yield name, f"{stat.S_IMODE(info.st_mode):o} {hashlib.sha256(content).hexdigest()[:12]}"
