"""Who binds a port, and what is told before anything is changed."""

from __future__ import annotations

import errno

import pytest

from gdkreg.errors import GdkregError
from gdkreg.host import network
from gdkreg.host.base import Interface
from gdkreg.host.network import Holder
from gdkreg.services import place
from tests.fakes import FakeHost

ALIAS = "172.16.123.1"


def binding(monkeypatch: pytest.MonkeyPatch, codes: dict[str, int], holder: Holder | None = None) -> None:
    """bind answers so, by address; 0 is success."""
    monkeypatch.setattr(network, "can_bind", lambda address, _: OSError(codes[address], "") if codes[address] else None)
    monkeypatch.setattr(network, "port_holder", lambda *_: holder)


def host() -> FakeHost:
    made = FakeHost()
    made.net.append(Interface("lo", ALIAS, 32))
    return made


@pytest.mark.parametrize("codes", [{ALIAS: errno.EACCES}, {ALIAS: errno.EADDRNOTAVAIL, "0.0.0.0": errno.EACCES}])
def test_a_port_below_1024_is_roots_also_before_the_alias_is_there(
    monkeypatch: pytest.MonkeyPatch, codes: dict[str, int]
) -> None:
    binding(monkeypatch, codes)
    with pytest.raises(GdkregError) as told:
        place.is_taken(ALIAS, 443, "registry.port", host())
    assert (told.value.what, told.value.fix) == ("port 443 needs root", "gdkreg config set registry.port 5443")
    assert "a rootless engine" in told.value.why
    assert not place.is_taken(ALIAS, 443, "registry.port", host(), "root"), "Docker Engine binds as root"
    binding(monkeypatch, codes, Holder(7, "nginx"))
    assert place.is_taken(ALIAS, 443, "registry.port", host(), "root")


def test_a_vms_ports_are_no_matter_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    binding(monkeypatch, {})
    assert not place.is_taken("192.168.99.100", 5000, "registry.port", host(), "elsewhere")


def test_an_alias_that_the_plan_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    binding(monkeypatch, {ALIAS: errno.EADDRNOTAVAIL, "0.0.0.0": 0})
    assert not place.is_taken(ALIAS, 5000, "registry.port", host())
    with pytest.raises(GdkregError, match="is not an address of this machine"):
        place.is_taken(ALIAS, 5000, "registry.port", FakeHost())
    binding(monkeypatch, {ALIAS: errno.EADDRNOTAVAIL, "0.0.0.0": errno.EADDRINUSE}, Holder(7, "nginx"))
    assert place.is_taken(ALIAS, 5000, "registry.port", host())


def test_a_port_that_podmans_service_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    binding(monkeypatch, {}, Holder(13, "podman"))
    told = place.taken(ALIAS, 5000, "registry.port", [])
    assert told.what == f"port 5000 of {ALIAS} is held by podman (pid 13)"
    assert told.fix.startswith("systemctl --user restart podman")
