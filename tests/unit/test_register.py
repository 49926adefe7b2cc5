"""The register of roots and the files of a state, at their edges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gdkreg.errors import DamagedError
from gdkreg.host.base import FileInfo
from gdkreg.plan import roots, state
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import journal

A, STATE = ROOT / "a", ROOT / ".gdkreg"
REGISTER = Path("/home/dev/.gdkreg-roots")


def claimed(host: FakeHost, root: Path, **claims: Any) -> roots.Claim:
    found = roots.identify(root, host).claim
    claim = roots.Claim(id=found.id, path=str(root), key=found.key, **claims)
    roots.write(host, claim)
    state.write(host, root, "id", claim.id.encode())
    return claim


def test_what_a_killed_run_left_in_the_register_goes_with_a_root(fake: FakeHost) -> None:
    fake.put("/home/dev/there/gdk.yml", "")
    here, there = claimed(fake, ROOT), claimed(fake, Path("/home/dev/there"))
    for name in (here.id, there.id, "0" * 16):
        fake.put(REGISTER / f".{name}.gdkreg-new", "half", 0o600)
    roots.forget(fake, ROOT)
    assert fake.entries(REGISTER) == sorted([f".{there.id}.gdkreg-new", there.id]), "another root may be at work"
    roots.forget(fake, Path("/home/dev/there"))
    assert REGISTER not in fake.infos


def test_a_former_place_is_lost_only_to_a_root_that_stands_there(fake: FakeHost) -> None:
    old, new = Path("/home/dev/old"), Path("/home/dev/new")
    fake.put(old / "gdk.yml", "")
    moved = claimed(fake, ROOT, former=[str(old)])
    other = claimed(fake, old)
    assert roots.identify(ROOT, fake).former == ()
    fake.rename(old, new)
    assert roots.identify(ROOT, fake).former == (old,), "the other one is gone from there"
    assert {claim.id for claim in roots.claims(fake)} == {moved.id, other.id}


@pytest.mark.parametrize("change", [{"key": "k" * 31}, {"path": "relative"}, {"id": "1" * 16}])
def test_a_claim_is_what_gdkreg_writes(fake: FakeHost, change: dict[str, str]) -> None:
    claim = claimed(fake, ROOT)
    fake.put(REGISTER / claim.id, msgspec.json.encode(msgspec.structs.replace(claim, **change)), 0o600)
    with pytest.raises(DamagedError, match="is damaged") as error:
        roots.identify(ROOT, fake)
    assert error.value.why == "it is not what gdkreg writes"
    fake.put(REGISTER / claim.id, msgspec.json.encode(msgspec.structs.replace(claim, key="k" * 32)), 0o600)
    assert roots.identify(ROOT, fake).known


def test_a_new_root_gets_a_name_and_a_key_that_nobody_guesses(fake: FakeHost) -> None:
    claims = [roots.identify(ROOT, fake).claim for _ in range(2)]
    assert {(len(claim.id), len(claim.key)) for claim in claims} == {(16, 64)}
    assert claims[0].key != claims[1].key


def test_a_root_that_claims_no_address_is_in_nobodys_way(fake: FakeHost) -> None:
    claimed(fake, ROOT)
    assert roots.others(Path("/home/dev/there"), fake) == []


# state files


def test_whose_state_files_are(fake: FakeHost) -> None:
    for uid, owner, expected in ((0, 1000, (1000, 1001)), (0, 0, None), (1000, 1000, None), (1000, 0, None)):
        host = FakeHost(uid=uid, home="/home/dev")
        host.make_folder(ROOT, mode=0o755)
        host.infos[ROOT] = FileInfo("folder", 0o755, owner, 1001)
        assert state.owner_of(host, ROOT) == expected
    assert state.owner_of(FakeHost(), Path("/gone")) is None


def test_state_is_for_its_owner_alone(fake: FakeHost) -> None:
    fake.infos[ROOT] = FileInfo("folder", 0o755, 1000, 1001)
    state.write(fake, ROOT, "id", b"x")
    for path, mode in ((STATE, 0o700), (STATE / "backups", 0o700), (STATE / "id", 0o600), (STATE / ".gitignore", 0o600)):
        found = fake.infos[path]
        assert (found.mode, found.uid, found.gid) == (mode, 1000, 1001)


def test_a_state_file_that_is_no_value(fake: FakeHost) -> None:
    journal(fake)
    fake.put(STATE / "applied", '{"a":' + "9" * 400 + "}", 0o600)
    with pytest.raises(DamagedError, match="applied is damaged") as error:
        state.read_as(fake, ROOT, "applied", dict[str, str])
    assert 0 < len(error.value.why) <= 120
    fake.put(STATE / "applied", "x" * (state.LIMIT + 1), 0o600)
    with pytest.raises(DamagedError, match="applied is damaged") as error:
        state.read_as(fake, ROOT, "applied", str)
    assert "gdkreg down" in error.value.fix
