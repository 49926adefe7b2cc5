"""A box of namespaces: network, mounts and processes of its own, with a real engine in it.

What happens inside stays inside: addresses, /etc/hosts, /etc/docker, HOME. The namespaces have no way
out, so nothing can be pulled; the image of a real registry is made from Debian's docker-registry.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
IMAGE = "registry:dev"
# What most tests begin with.
GDK_YML = f"""\
hostname: gdk.test
registry:
  enabled: true
  host: registry.test
  listen_address: 172.16.123.1
  self_signed: true
  image: {IMAGE}
"""
HOST = "registry.test:5000"
BUILDERS = Path(sys.prefix) / "builders"  # made by tests/builders/builders.sh
_INT = "--default-signal=INT,HUP"  # which whoever runs the tests in the background may have switched off
_SETUP = """
set -e
mount --make-rprivate /
ip link set lo up
mount --bind "$BOX/hosts" /etc/hosts
mkdir -p /etc/docker /etc/containers
mount --bind "$BOX/etc-docker" /etc/docker
mount --bind "$BOX/etc-systemd" /etc/systemd/system
cp -a /etc/containers/. "$BOX/etc-containers"; mount --bind "$BOX/etc-containers" /etc/containers
mount -t tmpfs tmpfs /run
if [ -n "$ENGINE" ]; then bash "$BOX/engine"; fi
touch "$BOX/ready"
exec sleep infinity
"""
_ENGINE = """
dockerd --data-root "$BOX/data" --exec-root /run/docker-exec -p /run/docker.pid >>"$BOX/dockerd.log" 2>&1 &
for _ in $(seq 300); do docker version >/dev/null 2>&1 && break; sleep 0.05; done
"""
# A privileged container gets every capability there is; root here may have fewer, and runc refuses to give what it lacks.
_RUNC = """#!/usr/bin/env python3
import json, os, sys

NAMES = {21: "CAP_SYS_ADMIN", 22: "CAP_SYS_BOOT", 23: "CAP_SYS_NICE", 24: "CAP_SYS_RESOURCE", 25: "CAP_SYS_TIME"}
held = int(next(line for line in open("/proc/self/status") if line.startswith("CapBnd")).split()[1], 16)
for option, name in (("--bundle", "/config.json"), ("--process", "")):
    if option in sys.argv:
        path = sys.argv[sys.argv.index(option) + 1] + name
        spec = json.load(open(path))
        sets = spec.get("process", spec).get("capabilities") or {}
        for kind in sets:
            sets[kind] = [one for one in sets[kind] if one not in {NAMES[at] for at in NAMES if not held >> at & 1}]
        json.dump(spec, open(path, "w"))
