"""Whole runs as a user sees them: each line told, each command, each file's mode and owner; then `down`, and nothing is left.

`#` marks what is done as root, ID stands for the root's name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gdkreg.cli import session
from gdkreg.cli.app import build
from gdkreg.host.base import FileInfo, System
from tests.cli.test_cli import GDK_YML, ROOT
from tests.fakes import FakeHost


def machine(extra: str = "", system: System = "linux", uid: int = 0, **env: str) -> FakeHost:
    known = {"DOCKER_HOST": "unix:///nowhere.sock", "GDKREG_ROOT": str(ROOT), **env}
    host = FakeHost(system, uid, home="/home/dev", env=known)
    host.make_folder(ROOT, mode=0o755)
    host.put(ROOT / "gdk.yml", GDK_YML + extra)
    host.put("/etc/hosts", "127.0.0.1 localhost\n")
    return host


def systemd(host: FakeHost) -> FakeHost:
    for folder in ("/etc/systemd/system", "/run/systemd/system"):
        host.put(f"{folder}/.keep", "")
    return host


def launchd(host: FakeHost) -> FakeHost:
    host.put("/Library/LaunchDaemons/.keep", "")
    return host


class Told:
    """Runs commands on a machine; gives what they told in lines, with short paths."""

    def __init__(self, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host = host
        monkeypatch.setattr(session, "Machine", lambda: host)
        monkeypatch.setattr("gdkreg.host.machine.Machine", lambda: host)

    def run(self, *arguments: str) -> list[str]:
        self.host.ran.clear()
        result = CliRunner().invoke(build(), [*arguments, "--json"])
        assert result.exit_code == 0, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        (id_,) = {path.name for path in self.host.infos if path.parent.name == ".gdkreg-roots"} or {"none"}
        self._id = getattr(self, "_id", id_)
        lines = [("# " if item["as_root"] else "") + item["text"] for item in found["actions"] if item["status"] == "done"]
        assert len(lines) == found["changes"]
        return [line.replace(self._id, "ID").replace(str(ROOT), ".") for line in lines]

    def commands(self) -> list[str]:
        return [" ".join(argv).replace(self._id, "ID") for argv, _ in self.host.ran]

    def made(self, before: dict[Path, FileInfo]) -> list[str]:
        """What is new or other than before: path, mode and owner; without the journal's own folder."""
        new = [path for path, info in self.host.infos.items() if before.get(path) != info and "backups" not in path.parts]
        shown = [(str(path), self.host.infos[path]) for path in sorted(new)]
        return [f"{path} {info.mode:o} {info.uid}".replace(self._id, "ID").replace(str(ROOT), ".") for path, info in shown]


IN_THE_ROOT = """\
write ./registry_host.key  (registry_host.crt and registry_host.key missing)
write ./registry_host.crt  (registry_host.crt and registry_host.key missing)
write ./localhost.key  (localhost.crt and localhost.key missing)
write ./localhost.crt  (localhost.crt and localhost.key missing)
write ./jwks.json  (it is missing)
make folder ./registry  (holds the registry's configuration and storage)
make folder ./registry/storage  (holds the images)
write ./.gdkreg/http_secret  (http.secret, kept over restarts)
write ./registry/config.yml  (from gdk.yml)
write ./.gdkreg/first_user  (docker login needs a user)
write ./.gdkreg/applied.json  (what start starts)
""".splitlines()

OUT_OF_THE_ROOT = """\
remove ./registry/config.yml  (no longer wanted)
remove folder ./registry/storage  (empty)
remove folder ./registry  (empty)
remove ./jwks.json  (no longer wanted)
remove ./localhost.crt  (no longer wanted)
remove ./localhost.key  (no longer wanted)
remove ./registry_host.crt  (no longer wanted)
remove ./registry_host.key  (no longer wanted)
# replace /etc/hosts  (our names are no longer wanted)
""".splitlines()

MODES = """\
./.gdkreg 700
./.gdkreg/.gitignore 600
./.gdkreg/applied.json 600
./.gdkreg/first_user 600
./.gdkreg/http_secret 600
./.gdkreg/id 600
./.gdkreg/journal.jsonl 600
./jwks.json 644
./localhost.crt 644
./localhost.key 600
./registry 755
./registry/config.yml 600
./registry/storage 700
./registry_host.crt 644
./registry_host.key 600
""".splitlines()

HOSTS = ["# replace /etc/hosts  (gdk.test, registry.test must lead here)"]
ADDED = ["# run ip address add 172.16.123.1/32 dev lo label lo:gdkreg  (the registry listens there)"]
REMOVED = ["# run ip address del 172.16.123.1/32 dev lo  (the alias is ours)"]
LAST = ["remove folder ./.gdkreg  (journal, backups and logs)"]


def modes(uid: int) -> list[str]:
    return [f"{line} {uid}" for line in ["/home/dev/.gdkreg-roots 700", "/home/dev/.gdkreg-roots/ID 600", *MODES]]


