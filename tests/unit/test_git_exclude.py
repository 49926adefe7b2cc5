from __future__ import annotations

import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gdkreg.host.machine import Machine
from gdkreg.plan.actions import ForgetFile
from gdkreg.resources import git_exclude
from gdkreg.resources.git_exclude import GitExclude, place
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import apply, journal, levels, plan

EXCLUDE = place(ROOT)


def resource(fake: FakeHost) -> GitExclude:
    return GitExclude(EXCLUDE, journal(fake))


@given(st.lists(st.sampled_from(["*.swp", "# c", "", "/x", "\r"]), max_size=4), st.booleans())
def test_every_byte_comes_back(lines: list[str], ended: bool) -> None:
    content = ("\n".join(lines) + ("\n" if ended else "")).encode()
    fake = FakeHost()
    fake.put(EXCLUDE, content, 0o600)
    apply(fake, resource(fake))
    assert b"/jwks.json\n" in fake.files[EXCLUDE]
    assert fake.files[EXCLUDE].startswith(content)
    assert (plan(fake, resource(fake)), levels(fake, resource(fake))) == ([], ["ok"])
    apply(fake, resource(fake), present=False)
    assert (fake.files[EXCLUDE], fake.infos[EXCLUDE].mode) == (content, 0o600)
    assert EXCLUDE not in journal(fake).owned()


def test_lines_of_the_users_stay_where_they_are(fake: FakeHost) -> None:
    fake.put(EXCLUDE, "a\n")
    apply(fake, resource(fake))
    fake.put(EXCLUDE, fake.files[EXCLUDE] + b"b\n")
    assert plan(fake, resource(fake)) == []
    apply(fake, resource(fake), present=False)
    assert fake.files[EXCLUDE] == b"a\nb\n"


def test_a_file_that_is_gone_is_not_brought_back(fake: FakeHost) -> None:
    fake.put(EXCLUDE, "a\n")
    apply(fake, resource(fake))
    fake.remove(EXCLUDE)
    assert plan(fake, resource(fake)) == []
    assert [type(action) for action in plan(fake, resource(fake), present=False)] == [ForgetFile]


def test_git_shows_nothing_of_what_is_made(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    path = place(tmp_path)
    names = ["jwks.json", "localhost.key", "registry_host.crt", "registry/config.yml", "registry/storage/docker/x"]
    for name in [*names, "registry/mine", "sub/jwks.json"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(git_exclude._with(Machine().read(path) or b""))
    shown = subprocess.run(
        ["git", "-C", str(tmp_path), "status", "--porcelain", "-uall"], check=True, capture_output=True, text=True
    )
    assert shown.stdout.split() == ["??", "registry/mine", "??", "sub/jwks.json"]
