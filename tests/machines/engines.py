"""Boxes with other engines than Docker's: Podman's Docker-compatible socket and rootless Docker, as root or as a user."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.box import REPO, Box, Result

USER = "1777"  # in the box alone
# crun refuses the hybrid control groups of a machine like this, and overlayfs is not for a user.
_PODMAN = """
export CONTAINERS_STORAGE_CONF=$BOX/storage.conf CONTAINERS_CONF=$BOX/containers.conf
printf '[storage]\\ndriver = "vfs"\\ngraphroot = "%s"\\nrunroot = "%s/podman"\\n' "$STORE" "$RUN" > "$BOX/storage.conf"
printf '[engine]\\nruntime = "runc"\\ncgroup_manager = "cgroupfs"\\nevents_logger = "file"\\n' > "$BOX/containers.conf"
"""
PODMAN = (
    "STORE=$BOX/data RUN=/run"
    + _PODMAN
    + """
mkdir -p /run/podman
podman system service --time=0 unix:///run/podman/podman.sock >>"$BOX/dockerd.log" 2>&1 &
for _ in $(seq 300); do [ -S /run/podman/podman.sock ] && break; sleep 0.05; done
"""
)


def _closed() -> str:
    """The folders above this Python and this checkout that only their owner may enter, as /root often is."""
    leaves = [Path(os.path.realpath(sys.executable)), Path(sys.executable), REPO / "gdkreg"]
    found = {next((str(above) for above in reversed(leaf.parents) if not above.stat().st_mode & 1), "") for leaf in leaves}
    return " ".join(sorted(found - {""}))


# A user of the box with sub-ids, sudo and devices; the folders of the box lie below a home that this user may enter.
_A_USER = f"""
if [ ! -e /run/passwd ]; then
for folder in {_closed()}; do
  was=/run/was$folder; mkdir -p $was; mount --bind $folder $was; mount -t tmpfs -o mode=755 tmpfs $folder
  for name in $(ls -A $was); do
    if [ -d $was/$name ]; then mkdir $folder/$name; else touch $folder/$name; fi
    mount --bind $was/$name $folder/$name
  done
done
for name in passwd group shadow; do cp /etc/$name /run/$name; done
echo 'dev:x:{USER}:{USER}::/home/dev:/bin/sh' >> /run/passwd
echo 'dev:x:{USER}:' >> /run/group
echo 'dev:*:19000:0:99999:7:::' >> /run/shadow
echo 'dev:200000:65536' | tee /run/subuid > /run/subgid
echo 'dev ALL=(ALL) NOPASSWD: ALL' > /run/sudoers; chmod 440 /run/sudoers; chmod 640 /run/shadow
for name in passwd group shadow subuid subgid sudoers; do
  touch -a /etc/$name; mount --bind /run/$name /etc/$name
done
mount -t tmpfs -o mode=755 tmpfs /home
mkdir -p /home/dev/gdk /home/dev/engine /run/user/{USER}
mount --bind "$BOX/home" /home/dev; mkdir -p /home/dev/gdk /home/dev/engine
mount --bind "$BOX/gdk" /home/dev/gdk; mount --bind "$BOX/data" /home/dev/engine
chown {USER}:{USER} /home/dev /home/dev/gdk /home/dev/engine /run/user/{USER}; chmod 700 /run/user/{USER}
mknod /run/tun c 10 200; mknod /run/fuse c 10 229; chmod 666 /run/tun /run/fuse
mount --bind /run/tun /dev/net/tun; mount --bind /run/fuse /dev/fuse
fi
"""
_AS_USER = f"setpriv --reuid {USER} --regid {USER} --clear-groups env HOME=/home/dev XDG_RUNTIME_DIR=/run/user/{USER} "
ROOTLESS = (
    _A_USER
    + f"""
cd /
{_AS_USER} /usr/share/docker.io/contrib/dockerd-rootless.sh --storage-driver vfs --data-root /home/dev/engine \\
  >>"$BOX/dockerd.log" 2>&1 &
for _ in $(seq 300); do
  {_AS_USER} DOCKER_HOST=unix:///run/user/{USER}/docker.sock docker version >/dev/null 2>&1 && break; sleep 0.05
done
"""
)
PODMAN_ROOTLESS = (
    _A_USER
    + f"STORE=/home/dev/engine RUN=/run/user/{USER}"
    + _PODMAN
    + f"""
cd /; mkdir -p /run/user/{USER}/podman; chown {USER}:{USER} /run/user/{USER}/podman
cp "$BOX"/storage.conf "$BOX"/containers.conf /run/
export CONTAINERS_STORAGE_CONF=/run/storage.conf CONTAINERS_CONF=/run/containers.conf
{_AS_USER} podman system service --time=0 unix:///run/user/{USER}/podman/podman.sock >>"$BOX/dockerd.log" 2>&1 &
for _ in $(seq 300); do [ -S /run/user/{USER}/podman/podman.sock ] && break; sleep 0.05; done
"""
)


class OtherBox(Box):
    """`client` is what pushes and pulls there. gdkreg finds the engine by itself; `docker` has to be told."""

    socket = "/run/podman/podman.sock"

    def run(
        self,
        *command: str,
        cwd: Path | None = None,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> Result:
        told = {"DOCKER_HOST": f"unix://{self.socket}"} if command[0] == "docker" else {}
        return super().run(*command, cwd=cwd, stdin=stdin, env={**told, **(env or {})}, timeout=timeout)


class UserBox(OtherBox):
    """All that runs in it runs as a user, who has sudo; but for images, which are made outside of that user's home."""

    socket = f"/run/user/{USER}/podman/podman.sock"

    place = Path("/home/dev/gdk")  # where the root is for this user

    def run(
        self,
        *command: str,
        cwd: Path | None = None,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> Result:
        if command[:2] == ("docker", "import"):
            return super().run(*command, cwd=cwd, stdin=stdin, env=env, timeout=timeout)
        who = ("setpriv", "--reuid", USER, "--regid", USER, "--clear-groups")
        mine = {"HOME": "/home/dev", "USER": "dev", "XDG_RUNTIME_DIR": f"/run/user/{USER}", "PYTHONDONTWRITEBYTECODE": "1"}
        if command[0] == "docker":
            mine["DOCKER_HOST"] = f"unix://{self.socket}"
        return super().run(*who, *command, cwd=cwd or self.place, stdin=stdin, env={**mine, **(env or {})}, timeout=timeout)

    def as_root(self, *command: str) -> Result:
        return Box.run(self, *command, cwd=Path("/"))

    def configure(self, text: str) -> None:
        super().configure(text)
        self.as_root("chown", f"{USER}:{USER}", str(self.place / "gdk.yml"))


class RootlessBox(UserBox):
    socket = f"/run/user/{USER}/docker.sock"

    def restart_engine(self) -> None:
        """As `systemctl --user restart docker` would."""
        pid = f"/run/user/{USER}/docker.pid"
        self.as_root("sh", "-c", f'kill "$(cat {pid})"; while [ -e {pid} ]; do sleep 0.05; done')
        self.as_root("sh", "-c", f'rm -f {self.socket}; setsid bash "$BOX/engine" >/dev/null 2>&1')


def open_engine(kind: str, folder: Path) -> OtherBox:
    """A box with the engine of this kind, as gdkreg names it, and the image registry:dev."""
    if kind == "podman":
        box = OtherBox(folder, start=PODMAN)
    elif kind == "podman-rootless":
        box = UserBox(folder, start=PODMAN_ROOTLESS)
    else:
        box = RootlessBox(folder, start=ROOTLESS)
    box.import_registry()
    return box
