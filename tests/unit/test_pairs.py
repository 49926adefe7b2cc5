"""Pairs of key and certificate in the states that people bring them to, and the units that a reboot needs: words and actions."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gdkreg.errors import GdkregError
from gdkreg.host.base import Platform, digest
from gdkreg.plan.actions import Action, MakeFolder, RemoveFile, RunCommand, WriteFile, target
from gdkreg.plan.ledger import Entry
from gdkreg.resources import x509
from gdkreg.resources.certificates import Certificate, Jwks
from gdkreg.resources.units import SYSTEMD, Unit, Units
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import apply, files, plan

ID = "0123456789abcdef"
NAMES = ("r.test", "172.16.123.1")
KEY, CERTIFICATE = ROOT / "registry_host.key", ROOT / "registry_host.crt"
TOKEN_KEY = x509.new_token_key()


def tls(host: FakeHost, *, wanted: bool = True, renew: bool = False, id_: str = ID) -> Certificate:
    owned = files(host, "registry_host.crt")
    return Certificate("registry_host", "tls", NAMES[0], NAMES, 365, ROOT, id_, owned, wanted=wanted, renew=renew)


def said(host: FakeHost, resource: Certificate | Jwks | Units) -> list[tuple[str, str]]:
    return [(note.level, note.text) for note in resource.notes(resource.inspect(host))]  # type: ignore[arg-type]


def laid(host: FakeHost, names: tuple[str, ...] = NAMES, days: int = 365) -> x509.KeyPair:
    pair = x509.self_signed(x509.new_tls_key(), names[0] if names else "x", names, days)
    host.put(KEY, pair.key, 0o600)
    host.put(CERTIFICATE, pair.certificate)
    return pair


def test_which_half_is_missing(fake: FakeHost) -> None:
    assert said(fake, tls(fake)) == [("changed", "registry_host.crt and registry_host.key missing")]
    apply(fake, tls(fake))
    fake.remove(KEY)
    assert said(fake, tls(fake)) == [("changed", "registry_host.key missing")]
    assert len(plan(fake, tls(fake))) == 2


def test_somebody_elses_half_is_never_written_over(fake: FakeHost) -> None:
    laid(fake)
    fake.remove(CERTIFICATE)
    with pytest.raises(GdkregError, match="is not gdkreg's and does not serve") as error:
        plan(fake, tls(fake))
    assert error.value.why == "registry_host.crt missing"
    assert error.value.fix == f"gdkreg makes its own once it is gone: rm {KEY}; gdkreg reconfigure"


def test_somebody_elses_pair_is_not_renewed(fake: FakeHost) -> None:
    laid(fake)
    with pytest.raises(GdkregError) as error:
        plan(fake, tls(fake, renew=True))
    assert error.value.why == "gdkreg renews only what it made"
    assert error.value.fix.startswith(f"gdkreg makes its own once it is gone: rm {KEY} {CERTIFICATE};")
    assert plan(fake, tls(fake)) == []


@pytest.mark.parametrize(
    ("days", "levels", "text"),
    [
        (365, ["ok"], "364 days left (not made by gdkreg)"),
        (32, ["ok"], "31 days left (not made by gdkreg)"),
        (30, ["ok", "warning"], "29 days left (not made by gdkreg)"),
    ],
)
def test_how_long_somebody_elses_lasts(fake: FakeHost, days: int, levels: list[str], text: str) -> None:
    laid(fake, days=days)
    found = said(fake, tls(fake))
    assert [level for level, _ in found] == levels
    assert text in found[0][1]
    if levels[-1] == "warning":
        assert found[1][1] == f"it expires in {days - 1} days and gdkreg does not renew it"


def test_somebody_elses_needs_the_name_alone_and_in_any_case(fake: FakeHost) -> None:
    laid(fake, ("R.TEST",))
    assert plan(fake, tls(fake)) == []
    laid(fake, ())
    with pytest.raises(GdkregError) as error:
        plan(fake, tls(fake))
    assert error.value.why == "it is for no name, not for r.test"
    assert said(fake, tls(fake)) == [("error", "it is for no name, not for r.test (not made by gdkreg)")]


def test_a_pair_of_another_root_is_made_anew(fake: FakeHost) -> None:
    apply(fake, tls(fake))
    before = fake.files[KEY]
    assert plan(fake, tls(fake)) == []
    assert said(fake, tls(fake, id_="f" * 16)) == [("changed", "it was made for another root")]
    apply(fake, tls(fake, id_="f" * 16))
    assert fake.files[KEY] != before


def test_a_token_key_stays_unless_it_was_another_roots(fake: FakeHost) -> None:
    def token(id_: str = ID) -> Certificate:
        return Certificate("localhost", "token", "gitlab-issuer", (), 365, ROOT, id_, files(fake, "localhost.crt"), renew=renew)

    renew = False
    apply(fake, token())
    key = fake.files[ROOT / "localhost.key"]
    renew = True
    assert [action.path.name for action in plan(fake, token()) if isinstance(action, WriteFile)] == ["localhost.crt"]
    renew = False
    assert len(plan(fake, token("f" * 16))) == 2
    apply(fake, token("f" * 16))
    assert fake.files[ROOT / "localhost.key"] != key


@pytest.mark.parametrize(("purpose", "rsa", "stays"), [("token", True, True), ("token", False, False), ("tls", True, False)])
def test_only_a_key_that_signs_tokens_stays(fake: FakeHost, purpose: str, rsa: bool, stays: bool) -> None:
    """The certificate is made anew, for it is of another name; so is a key, unless tokens that it signed are still about."""
    pair = x509.self_signed(TOKEN_KEY if rsa else x509.new_tls_key(), "x", ("x",), 365, ID)
    owned = files(fake, "registry_host.crt")
    for path, content in ((KEY, pair.key), (CERTIFICATE, pair.certificate)):
        fake.put(path, content, 0o600)
        entry = {"run": "r", "seq": len(owned.journal.entries), "command": "up", "resource": "registry_host.crt", "kind": "file"}
        owned.journal.note(msgspec.convert({**entry, "target": f"@/{path.name}", "after": digest(content)}, Entry))
    resource = Certificate("registry_host", purpose, "r.test", NAMES, 365, ROOT, ID, owned)  # type: ignore[arg-type]
    written = [action.path for action in plan(fake, resource) if isinstance(action, WriteFile)]
    assert written == ([CERTIFICATE] if stays else [KEY, CERTIFICATE])


def test_jwks_in_words(fake: FakeHost) -> None:
    resource = Jwks(ROOT / "localhost.crt", ROOT / "jwks.json", files(fake, "jwks.json"))
    pair = x509.self_signed(TOKEN_KEY, "gitlab-issuer", (), 365)
    fake.put(ROOT / "localhost.crt", pair.certificate)
    assert said(fake, resource) == [("changed", "missing")]
    (action,) = plan(fake, resource)
    assert isinstance(action, WriteFile)
    assert (action.reason, action.mode) == ("it is missing", 0o644)
    apply(fake, resource)
    assert said(fake, resource) == [("ok", str(ROOT / "jwks.json"))]
    fake.put(ROOT / "jwks.json", "{}")
    assert said(fake, resource) == [("changed", "not of the signing key")]
    assert plan(fake, resource)[0].reason == "the signing key changed"
    fake.put(ROOT / "localhost.crt", x509.self_signed(x509.new_tls_key(), "x", (), 9).certificate)
    assert [level for level, _ in said(fake, resource)] == ["error"]


# what a reboot needs

SYSTEM = Unit(SYSTEMD / "gdkreg-loopback-1.1.1.1.service", b"gdkreg", SYSTEMD / "t.wants/x", True, "alias")
HOME = Path("/home/dev/.config/systemd/user")
USER = Unit(HOME / f"gdkreg-{ID}.service", b"gdkreg", HOME / "default.target.wants" / f"gdkreg-{ID}.service", False, "services")


def units(host: FakeHost, *wanted: Unit, on: bool = True, shared: frozenset[Path] = frozenset()) -> Units:
    platform = Platform("linux", 1000, 1000, Path("/home/dev"), {})
    owned = msgspec.structs.replace(files(host, "persist"), mine=lambda path: "gdkreg" in path.name)
    return Units(wanted or (SYSTEM, USER), platform, on, owned, shared)


@pytest.fixture
def booted(fake: FakeHost) -> FakeHost:
    fake.put("/run/systemd/system/.keep", "")
    return fake


def lines(actions: list[Action]) -> list[str]:
    words = {WriteFile: "write", RemoveFile: "remove", MakeFolder: "folder"}
    return [
        " ".join(action.argv) if isinstance(action, RunCommand) else f"{words[type(action)]} {target(action)}"
        for action in actions
    ]


def test_what_is_enabled_and_what_is_not(booted: FakeHost) -> None:
    on = lines(plan(booted, units(booted)))
    assert on == [
        *(f"folder {folder}" for folder in ("/home/dev/.config", "/home/dev/.config/systemd", HOME)),
        f"write {SYSTEM.path}",
        f"systemctl enable {SYSTEM.path.name}",
        f"write {USER.path}",
        f"systemctl --user enable {USER.path.name}",
    ]
    apply(booted, units(booted, USER))
    assert plan(booted, units(booted, USER)) == []
    assert said(booted, units(booted, USER)) == [
        ("ok", USER.path.name),
        ("off", "a user's units start with the first login"),
    ]
    ((level, text),) = said(booted, units(booted))
    assert (level, text.endswith("is not as it should be (only half would come back)")) == ("changed", True)
    assert SYSTEM.link is not None
    assert USER.link is not None
    booted.infos.pop(USER.link)
    assert lines(plan(booted, units(booted, USER))) == [f"systemctl --user enable {USER.path.name}"]
    assert said(booted, units(booted, USER)) == [("changed", f"{USER.path} is not as it should be")]
    assert lines(plan(booted, units(booted, USER, on=False))) == [f"remove {USER.path}"], "it is not enabled"


def test_what_another_root_wants_and_what_is_not_ours_stays(booted: FakeHost) -> None:
    apply(booted, units(booted, USER))
    assert plan(booted, units(booted, USER, on=False, shared=frozenset([USER.path]))) == []
    assert lines(plan(booted, units(booted, USER, on=False))) == [
        f"systemctl --user disable {USER.path.name}",
        f"remove {USER.path}",
    ]
    booted.put(SYSTEM.path, "theirs")
    assert SYSTEM.link is not None
    booted.link(str(SYSTEM.link), "x")
    assert plan(booted, units(booted, SYSTEM, USER, on=False, shared=frozenset([USER.path]))) == []


def test_a_former_unit_goes_when_another_takes_its_place(booted: FakeHost) -> None:
    apply(booted, units(booted, USER))
    other = msgspec.structs.replace(
        USER, path=HOME / "gdkreg-other.service", link=HOME / "default.target.wants/gdkreg-other.service"
    )
    assert lines(plan(booted, units(booted, other)))[:2] == [f"systemctl --user disable {USER.path.name}", f"remove {USER.path}"]


@pytest.mark.parametrize("after", ["enabled", ""])
def test_the_way_back_of_a_unit(booted: FakeHost, after: str) -> None:
    assert USER.link is not None
    entry = Entry(run="r", seq=1, command="up", resource="persist", kind="unit", target=str(USER.link), after=after)
    resource = units(booted, USER)
    word = "disable" if after else "enable"
    without = lines(resource.back(entry, booted))
    booted.link(str(USER.link), "../x")
    with_link = lines(resource.back(entry, booted))
    expected = [f"systemctl --user {word} {USER.path.name}"]
    assert (without, with_link) == (([], expected) if after else (expected, []))
    wrong = msgspec.structs.replace(entry, target=str(HOME / "multi-user.target.wants" / USER.path.name))
    with pytest.raises(GdkregError, match="that gdkreg does not make"):
        resource.back(wrong, booted)


def test_the_fact_of_a_unit(booted: FakeHost) -> None:
    (command,) = [action for action in plan(booted, units(booted, USER)) if isinstance(action, RunCommand)]
    assert (command.fact.before, command.fact.after, command.reason, command.as_root) == ("", "enabled", "services", False)
    apply(booted, units(booted, USER))
    (command,) = [action for action in plan(booted, units(booted, USER, on=False)) if isinstance(action, RunCommand)]
    assert (command.fact.before, command.fact.after, command.reason) == ("enabled", "", "no longer wanted")
