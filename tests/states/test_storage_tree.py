"""The tree that tests write is the one that a registry writes; what is unused in it is what the registry's own tool says."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
from hypothesis import HealthCheck, given, settings

from gdkreg.registry.manifests import ACCEPT
from gdkreg.storage import reader, trash, unused
from gdkreg.storage.layout import Tree
from tests.unit.storage.test_random import REPOSITORIES, STEPS, play
from tests.unit.storage.trees import Registry, digest_of, remove, snapshot

CONFIG = """\
version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: {storage}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}", secret: none}}
"""
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


class Pushed(Registry):
    """The same requests as `Registry` plays, to a real one."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        self._url = url
        self._http = requests.Session()
        self._http.trust_env = False

    def _ask(self, method: str, url: str, **options: Any) -> requests.Response:
        answer = self._http.request(method, url, timeout=10, **options)
        assert answer.status_code < 300, (method, url, answer.status_code, answer.text)
        return answer

    def blob(self, repository: str, content: bytes) -> str:
        digest = digest_of(content)
        self.sizes[digest] = len(content)
        begun = self._ask("POST", f"{self._url}/v2/{repository}/blobs/uploads/").headers["Location"]
        octets = {"Content-Type": "application/octet-stream"}
        self._ask("PUT", f"{begun}&digest={digest}", data=content, headers=octets)
        return digest

    def manifest(self, repository: str, content: bytes, media_type: str, tag: str = "") -> str:
        digest = digest_of(content)
        self.sizes[digest], self.types[digest] = len(content), media_type
        self._put(repository, tag or digest, content, media_type)
        return digest

    def _put(self, repository: str, name: str, content: bytes, media_type: str) -> None:
        url = f"{self._url}/v2/{repository}/manifests/{name}"
        self._ask("PUT", url, data=content, headers={"Content-Type": media_type})

    def tag(self, repository: str, tag: str, digest: str) -> None:
        url = f"{self._url}/v2/{repository}/manifests/{digest}"
        self._put(repository, tag, self._ask("GET", url, headers={"Accept": ACCEPT}).content, self.types[digest])

    def delete(self, repository: str, digest: str) -> None:
        self._ask("DELETE", f"{self._url}/v2/{repository}/manifests/{digest}")


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Pushed]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config.yml").write_text(CONFIG.format(storage=folder / "storage", port=port))
    quiet = subprocess.DEVNULL
    running = subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], env=ENVIRONMENT, stdout=quiet, stderr=quiet)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield Pushed(folder / "storage", f"http://127.0.0.1:{port}")
    finally:
        running.kill()
        running.wait()


def test_folders_that_root_makes_again_belong_to_whom_the_others_do(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "storage")
    registry.image("group/app", "one", "v1")
    loose = registry.blob("group/app", b"loose")
    subprocess.run(["chown", "-R", "12345:12345", str(tmp_path / "storage")], check=True)
    taken = unused.collectable(reader.read(registry.tree), untagged=False, now=time.time())
    run = trash.move(registry.tree, taken, tmp_path / "trash/run", now=time.time())
    remove(registry.path / "repositories/group")
    trash.restore(registry.tree, run)
    link = registry.path / Tree.layer("group/app", loose)
    made = [link, *(folder for folder in link.parents if registry.path in folder.parents)]
    assert {(folder.stat().st_uid, folder.stat().st_gid) for folder in made} == {(12345, 12345)}


def plain(registry: Registry) -> dict[str, Any]:
    """Names and bytes, without the uploads that every push leaves a folder of."""
    found = snapshot(registry.path)
    return {name: what[3:] for name, what in found.items() if "_uploads" not in name}


def its_own_tool(folder: Path) -> set[str]:
    argv = ["docker-registry", "garbage-collect", "--dry-run", str(folder / "config.yml")]
    done = subprocess.run(argv, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert "blobs marked" in done.stdout, done
    return set(re.findall(r"^blob eligible for deletion: (\S+)$", done.stdout, re.MULTILINE))


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_written_and_pushed_trees_are_the_same_and_so_is_what_is_unused(steps: Any) -> None:
    # The tool finds repositories by their folder _layers, and would take an index out of one that has none.
    steps = [*((name, ("blob", "first", None)) for name in REPOSITORIES), *steps]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        written = Registry(folder / "written")
        play(written, steps)
        with serving(folder) as pushed:
            play(pushed, steps)
            assert plain(pushed) == plain(written)
        found = reader.read(Tree(str(pushed.path)))
        assert not any(problem.holds for problem in found.problems)
        taken = unused.collectable(found, untagged=False, now=time.time())
        assert set(taken.blobs) == its_own_tool(folder)
