"""Who a root is: new, known, moved, copied, or somebody else's; and what the roots of one user know of each other."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gdkreg.errors import DamagedError
from gdkreg.plan import roots, state
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import journal

REGISTER = Path("/home/dev/.gdkreg-roots")
ELSEWHERE = Path("/home/dev/elsewhere")


def settled(host: FakeHost, root: Path = ROOT, **claims: object) -> roots.Claim:
    claim = msgspec.structs.replace(roots.identify(root, host).claim, **claims)
    roots.write(host, claim)
    state.write(host, root, "id", claim.id.encode())
    return claim


def test_a_new_root_and_a_known_one(fake: FakeHost) -> None:
    first = roots.identify(ROOT, fake)
    assert (first.known, first.foreign) == (False, "")
    claim = settled(fake)
    assert roots.identify(ROOT, fake) == roots.Identity(claim=claim, known=True)
    assert fake.infos[REGISTER].mode == 0o700
    assert fake.infos[REGISTER / claim.id].mode == 0o600


@pytest.mark.parametrize("spoilt", [None, b"", b"\xff", b"../../etc/passwd", b"0" * 10_000])
def test_a_known_root_is_known_by_its_place_too(fake: FakeHost, spoilt: bytes | None) -> None:
    claim = settled(fake)
    if spoilt is None:
        fake.remove(ROOT / ".gdkreg" / "id")
    else:
        fake.put(ROOT / ".gdkreg" / "id", spoilt, 0o600)
    assert roots.identify(ROOT, fake).claim == claim


def test_a_moved_root_is_known_by_its_id(fake: FakeHost) -> None:
    claim = settled(fake)
    fake.rename(ROOT, ELSEWHERE)
    found = roots.identify(ELSEWHERE, fake)
    assert (found.known, found.id, found.former) == (True, claim.id, (ROOT,))


def test_a_copy_is_told_from_its_original(fake: FakeHost) -> None:
    claim = settled(fake)
    fake.put(ELSEWHERE / ".gdkreg" / "id", claim.id, 0o600)
    fake.infos[ELSEWHERE / ".gdkreg"] = fake.infos[ROOT / ".gdkreg"]
    found = roots.identify(ELSEWHERE, fake)
    assert (found.known, found.id != claim.id) == (False, True)
    assert found.foreign == f"it is a copy of {ROOT}'s"
    assert roots.identify(ROOT, fake).known


def test_what_came_with_a_folder_is_nobodys(fake: FakeHost) -> None:
    fake.put(ROOT / ".gdkreg" / "id", "0123456789abcdef", 0o600)
    found = roots.identify(ROOT, fake)
    assert (found.known, found.foreign) == (False, "it was not made by you on this machine")
    assert found.id != "0123456789abcdef"


def test_a_damaged_claim_is_one_error_and_hides_only_its_own(fake: FakeHost) -> None:
    claim = settled(fake, address="172.16.123.1", port=5000, authority="registry.test:5000")
    fake.put(ELSEWHERE / "gdk.yml", "")
    other = settled(fake, ELSEWHERE, address="172.16.123.1")
    fake.put(REGISTER / other.id, "{", 0o600)
    assert [found.id for found in roots.claims(fake)] == [claim.id]
    for content in ("{", "", '{"id": "x"}', claim.id, msgspec.json.encode(msgspec.structs.replace(claim, path="x")).decode()):
        fake.put(REGISTER / claim.id, content, 0o600)
        with pytest.raises(DamagedError, match="is damaged"):
            roots.identify(ROOT, fake)


def test_roots_know_of_each_other_while_they_stand(fake: FakeHost) -> None:
    settled(fake, address="172.16.123.1", port=5000, authority="registry.test:5000")
    fake.put(ELSEWHERE / "gdk.yml", "")
    assert [claim.path for claim in roots.others(ELSEWHERE, fake)] == [str(ROOT)]
    assert roots.others(ROOT, fake) == []
    fake.remove_tree(ROOT)
    assert roots.others(ELSEWHERE, fake) == [], "a root that is gone claims nothing"


def test_what_is_handed_on_is_taken_away_by_the_last(fake: FakeHost) -> None:
    settled(fake, address="172.16.123.1")
    fake.put(ELSEWHERE / "gdk.yml", "")
    other = settled(fake, ELSEWHERE, address="172.16.123.1")
    roots.hand_on(fake, ROOT, [Path("/home/dev/.docker")])
    roots.forget(fake, ROOT)
    assert [claim.made for claim in roots.claims(fake)] == [["/home/dev/.docker"]]
    assert REGISTER / other.id in fake.files
    roots.forget(fake, ELSEWHERE)
    assert REGISTER not in fake.infos, "the last one takes the folder away"
    roots.forget(fake, ELSEWHERE)


def test_a_state_folder_is_private_and_ignored_by_git(fake: FakeHost) -> None:
    journal(fake)
    assert fake.infos[ROOT / ".gdkreg"].mode == 0o700
    assert fake.files[ROOT / ".gdkreg" / ".gitignore"] == b"*\n"


def test_a_moved_root_knows_its_former_places_until_another_root_stands_there(fake: FakeHost) -> None:
    claim = settled(fake)
    fake.rename(ROOT, ELSEWHERE)
    found = roots.identify(ELSEWHERE, fake)
    assert found.moved
    roots.write(fake, msgspec.structs.replace(claim, path=str(ELSEWHERE), former=[str(ROOT)]))
    found = roots.identify(ELSEWHERE, fake)
    assert (found.moved, found.former) == (False, (ROOT,))
    fake.put(ROOT / "gdk.yml", "")
    settled(fake)
    assert roots.identify(ELSEWHERE, fake).former == ()
    assert roots.identify(ROOT, fake).id != claim.id


def test_a_root_goes_by_its_id_before_its_place(fake: FakeHost) -> None:
    """A root that is gone without `down`, and another one moved to its place."""
    settled(fake)
    fake.put(ELSEWHERE / "gdk.yml", "")
    other = settled(fake, ELSEWHERE)
    fake.remove_tree(ROOT)
    fake.rename(ELSEWHERE, ROOT)
    assert roots.identify(ROOT, fake).id == other.id
    roots.write(fake, msgspec.structs.replace(other, path=str(ROOT)))
    assert [claim.id for claim in roots.claims(fake)] == [other.id], "the one that is gone is struck out"
