"""The alias in the less common cases: whole lists of what is done, and what is said of it."""

from __future__ import annotations

import pytest

from gdkreg.host.base import Completed, Interface
from gdkreg.plan.actions import Action, RunCommand
from gdkreg.plan.ledger import Entry
from gdkreg.resources.loopback import Loopback
from tests.fakes import FakeHost
from tests.unit.helpers import plan

ADDRESS = "172.16.123.1"
DEL = f"ip address del {ADDRESS}/32 dev lo"


def lines(actions: list[Action]) -> list[str]:
    found = [action for action in actions if isinstance(action, RunCommand)]
    assert all(action.as_root for action in found)
    return [" ".join(action.argv) + (f" <<< {action.stdin}" if action.stdin else "") for action in found]


def machine(*net: Interface, dummy: bool = False) -> FakeHost:
    host = FakeHost()
    host.net += net
    host.answers[("modprobe", "-n", "-q", "dummy")] = Completed(0 if dummy else 1)
    host.answers[("ip", "-j", "-d", "link", "show", "dev", "dummy0")] = Completed(0, '[{"linkinfo": {"info_kind": "dummy"}}]')
    host.answers[("ip", "-j", "-d", "link", "show", "dev", "eth0")] = Completed(0, '[{"linkinfo": {"info_kind": "veth"}}]')
    return host


@pytest.mark.parametrize("loaded", [False, True])
def test_a_dummy_is_made_in_one_batch(loaded: bool) -> None:
    host = machine(dummy=not loaded)
    if loaded:
        host.put("/sys/module/dummy/x", "")
    batch = f"link add gdkreg0 type dummy\naddress replace {ADDRESS}/32 dev gdkreg0\nlink set gdkreg0 up\n"
    (action,) = plan(host, Loopback(ADDRESS, "linux"))
    assert lines([action]) == [f"ip -batch - <<< {batch}"]
    assert isinstance(action, RunCommand)
    assert (action.fact.before, action.fact.after, action.reason) == ("", "gdkreg0", "the registry listens there")
    assert action.otherwise is not None
    assert lines([action.otherwise]) == [f"ip address add {ADDRESS}/32 dev lo label lo:gdkreg"]
    assert action.otherwise.fact.after == "lo:gdkreg"


def test_an_address_of_another_root_stays_and_ours_goes() -> None:
    host = machine(Interface("lo:gdkreg", ADDRESS, 32), Interface("lo:gdkreg", "9.9.9.9", 32), Interface("eth0", "8.8.8.8", 24))
    resource = Loopback(ADDRESS, "linux", ours=("9.9.9.9", "8.8.8.8"))
    assert lines(plan(host, resource)) == ["ip address del 9.9.9.9/32 dev lo"], "what is on a network's card is not ours by now"
    shared = Loopback(ADDRESS, "linux", ours=("9.9.9.9",), shared=frozenset(["9.9.9.9"]))
    assert plan(host, shared) == []
    assert lines(plan(host, Loopback(ADDRESS, "linux"), present=False)) == [DEL]


def test_only_our_mark_and_our_address_make_it_ours() -> None:
    host = machine(Interface("lo:gdkreg", "9.9.9.9", 32), Interface("lo:mine", ADDRESS, 32))
    assert plan(host, Loopback(ADDRESS, "linux"), present=False) == []


def test_going_to_127_takes_the_alias_away() -> None:
    host = machine(Interface("lo:gdkreg", ADDRESS, 32))
    resource = Loopback("127.0.0.1", "linux", ours=(ADDRESS,))
    assert lines(plan(host, resource)) == [DEL]
    assert plan(host, Loopback("127.0.0.1", "linux")) == []


def said(host: FakeHost, resource: Loopback) -> list[tuple[str, str]]:
    return [(note.level, note.text) for note in resource.notes(resource.inspect(host))]


def test_how_it_stands_in_words() -> None:
    resource = Loopback(ADDRESS, "linux")
    assert said(machine(), Loopback("127.0.0.1", "linux")) == [("ok", "127.0.0.1 needs no alias")]
    assert said(machine(), resource) == [("changed", f"{ADDRESS} is missing")]
    on_lo = machine(Interface("lo:gdkreg", ADDRESS, 32))
    assert said(on_lo, resource) == [
        ("ok", f"{ADDRESS} on lo:gdkreg"),
        ("warning", "the alias is gone after a reboot"),
    ]
    assert said(on_lo, Loopback(ADDRESS, "linux", persisted=True)) == [("ok", f"{ADDRESS} on lo:gdkreg")]
    on_eth = machine(Interface("eth0", ADDRESS, 32))
    assert said(on_eth, resource) == [("error", f"{ADDRESS} is the address of eth0")]


@pytest.mark.parametrize(
    ("other", "covers"),
    [
        (Interface("eth0", "172.16.123.9", 24), True),
        (Interface("eth0", "172.16.123.0", 31), True),
        (Interface("eth0", "172.16.123.9", 32), False),
        (Interface("eth0", "172.16.124.9", 24), False),
        (Interface("eth0", ADDRESS, 24), False),
    ],
)
def test_a_network_that_covers_the_address(other: Interface, covers: bool) -> None:
    host = machine(Interface("lo:gdkreg", ADDRESS, 32), other)
    notes = said(host, Loopback(ADDRESS, "linux", persisted=True))
    assert any("which covers" in text for _, text in notes) == covers


def test_a_neighbour_is_asked_for_only_where_it_could_be() -> None:
    host = machine(Interface("eth0", "172.16.123.9", 24))
    host.neighbours.add(ADDRESS)
    resource = Loopback(ADDRESS, "linux")
    assert resource.inspect(host).neighbour
    host.net.append(Interface("lo:gdkreg", ADDRESS, 32))
    assert not resource.inspect(host).neighbour, "it is here"
    apart = machine(Interface("eth0", "10.0.0.9", 24))
    apart.neighbours.add(ADDRESS)
    assert not resource.inspect(apart).neighbour, "no network of ours holds it"
    assert not Loopback("127.0.0.2", "linux", ours=(ADDRESS,)).inspect(host).neighbour


def entry(address: str, after: str) -> Entry:
    return Entry(run="r", seq=1, command="up", resource="loopback", kind="address", target=address, after=after)


def test_the_way_back_of_an_address() -> None:
    host = machine(Interface("lo:gdkreg", ADDRESS, 32), Interface("eth0", "172.16.9.9", 24))
    resource = Loopback(ADDRESS, "linux")
    assert lines(resource.back(entry(ADDRESS, "lo:gdkreg"), host)) == [DEL]
    assert resource.back(entry("172.16.9.9", "lo:gdkreg"), host) == [], "it is a network's by now"
    assert resource.back(entry(ADDRESS, ""), host) == [], "it stands already"
    (action,) = resource.back(entry("172.16.5.5", ""), host)
    assert lines([action]) == ["ip address add 172.16.5.5/32 dev lo label lo:gdkreg"]
    assert action.reason == "undo"
