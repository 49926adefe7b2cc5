"""What is asked of a Mac, from what its commands print; and what none of our sentences may name there.

No Mac was here: what `arp` and `lsof` print is written after their manual pages, and after reports of AirPlay's receiver, which
lsof calls ControlCe.
"""

from __future__ import annotations

import errno
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from gdkreg.host import commands, files, network
from gdkreg.host.base import Completed
from gdkreg.host.network import Holder

LSOF = "p627\ncControlCe\nf9\np627\ncControlCe\nf10\n"
NEIGHBOUR = "? (172.16.123.1) at 3c:22:fb:9a:11:0e on en0 ifscope [ethernet]\n"
INCOMPLETE = "? (172.16.123.1) at (incomplete) on en0 ifscope [ethernet]\n"
NO_ENTRY = "172.16.123.1 (172.16.123.1) -- no entry\n"


def answering(monkeypatch: pytest.MonkeyPatch, out: str) -> list[list[str]]:
    asked: list[list[str]] = []

    def run(argv: list[str], **_: Any) -> Completed:
        asked.append(argv)
        return Completed(0, out)

    monkeypatch.setattr(commands, "run", run)
    return asked


def test_who_has_the_port_is_asked_of_lsof(monkeypatch: pytest.MonkeyPatch) -> None:
    """psutil may not look at the sockets of others there."""

    def denied(kind: str) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", denied)
    asked = answering(monkeypatch, LSOF)
    assert network.port_holder("172.16.123.1", 5000) == Holder(627, "ControlCe")
    assert asked == [["lsof", "-nP", "-iTCP:5000", "-sTCP:LISTEN", "-Fpc"]]
    answering(monkeypatch, "")
    assert network.port_holder("172.16.123.1", 5000) is None


@pytest.mark.parametrize(("out", "there"), [(NEIGHBOUR, True), (INCOMPLETE, False), (NO_ENTRY, False), ("", False)])
def test_another_machine_with_our_address(monkeypatch: pytest.MonkeyPatch, out: str, there: bool) -> None:
    asked = answering(monkeypatch, out)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    assert network.is_neighbour("127.0.0.1", "darwin") == there
    assert asked[0] == ["arp", "-n", "127.0.0.1"]


@pytest.mark.parametrize(
    ("system", "words"), [("darwin", ("chflags nouchg,noschg", "df ")), ("linux", ("chattr -i", "findmnt -T"))]
)
def test_the_commands_of_the_system_at_hand(monkeypatch: pytest.MonkeyPatch, system: str, words: tuple[str, str]) -> None:
    monkeypatch.setattr(sys, "platform", system)
    flag, mount = (files.explain(OSError(number, ""), Path("/etc/hosts")).fix for number in (errno.EPERM, errno.EROFS))
    assert words[0] in flag
    assert words[1] in mount
