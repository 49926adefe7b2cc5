"""The same for what changes the registry's content: whatever breaks off, every image pulls afterwards and pushes are taken."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections import Counter

from gdkreg.storage import reader
from gdkreg.storage.layout import Tree
from tests.e2e.box import Box
from tests.e2e.pushing import push
from tests.faults.points import CHANGING, GDK_YML, Scenario

TREE = "registry/storage/docker/registry/v2"
_RM = ("rm", "a:old", "--yes")
SCENARIOS = [
    Scenario("gc", ("gc", "--untagged", "--yes"), (_RM,)),
    Scenario("gc --stop", ("gc", "--stop", "--yes"), (_RM,)),
    Scenario("gc restore", ("gc", "restore", "--yes"), (_RM, ("gc", "--untagged", "--yes"))),
    Scenario("gc empty", ("gc", "empty", "--yes"), (_RM, ("gc", "--untagged", "--yes"))),
    Scenario("rm of a tag", ("rm", "a:both", "--yes")),
    Scenario("rm of a repository", ("rm", "a/b", "--yes")),
    Scenario("readonly", ("readonly", "on")),
]


class Rig:
    """A registry with a few images, in a box in which one scenario is played again and again."""

    def __init__(self, box: Box, scenario: Scenario) -> None:
        self.box, self.scenario = box, scenario
        self._trace = box.folder / "trace"
        (box.root / "gdk.yml").write_text(GDK_YML)
        box.ok("up", "--yes")
        self.digests = push(
            box,
            {"name": "one", "repository": "a", "tags": ["v1", "both"], "layers": ["base", "one"]},
            {"name": "old", "repository": "a", "tags": ["old"], "layers": ["base", "old"]},
            {"name": "index", "repository": "a", "tags": ["index"], "children": ["one"]},
            {"name": "sbom", "repository": "a", "layers": ["sbom"], "subject": "old"},
            {"name": "inner", "repository": "a/b", "tags": ["x"], "layers": ["base", "inner"]},
        )
        for command in scenario.before:
            box.ok(*command)
        box.ok("stop")
        self._kept = box.folder / "kept"
        shutil.copytree(box.root, self._kept, symlinks=True)
        self._registry = box.folder / "registered"
        shutil.copytree(box.home / ".gdkreg-roots", self._registry, symlinks=True)

    def prepare(self) -> None:
        box = self.box
        script = """
for p in /proc/[0-9]*; do
  tr "\\0" " " < $p/cmdline 2>/dev/null | grep -qE "[i]ssuer.serve|registry/[c]onfig.yml" && kill -9 ${p#/proc/}
done
"""
        box.run("sh", "-c", script)
        for place, kept in ((box.root, self._kept), (box.home / ".gdkreg-roots", self._registry)):
            shutil.rmtree(place)
            shutil.copytree(kept, place, symlinks=True)
        box.ok("start")

    def _strace(self, *options: str) -> int:
        argv = ["strace", "-qq", "-o", str(self._trace), *options, sys.executable, "-B", "-m", "gdkreg", *self.scenario.command]
        return self.box.run(*argv).code

    def points(self) -> list[tuple[str, int]]:
        self.prepare()
        assert self._strace("-e", f"trace={CHANGING}") == 0
        counted = Counter(re.findall(r"^(\w+)\(", self._trace.read_text(), re.MULTILINE))
        return [(name, number) for name, count in sorted(counted.items()) for number in range(1, count + 1)]

    def play(self, fault: str, call: str, number: int) -> str:
        """One point; what is wrong after the next command, empty where nothing is."""
        self.prepare()
        before = self._blobs()
        self._strace("-e", f"trace={CHANGING}", "-e", f"inject={call}:{fault}:when={number}")
        # An error is put right by the command that met it, a kill by the next one.
        done = self.box.gdkreg(*(("start",), ("reconfigure",), ("gc", "--yes"))[number % 3])
        if done.code != 0:
            return f"the next command: {done}"
        return self._wrong(before)

    def _blobs(self) -> set[str]:
        """By digest, wherever they lie."""
        return {
            path.name for top in (TREE, "registry/trash") for path in (self.box.root / top).rglob("*") if len(path.name) == 64
        }

    def _wrong(self, before: set[str]) -> str:
        box = self.box
        if (box.root / ".gdkreg/collecting").exists() or (box.root / ".gdkreg/untagging").exists():
            return "it is not finished"
        states = [json.loads(path.read_text())["state"] for path in (box.root / "registry/trash").glob("*/run.json")]
        if set(states) - {"done"}:
            return f"the trash is left {states}"
        if self.scenario.command[:2] != ("gc", "empty") and before - self._blobs():
            return f"lost: {before - self._blobs()}"
        graph = reader.read(Tree(str(box.root / TREE)))
        if graph.problems:
            return f"damaged: {graph.problems}"
        return self._tags(graph.repositories["a"].tags) or self._takes_pushes()

    def _tags(self, tags: dict[str, str]) -> str:
        wanted = {"v1": "one", "both": "one", "index": "index"}
        if self.scenario.command[0] == "rm":
            wanted.pop("both")  # it may be gone or there
        found = {tag: tags.get(tag) for tag in wanted}
        return "" if found == {tag: self.digests[name] for tag, name in wanted.items()} else f"tags: {tags}"

    def _takes_pushes(self) -> str:
        if self.scenario.command[0] == "readonly":
            self.box.ok("start")  # it may have died between stopping and starting, as any restart
            self.box.ok("readonly", "off")
        try:
            push(self.box, {"name": "late", "repository": "late", "tags": [f"t{os.getpid()}"], "layers": ["base", "late"]})
        except AssertionError as error:
            return f"no push: {str(error)[-300:]}"
        return ""
