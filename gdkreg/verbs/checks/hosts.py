"""/etc/hosts: our names in it, and what about the file is odd."""

from __future__ import annotations

import re
from pathlib import Path

from gdkreg.errors import GdkregError
from gdkreg.resources.hosts import HOSTS
from gdkreg.verbs.checks.seen import Finding, Seen, text_of

_BOM = b"\xef\xbb\xbf"
# Where engines and Kubernetes keep the /etc/hosts that they mount into a container.
_OF_AN_ENGINE = re.compile(r"/(overlay-)?containers/[0-9a-f]{12,}/|/etc-hosts$")


def check(seen: Seen) -> list[Finding]:
    found = seen.problems("hosts", "clients look the name up there")
    try:
        content = seen.host.read(HOSTS) or b""
    except GdkregError as error:
        return [*found, Finding("error", error.what, "nothing is looked up there", f"sudo chmod 644 {HOSTS}")]
    return [*found, *_text(content), *_link(seen), *_mount(seen), *_immutable(seen)]


def _text(content: bytes) -> list[Finding]:
    """Tabs and doubled names are nothing to tell; neither are Windows line ends to the system, or to Docker."""
    found = []
    if content.startswith(_BOM):
        fix = rf"sudo sed -i '1s/^\xEF\xBB\xBF//' {HOSTS}"
        found.append(Finding("warning", f"{HOSTS} begins with a byte order mark", "its first line counts for nothing", fix))
    if b"\r\n" in content:
        why = "the system and Docker read them, a script may not"
        found.append(Finding("off", f"{HOSTS} has Windows line ends", why, rf"sudo sed -i 's/\r$//' {HOSTS}"))
    if content and not content.endswith(b"\n"):
        why = "a line that a script adds is joined to it"
        found.append(Finding("off", f"the last line of {HOSTS} has no end", why, f"echo | sudo tee -a {HOSTS}"))
    return found


def _link(seen: Seen) -> list[Finding]:
    info = seen.host.info(HOSTS)
    if info is None or info.kind != "symlink":
        return []
    why = "what makes it, as on NixOS, writes over what gdkreg adds, so gdkreg leaves it alone"
    return [Finding("warning", f"{HOSTS} is a symlink to {info.target}", why, "set the names there, on NixOS: networking.hosts")]


def _mount(seen: Seen) -> list[Finding]:
    """A file that is mounted there: gdkreg writes it in place, but not where it is read-only; an engine's is made anew."""
    mount = _mounted(seen)
    if mount is None:
        return []
    source, options = mount
    if "ro" in options:
        fix = f"sudo mount -o remount,rw,bind {HOSTS}"
        return [Finding("warning", f"{HOSTS} is mounted read-only", "gdkreg can neither add its names nor take them out", fix)]
    if _OF_AN_ENGINE.search(source):
        text = f"this machine is a container, whose engine writes {HOSTS} anew at each start"
        return [Finding("warning", text, "our names are gone then", "gdkreg reconfigure, after each start")]
    return []


def _mounted(seen: Seen) -> tuple[str, list[str]] | None:
    """What is mounted at /etc/hosts itself, and with which options; None where nothing is."""
    if not seen.linux:
        return None
    try:
        text = text_of(seen.host, Path("/proc/self/mountinfo")) or ""
    except GdkregError:
        return None
    mounts = [fields for line in text.splitlines() if len(fields := line.split()) > 5 and fields[4] == str(HOSTS)]
    return (mounts[-1][3], mounts[-1][5].split(",")) if mounts else None


def _immutable(seen: Seen) -> list[Finding]:
    if seen.linux:
        done = seen.host.query(["lsattr", "-d", str(HOSTS)])
        locked, free = "i" in done.out.split(" ")[0], f"sudo chattr -i {HOSTS}"
    else:
        done = seen.host.query(["ls", "-lO", str(HOSTS)])
        flags = done.out.split()[4:5]
        locked, free = any(flag in {"schg", "uchg"} for flag in ",".join(flags).split(",")), f"sudo chflags noschg,nouchg {HOSTS}"
    if done.code != 0 or not locked:
        return []
    return [Finding("warning", f"{HOSTS} is immutable", "gdkreg can neither add its names nor take them out", free)]
