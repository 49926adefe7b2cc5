"""registry.persist: what ran before a reboot runs again after it, on both systems."""

from __future__ import annotations

import plistlib
from pathlib import Path

import msgspec
import pytest

from gdkreg.errors import GdkregError
from gdkreg.host.base import Platform
from gdkreg.plan.ledger import Entry
from gdkreg.resources.units import MARK, Units, alias_unit, collection_units, services_unit
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import apply, files, levels, plan

ADDRESS = "172.16.123.1"
COMMAND = ("/opt/my python", "-m", "gdkreg", "start", "--root", "/home/dev/100%/gdk", "--again")
ALIAS = Path(f"/etc/systemd/system/gdkreg-loopback-{ADDRESS}.service")
SERVICES = Path("/etc/systemd/system/gdkreg-0123456789abcdef.service")


def mine(path: Path) -> bool:
    return path.name.startswith(("gdkreg-", "dev.gdkreg")) or path.is_relative_to("/home/dev")


def resource(
    host: FakeHost, address: str = ADDRESS, *, wanted: bool = True, system: bool = True, shared: frozenset[Path] = frozenset()
) -> Units:
    platform = host.platform
    units = [services_unit(ROOT, "0123456789abcdef", address, COMMAND, platform, "dev", system=system)]
    if system or platform.system == "darwin":
        units.insert(0, alias_unit(address, platform))
    owned = msgspec.structs.replace(files(host, "persist"), mine=mine, marked=lambda content: MARK in content)
    return Units(tuple(units), platform, wanted, owned, shared)


@pytest.fixture
def booted(fake: FakeHost) -> FakeHost:
    fake.put("/run/systemd/system/.keep", "")
    fake.platform = Platform("linux", 1000, 1000, Path("/home/dev"), {})
    for path, info in list(fake.infos.items()):
        fake.infos[path] = msgspec.structs.replace(info, uid=1000, gid=1000)
    return fake


def test_without_systemd_it_says_so(fake: FakeHost) -> None:
    assert levels(fake, resource(fake)) == ["warning"]
    assert plan(fake, resource(fake)) == []


def test_alias_and_services_come_back(booted: FakeHost) -> None:
    apply(booted, resource(booted))
    assert b"ip address replace 172.16.123.1/32 dev lo" in booted.files[ALIAS]
    text = booted.files[SERVICES].decode()
    assert "User=dev\n" in text
    assert "ExecStart='/opt/my python' -m gdkreg start --root /home/dev/100%%/gdk --again" in text
    assert f"After=network.target docker.service {ALIAS.name}" in text
    assert ["enable" in argv for argv, _ in booted.ran] == [True, True]
    assert levels(booted, resource(booted)) == ["ok"]
    assert plan(booted, resource(booted)) == []


def test_when_only_half_would_come_back_it_is_told(booted: FakeHost) -> None:
    apply(booted, resource(booted))
    booted.infos.pop(SERVICES.parent / "multi-user.target.wants" / SERVICES.name)
    (note,) = resource(booted).notes(resource(booted).inspect(booted))
    assert (note.level, "only half would come back" in note.text) == ("changed", True)


def test_another_address_and_then_nothing(booted: FakeHost) -> None:
    apply(booted, resource(booted))
    apply(booted, resource(booted, "172.16.123.2"))
    assert ALIAS not in booted.files
    assert levels(booted, resource(booted, "172.16.123.3")) == ["changed"]
    apply(booted, resource(booted, "172.16.123.2"), present=False)
    assert not [path for path in booted.infos if path.name.startswith("gdkreg-")]
    assert levels(booted, resource(booted, wanted=False)) == ["off"]


def test_a_unit_that_another_root_wants_stays(booted: FakeHost) -> None:
    apply(booted, resource(booted))
    apply(booted, resource(booted, shared=frozenset([ALIAS])), present=False)
    assert ALIAS in booted.files
    assert SERVICES not in booted.files


def test_a_user_without_an_alias_needs_no_root(booted: FakeHost) -> None:
    apply(booted, resource(booted, "127.0.0.1", system=False))
    unit = Path("/home/dev/.config/systemd/user") / SERVICES.name
    assert "User=" not in booted.files[unit].decode()
    assert "WantedBy=default.target" in booted.files[unit].decode()
    assert [argv[:3] for argv, _ in booted.ran] == [("systemctl", "--user", "enable")]


def test_a_unit_is_found_by_its_mark_where_the_journal_is_gone(booted: FakeHost) -> None:
    apply(booted, resource(booted))
    for path in [path for path in booted.files if ".gdkreg" in str(path)]:
        booted.remove(path)
    apply(booted, resource(booted), present=False)
    assert ALIAS not in booted.files


