"""State → actions for both systems. The `ip -d` output is recorded from iproute2 6.1 on Debian 12."""

from __future__ import annotations

import pytest

from gdkreg.errors import GdkregError
from gdkreg.host.base import Completed, Interface
from gdkreg.plan.actions import RunCommand
from gdkreg.resources.loopback import Loopback
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import apply, journal, levels, plan

ADDRESS = "172.16.123.1"
VETH = '[{"ifindex":2,"ifname":"eth0","linkinfo":{"info_kind":"veth"}}]'
DUMMY = '[{"ifindex":3,"ifname":"dummy0","linkinfo":{"info_kind":"dummy"}}]'


def machine(system: str = "linux", *interfaces: tuple[str, str, int], dummy: bool = False) -> FakeHost:
    host = FakeHost("darwin" if system == "darwin" else "linux")
    host.net += [Interface(*item) for item in interfaces]
    host.answers[("ip", "-j", "-d", "link", "show", "dev", "eth0")] = Completed(0, VETH)
    host.answers[("ip", "-j", "-d", "link", "show", "dev", "dummy0")] = Completed(0, DUMMY)
    if dummy:
        host.answers[("modprobe", "-n", "-q", "dummy")] = Completed(0)
    return host


def argv(host: FakeHost, resource: Loopback, *, present: bool = True) -> list[str]:
    return [" ".join(action.argv) for action in plan(host, resource, present=present) if isinstance(action, RunCommand)]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (machine(), ["ip address add 172.16.123.1/32 dev lo label lo:gdkreg"]),
        (machine("linux", dummy=True), ["ip -batch -"]),
        (machine("darwin"), ["ifconfig lo0 alias 172.16.123.1 255.255.255.255"]),
        (machine("linux", ("lo:gdk", ADDRESS, 32)), []),
        (machine("linux", ("dummy0", ADDRESS, 32)), []),
        (machine("linux", ("gdkreg0", ADDRESS, 32)), []),
        (machine("darwin", ("lo0", ADDRESS, 32)), []),
    ],
)
def test_the_alias_is_added_where_it_is_missing(host: FakeHost, expected: list[str]) -> None:
    assert argv(host, Loopback(ADDRESS, host.platform.system)) == expected


@pytest.mark.parametrize(
    ("system", "address", "needed"),
    [("linux", "127.5.5.5", False), ("darwin", "127.5.5.5", True), ("darwin", "127.0.0.1", False)],
)
def test_127_needs_an_alias_on_a_mac_only(system: str, address: str, needed: bool) -> None:
    host = machine(system)
    resource = Loopback(address, host.platform.system)
    assert bool(argv(host, resource)) == needed
    assert levels(host, resource) == (["changed"] if needed else ["ok"])


def test_our_dummy_is_used_again_and_a_failure_falls_back_to_lo() -> None:
    host = machine("linux", ("gdkreg0", "172.16.1.1", 32))
    host.put("/sys/class/net/gdkreg0", "")
    (action,) = plan(host, Loopback(ADDRESS, "linux"))
    assert isinstance(action, RunCommand)
    assert "link add" not in action.stdin

    host = machine("linux", dummy=True)
    host.put(ROOT / "gdk.yml", "")
    host.fail.add("ip -batch -")
    apply(host, Loopback(ADDRESS, "linux"))
    assert Interface("lo:gdkreg", ADDRESS, 32) in host.net
    assert journal(host).facts("address")[ADDRESS].after == "lo:gdkreg"


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_the_address_of_another_interface_is_refused(system: str) -> None:
    host = machine(system, ("eth0", ADDRESS, 24))
    with pytest.raises(GdkregError, match="is the address of eth0"):
        plan(host, Loopback(ADDRESS, host.platform.system))
    assert levels(host, Loopback(ADDRESS, host.platform.system))[0] == "error"


def test_the_address_of_another_machine_is_refused() -> None:
    host = machine("linux", ("eth0", "172.16.123.9", 24))
    host.neighbours.add(ADDRESS)
    with pytest.raises(GdkregError, match="belongs to another machine"):
        plan(host, Loopback(ADDRESS, "linux"))


def test_a_network_that_covers_the_address_is_a_warning() -> None:
    host = machine("linux", ("eth0", "172.16.123.9", 24), ("lo:gdkreg", ADDRESS, 32))
    resource = Loopback(ADDRESS, "linux")
    assert plan(host, resource) == []
    notes = resource.notes(resource.inspect(host))
    assert [note.level for note in notes] == ["ok", "warning", "warning"]
    assert "gone after a reboot" in notes[1].text
    assert "eth0 is on 172.16.123.0/24" in notes[2].text


@pytest.mark.parametrize(
    ("interfaces", "expected"),
    [
        ([("lo:gdkreg", ADDRESS, 32)], ["ip address del 172.16.123.1/32 dev lo"]),
        ([("gdkreg0", ADDRESS, 32)], ["ip link del gdkreg0"]),
        ([("gdkreg0", ADDRESS, 32), ("gdkreg0", "172.16.1.1", 32)], ["ip address del 172.16.123.1/32 dev gdkreg0"]),
        ([], []),
    ],
)
def test_what_we_added_is_removed(interfaces: list[tuple[str, str, int]], expected: list[str]) -> None:
    host = machine("linux", *interfaces)
    assert argv(host, Loopback(ADDRESS, "linux", ours=(ADDRESS,)), present=False) == expected
    assert argv(host, Loopback(ADDRESS, "linux"), present=False) == expected, "it carries our mark"
    assert argv(host, Loopback(ADDRESS, "linux", shared=frozenset([ADDRESS])), present=False) == [], "another root uses it"


def test_an_address_of_the_users_own_stays() -> None:
    for interface in ("lo:gdk", "dummy0"):
        host = machine("linux", (interface, ADDRESS, 32))
        assert argv(host, Loopback(ADDRESS, "linux"), present=False) == []


def test_an_address_of_before_goes_and_the_new_one_comes() -> None:
    host = machine("darwin", ("lo0", "172.16.1.1", 32))
    assert argv(host, Loopback(ADDRESS, "darwin", ours=("172.16.1.1",))) == [
        "ifconfig lo0 -alias 172.16.1.1",
        "ifconfig lo0 alias 172.16.123.1 255.255.255.255",
    ]


def test_an_unreadable_link_is_no_loopback() -> None:
    host = machine("linux", ("wlan0", ADDRESS, 24))
    with pytest.raises(GdkregError, match="wlan0"):
        plan(host, Loopback(ADDRESS, "linux"))