os.execvp("runc", ["runc", *sys.argv[1:]])
"""


class Result:
    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"


class Box:
    """Made by `open_box`; `home` and `root` are folders for a test's HOME and GDK root. `start` starts the engine, as root."""

    def __init__(self, folder: Path, *, engine: bool = True, privileged: bool = False, start: str = _ENGINE) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.root = folder / "gdk"
        self.hosts = folder / "hosts"
        folder.mkdir(exist_ok=True)
        for name in ("home", "gdk", "etc-docker", "etc-containers", "etc-systemd", "data"):
            (folder / name).mkdir()
        (folder / "engine").write_text(start)
        if privileged:
            (folder / "runc").write_text(_RUNC)
            (folder / "runc").chmod(0o755)
            runtimes = {"here": {"path": str(folder / "runc")}}
            (folder / "etc-docker/daemon.json").write_text(json.dumps({"runtimes": runtimes, "default-runtime": "here"}))
        self.hosts.write_bytes(b"127.0.0.1\tlocalhost\n::1 localhost ip6-localhost\n")
        self._env = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("DOCKER_", "GDKREG_", "REGISTRY_"))},
            "HOME": str(self.home),
            "BOX": str(folder),
            "ENGINE": "1" if engine else "",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        self._outer = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c", _SETUP],
            env=self._env,
        )
        self._pid = self._wait()

    def _wait(self) -> int:
        deadline = time.monotonic() + 30
        while not (self.folder / "ready").exists():
            if self._outer.poll() is not None or time.monotonic() > deadline:
                log = self.folder / "dockerd.log"
                raise RuntimeError("the box did not start\n" + (log.read_text()[-3000:] if log.exists() else ""))
            time.sleep(0.02)
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        return int(children[0])

    def argv(self, command: Sequence[str]) -> list[str]:
        return ["nsenter", "--target", str(self._pid), "--net", "--mount", "--pid", "--", *command]

    def run(
        self,
        *command: str,
        cwd: Path | None = None,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> Result:
        inner = ["env", _INT, f"--chdir={cwd or self.root}", *command]
        done = subprocess.run(
            self.argv(inner), input=stdin, env={**self._env, **(env or {})}, capture_output=True, text=True, timeout=timeout
        )
        return Result(done)

    def popen(self, *command: str, terminal: int | None = None) -> subprocess.Popen[str]:
        """A command that goes on; `terminal` is a file descriptor to read from and write to."""
        return subprocess.Popen(
            self.argv(["env", _INT, f"--chdir={self.root}", *command]),
            env=self._env,
            stdin=terminal,
            stdout=subprocess.PIPE if terminal is None else terminal,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def gdkreg(self, *arguments: str, env: Mapping[str, str] | None = None) -> Result:
        return self.run(sys.executable, "-m", "gdkreg", *arguments, env=env)

    def ok(self, *arguments: str) -> Result:
        """gdkreg, and it has to succeed."""
        result = self.gdkreg(*arguments)
        assert result.code == 0, result
        return result

    def up_with_an_image(self) -> None:
        """A registry on GDK_YML, the first user logged in, and group/app:1 in it."""
        self.configure(GDK_YML)
        self.ok("up", "--yes")
        self.ok("login")
        self.import_small(f"{HOST}/group/app:1")
        self.client("docker", "push", f"{HOST}/group/app:1")

    def configure(self, text: str) -> None:
        (self.root / "gdk.yml").write_text(text)

    def listeners(self, port: int) -> list[str]:
        """The addresses that something listens on at this port."""
        rows = self.run("ss", "-Hltn", f"sport = :{port}").out.split("\n")
        return sorted(row.split()[3].rpartition(":")[0] for row in rows if row.strip())

    def addresses(self) -> set[str]:
        links = json.loads(self.run("ip", "-j", "address").out)
        return {entry["local"] for link in links for entry in link["addr_info"] if entry["family"] == "inet"}

    def restart_engine(self) -> None:
        """As `systemctl restart docker` would."""
        self.run("sh", "-c", 'kill "$(cat /run/docker.pid)"; while [ -e /run/docker.pid ]; do sleep 0.05; done')
        # Its output would hold the pipe of `run` open.
        self.run("sh", "-c", 'setsid bash "$BOX/engine" >/dev/null 2>&1')

    def close(self) -> None:
        self._outer.kill()
        self._outer.wait()
        for _ in range(100):
            if not Path(f"/proc/{self._pid}").exists():
                break
            time.sleep(0.05)
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self, *command: str, want: bool = True) -> Result:
        """A container client's command; Go programs remember /etc/hosts for 5 seconds, so a failed look-up is tried again."""
        deadline = time.monotonic() + 7
        while True:
            result = self.run(*command)
            if result.code == 0 or "lookup " not in result.err + result.out or time.monotonic() > deadline:
                assert (result.code == 0) == want, result
                return result
            time.sleep(0.3)

    # images, made here

    def import_image(self, tag: str, files: Mapping[str, str], *changes: str) -> None:
        """An image with the machine's own files at these places, each program with its libraries."""
        archive = self.folder / "image.tar"
        with tarfile.open(archive, "w") as tar:
            added = set()
            for place, path in files.items():
                for inside, source in ((place, path), *((library, library) for library in _libraries(path))):
                    if inside not in added:
                        added.add(inside)
                        tar.add(os.path.realpath(source), arcname=inside)
            for name in ("tmp", "run", "var/lib/registry", "var/lib/docker", "etc/docker/registry"):
                entry = tarfile.TarInfo(name)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
                tar.addfile(entry)
        options = [word for change in changes for word in ("-c", change)]
        done = self.run("docker", "import", *options, str(archive), tag)
        assert done.code == 0, done

    def import_registry(self, tag: str = IMAGE, *, shell: bool = False) -> None:
        """An image of a real registry: the binary, its libc and loader; with a shell and wget if asked for."""
        binary = shutil.which("docker-registry") or "/usr/bin/docker-registry"
        busybox = shutil.which("busybox") or "/bin/busybox"
        tools = {f"bin/{name}": busybox for name in ("sh", "wget", "grep")} if shell else {}
        self.import_image(tag, {binary: binary, **tools}, f'ENTRYPOINT ["{binary}"]')

    def import_dind(self, tag: str = "docker:dind") -> None:
        """What docker:dind is made of: an engine and its client, without a network for containers of its own."""
        names = ("dockerd", "containerd", "containerd-shim-runc-v2", "runc", "docker-proxy", "docker-init", "docker")
        start = self.folder / "entrypoint"
        start.write_text('#!/bin/sh\nexec "$@" --bridge=none --iptables=false --ip6tables=false --storage-driver=vfs\n')
        start.chmod(0o755)
        files = {f"usr/bin/{name}": path for name in names if (path := shutil.which(name))}
        files |= {"bin/sh": shutil.which("busybox") or "/bin/busybox", "entrypoint": str(start)}
        self.import_image(tag, files, 'ENTRYPOINT ["/entrypoint"]', "ENV PATH=/usr/bin:/bin", "VOLUME /var/lib/docker")

    def import_buildkit(self, tag: str) -> None:
        """What moby/buildkit is made of."""
        files = {f"usr/bin/{name}": str(BUILDERS / name) for name in ("buildkitd", "buildctl")}
        files["usr/bin/runc"] = shutil.which("runc") or "/usr/sbin/runc"
        self.import_image(tag, files, 'ENTRYPOINT ["/usr/bin/buildkitd"]', "ENV PATH=/usr/bin")

    def install_buildx(self) -> None:
        """As Docker Desktop does, among the user's own plugins."""
        plugins = self.home / ".docker/cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-buildx").symlink_to(BUILDERS / "docker-buildx")

    def import_small(self, tag: str) -> None:
        """A tiny image to push."""
        archive = self.folder / "small.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(self.folder / "hosts", arcname="hello")
        done = self.run("docker", "import", str(archive), tag)
        assert done.code == 0, done


def child(pid: int) -> int:
    """The process that nsenter made inside."""
    for _ in range(200):
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if found:
            return int(found[0])
        time.sleep(0.005)
    raise AssertionError("nsenter made no process")


def _libraries(binary: str) -> list[str]:
    out = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False).stdout
    return [word for line in out.splitlines() for word in line.split() if word.startswith("/")]


def missing() -> str:
    """Why no box can run here; empty where one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a box of namespaces needs root on Linux"
    absent = [
        name for name in ("unshare", "nsenter", "dockerd", "docker", "docker-registry", "ip", "ss") if not shutil.which(name)
    ]
    return f"not installed: {', '.join(absent)}" if absent else ""