def test_undo_of_a_unit(booted: FakeHost) -> None:
    apply(booted, resource(booted))
    link = str(ALIAS.parent / "multi-user.target.wants" / ALIAS.name)
    entry = Entry(run="r", seq=1, command="c", resource="persist", kind="unit", target=link, before="", after="enabled")
    (action,) = resource(booted).back(entry, booted)
    assert action.argv == ("systemctl", "disable", ALIAS.name)  # type: ignore[union-attr]
    booted.infos.pop(Path(link))
    assert resource(booted).back(entry, booted) == []
    off = msgspec.structs.replace(entry, before="enabled", after="")
    assert len(resource(booted).back(off, booted)) == 1
    for evil in ("/etc/systemd/system/multi-user.target.wants/ssh.service", "/etc/cron.d/evil", "/x/gdkreg-evil.service"):
        with pytest.raises(GdkregError, match="that gdkreg does not make"):
            resource(booted).back(msgspec.structs.replace(entry, target=evil), booted)


def test_launchd() -> None:
    mac = FakeHost("darwin", home="/Users/dev")
    mac.put(ROOT / "gdk.yml", "")
    for folder in ("/Library/LaunchDaemons", "/Users/dev/Library/LaunchAgents"):
        mac.put(f"{folder}/.keep", "")
    apply(mac, resource(mac))
    alias = plistlib.loads(mac.files[Path(f"/Library/LaunchDaemons/dev.gdkreg.loopback.{ADDRESS}.plist")])
    agent = plistlib.loads(mac.files[Path("/Users/dev/Library/LaunchAgents/dev.gdkreg.0123456789abcdef.plist")])
    assert (alias["RunAtLoad"], ADDRESS in alias["ProgramArguments"]) == (True, True)
    assert agent["ProgramArguments"] == list(COMMAND)
    assert mac.ran == [], "launchd reads the folder by itself"
    assert levels(mac, resource(mac)) == ["ok"]


# gc_schedule


def scheduled(host: FakeHost, often: str) -> Units:
    command = ("/opt/my python", "-m", "gdkreg", "gc", "--cleanup", "--yes", "--root", "/home/dev/100%/gdk")
    wanted = collection_units(ROOT, "0123456789abcdef", command, host.platform, "daily" if often == "daily" else "weekly")
    owned = msgspec.structs.replace(files(host, "gc_schedule"), mine=mine, marked=lambda content: MARK in content)
    return Units(wanted, host.platform, often != "never", owned, name="gc_schedule", off="nothing", otherwise="crontab")


def test_a_timer_collects_and_only_the_timer_is_enabled(booted: FakeHost) -> None:
    apply(booted, scheduled(booted, "weekly"))
    folder = Path("/home/dev/.config/systemd/user")
    assert b"OnCalendar=Sun *-*-* 04:05\n" in booted.files[folder / "gdkreg-gc-0123456789abcdef.timer"]
    service = booted.files[folder / "gdkreg-gc-0123456789abcdef.service"].decode()
    assert "ExecStart='/opt/my python' -m gdkreg gc --cleanup --yes --root /home/dev/100%%/gdk\n" in service
    assert [argv for argv, _ in booted.ran] == [("systemctl", "--user", "enable", "--now", "gdkreg-gc-0123456789abcdef.timer")]
    assert plan(booted, scheduled(booted, "weekly")) == []
    apply(booted, scheduled(booted, "daily"))
    assert b"OnCalendar=*-*-* 04:05\n" in booted.files[folder / "gdkreg-gc-0123456789abcdef.timer"]
    apply(booted, scheduled(booted, "never"))
    assert not [path for path in booted.files if "gdkreg-gc" in path.name]
    assert booted.ran[-1][0] == ("systemctl", "--user", "disable", "--now", "gdkreg-gc-0123456789abcdef.timer")


def test_without_systemd_the_line_for_crontab_is_told(fake: FakeHost) -> None:
    (note,) = scheduled(fake, "weekly").notes(scheduled(fake, "weekly").inspect(fake))
    assert (note.level, note.fix) == ("warning", "crontab")


def test_a_mac_has_a_plist_with_a_time(fake: FakeHost) -> None:
    fake.platform = msgspec.structs.replace(fake.platform, system="darwin")
    for often, keys in (("daily", {"Hour": 4, "Minute": 5}), ("weekly", {"Weekday": 0, "Hour": 4, "Minute": 5})):
        (unit,) = scheduled(fake, often).units
        found = plistlib.loads(unit.content)
        assert found["StartCalendarInterval"] == keys
        assert found["ProgramArguments"][-1] == "/home/dev/100%/gdk"
