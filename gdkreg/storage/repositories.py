"""Reading the folders of repositories: tags, revisions, links and uploads, and what is damaged in them."""

from __future__ import annotations

import os
from collections.abc import Iterator

from gdkreg.storage.layout import Holds, Problem, Repository, Tree

_OWN = {"_layers", "_manifests", "_uploads"}


def read(tree: Tree, problems: list[Problem]) -> Iterator[Repository]:
    """Every repository, in the order of their names' parts. `a/b/c` lies in the folder of `a/b`."""

    def tell(what: str, path: str, holds: Holds) -> None:
        problems.append(Problem("", what, path, holds))

    waiting = [("repositories", "")]
    while waiting:
        place, name = waiting.pop()
        found = tree.folders(place, tell, "everything") or []
        own = _OWN.intersection(found)
        if own and name:
            yield _Reader(tree, name, problems).repository(own)
        deeper = sorted((item for item in found if not item.startswith("_")), reverse=True)
        waiting += [(f"{place}/{item}", f"{name}/{item}" if name else item) for item in deeper]


class _Reader:
    """Reads one repository."""

    def __init__(self, tree: Tree, name: str, problems: list[Problem]) -> None:
        self._tree, self._problems = tree, problems
        self._found = Repository(name)
        self._place = f"repositories/{name}"

    def _tell(self, what: str, path: str, holds: Holds) -> None:
        self._problems.append(Problem(self._found.name, what, path, holds))
        self._found.held |= bool(holds)

    def repository(self, own: set[str]) -> Repository:
        found, tree = self._found, self._tree
        found.linked = "_layers" in own
        if found.linked:
            found.layers = tree.digests(f"{self._place}/_layers", self._tell, "everything") or []
        if "_manifests" in own:
            self._manifests()
        if "_uploads" in own:
            found.uploads = tree.uploads(found.name, self._tell)
        return found

    def _manifests(self) -> None:
        place = f"{self._place}/_manifests"
        inside = self._tree.folders(place, self._tell, "everything") or []
        if "revisions" in inside:
            for digest in self._tree.digests(f"{place}/revisions", self._tell, "everything") or ():
                self._revision(digest)
        if "tags" in inside:
            for tag in self._tree.folders(f"{place}/tags", self._tell, "repository") or ():
                self._tag(tag)
        elif self._found.revisions:
            self._tell("it has manifests and no folder of tags: all pushed by digest, or its tags are lost", place, "repository")
        if self._found.tags and "revisions" not in inside:
            self._tell("it has tags and no folder of revisions", place, "everything")

    def _revision(self, digest: str) -> None:
        found = self._found
        place = f"{self._tree.revision(found.name, digest)}/link"
        try:
            told = self._tree.link(place)
        except FileNotFoundError:
            found.unlinked.add(digest)
            return
        except OSError as error:
            told = ""
            self._tell(f"the link of a manifest cannot be read: {os.strerror(error.errno or 0)}", place, "repository")
        else:
            if told == digest:
                found.revisions.add(digest)
                return
            self._tell("the link of a manifest tells something else than its folder", place, "repository")
        found.unlinked.add(digest)
        found.doubtful |= {told} if told else set()

    def _tag(self, tag: str) -> None:
        place = self._tree.tag(self._found.name, tag)
        inside = self._tree.folders(place, self._tell, "repository") or []
        told, why = "", "is missing"
        if "current" in inside:
            try:
                told, why = self._tree.link(f"{place}/current/link"), "is no digest"
            except FileNotFoundError:
                pass
            except OSError as error:
                why = f"cannot be read: {os.strerror(error.errno or 0)}"
        if told:
            self._found.tags[tag] = told
            return
        self._tell(f"the link of tag {tag} {why}", f"{place}/current/link", "repository")
        if "index" in inside:  # it tells what the tag has been on
            self._found.doubtful.update(self._tree.digests(f"{place}/index", self._tell, "repository") or ())
