"""verify, as a verb and as the last step of `up`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gdkreg.config.effective import Settings
from gdkreg.errors import GdkregError
from gdkreg.plan.actions import Control
from gdkreg.plan.outcome import Listener
from gdkreg.verbs.root import Root

if TYPE_CHECKING:
    from gdkreg.proof.chain import Hop


def control(settings: Settings) -> Control:
    """The step that proves it."""
    return Control(service=settings.authority, verb="prove", reason="push, pull and delete a small image, with no engine")


def verify(root: Root, client: str, listener: Listener, passing: Callable[[str], None] = lambda _: None) -> dict[str, list[Hop]]:
    """The hops of each client, told as they are found; up to the first broken one each. `client` may be "all"."""
    from gdkreg.proof import clients
    from gdkreg.proof.chain import Chain

    root.set_up()
    settings = root.in_force
    assert settings is not None
    results: dict[str, list[Hop]] = {}
    for name in clients.KINDS if client == "all" else [client]:
        results[name] = []
        for hop in Chain(settings, root.host, clients.make(name, settings, root.host)).run(passing):
            results[name].append(hop)
            listener.hop(name, hop)
    return results


def prove(root: Root, hops: dict[str, Any], listener: Listener) -> str:
    """The proof with no engine at all. Raises `GdkregError` where it fails."""
    root.read_again()
    found = verify(root, "http", listener)
    hops |= found
    for hop in found["http"]:
        if hop.verdict == "broken":
            what = f"the registry is up, but the proof failed at {hop.name}: {hop.detail}"
            raise GdkregError(what, fix=hop.remedy or "gdkreg verify")
    return f"{len(found['http'])} hops"
