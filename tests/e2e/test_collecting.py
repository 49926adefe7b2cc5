"""rm, cleanup, gc and readonly on a real registry in a container, with images of every kind, seen by skopeo too."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.box import GDK_YML, HOST, Box
from tests.e2e.pushing import push

ALL = {"v1", "feature-1", "latest", "v2", "amd", "both", "more", "bare"}  # tags of group/app
TREE = "registry/storage/docker/registry/v2"


@pytest.fixture(scope="module")
def up(box: Box) -> Box:
    box.configure(GDK_YML)
    box.ok("up", "--yes")
    return box


@pytest.fixture
def images(up: Box) -> Iterator[dict[str, str]]:
    """The hard cases, afresh; the trash is empty."""
    yield push(
        up,
        {"name": "one", "repository": "group/app", "tags": ["v1", "feature-1", "latest"], "layers": ["base", "one"]},
        {"name": "two", "repository": "group/app", "tags": ["v2"], "layers": ["base", "two"]},
        {"name": "amd", "repository": "group/app", "tags": ["amd"], "layers": ["base", "amd"]},
        {"name": "arm", "repository": "group/app", "layers": ["arm"]},
        {"name": "both", "repository": "group/app", "tags": ["both"], "children": ["amd", "arm"]},
        {"name": "more", "repository": "group/app", "tags": ["more"], "children": ["amd"]},
        {"name": "sbom", "repository": "group/app", "layers": ["sbom"], "subject": "two"},
        {"name": "bare", "repository": "group/app", "tags": ["bare"], "layers": []},
        {"name": "nested", "repository": "group/app/nested", "tags": ["x"], "layers": ["base", "nested"]},
        {"name": "old", "repository": "other", "tags": ["a", "b"], "layers": ["old"]},
    )
    for name in ("group/app", "group/app/nested", "other"):
        up.gdkreg("rm", name, "--yes")
    up.ok("gc", "--untagged", "--yes")
    up.ok("gc", "empty", "--yes")


def tree(box: Box) -> dict[str, tuple[int, int]]:
    """Every file of the storage with its size and time; folders too."""
    found = {}
    for folder, _, files in os.walk(box.root / TREE):
        place = str(Path(folder).relative_to(box.root))
        found[place] = (0, 0)
        for name in files:
            info = os.stat(f"{folder}/{name}")
            found[f"{place}/{name}"] = (info.st_size, info.st_mtime_ns)
    return found


def pulls(box: Box, reference: str) -> bool:
    """Whether skopeo gets all of it."""
    target = box.folder / f"pulled-{time.monotonic_ns()}"
    done = box.run("skopeo", "copy", "--all", f"docker://{HOST}/{reference}", f"dir:{target}", env=_auth(box))
    return done.code == 0


def _auth(box: Box) -> dict[str, str]:
    file = box.folder / "auth.json"
    if not file.exists():
        box.ok("login", "--client", "skopeo", "--config-dir", str(box.folder))
    return {"REGISTRY_AUTH_FILE": str(file)}


def tags(box: Box, repository: str) -> set[str]:
    return set(box.ok("tags", repository).out.split())


def test_rm_takes_the_tag_and_no_other(up: Box, images: dict[str, str]) -> None:
    told = json.loads(up.ok("rm", "group/app:feature-1", "group/app:amd", "group/app:bare", "--dry-run", "--json").out)
    assert tags(up, "group/app") == ALL, "a dry run changes nothing"
    done = json.loads(up.ok("rm", "group/app:feature-1", "group/app:amd", "group/app:bare", "--yes", "--json").out)
    assert [item["text"] for item in told["actions"]] == [item["text"] for item in done["actions"]]
    assert tags(up, "group/app") == {"v1", "latest", "v2", "both", "more"}
    for name in ("v1", "latest", "both", "more", f"both@{images['both']}".removeprefix("both")):
        assert pulls(up, f"group/app{'' if name.startswith('@') else ':'}{name}"), name


def test_what_rm_took_away_undo_puts_back(up: Box, images: dict[str, str]) -> None:
    up.ok("rm", "group/app:both", "group/app:amd", "group/app:more", "group/app:v1", "--yes")
    assert tags(up, "group/app") == {"feature-1", "latest", "v2", "bare"}
    up.ok("undo", "--yes")
    assert tags(up, "group/app") == ALL
    found = json.loads(up.ok("inspect", "group/app:both", "--json").out)
    assert images["both"] in json.dumps(found)
    assert pulls(up, "group/app:both")


def test_rm_of_a_repository_leaves_the_one_in_its_folder(up: Box, images: dict[str, str]) -> None:
    del images
    before = tree(up)
    up.ok("rm", "group/app", "--yes")
    assert "group/app\n" not in up.ok("catalog").out
    assert pulls(up, "group/app/nested:x")
    assert not pulls(up, "group/app:v1")
    up.ok("gc", "restore", "--yes")
    assert {name: seen for name, seen in tree(up).items() if any(seen)} == {
        name: seen for name, seen in before.items() if any(seen)
    }
    assert pulls(up, "group/app:both")


def test_gc_takes_what_nothing_needs_and_restore_gives_every_byte_back(up: Box, images: dict[str, str]) -> None:
    up.ok("rm", "group/app:v2", "other:a", "other:b", "--yes")
    before = tree(up)
    told = json.loads(up.ok("gc", "--untagged", "--dry-run", "--json").out)
    assert tree(up) == before, "a dry run leaves the storage as it is"
    done = json.loads(up.ok("gc", "--untagged", "--yes", "--json").out)
    assert [item["text"] for item in told["actions"]] == [item["text"] for item in done["actions"]]
    assert told["places"] == done["places"]
    assert images["old"] in done["blobs"]
    for name in ("group/app:v1", "group/app:both", "group/app:amd", "group/app:more", "group/app/nested:x"):
        assert pulls(up, name), name
    assert up.ok("gc", "--untagged", "--yes").out.startswith("Nothing to do")
    up.ok("gc", "restore", "--yes")
    assert tree(up) == before


def test_without_untagged_every_manifest_stays(up: Box, images: dict[str, str]) -> None:
    up.ok("gc", "--yes")
    assert pulls(up, f"group/app@{images['sbom']}")
    assert pulls(up, f"group/app@{images['arm']}")


def test_with_untagged_a_referrer_stays_while_its_subject_does(up: Box, images: dict[str, str]) -> None:
    up.ok("gc", "--untagged", "--yes")
    assert pulls(up, f"group/app@{images['sbom']}")
    up.ok("rm", "group/app:v2", "--yes")
    up.ok("gc", "--untagged", "--yes")
    assert not pulls(up, f"group/app@{images['sbom']}")


def test_after_a_restore_what_was_pushed_since_is_there_too(up: Box, images: dict[str, str]) -> None:
    up.ok("rm", "group/app:v2", "--yes")
    up.ok("gc", "--untagged", "--yes")
    push(up, {"name": "again", "repository": "group/app", "tags": ["again"], "layers": ["base", "two"]})
    up.ok("gc", "restore", "--yes")
    up.ok("restart")
    for name in (":again", ":v1", f"@{images['two']}", f"@{images['sbom']}"):
        assert name == f"@{images['two']}" or pulls(up, f"group/app{name}"), name
    assert json.loads(up.ok("gc", "--dry-run", "--json").out)["held"] == []


def test_damage_is_told_and_nothing_is_taken_because_of_it(up: Box, images: dict[str, str]) -> None:
    digits = images["two"].partition(":")[2]
    data = up.root / TREE / "blobs/sha256" / digits[:2] / digits / "data"
    kept = data.read_bytes()
    data.unlink()
    up.ok("rm", "other:a", "other:b", "--yes")
    done = json.loads(up.ok("gc", "--untagged", "--yes", "--json").out)
    assert any("group/app" in json.dumps(item) for item in done["held"])
    assert images["old"] in done["blobs"], "the other repository's is taken all the same"
    assert not any("group/app/" in place and "_layers" in place for place in done["places"])
    data.write_bytes(kept)
    assert pulls(up, "group/app:v2")


def test_readonly_refuses_pushes_and_clients_words_are_explained(up: Box, images: dict[str, str]) -> None:
    up.ok("readonly", "on")
    assert "read-only" in up.ok("status").out
    assert pulls(up, "group/app:v1")
    source = up.folder / "source"
    up.run("skopeo", "copy", f"docker://{HOST}/group/app:v1", f"dir:{source}", env=_auth(up))
    for command in (
        ("skopeo", "copy", f"dir:{source}", f"docker://{HOST}/group/app:new"),
        ("sh", "-c", f"docker tag registry:dev {HOST}/group/app:new && docker push {HOST}/group/app:new"),
    ):
        up.ok("login")
        done = up.run(*command, env=_auth(up))
        assert done.code != 0
        said = up.run("gdkreg", "explain", (done.err + done.out).strip())
        assert "read" in said.out, (done, said)
        assert "gdkreg readonly off" in said.out, said
    assert up.gdkreg("rm", "group/app:v1", "--yes").code == 1
    up.ok("gc", "--yes")
    assert "read-only" in up.ok("status").out, "gc leaves it as the user made it"
    up.ok("readonly", "off")
    push(up, {"name": "late", "repository": "other", "tags": ["late"]})
    del images


def test_cleanup_keeps_the_newest_and_what_is_named(up: Box, images: dict[str, str]) -> None:
    del images
    made = [
        {"name": f"n{year}", "repository": "other", "tags": [f"n{year}"], "created": f"{year}-01-01T00:00:00Z"}
        for year in range(2015, 2021)
    ]
    push(up, *made, {"name": "kept", "repository": "other", "tags": ["v1.0", "latest"], "created": "2001-01-01T00:00:00Z"})
    policy = ("cleanup", "other", "--keep", "2", "--older-than", "30d", "--remove", "n.*|v.*|latest", "--retain", "v.*")
    told = json.loads(up.ok(*policy, "--dry-run", "--json").out)
    gone = {item["tag"] for item in told["decisions"]["other"] if item["removed"]}
    assert gone == {"n2015", "n2016", "n2017", "n2018"}
    assert all(item["reason"] for item in told["decisions"]["other"])
    up.ok(*policy, "--yes")
    assert tags(up, "other") == {"a", "b", "n2019", "n2020", "v1.0", "latest"}


def test_a_tag_left_on_a_marker_is_finished_by_the_next_command(up: Box, images: dict[str, str]) -> None:
    del images
    script = """
