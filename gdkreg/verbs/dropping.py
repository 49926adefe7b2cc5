"""rm REPOSITORY: its tags, its manifests and its name go into the trash at once; its layers wait for gc."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gdkreg.errors import GdkregError
from gdkreg.plan.actions import Control, Step
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.plan.preview import Preview
from gdkreg.services import storage
from gdkreg.services.tracing import refuse_while_traced
from gdkreg.storage import reader, trash, unused, usage
from gdkreg.units import counted, size
from gdkreg.verbs import storing
from gdkreg.verbs.collecting import around, carry_out
from gdkreg.verbs.root import Root


def drop(root: Root, names: Sequence[str], listener: Listener, *, dry_run: bool) -> Outcome:
    """Move these repositories into the trash, while the registry takes no writes. `gc restore RUN` brings one back."""
    place, now, run, settings = storing.tree(root), time.time(), storing.new_run(root), root.set_up()
    runs = {name: f"{run}-{number}" for number, name in enumerate(dict.fromkeys(names), 1)}
    freed: dict[str, int] = {}

    def plan(_: Preview) -> list[Step]:
        refuse_while_traced(root.path, root.host)
        graph = reader.read(place)
        steps = []
        for name, own_run in runs.items():
            if name not in graph.repositories:
                why = graph.problems[0].what if graph.held else ""
                raise GdkregError(f"there is no repository {name}", why=why, fix="sudo gdkreg rm" if why else "gdkreg catalog")
            freed[name] = usage.freed_by(graph, name, None).plain
            found = graph.repositories[name]
            tags = ", ".join(sorted(found.tags)[:10]) + (f" and {len(found.tags) - 10} more" if len(found.tags) > 10 else "")
            reason = f"{counted(len(found.tags), 'tag')}: {tags}; gc then frees {size(freed[name])}"
            steps.append(Step("storage", Control(service=name, verb="collect", reason=reason, after=own_run)))
        return around(root, steps, stop=False)

    def move(control: Control) -> str:
        name, folder = control.service, storing.trash(root) / control.after
        trash.move(place, unused.whole(reader.read(place), name), folder, now=now)
        gone = storage.forget(settings, root.host, name)
        return f"→ registry/trash/{control.after}" + ("" if gone else "; its name stays in the catalog")

    outcome = carry_out(root, "rm", plan, {"collect": move}, listener, run=run, dry_run=dry_run)
    outcome.data["frees"] = sum(freed.values())
    return outcome
