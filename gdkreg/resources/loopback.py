"""The loopback alias: an address that containers reach too, and that never leaves the machine."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

import msgspec

from gdkreg.config.values import address_problem, is_loopback
from gdkreg.errors import GdkregError
from gdkreg.host.base import HostReader, Interface, System
from gdkreg.plan.actions import Action, Fact, RunCommand
from gdkreg.plan.ledger import Entry
from gdkreg.plan.reconcile import Note, foreign

DUMMY = "gdkreg0"
_LABEL = "lo:gdkreg"
_BRIDGES = ("docker", "br-", "podman", "cni")  # of engines, to their containers
_PRIVATE = ("172.16.123.1", "10.123.123.1", "192.168.123.1")  # to offer where a network covers ours


class LoopbackState(msgspec.Struct, frozen=True):
    """`dummy` tells whether our dummy interface is there, could be made, or neither."""

    interfaces: list[Interface]
    local: frozenset[str]
    neighbour: bool
    dummy: str


class Loopback(msgspec.Struct, frozen=True):
    """`ours` are the addresses that we are known to have added, `shared` those that another root uses too."""

    address: str
    system: System
    ours: tuple[str, ...] = ()
    persisted: bool = False
    shared: frozenset[str] = frozenset()
    name: str = "loopback"

    @property
    def needed(self) -> bool:
        """Linux answers on all of 127.0.0.0/8; macOS on 127.0.0.1 only."""
        return self.address != "127.0.0.1" if self.system == "darwin" else not is_loopback(self.address)

    def inspect(self, host: HostReader) -> LoopbackState:
        if not self.needed and not self.ours and self.system == "linux":
            return LoopbackState([], frozenset(), False, "no")
        interfaces = host.interfaces()
        here = any(item.address == self.address for item in interfaces)
        covered = _covering(self.address, interfaces) is not None
        return LoopbackState(
            interfaces=interfaces,
            local=frozenset(item.name for item in interfaces if self._is_local(host, item.name)),
            neighbour=self.needed and not here and covered and host.is_neighbour(self.address),
            dummy=self._dummy(host),
        )

    def _is_local(self, host: HostReader, name: str) -> bool:
        """Whether an address on this interface stays on the machine: loopback (with its labels) or a dummy."""
        base = name.partition(":")[0]
        if base in {"lo", "lo0", DUMMY}:
            return True
        if self.system == "darwin":
            return False
        link = host.query(["ip", "-j", "-d", "link", "show", "dev", base])
        try:
            return bool(json.loads(link.out)[0]["linkinfo"]["info_kind"] == "dummy")
        except (ValueError, LookupError, TypeError):
            return False

    def _dummy(self, host: HostReader) -> str:
        if self.system == "darwin":
            return "no"
        if host.info(Path("/sys/class/net") / DUMMY) is not None:
            return "there"
        loaded = host.info(Path("/sys/module/dummy")) is not None
        return "possible" if loaded or host.query(["modprobe", "-n", "-q", "dummy"]).code == 0 else "no"

    def plan(self, state: LoopbackState, present: bool) -> list[Action]:
        wanted = present and self.needed
        marked = {item.address for item in state.interfaces if item.name in {_LABEL, DUMMY} and item.address == self.address}
        ours = dict.fromkeys([*self.ours, *marked])
        stale = [address for address in ours if (address != self.address or not wanted) and address not in self.shared]
        actions: list[Action] = []
        for address in stale:
            actions += [
                self._remove(item, state) for item in state.interfaces if item.address == address and item.name in state.local
            ]
        if not wanted:
            return actions
        holder = next((item for item in state.interfaces if item.address == self.address), None)
        if holder is not None and holder.name not in state.local:
            raise GdkregError(
                f"{self.address} is the address of {holder.name} on this machine",
                why="the registry would be open to that network",
                fix="gdkreg config set registry.listen_address 172.16.123.1",
            )
        if state.neighbour:
            raise GdkregError(
                f"{self.address} belongs to another machine on this network",
                why="it answers for that address",
                fix="gdkreg config set registry.listen_address 172.16.123.1",
            )
        return actions if holder else [*actions, self._add(state)]

    def _fact(self, address: str, before: str, after: str) -> Fact:
        return Fact(kind="address", target=address, before=before, after=after)

    def _add(self, state: LoopbackState, address: str = "", reason: str = "the registry listens there") -> RunCommand:
        address = address or self.address
        if self.system == "darwin":
            argv = ("ifconfig", "lo0", "alias", address, "255.255.255.255")
            return RunCommand(argv=argv, fact=self._fact(address, "", "lo0"), reason=reason, as_root=True)
        on_lo = RunCommand(
            argv=("ip", "address", "add", f"{address}/32", "dev", "lo", "label", _LABEL),
            fact=self._fact(address, "", _LABEL),
            reason=reason,
            as_root=True,
        )
        if state.dummy == "no":
            return on_lo
        steps = [f"address replace {address}/32 dev {DUMMY}", f"link set {DUMMY} up"]
        if state.dummy == "possible":
            steps.insert(0, f"link add {DUMMY} type dummy")
        return RunCommand(
            argv=("ip", "-batch", "-"),
            stdin="".join(step + "\n" for step in steps),
            fact=self._fact(address, "", DUMMY),
            reason=reason,
            as_root=True,
            otherwise=on_lo,
        )

    def _remove(self, item: Interface, state: LoopbackState, reason: str = "the alias is ours") -> RunCommand:
        base = item.name.partition(":")[0]
        argv: tuple[str, ...] = ("ip", "address", "del", f"{item.address}/32", "dev", base)
        if self.system == "darwin":
            argv = ("ifconfig", "lo0", "-alias", item.address)
        elif base == DUMMY and sum(other.name == DUMMY for other in state.interfaces) == 1:
            argv = ("ip", "link", "del", DUMMY)
        return RunCommand(argv=argv, fact=self._fact(item.address, item.name, ""), reason=reason, as_root=True)

    def back(self, entry: Entry, host: HostReader) -> list[Action]:
        """An address that we added goes where it stands on an interface of the machine's own; one that we removed comes back."""
        address = entry.target
        if entry.kind != "address" or address_problem(address):
            raise foreign(entry)
        state = msgspec.structs.replace(self, ours=(address,)).inspect(host)
        standing = [item for item in state.interfaces if item.address == address]
        if not entry.after:
            return [] if standing else [self._add(state, address, "undo")]
        if address in self.shared:
            return []
        return [self._remove(item, state, "undo") for item in standing if item.name in state.local]

    def notes(self, state: LoopbackState) -> list[Note]:
        if not self.needed:
            return [Note("ok", f"{self.address} needs no alias")]
        holder = next((item for item in state.interfaces if item.address == self.address), None)
        if holder is None:
            return [Note("changed", f"{self.address} is missing", "gdkreg reconfigure")]
        notes = [Note("ok", f"{self.address} on {holder.name}")]
        if holder.name not in state.local:
            notes = [
                Note(
                    "error",
                    f"{self.address} is the address of {holder.name}",
                    "gdkreg config set registry.listen_address 172.16.123.1",
                )
            ]
        elif not self.persisted:
            notes.append(Note("warning", "the alias is gone after a reboot", "gdkreg config set registry.persist true"))
        # An engine's bridge may cover it: the machine answers there for the alias, and its containers are to reach it.
        covering = _covering(self.address, [item for item in state.interfaces if not item.name.startswith(_BRIDGES)])
        if covering is not None:
            network = ipaddress.ip_interface(f"{covering.address}/{covering.prefix}").network
            free = next((item for item in _PRIVATE if _covering(item, state.interfaces) is None), "ADDRESS outside of it")
            notes.append(
                Note(
                    "warning",
                    f"{covering.name} is on {network}, which covers {self.address}: that network may reach the registry",
                    f"gdkreg config set registry.listen_address {free}; gdkreg up",
                )
            )
        return notes


def _covering(address: str, interfaces: list[Interface]) -> Interface | None:
    """An interface of a real network that holds the address."""
    wanted = ipaddress.IPv4Address(address)
    for item in interfaces:
        network = ipaddress.IPv4Interface(f"{item.address}/{item.prefix}").network
        if item.prefix < 32 and item.address != address and wanted in network and not network.is_loopback:
            return item
    return None