import os, sys
from gdkreg.registry import untagging
from gdkreg.registry.images import Images
from pathlib import Path
from gdkreg.verbs import deleting
from gdkreg.verbs.root import open_root
Images.delete_ = Images.delete
def delete(self, repository, reference):
    if reference.startswith("sha256:"):
        os._exit(9)
    return self.delete_(repository, reference)
Images.delete = delete
deleting.rm(open_root(Path(sys.argv[1])), ["group/app:v1"])
"""
    assert up.run(sys.executable, "-c", script, str(up.root)).code == 9
    assert "v1" in tags(up, "group/app")
    up.ok("rm", "other:a", "--yes")
    assert tags(up, "group/app") == ALL - {"v1"}
    assert pulls(up, "group/app:latest")


def test_as_a_user_only_what_that_one_may(up: Box, images: dict[str, str]) -> None:
    del images
    up.run("gdkreg", "user", "add", "reader", "--pull", "group/**", "--password-stdin", stdin="Pass-word-1\n")
    refused = up.run("gdkreg", "rm", "group/app:v1", "--user", "reader", "--yes", env={"GDKREG_PASSWORD": "Pass-word-1"})
    assert refused.code == 1
    assert "reader" in refused.err
    assert "v1" in tags(up, "group/app")
    up.ok("user", "remove", "reader")


# what a reviewer found


def test_what_is_not_ours_in_the_trash_stays(up: Box, images: dict[str, str]) -> None:
    del images
    theirs = up.root / "registry/trash/photos/wedding.jpg"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("x")
    up.ok("gc", "empty", "--yes")
    up.ok("gc", "--yes")
    assert theirs.read_text() == "x"
    theirs.unlink()
    theirs.parent.rmdir()


def test_an_option_before_a_subcommand_is_refused(up: Box) -> None:
    for words in (("gc", "--dry-run", "restore"), ("gc", "--yes", "empty")):
        assert up.gdkreg(*words).code == 2


def test_a_manifest_that_an_index_needs_is_not_removed_by_its_digest(up: Box, images: dict[str, str]) -> None:
    refused = up.gdkreg("rm", f"group/app@{images['arm']}", "--yes")
    assert (refused.code, "is part of group/app:both" in refused.err) == (1, True)
    assert up.gdkreg("rm", f"group/app:v2@{images['one']}", "--yes").code == 1
    assert pulls(up, "group/app:both")
