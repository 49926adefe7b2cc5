"""Runner files as people really have them: renamed, reordered, half edited; and whose each file is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomlkit

from gdkreg.config.settings import load
from gdkreg.errors import GdkregError
from gdkreg.host.base import FileInfo, Platform
from gdkreg.plan.actions import ForgetFile, WriteFile
from gdkreg.resources import runner_config, runner_text
from gdkreg.resources.runner_config import RunnerConfig
from gdkreg.resources.runner_text import Wanted
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import apply, files, journal, plan

MOUNT = "/m:/etc/docker/certs.d"
WANTED = Wanted(MOUNT, {"r.test": "1.1.1.1"})
PATH = Path("/home/dev/.gitlab-runner/config.toml")


def runner(name: str = "a", extra: str = "", **keys: str) -> str:
    lines = [f'  {key} = "{value}"\n' for key, value in {"name": name, **keys, "executor": "docker"}.items()]
    return "[[runners]]\n" + "".join(lines) + "  [runners.docker]\n" + extra


def patched(text: str, wanted: Wanted = WANTED) -> str:
    return runner_text.patch(text, wanted)[0]


def items(text: str, at: int = 0, key: str = "volumes") -> list[str]:
    found: dict[str, Any] = tomlkit.parse(text).unwrap()["runners"][at].get("docker", {})
    return list(found.get(key, []))


def test_what_we_add_in_bytes() -> None:
    text = runner(extra='    image = "x"\n')
    new = f'    volumes = ["{MOUNT}"]\n    extra_hosts = ["r.test:1.1.1.1"]\n    pull_policy = "always"\n'
    assert patched(text, Wanted(MOUNT, WANTED.hosts, "always")) == text + new


def test_a_line_is_named_where_a_file_is_no_toml() -> None:
    with pytest.raises(GdkregError, match="not valid TOML") as error:
        runner_text.patch("a = 1\nb =\n", WANTED)
    assert error.value.fix == "edit it, line 2"


def test_runners_without_a_name_are_counted() -> None:
    text = '[[runners]]\nexecutor = "shell"\n[[runners]]\nname = ""\n'
    assert [(item.name, item.executor, item.patched) for item in runner_text.patch(text, WANTED)[1]] == [
        ("runner 1", "shell", False),
        ("runner 2", "", False),
    ]


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        ([("b", "2"), ("a", "1")], [["/b"], ["/a"]]),  # in another order
        ([("renamed", "1"), ("b", "2")], [["/a"], ["/b"]]),  # by its token
        ([("a", "new"), ("b", "2")], [["/a"], ["/b"]]),  # by its name
        ([("x", "8"), ("y", "9")], [["/a"], ["/b"]]),  # by its place, for there are as many
        ([("a", "1")], [["/a"]]),
    ],
)
def test_a_runner_is_known_again(current: list[tuple[str, str]], expected: list[list[str]]) -> None:
    original = runner("a", '    volumes = ["/a"]\n', token="1") + runner("b", '    volumes = ["/b"]\n', token="2")
    written = patched(original)
    volumes = {"a": "/a", "b": "/b", "renamed": "/a", "x": "/a", "y": "/b"}
    now = "".join(runner(name, f'    volumes = ["{volumes[name]}", "{MOUNT}"]\n', token=token) for name, token in current)
    back = runner_text.take_back(now, original, written)
    assert [items(back, at) for at in range(len(current))] == expected


def test_a_runner_that_came_later_loses_only_what_we_write() -> None:
    original = runner("a", '    volumes = ["/a"]\n')
    written = patched(original)
    now = (
        written + runner("new", f'    volumes = ["/a", "/mine", "{MOUNT}"]\n    extra_hosts = ["r.test:1.1.1.1"]\n') + runner("n")
    )
    back = runner_text.take_back(now, original, written)
    assert (items(back, 0), items(back, 1)) == (["/a"], ["/a", "/mine"])
    assert "extra_hosts" not in back


def test_what_ours_replaced_comes_back_in_its_place() -> None:
    original = runner(extra='    volumes = ["/x", "/own:/etc/docker/certs.d/:ro", "/y"]\n    extra_hosts = ["R.test:9.9.9.9"]\n')
    written = patched(original)
    assert items(written) == ["/x", MOUNT, "/y"]
    assert items(written, 0, "extra_hosts") == ["r.test:1.1.1.1"]
    edited = written.replace('"/y"', '"/y", "/z"')
    back = runner_text.take_back(edited, original, written)
    assert items(back) == ["/x", "/own:/etc/docker/certs.d/:ro", "/y", "/z"]
    assert items(back, 0, "extra_hosts") == ["R.test:9.9.9.9"]


@pytest.mark.parametrize("now", ["if-not-present", "never", None])
@pytest.mark.parametrize("before", ["always", None])
def test_a_pull_policy_is_taken_back_while_it_is_ours(before: str | None, now: str | None) -> None:
    original = runner(extra='    image = "x"\n' + (f'    pull_policy = "{before}"\n' if before else ""))
    written = patched(original, Wanted(MOUNT, {}, "if-not-present"))
    line = '    pull_policy = "if-not-present"\n'
    assert line in written
    current = written.replace(line, f'    pull_policy = "{now}"\n' if now else "") + "# edited\n"
    back = tomlkit.parse(runner_text.take_back(current, original, written)).unwrap()["runners"][0].get("docker", {})
    assert back.get("pull_policy") == (before if now == "if-not-present" else now)
    assert runner_text.pull_policy_of(original, written) == "if-not-present"
    assert runner_text.pull_policy_of(written, written) == runner_text.pull_policy_of(original, original) == ""


def test_a_docker_table_that_we_made_goes_and_an_empty_one_of_the_users_stays() -> None:
    bare = '[[runners]]\nname = "a"\nexecutor = "docker"\n'
    for original in (bare, bare + "[runners.docker]\n"):
        back = tomlkit.parse(runner_text.take_back(patched(original) + "# e\n", original, patched(original))).unwrap()
        assert ("docker" in back["runners"][0]) == ("docker]" in original)


def test_line_ends_of_each_kind_stay() -> None:
    text = runner(extra='    image = "x"\n    volumes = ["/c"]\n')
    for model in (
        text.replace("\n", "\r\n"),
        text.replace('x"\n', 'x"\r\n'),
        text.replace("]]\n", "]]\r\n"),
        text.replace('"]\n', '"]\r\n'),
    ):
        new = patched(model)
        kept = [line for line in model.split("\n") if "volumes" not in line]
        assert [line for line in new.split("\n") if "volumes" not in line and "extra_hosts" not in line] == kept
        assert runner_text.take_back(new, model, new) == model
        (volumes,) = [line for line in new.split("\n") if "volumes" in line]
        (before,) = [line for line in model.split("\n") if "volumes" in line]
        assert volumes.endswith("\r") == before.endswith("\r")


def test_versions_that_differ_by_our_keys_alone() -> None:
    text = runner(extra='    image = "x"\n')
    assert runner_text.differ_by_ours(text, patched(text))
    assert runner_text.differ_by_ours('[[runners]]\nname = "a"\n', '[[runners]]\nname = "a"\n[runners.docker]\nvolumes = []\n')
    assert not runner_text.differ_by_ours(text, text.replace('"x"', '"y"'))
    assert not runner_text.differ_by_ours(text, text + 'pre_build_script = "x"\n')
    assert runner_text.same_items(text, text.replace('"x"', '"y"'))
    assert not runner_text.same_items(text, patched(text))


# the file


def resource(host: FakeHost, *, named: bool = True, uid: int = 0, wanted: Wanted = WANTED) -> RunnerConfig:
    return RunnerConfig(PATH, wanted, files(host, "runner_config"), uid, named)


@pytest.mark.parametrize(("owner", "as_root"), [(1000, False), (0, True)])
def test_whose_file_it_is(owner: int, as_root: bool) -> None:
    host = FakeHost(uid=1000, home="/home/dev")
    host.make_folder(ROOT, mode=0o755)
    host.put(PATH, runner(), 0o640)
    host.infos[PATH] = FileInfo("file", 0o640, owner, owner)
    (action,) = plan(host, resource(host, uid=1000))
    assert isinstance(action, WriteFile)
    assert (action.as_root, action.mode, action.reason) == (as_root, 0o640, "certificates and host names for the jobs")
    host.put(PATH.with_name("real"), runner(), 0o640)
    host.link(str(PATH), "real")
    (action,) = plan(host, resource(host, uid=1000))
    assert isinstance(action, WriteFile)
    assert action.mode == 0o600, "a link's own mode says nothing"


def test_a_file_that_nobody_named_stops_nothing(fake: FakeHost) -> None:
    assert plan(fake, resource(fake, named=False)) == []
    fake.put(PATH, "broken [")
    assert plan(fake, resource(fake, named=False)) == []
    found = resource(fake, named=False)
    assert [note.level for note in found.notes(found.inspect(fake))] == ["warning"]
    fake.put(PATH, runner())
    apply(fake, resource(fake))
    fake.put(PATH, "broken [")
    with pytest.raises(GdkregError, match="not valid TOML"):
        plan(fake, resource(fake, named=False), present=False)


def test_a_file_that_the_user_removed_is_forgotten_by_down_alone(fake: FakeHost) -> None:
    fake.put(PATH, runner())
    apply(fake, resource(fake))
    fake.remove(PATH)
    assert plan(fake, resource(fake, named=False)) == []
    (action,) = plan(fake, resource(fake), present=False)
    assert isinstance(action, ForgetFile)


def test_what_stood_there_is_given_back_before_it_is_patched_anew(fake: FakeHost) -> None:
    fake.put(PATH, runner())
    apply(fake, resource(fake))
    fake.put(PATH, fake.files[PATH] + b'    image = "mine"\n')
    assert plan(fake, resource(fake)) == [], "what we want is there"
    renamed = resource(fake, wanted=Wanted(MOUNT, {"new.test": "1.1.1.1"}))
    first, second = plan(fake, renamed)
    assert isinstance(first, WriteFile)
    assert isinstance(second, WriteFile)
    assert (first.release, first.reason, second.release) == (True, "what is not ours stays", False)
    assert second.before == first.content
    assert isinstance(second.content, bytes)
    assert b"new.test" in second.content
    assert b"mine" in second.content


def test_how_a_file_stands(fake: FakeHost) -> None:
    def said() -> str:
        found = resource(fake)
        return found.notes(found.inspect(fake))[0].text

    fake.put(PATH, runner())
    assert said() == f"{PATH}: not what gdk.yml says"
    apply(fake, resource(fake))
    assert said() == str(PATH)
    fake.put(PATH, runner("other"))
    assert said() == f"{PATH}: somebody else wrote over it, perhaps gdk reconfigure"


def test_which_files_up_looks_at(fake: FakeHost) -> None:
    none = f"{PATH} holds no Docker runner"
    assert runner_config.why_not(PATH, fake) == none
    for text, why in ((runner(), ""), ('[[runners]]\nexecutor = "shell"\n', none), ("broken [", none)):
        fake.put(PATH, text)
        assert runner_config.why_not(PATH, fake) == why
    fake.put(PATH, b"\xff")
    assert runner_config.why_not(PATH, fake) == none


@pytest.mark.parametrize(
    ("uid", "mode", "owner", "maybe"),
    [(1000, 0o700, 0, True), (0, 0o700, 0, False), (1000, 0o755, 0, False), (1000, 0o700, 1000, False)],
)
def test_a_file_behind_a_closed_door_may_be_there(fake: FakeHost, uid: int, mode: int, owner: int, maybe: bool) -> None:
    fake.put(ROOT / "gdk.yml", "")
    settings = load(ROOT, fake)
    fake.platform = Platform("linux", uid, uid, Path("/home/dev"), {})
    fake.infos[Path("/etc/gitlab-runner")] = FileInfo("folder", mode, owner, owner)
    found = runner_config.usual_places(settings, fake)
    assert found == ([Path("/etc/gitlab-runner/config.toml")] if maybe else [])


def test_the_journal_knows_what_was_there(fake: FakeHost) -> None:
    fake.put(PATH, runner())
    apply(fake, resource(fake))
    assert journal(fake).backup(journal(fake).owned()[PATH].original) == runner().encode()
