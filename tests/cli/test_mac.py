"""Every command on a Mac in memory: no word of what it prints or runs is one that only Linux has."""

from __future__ import annotations

import re
import shlex

import pytest
from typer.testing import CliRunner, Result

from gdkreg.cli.app import build
from tests.cli.test_whole_plans import Told, launchd, machine
from tests.fakes import FakeHost

LINUX = re.compile(
    r"\b(systemctl|journalctl|systemd(?! or launchd)|apt-get|dnf|lsattr|chattr|findmnt|sysctl|nft|iptables|ufw|firewalld)\b"
    r"|\bip (?:-|addr|link|route)|\bupdate-ca-|/proc/|/run/user|(?<!:)/etc/docker/(?:certs\.d|daemon)|/usr/local/share/ca-"
)
# In an order in which they make sense; each as it is typed.
COMMANDS = """\
plan
status
doctor
reconfigure --dry-run
reconfigure
status
status --json
doctor
doctor --json
cert show
config get registry
config example
trust-docker-registry --dry-run
trust-docker-registry
env crane
env curl
runner-patch /home/dev/.gitlab-runner/config.toml
start
stop
tail registry --no-follow
verify
verify --client skopeo
explain "x509: certificate signed by unknown authority"
explain "dial tcp: lookup registry.test: no such host"
gc schedule weekly
gc schedule off
gc --dry-run
usage
ci image
ci build
ci scan
ci auto-devops
export gitlab-yml
export gitlab-rb
export nginx
export compose
export curl
gdk status
gdk on
gdk off
token catalog
user list
login --client docker --dry-run
trust-docker-registry --remove
runner-patch --remove /home/dev/.gitlab-runner/config.toml
cert renew --dry-run
cert renew
undo
down --dry-run
down --yes
"""
RUNNER = '[[runners]]\n  name = "dev"\n  executor = "docker"\n  [runners.docker]\n    image = "alpine"\n'


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    host = launchd(machine("  persist: true\n", "darwin", 501, PATH="/nowhere"))
    host.put("/home/dev/.gitlab-runner/config.toml", RUNNER)
    Told(host, monkeypatch)
    monkeypatch.setenv("PATH", "/nowhere")
    return host


def run(line: str) -> Result:
    return CliRunner().invoke(build(), shlex.split(line))


def test_no_word_of_linux_alone(mac: FakeHost) -> None:
    strange = {}
    for line in COMMANDS.splitlines():
        mac.ran.clear()
        result = run(line)
        said = result.output + "".join(f"\nran {' '.join(argv)}" for argv, _ in mac.ran)
        assert "Traceback" not in said, (line, said)
        assert result.exception is None or isinstance(result.exception, SystemExit), (line, result.exception)
        assert "a bug in gdkreg" not in said, (line, said)
        if found := [row for row in said.splitlines() if LINUX.search(row)]:
            strange[line] = found
    assert strange == {}
