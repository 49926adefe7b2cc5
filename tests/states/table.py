"""Every command that changes something, in every state that matters, inside a box: what the dry run tells is what the run does.

`python -m tests.states.table ROOT OTHER [STATE…]` prints one JSON line a case; `test_told_is_done.py` reads them. The
command line runs in this one process, as often as a start of Python for each of some 400 commands would take minutes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from gdkreg.cli.app import build
from tests.e2e.box import IMAGE

GDK_YML = f"""\
registry:
  enabled: true
  host: registry.test
  listen_address: 172.16.123.1
  self_signed: true
  runtime: RUNTIME
  image: {IMAGE}
"""
COMMANDS: dict[str, list[str]] = {
    "reconfigure": ["reconfigure", "--yes"],
    "up": ["up", "--yes"],
    "start": ["start"],
    "start registry": ["start", "registry"],
    "stop": ["stop"],
    "stop auth": ["stop", "auth"],
    "restart": ["restart"],
    "trust": ["trust-docker-registry", "--yes"],
    "distrust": ["trust-docker-registry", "--remove", "--yes"],
    "trust by name": ["trust-docker-registry", "--client", "containerd,podman", "--yes"],
    "distrust by name": ["trust-docker-registry", "--remove", "--client", "podman,runner", "--yes"],
    "runner-patch": ["runner-patch", "RUNNER"],
    "runner-patch --remove": ["runner-patch", "RUNNER", "--remove"],
    "cert renew": ["cert", "renew", "--yes"],
    "cert renew tls": ["cert", "renew", "tls", "--yes"],
    "config set": ["config", "set", "registry.certificate_days", "90"],
    "ci build": ["ci", "build", "-o", "PIPELINE", "--yes"],
    "user remove": ["user", "remove", "ci"],
    "logout": ["logout"],
    "gdk on": ["gdk", "on", "--yes"],
    "gdk off": ["gdk", "off", "--yes"],
    "insecure on": ["insecure", "on", "--yes"],
    "insecure off": ["insecure", "off", "--yes"],
    "start tunnel": ["start", "tunnel", "--yes"],
    "stop tunnel": ["stop", "tunnel"],
    "undo": ["undo", "--yes"],
    "down": ["down", "--yes"],
}
# Where an engine or a port is in the way, the commands that mind it.
ONLY = {
    "tunnelled": ("reconfigure", "start", "start tunnel", "stop", "stop tunnel", "restart", "undo", "down"),
    "driven": ("reconfigure", "start", "stop", "gdk on", "gdk off", "undo", "down"),
    "plain": ("insecure on", "insecure off"),
    "listed": ("reconfigure", "insecure on", "insecure off", "undo", "down"),
    "image_missing": ("reconfigure", "up", "start", "down"),
    "other_root_on_the_port": ("reconfigure", "up", "start", "restart", "stop", "trust", "down"),
    "engine_gone": ("reconfigure", "up", "start", "stop", "restart", "distrust", "undo", "down"),
}
# Each state is made anew after a command that changed something, so these are asked where they mean something.
IN_A_GDK = {"gdk on", "gdk off"}
WITHOUT_TLS = {"insecure on", "insecure off"}
# A second one has something to do by their very meaning.
NEVER_IDLE = {"restart", "cert renew", "cert renew tls", "undo", "user remove"}


class Case:
    """One box, one root and another one beside it."""

    def __init__(self, root: Path, other: Path) -> None:
        self.root, self.other = root, other
        self.runner, self.pipeline = root.parent / "config.toml", root.parent / "ci.yml"
        self._stands = ""  # the state that still stands, as the last command changed nothing

    def run(self, *arguments: str, root: Path | None = None) -> tuple[int, dict[str, Any]]:
        files = {"RUNNER": str(self.runner), "PIPELINE": str(self.pipeline)}
        words = [files.get(word, word) for word in arguments]
        result = CliRunner().invoke(build(), [*words, "--root", str(root or self.root), "--json"])
        try:
            return result.exit_code, json.loads(result.stdout)
        except ValueError:
            return result.exit_code, {"no json": result.output, "exception": repr(result.exception)}

    def write(self, runtime: str = "process", more: str = "") -> None:
        (self.root / "gdk.yml").write_text(GDK_YML.replace("RUNTIME", runtime) + more)
        (self.root / "lib").mkdir(exist_ok=True)
        (self.root / "lib/gdk.rb").touch()  # it is a GDK
        self.runner.write_text('[[runners]]\n  name = "a"\n  executor = "docker"\n')

    def clean(self) -> None:
        os.environ.pop("DOCKER_HOST", None)
        self.run("down", "--yes", "--keep-edits")
        self.run("down", "--yes", root=self.other)
        self.pipeline.unlink(missing_ok=True)
        self.write()

    # the states

    def before_set_up(self) -> None:
        self.clean()

    def running(self) -> None:
        self.clean()
        self.run("up", "--yes")

    def renamed(self) -> None:
        """Running, and gdk.yml says another name by now; a user is in it, and the runner is patched."""
        self.running()
        self.run("runner-patch", "RUNNER")
        hashed = "$2b$10$abcdefghijklmnopqrstuuJ1jYF0oT0zJ8y2m8y0l6O0Qh3yJt2Wa"
        self.write(more=f"  users:\n    - name: ci\n      password: {hashed}\n      admin: true\n")
        text = (self.root / "gdk.yml").read_text()
        (self.root / "gdk.yml").write_text(text.replace("registry.test", "images.test"))

    def stopped(self) -> None:
        self.running()
        self.run("stop")

    def crashed(self) -> None:
        self.running()
        for name in ("registry", "auth"):
            pid = json.loads((self.root / f".gdkreg/{name}.pid").read_text())["pid"]
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)

    def driven(self) -> None:
        """GDK's supervisor would start ours, in the place of GDK's link."""
        self.running()
        (self.root / "services").mkdir(exist_ok=True)
        if not os.path.lexists(self.root / "services/registry"):
            (self.root / "services/registry").symlink_to("../sv/registry")
        self.run("gdk", "on", "--yes")

    def tunnelled(self) -> None:
        """Running, with a far end for the tunnel in this very box."""
        self.clean()
        folder = self.root.parent / "far"
        if not folder.exists():
            _sshd(folder)
        far = f"{{host: 127.0.0.1, port: 2222, key: {folder}/key, known_hosts: {folder}/known}}"
        self.write(more=f"auto_devops:\n  enabled: true\n  tunnel: {far}\n")
        self.run("reconfigure", "--yes")
        self.run("start")

    def other_root_in_the_way(self) -> None:
        self.clean()
        (self.other / "gdk.yml").write_text(GDK_YML.replace("RUNTIME", "process"))
        self.run("up", "--yes", root=self.other)

    def other_root_on_the_port(self) -> None:
        """Set up, stopped, and then another root took the place under another name."""
        self.clean()
        self.run("reconfigure", "--yes")
        (self.other / "gdk.yml").write_text(GDK_YML.replace("RUNTIME", "process").replace("registry.test", "other.test"))
        self.run("up", "--yes", root=self.other)

    def engine_gone(self) -> None:
        """A container runs, and its engine does not answer any more."""
        self.clean()
        self.write("docker")
        self.run("up", "--yes")
        os.environ["DOCKER_HOST"] = "unix:///run/nowhere.sock"

    def plain(self) -> None:
        """Running without TLS, which the engine refuses."""
        self.clean()
        text = (self.root / "gdk.yml").read_text()
        (self.root / "gdk.yml").write_text(text.replace("self_signed: true", "self_signed: false"))
        self.run("up", "--yes")

    def listed(self) -> None:
        """The same, in the engine's list."""
        self.plain()
        self.run("insecure", "on", "--yes")

    def image_missing(self) -> None:
        self.clean()
        self.write("docker")
        text = (self.root / "gdk.yml").read_text()
        (self.root / "gdk.yml").write_text(text.replace(IMAGE, "registry.invalid/no/such:image"))

    def check(self, state: Callable[[], None], name: str) -> dict[str, Any]:
        """The list that is told and the list that is done, and what is done by the same command once more."""
        if self._stands != state.__name__:
            state()
        arguments = COMMANDS[name]
        told_code, told = self.run(*arguments, "--dry-run")
        again_code, again = self.run(*arguments, "--dry-run")
        code, done = self.run(*arguments)
        second_code, second = self.run(*arguments)
        idle = all(item["status"] == "planned" for found in (done, second) for item in found.get("actions", [{"status": "?"}]))
        self._stands = state.__name__ if idle else ""
        return {
            "case": f"{state.__name__}: {name}",
            "told": _list(told),
            "told twice": _list(again) == _list(told) and again_code == told_code,
            "done": _list(done),
            "statuses": sorted({item["status"] for item in done.get("actions", [])}),
            "codes": [told_code, code],
            "errors": [told.get("error"), done.get("error")],
            "second": None if name in NEVER_IDLE else _list(second),
            "second code": second_code,
            "bug": [found for found in (told, again, done, second) if "no json" in found or "bug" in str(found.get("error"))],
        }


