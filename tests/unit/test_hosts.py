from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as tuning
from hypothesis import strategies as st

from gdkreg.errors import GdkregError
from gdkreg.plan.actions import WriteFile
from gdkreg.resources import hosts_text
from gdkreg.resources.hosts import HOSTS, Hosts
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import apply, journal, levels, plan

NAMES = {"gdk.test": "172.16.123.1", "registry.test": "172.16.123.1"}
known = [b"127.0.0.1 localhost", b"10.0.0.5\tgdk.test other # c", b"10.0.0.5 GDK.test", b"# c", b"", b"::1 registry.test"]
known += [b"1.1.1.1 x" * 4500, b"# >>> gdkreg /r2 >>> managed", b"\x0b 1.2.3.4 gdk.test", b"# gdkreg took over: ", b"\r"]
lines = st.one_of(st.sampled_from(known), st.binary(max_size=12).filter(lambda raw: b"\n" not in raw and b"took over" not in raw))


@st.composite
def hosts_files(draw: st.DrawFn) -> bytes:
    content = b"".join(draw(lines) + draw(st.sampled_from([b"\n", b"\r\n"])) for _ in range(draw(st.integers(0, 6))))
    content = content if draw(st.booleans()) else content.rstrip(b"\r\n")
    return (b"\xef\xbb\xbf" if draw(st.booleans()) else b"") + content


@given(hosts_files(), st.booleans())
@tuning(max_examples=500, deadline=None)
def test_add_then_remove_gives_every_byte_back(content: bytes, take: bool) -> None:
    if hosts_text.remove(content, "/r") != content:
        return  # it holds marks of ours already
    taken = frozenset(NAMES) if take else frozenset()
    added = hosts_text.add(hosts_text.split(content, "/r"), NAMES, "/r", taken)
    assert hosts_text.remove(added, "/r") == content
    assert hosts_text.add(hosts_text.split(added, "/r"), NAMES, "/r", taken) == added
    if take:
        assert all(item.address == NAMES[item.name] for item in hosts_text.mapped(added, NAMES))


@pytest.mark.parametrize("content", [b"1.1.1.1 a\r", b"1.1.1.1 a\n2.2.2.2 b\r", b"\r", b"1.1.1.1 a\r\n2.2.2.2 b\r", b"a\r\r"])
def test_a_lone_carriage_return_at_the_end_stays(fake: FakeHost, content: bytes) -> None:
    fake.put("/etc/hosts", content)
    apply(fake, resource(fake))
    assert plan(fake, resource(fake)) == []
    apply(fake, resource(fake), present=False)
    assert fake.files[HOSTS] == content


def resource(fake: FakeHost, names: dict[str, str] | None = None, *, take_over: bool = False) -> Hosts:
    return Hosts(NAMES if names is None else names, ROOT, journal(fake), take_over=take_over)


def test_one_block_with_both_names(fake: FakeHost) -> None:
    apply(fake, resource(fake))
    text = fake.files[HOSTS].decode()
    assert text.startswith("127.0.0.1 localhost\n# >>> gdkreg /home/dev/gdk >>> managed\n")
    assert "172.16.123.1 gdk.test # gdkreg\n172.16.123.1 registry.test # gdkreg\n" in text
    assert levels(fake, resource(fake)) == ["ok"]
    apply(fake, resource(fake), present=False)
    assert fake.files[HOSTS] == b"127.0.0.1 localhost\n"


def test_the_block_stays_where_it_is_when_the_user_adds_lines_below(fake: FakeHost) -> None:
    apply(fake, resource(fake))
    fake.put("/etc/hosts", fake.files[HOSTS] + b"9.9.9.9 later\n")
    assert plan(fake, resource(fake)) == []
    apply(fake, resource(fake, {"new.test": "172.16.123.1"}))
    assert fake.files[HOSTS].endswith(b"<<<\n9.9.9.9 later\n")


def test_a_line_that_a_user_wrote_into_the_block_survives(fake: FakeHost) -> None:
    apply(fake, resource(fake))
    fake.put("/etc/hosts", fake.files[HOSTS].replace(b"gdk.test # gdkreg\n", b"gdk.test # gdkreg\n5.5.5.5 mine # keep\n"))
    apply(fake, resource(fake), present=False)
    assert fake.files[HOSTS] == b"127.0.0.1 localhost\n5.5.5.5 mine # keep\n"


def test_a_block_without_its_end_is_healed(fake: FakeHost) -> None:
    apply(fake, resource(fake))
    whole = fake.files[HOSTS]
    fake.put("/etc/hosts", whole[: whole.index(b"# <<<")] + b"9.9.9.9 other\n")
    apply(fake, resource(fake))
    assert fake.files[HOSTS] == whole + b"9.9.9.9 other\n"