def test_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine()
    before, told = dict(host.infos), Told(host, monkeypatch)
    assert told.run("reconfigure") == [*ADDED, *HOSTS, *IN_THE_ROOT]
    assert told.made(before) == modes(0)
    assert told.run("down", "--yes") == [*OUT_OF_THE_ROOT, *REMOVED, *LAST]
    assert host.infos == before
    assert host.files[Path("/etc/hosts")] == b"127.0.0.1 localhost\n"


@pytest.mark.parametrize("uid", [0, 1000])
def test_over_reboots_on_linux(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    host = systemd(machine("  persist: true\n", uid=uid, USER="dev"))
    before, told = dict(host.infos), Told(host, monkeypatch)
    units = {"gdkreg-loopback-172.16.123.1": "the alias comes back at boot", "gdkreg-ID": "registry and issuer come back at boot"}
    system = "/etc/systemd/system"
    on = [
        line
        for unit, why in units.items()
        for line in (f"# write {system}/{unit}.service  ({why})", f"# run systemctl enable {unit}.service  ({why})")
    ]
    assert told.run("reconfigure") == [*ADDED, *on, *HOSTS, *IN_THE_ROOT]
    assert told.commands()[1:] == [f"systemctl enable {unit}.service" for unit in units]
    wants = f"{system}/multi-user.target.wants"
    assert set(told.made(before)) - set(modes(uid)) == {
        *(f"{system}/{unit}.service 644 0" for unit in units),
        *(f"{wants}/{unit}.service 777 0" for unit in units),
    }
    text = host.files[next(path for path in host.files if str(path).startswith(f"{system}/gdkreg-") and "loop" not in str(path))]
    assert (b"\nUser=dev\n" in text) == (uid != 0)
    assert told.run("reconfigure") == []
    off = [
        line
        for unit in units
        for line in (
            f"# run systemctl disable {unit}.service  (no longer wanted)",
            f"# remove {system}/{unit}.service  (no longer wanted)",
        )
    ]
    assert told.run("down", "--yes") == [*OUT_OF_THE_ROOT, *off, *REMOVED, *LAST]
    assert host.infos == before


def test_over_reboots_on_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    host = launchd(machine("  persist: true\n", "darwin", 501))
    before, told = dict(host.infos), Told(host, monkeypatch)
    alias = "/Library/LaunchDaemons/dev.gdkreg.loopback.172.16.123.1.plist"
    agents = "/home/dev/Library/LaunchAgents"
    assert told.run("reconfigure") == [
        "# run ifconfig lo0 alias 172.16.123.1 255.255.255.255  (the registry listens there)",
        "make folder /home/dev/Library  (holds the unit)",
        f"make folder {agents}  (holds the unit)",
        f"# write {alias}  (the alias comes back at boot)",
        f"write {agents}/dev.gdkreg.ID.plist  (registry and issuer come back at boot)",
        *HOSTS,
        *IN_THE_ROOT,
    ]
    assert set(told.made(before)) - set(modes(501)) == {
        f"{alias} 644 0",
        "/home/dev/Library 755 501",
        f"{agents} 755 501",
        f"{agents}/dev.gdkreg.ID.plist 644 501",
    }
    assert told.run("down", "--yes") == [
        *OUT_OF_THE_ROOT,
        f"# remove {alias}  (no longer wanted)",
        f"remove {agents}/dev.gdkreg.ID.plist  (no longer wanted)",
        "# run ifconfig lo0 -alias 172.16.123.1  (the alias is ours)",
        f"remove folder {agents}  (empty)",
        "remove folder /home/dev/Library  (empty)",
        *LAST,
    ]
    assert host.infos == before


def test_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine()
    before, told = dict(host.infos), Told(host, monkeypatch)
    told.run("reconfigure")
    between = dict(host.infos)
    folders = ["/home/dev/.docker", "/home/dev/.docker/certs.d", "/home/dev/.docker/certs.d/registry.test:5000"]
    why = "(trust for the runner and Docker Desktop)"
    assert told.run("trust-docker-registry")[:5] == [
        *(f"make folder {folder}  {why}" for folder in folders),
        f"write {folders[-1]}/ca.crt  {why}",
        "write ./registry/buildkitd.toml  (trust for buildx builders)",
    ]
    assert [line for line in told.made(between) if ".gdkreg" not in line] == [
        *(f"{folder} 755 0" for folder in folders),
        f"{folders[-1]}/ca.crt 644 0",
        "./registry/buildkitd.toml 644 0",
    ]
    assert host.files[Path(folders[-1]) / "ca.crt"] == host.files[ROOT / "registry_host.crt"]
    told.run("down", "--yes")
    assert host.infos == before


def test_nobody_to_ask_and_nothing_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 127.0.0.1, without TLS and without tokens, little is left to do."""
    host = machine()
    keys = ("enabled: true", "self_signed: false", "auth_enabled: false", "listen_address: 127.0.0.1")
    host.put(ROOT / "gdk.yml", "hostname: localhost\nregistry:\n" + "".join(f"  {key}\n" for key in keys))
    before, told = dict(host.infos), Told(host, monkeypatch)
    assert told.run("reconfigure") == [line for line in IN_THE_ROOT if "registry_host" not in line and "first_user" not in line]
    told.run("down", "--yes")
    assert host.infos == before