def _sshd(folder: Path) -> None:
    """One that takes the key in this folder, for as long as the box stands."""
    folder.mkdir()
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "known").write_text(f"[127.0.0.1]:2222 {(folder / 'host_key.pub').read_text()}")
    options = {
        "Port": "2222",
        "ListenAddress": "127.0.0.1",
        "HostKey": f"{folder}/host_key",
        "AuthorizedKeysFile": f"{folder}/key.pub",
        "StrictModes": "no",
        "UsePAM": "no",
        "PidFile": "none",
        "GatewayPorts": "clientspecified",
    }
    Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in options.items()))
    subprocess.run(["/usr/sbin/sshd", "-f", str(folder / "sshd_config"), "-E", str(folder / "log")], check=True)


def _list(found: dict[str, Any]) -> list[str]:
    return [item["text"] for item in found.get("actions", [])]


def main() -> None:
    case = Case(Path(sys.argv[1]), Path(sys.argv[2]))
    states = [
        case.before_set_up,
        case.running,
        case.renamed,
        case.stopped,
        case.crashed,
        case.driven,
        case.tunnelled,
        case.other_root_in_the_way,
        case.other_root_on_the_port,
        case.engine_gone,
        case.image_missing,
        case.plain,
        case.listed,
    ]
    for state in states if len(sys.argv) < 4 else [state for state in states if state.__name__ in sys.argv[3:]]:
        for name in ONLY.get(state.__name__, tuple(COMMANDS)):
            if name.endswith(" tunnel") and state.__name__ not in {"before_set_up", "running", "tunnelled"}:
                continue
            if name in IN_A_GDK and state.__name__ not in {"running", "driven"}:
                continue
            if name in WITHOUT_TLS and state.__name__ not in {"before_set_up", "running", "plain", "listed"}:
                continue
            print(json.dumps(case.check(state, name)), flush=True)
    case.clean()


if __name__ == "__main__":
    main()