def test_a_name_that_leads_elsewhere_is_an_error_that_names_the_line(fake: FakeHost) -> None:
    fake.put("/etc/hosts", "127.0.0.1 localhost\n10.0.0.5 other gdk.test\n")
    with pytest.raises(GdkregError, match=r"/etc/hosts:2: gdk.test already leads to 10.0.0.5") as error:
        plan(fake, resource(fake))
    assert "--take-over" in error.value.fix
    assert levels(fake, resource(fake)) == ["error"]


def test_take_over_leaves_the_other_names_and_down_gives_the_line_back(fake: FakeHost) -> None:
    before = b"10.0.0.5\tother  gdk.test # mine\r\n10.0.0.6 registry.test"
    fake.put("/etc/hosts", before)
    apply(fake, resource(fake, take_over=True))
    assert b"10.0.0.5 other # the rest" in fake.files[HOSTS]
    assert plan(fake, resource(fake)) == [], "a later run keeps what was taken"
    apply(fake, resource(fake), present=False)
    assert fake.files[HOSTS] == before


def test_a_name_that_already_leads_here_is_left_to_its_owner(fake: FakeHost) -> None:
    fake.put("/etc/hosts", "172.16.123.1 gdk.test registry.test\n")
    assert plan(fake, resource(fake)) == []


def test_two_roots(fake: FakeHost) -> None:
    from pathlib import Path

    apply(fake, Hosts(NAMES, Path("/home/dev/gdk2"), journal(fake)))
    apply(fake, resource(fake))
    assert fake.files[HOSTS].count(b"172.16.123.1 gdk.test") == 2
    with pytest.raises(GdkregError, match="for /home/dev/gdk2"):
        plan(fake, resource(fake, {"gdk.test": "172.16.99.1"}))
    apply(fake, Hosts(NAMES, Path("/home/dev/gdk2"), journal(fake)), present=False)
    assert b"172.16.123.1 gdk.test" in fake.files[HOSTS]


def test_a_root_whose_path_begins_like_ours_is_another(fake: FakeHost) -> None:
    from pathlib import Path

    apply(fake, Hosts(NAMES, Path(f"{ROOT}2"), journal(fake)))
    theirs = fake.files[HOSTS]
    assert hosts_text.remove(theirs, str(ROOT)) == theirs


def test_a_symlink_is_refused_with_what_to_set_on_nixos(fake: FakeHost) -> None:
    fake.put("/etc/static/hosts", "127.0.0.1 localhost\n")
    fake.link("/etc/hosts", "static/hosts")
    with pytest.raises(GdkregError, match="is a symlink to static/hosts") as error:
        plan(fake, resource(fake))
    assert 'networking.hosts = { "172.16.123.1" = [ "gdk.test" ]; ' in error.value.fix


def test_wsl_writes_it_anew(fake: FakeHost) -> None:
    fake.put("/proc/sys/kernel/osrelease", "5.15.90.1-microsoft-standard-WSL2\n")
    apply(fake, resource(fake))
    assert levels(fake, resource(fake)) == ["ok", "warning"]
    fake.put("/etc/wsl.conf", "[network]\ngenerateHosts = false\n")
    assert levels(fake, resource(fake)) == ["ok"]


def test_no_file_and_no_names(fake: FakeHost) -> None:
    fake.remove(HOSTS)
    (action,) = plan(fake, resource(fake))
    assert isinstance(action, WriteFile)
    assert action.before is None
    assert plan(fake, resource(fake, {})) == []
    assert levels(fake, resource(fake, {})) == ["off"]
    assert levels(fake, resource(fake)) == ["changed"]


def test_long_lines_are_cut_in_messages(fake: FakeHost) -> None:
    fake.put("/etc/hosts", b"10.0.0.5 gdk.test " + b"x" * 40_000 + b"\n")
    with pytest.raises(GdkregError) as error:
        plan(fake, resource(fake))
    assert len(error.value.why) < 200


@pytest.mark.parametrize("first", ["/a", "/b"])
@pytest.mark.parametrize("content", [b"1.1.1.1 x", b"1.1.1.1 x\n", b"1.1.1.1 x\r\n2.2.2.2 y"])
def test_two_roots_in_any_order_give_every_byte_back(content: bytes, first: str) -> None:
    both = content
    for root in ("/a", "/b"):
        both = hosts_text.add(hosts_text.split(both, root), NAMES, root, frozenset())
    second = "/b" if first == "/a" else "/a"
    assert hosts_text.remove(hosts_text.remove(both, first), second) == content


def test_the_same_name_and_address_of_another_root_is_seen() -> None:
    content = b""
    for root in ("/a", "/b"):
        content = hosts_text.add(hosts_text.split(content, root), {"x.test": "172.16.123.1"}, root, frozenset())
    assert hosts_text.others(content, {"/a"}) == hosts_text.others(content, {"/b"}) == {"172.16.123.1"}
