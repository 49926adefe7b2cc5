"""/etc/hosts in odd shapes: blocks at its very beginning, lines without an end, lines that were changed after us."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdkreg.errors import GdkregError
from gdkreg.resources import hosts_text
from gdkreg.resources.hosts import HOSTS, Hosts
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import apply, journal, plan

NAMES = {"gdk.test": "172.16.123.1", "registry.test": "172.16.123.1"}
ALL = frozenset(NAMES)
BLOCK = b"# >>> gdkreg /r >>> managed\n172.16.123.1 gdk.test # gdkreg\n172.16.123.1 registry.test # gdkreg\n# <<< gdkreg /r <<<\n"


def added(content: bytes, root: str = "/r", take: frozenset[str] = frozenset()) -> bytes:
    return hosts_text.add(hosts_text.split(content, root), NAMES, root, take)


def test_a_file_of_our_block_alone() -> None:
    assert added(b"") == BLOCK
    assert hosts_text.block(BLOCK, "/r") == NAMES
    assert hosts_text.remove(BLOCK, "/r") == b""
    assert added(BLOCK) == BLOCK
    assert hosts_text.others(BLOCK, {"/other"}) == {"172.16.123.1"}
    assert hosts_text.others(BLOCK, {"/r"}) == hosts_text.others(b"1.1.1.1 x # gdkreg\n", set()) == frozenset()
    assert hosts_text.block(b"1.1.1.1 x # gdkreg\n", "/r") == {}
    assert hosts_text.block(BLOCK[:-20], "/r") == {}, "a block without its end says nothing"


def test_behind_a_byte_order_mark() -> None:
    content = b"\xef\xbb\xbf"
    assert added(content) == content + BLOCK
    assert added(added(content)) == added(content)
    assert hosts_text.remove(added(content), "/r") == content


def test_the_block_of_a_root_whose_path_begins_like_ours_at_the_beginning() -> None:
    theirs = added(b"", "/r2")
    assert hosts_text.split(theirs, "/r").placed is False
    both = added(theirs)
    assert both == theirs + BLOCK
    assert hosts_text.remove(both, "/r") == theirs
    assert hosts_text.split(BLOCK + theirs, "/r").after == theirs


def test_a_mark_in_the_middle_of_a_line_is_none() -> None:
    content = b"1.1.1.1 x " + BLOCK
    assert hosts_text.split(content, "/r").placed is False
    assert hosts_text.remove(content + BLOCK, "/r") == content


def test_line_ends_of_windows_are_kept() -> None:
    content = b"1.1.1.1 x\r\n"
    assert added(content) == content + BLOCK.replace(b"\n", b"\r\n")
    assert added(added(content)) == added(content)
    behind = BLOCK + content
    assert hosts_text.split(behind, "/r").after == content
    assert b"managed\r\n" in added(behind), "what stands below counts too"


def test_a_last_line_without_an_end_gets_it_back() -> None:
    content = b"1.1.1.1 x"
    whole = added(content)
    assert whole.startswith(b"1.1.1.1 x\n# >>> gdkreg /r >>> managed (joined)\n")
    assert hosts_text.remove(whole, "/r") == content
    assert hosts_text.remove(whole + b"2.2.2.2 y\n", "/r") == content + b"\n2.2.2.2 y\n", "a line below needs it"


@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
def test_a_second_root_inherits_the_end_that_was_added(eol: bytes) -> None:
    content = b"0.0.0.0 a" + eol + b"1.1.1.1 x"
    both = added(added(content, "/a"), "/b")
    left = hosts_text.remove(both, "/a")
    assert b"/b >>> managed (joined)" + eol in left
    assert hosts_text.remove(left, "/b") == content
    assert hosts_text.remove(hosts_text.remove(both, "/b"), "/a") == content


def test_a_block_whose_end_is_gone_reaches_as_far_as_its_lines_are_ours() -> None:
    cut = BLOCK[: BLOCK.index(b"# <<<")]
    assert hosts_text.remove(b"1.1.1.1 x\n" + cut, "/r") == b"1.1.1.1 x\n"
    assert hosts_text.remove(cut + b"2.2.2.2 y\n172.16.123.1 z # gdkreg\n", "/r") == b"2.2.2.2 y\n172.16.123.1 z # gdkreg\n"


# taken lines


def test_what_is_taken_is_put_back_as_it_was() -> None:
    content = b"9.9.9.9 gdk.test\n1.1.1.1 a GDK.test b # why\n2.2.2.2 c\n"
    taken = hosts_text.add(hosts_text.split(content, "/r"), {}, "/r", frozenset(["gdk.test"]))
    assert taken == (
        b"# gdkreg took over for /r: 9.9.9.9 gdk.test\n"
        b"# gdkreg took over for /r: 1.1.1.1 a GDK.test b # why\n"
        b"1.1.1.1 a b # the rest of the line above, by gdkreg\n"
        b"2.2.2.2 c\n"
    )
    parts = hosts_text.split(taken, "/r")
    assert parts.before == content
    assert parts.taken == {"gdk.test", "GDK.test"}
    assert hosts_text.split(taken, "/other").before == taken


@pytest.mark.parametrize(
    ("rest", "back"),
    [
        (b"1.1.1.1 a b", b"1.1.1.1 a gdk.test b # why"),
        (b"1.1.1.1 a", b"1.1.1.1 a gdk.test b # why"),  # that b was not taken, too, is written nowhere
        (b"1.1.1.1 b a", b"1.1.1.1 b a gdk.test"),
        (b"1.1.1.1 a b new", b"1.1.1.1 a b new gdk.test"),
        (b"5.5.5.5 a b", b"5.5.5.5 a b gdk.test"),
    ],
)
@pytest.mark.parametrize("eol", [b"\n", b"\r\n", b""])
def test_a_rest_that_the_user_changed_counts(rest: bytes, back: bytes, eol: bytes) -> None:
    content = b"1.1.1.1 a gdk.test b # why" + eol
    taken = hosts_text.add(hosts_text.split(content, "/r"), {}, "/r", ALL)
    changed = taken.replace(b"1.1.1.1 a b # the rest", rest + b" # the rest")
    assert hosts_text.remove(changed, "/r") == back + eol


def test_lines_that_were_added_behind_a_taken_last_line() -> None:
    content = b"1.1.1.1 a gdk.test"
    taken = hosts_text.add(hosts_text.split(content, "/r"), {}, "/r", ALL)
    assert hosts_text.remove(taken, "/r") == content
    assert hosts_text.remove(taken + b"\n2.2.2.2 y\n", "/r") == content + b"\n2.2.2.2 y\n"
    assert hosts_text.remove(b"\xef\xbb\xbf" + taken, "/r") == b"\xef\xbb\xbf" + content


def test_a_rest_whose_line_above_is_gone_is_the_users() -> None:
    rest = b"1.1.1.1 a # the rest of the line above, by gdkreg\n"
    mark = b"# gdkreg took over for /r: 2.2.2.2 gdk.test\n"
    assert hosts_text.remove(mark + b"3.3.3.3 c\n" + rest, "/r") == b"2.2.2.2 gdk.test\n3.3.3.3 c\n" + rest


# where a name leads


def test_each_line_that_maps_a_name_is_found() -> None:
    content = b"\n# gdk.test\n1.1.1.1 xgdk.test\n2.2.2.2 a GDK.test gdk.test\n3.3.3.3 registry.test" + b" long" * 40
    found = hosts_text.mapped(content, NAMES)
    assert [(item.number, item.name, item.address) for item in found] == [
        (4, "gdk.test", "2.2.2.2"),
        (4, "gdk.test", "2.2.2.2"),
        (5, "registry.test", "3.3.3.3"),
    ]
    assert found[0].text == "2.2.2.2 a GDK.test gdk.test"
    assert (len(found[2].text), found[2].text[-1]) == (118, "…")
    assert len(hosts_text.mapped(b"1.1.1.1 gdk.test".ljust(119, b"x"), NAMES)) == 0
    exact = b"1.1.1.1 gdk.test " + b"y" * 102
    assert [item.text for item in hosts_text.mapped(exact, NAMES)] == [exact.decode()]
    (cut,) = hosts_text.mapped(exact + b"y", NAMES)
    assert cut.text.endswith("…")


def test_the_line_that_leads_elsewhere_is_told_above_and_below_the_block(fake: FakeHost) -> None:
    hosts = Hosts(NAMES, ROOT, journal(fake))
    apply(fake, hosts)
    fake.put("/etc/hosts", fake.files[HOSTS] + b"# mine\n9.9.9.9 registry.test\n")
    line = fake.files[HOSTS].count(b"\n")
    with pytest.raises(GdkregError, match=f"/etc/hosts:{line}: registry.test already leads to 9.9.9.9") as error:
        plan(fake, hosts)
    assert error.value.why == "the line is: 9.9.9.9 registry.test"
    fake.put("/etc/hosts", b"\n9.9.9.9 registry.test\n" + fake.files[HOSTS])
    with pytest.raises(GdkregError, match="/etc/hosts:2: registry"):
        plan(fake, hosts)


def test_a_moved_root_takes_its_old_block_along(fake: FakeHost) -> None:
    old = Path("/home/dev/old")
    fake.put("/etc/hosts", "127.0.0.1 localhost\n9.9.9.9 gdk.test\n")
    apply(fake, Hosts(NAMES, old, journal(fake), take_over=True))
    moved = Hosts(NAMES, ROOT, journal(fake), former=(old,))
    apply(fake, moved)
    text = fake.files[HOSTS]
    assert (text.count(b">>> gdkreg"), f">>> gdkreg {ROOT} ".encode() in text) == (1, True)
    assert plan(fake, moved) == []
    apply(fake, moved, present=False)
    assert fake.files[HOSTS] == b"127.0.0.1 localhost\n9.9.9.9 gdk.test\n"
