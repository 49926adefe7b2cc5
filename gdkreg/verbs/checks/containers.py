"""The way from a container to the registry: forwarding, and a firewall on this machine."""

from __future__ import annotations

import re
from pathlib import Path

from gdkreg.config.values import is_loopback
from gdkreg.errors import GdkregError
from gdkreg.verbs.checks.seen import Finding, Seen, text_of, unseen

_NATIVE = {"docker", "podman"}  # a rootless one asks as its user does, and the others have a machine of their own
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_BRIDGES = re.compile(r"\b(docker0|br-|podman|cni-?)")


def forwarding(seen: Seen) -> list[Finding]:
    if not seen.linux or seen.engine.kind not in _NATIVE:
        return []
    said = seen.info.get("IPv4Forwarding")
    try:
        off = said is False or (text_of(seen.host, _FORWARD) or "").strip() == "0"
    except GdkregError:
        off = said is False
    if not off:
        return [Finding("ok", "IP forwarding is on")]
    why = "containers reach no other machine, and no published port"
    return [Finding("warning", "net.ipv4.ip_forward is 0", why, "sudo sysctl -w net.ipv4.ip_forward=1")]


def firewall(seen: Seen) -> list[Finding]:
    """A container's packets to the alias pass the INPUT chain, where ufw and firewalld refuse what they do not know."""
    if not seen.linux or seen.engine.kind not in _NATIVE or is_loopback(seen.settings.address):
        return []
    if (found := _ufw(seen)) is not None:
        return found
    if seen.host.info(Path("/run/firewalld.pid")) is not None:
        return [unseen("what firewalld lets containers reach", "sudo firewall-cmd --get-active-zones")]
    return _rules(seen)


def _allow(seen: Seen) -> str:
    return f"sudo ufw allow proto tcp to {seen.settings.address} port {seen.settings.registry.port}"


def _ufw(seen: Seen) -> list[Finding] | None:
    """None where ufw is not in use. Its settings are open to everybody, its rules to root alone."""
    try:
        on = "enabled=yes" in (text_of(seen.host, Path("/etc/ufw/ufw.conf")) or "").lower().replace(" ", "")
        policy = re.search(r'^DEFAULT_INPUT_POLICY="?(\w+)', text_of(seen.host, Path("/etc/default/ufw")) or "", re.MULTILINE)
    except GdkregError:
        return None
    if not on:
        return None
    if policy is not None and policy[1].upper() == "ACCEPT":
        return [Finding("ok", "ufw lets everything in")]
    try:
        rules = text_of(seen.host, Path("/etc/ufw/user.rules")) or ""
    except GdkregError:
        return [unseen("ufw is on and refuses what it has no rule for; its rules", "sudo ufw status")]
    port = seen.settings.registry.port
    if any(_lets_in(row.split(), port) for row in rules.splitlines() if row.startswith("### tuple ### allow")):
        return [Finding("ok", f"ufw lets {port} in")]
    return [Finding("warning", f"ufw refuses containers that ask for port {port}", "jobs and builds time out", _allow(seen))]


def _lets_in(words: list[str], port: int) -> bool:
    """`### tuple ### allow PROTOCOL PORT TO FROM-PORT FROM DIRECTION`, as ufw writes a rule down."""
    return len(words) > 5 and words[5] in {"any", str(port)} and words[4] in {"any", "tcp"} and not words[-1].startswith("out")


def _rules(seen: Seen) -> list[Finding]:
    if seen.host.platform.uid != 0:
        return [Finding("ok", "a firewall cannot be seen without root")]
    done = seen.host.query(["iptables", "-S", "INPUT"])
    chains = seen.host.query(["nft", "list", "chains"])
    if done.code != 0 and chains.code != 0:
        return []
    closed = "-P INPUT DROP" in done.out and not _opened(done.out, seen.settings.registry.port)
    for name in _dropping(chains.out):
        listed = seen.host.query(["nft", "list", "chain", *name.split()]).out
        closed = closed or not _opened(listed, seen.settings.registry.port)
    if not closed:
        return [Finding("ok", "no firewall is in the way")]
    address, port = seen.settings.address, seen.settings.registry.port
    fix = f"sudo iptables -I INPUT -d {address} -p tcp --dport {port} -j ACCEPT"
    return [Finding("warning", f"the firewall refuses containers that ask for port {port}", "jobs and builds time out", fix)]


def _opened(rules: str, port: int) -> bool:
    """Whether a rule lets in the port, or what comes from a container's bridge. What says neither is not guessed at."""
    accepting = [row for row in rules.splitlines() if "accept" in row.lower()]
    return any(re.search(rf"\b{port}\b", row) or _BRIDGES.search(row) for row in accepting)


def _dropping(chains: str) -> list[str]:
    """The chains of nftables that see what comes in and drop what no rule takes, each as `FAMILY TABLE CHAIN`."""
    found, table, chain = [], "", ""
    for row in (line.strip() for line in chains.splitlines()):
        words = row.split()
        if row.startswith("table "):
            table = " ".join(words[1:3])
        elif row.startswith("chain "):
            chain = words[1]
        elif "hook input" in row and "policy drop" in row and not table.startswith(("bridge", "ip6")) and table != "ip filter":
            found.append(f"{table} {chain}")
    return found
