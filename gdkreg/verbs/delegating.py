"""gc --engine registry: the registry's own garbage-collect, where the images lie in no folder here, or where one trusts it more.

It deletes at once and for good. On damage it loses data with exit code 0, and with -m it takes what an index or a subject needs:
so it runs only after the whole was looked through, and its summary counts, not its exit code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gdkreg.errors import GdkregError
from gdkreg.plan.actions import Control, Step
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.plan.preview import Preview
from gdkreg.registry.images import Images
from gdkreg.registry.remote import connect
from gdkreg.services import generation
from gdkreg.services.tracing import refuse_while_traced
from gdkreg.storage.graph import Graph
from gdkreg.verbs import storing
from gdkreg.verbs.collecting import around, carry_out
from gdkreg.verbs.root import Root

_SUMMARY = re.compile(r"(\d+) blobs marked, (\d+) blobs(?: and (\d+) manifests)? eligible for deletion")


def gc(root: Root, listener: Listener, *, untagged: bool, dry_run: bool) -> Outcome:
    """Raises `GdkregError` where it would lose something, or told of no end."""
    settings = root.set_up()
    services = root.services(settings)
    found: dict[str, int] = {}

    def plan(_: Preview) -> list[Step]:
        refuse_while_traced(root.path, root.host)
        if not services.runs("registry"):
            raise GdkregError("the registry does not run", why="its own garbage-collect runs beside it", fix="gdkreg start")
        _refuse_loss(root, untagged=untagged)
        words = "garbage-collect -m" if untagged else "garbage-collect"
        collect = Control(service="storage", verb="collect", reason=f"registry {words}: for good, nothing goes into the trash")
        return around(root, [Step("storage", collect)], stop=False)

    def collect(_: Control) -> str:
        runtime = services.registry.current()
        assert runtime is not None
        done = runtime.collect(root.host, ["-m"] if untagged else [])
        told = _SUMMARY.search(done.out + done.err)
        if told is None or done.code != 0:
            said = "\n".join((done.out + done.err).strip().splitlines()[-10:])
            raise GdkregError("garbage-collect did not come to its end", why=f"exit code {done.code}", details=said)
        marked, gone, manifests = (int(word or 0) for word in told.groups())
        found.update(marked=marked, deleted=gone, manifests=manifests)
        return told[0]

    outcome = carry_out(root, "gc", plan, {"collect": collect}, listener, run="", dry_run=dry_run)
    outcome.data |= {"engine": "registry", **found}
    return outcome


def _refuse_loss(root: Root, *, untagged: bool) -> None:
    """Raises `GdkregError` with what garbage-collect would lose."""
    graph = storing.graph_of(root)
    two = _is_two(root)
    losses = _losses(graph, untagged=untagged, two=two) if graph else _losses_elsewhere(root, untagged=untagged)
    first = next(losses, "")
    if first:
        fix = "gdkreg gc" if graph is not None else "gdkreg gc --engine registry, without --untagged"
        raise GdkregError("the registry's own garbage-collect would lose data", why=first, fix=fix)


def _is_two(root: Root) -> bool:
    return generation.of(root.services(root.set_up()).registry).generation == "2"


def _losses(graph: Graph, *, untagged: bool, two: bool) -> Iterator[str]:
    for problem in graph.problems:
        yield f"{problem.repository or 'the storage'}: {problem.what} ({problem.path})"
    for repository in graph.repositories.values() if two else ():
        if repository.revisions and not repository.linked:
            yield f"{repository.name}: it has no folder _layers, so Distribution 2.8 does not see that its manifests are used"
    for repository in graph.repositories.values() if untagged else ():
        for digest in repository.revisions:
            node = graph.manifests.get(digest)
            if node is not None and node.subject:
                yield f"{repository.name}: {digest} refers to {node.subject}, and -m takes what has no tag"
            if two and node is not None and node.kind == "index" and digest in repository.tags.values():
                yield f"{repository.name}: {digest} is an index, and Distribution 2.8 takes its images with -m"


def _losses_elsewhere(root: Root, *, untagged: bool) -> Iterator[str]:
    """Over the API, which shows tags alone: what these lead to has to be readable."""
    if untagged:
        yield "what has no tag cannot be looked through over the API"
    with connect(root.set_up(), root.host) as images:
        for repository in images.catalog():
            for tag in images.tags(repository):
                if problem := _unreadable(images, repository, tag):
                    yield f"{repository}:{tag}: {problem}"


def _unreadable(images: Images, repository: str, reference: str) -> str:
    try:
        manifest = images.manifest(repository, reference)
    except GdkregError as error:
        return error.what
    return next(filter(None, (_unreadable(images, repository, child.digest) for child in manifest.manifests)), "")
