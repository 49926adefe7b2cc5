"""ci, export: what others have to be told of this registry, as text, and into a file where that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.exports import ci as pipelines
from gdkreg.exports import gitlab
from gdkreg.plan import reconcile
from gdkreg.plan.actions import Step
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.plan.preview import Preview
from gdkreg.verbs.root import Root
from gdkreg.verbs.work import SILENT, Work


class Text(msgspec.Struct, frozen=True):
    """What is to be told, and what has to be done here before it holds."""

    command: str
    content: str
    notes: list[str] = []


def ci(root: Root, kind: pipelines.Kind, **options: Any) -> Text:
    """A .gitlab-ci.yml; `options` are those of `exports.ci.render`."""
    settings = root.set_up()
    content = pipelines.render(kind, settings, root.host, **options)
    return Text(f"ci {kind}", content, [*_stale(root), *pipelines.notes(kind, settings)])


def export_gitlab(root: Root, form: Literal["gitlab-yml", "gitlab-rb"], domain: gitlab.Domain | None = None) -> Text:
    """GitLab's side. By itself Omnibus runs a registry of its own, so gdkreg's is an external one to it."""
    settings = root.set_up()
    wanted = domain or (gitlab.domain_of(settings) if form == "gitlab-yml" else "external")
    at = gitlab.place(settings, wanted, bundled=form == "gitlab-rb" and wanted != "external")
    if form == "gitlab-yml":
        content = gitlab.gitlab_yml(settings, root.host.platform.system, at)
    else:
        content = gitlab.gitlab_rb(settings, at)
    return Text(f"export {form}", content, [*_stale(root), *at.notes])


def export(root: Root, kind: Literal["nginx", "compose", "curl"]) -> Text:
    settings = root.set_up()
    if kind == "nginx":
        from gdkreg.exports import nginx

        return Text("export nginx", nginx.render(settings), [*_stale(root), *nginx.notes(settings)])
    if kind == "compose":
        return Text("export compose", _compose(root, settings), _stale(root))
    from gdkreg.exports import curl

    return Text("export curl", curl.render(settings), _stale(root))


def _compose(root: Root, settings: Settings) -> str:
    from gdkreg.exports import compose
    from gdkreg.services import launch

    made, platform = launch.build(settings, root.identity.id, root.host), root.host.platform
    user = f"{platform.uid if made.uid is None else made.uid}:{platform.gid if made.gid is None else made.gid}"
    return compose.render(settings, made, "0:0" if made.uid is None and root.engine.maps_root_to_user else user)


def _stale(root: Root) -> list[str]:
    return ["! gdk.yml says otherwise by now; this is what was applied\n    gdkreg reconfigure"] if root.unapplied() else []


def write(root: Root, text: Text, file: Path, listener: Listener = SILENT, *, dry_run: bool = False) -> Outcome:
    """Put it into a file, which is the user's from then on; `undo` gives back what stood there."""

    def plan(preview: Preview) -> list[Step]:
        return reconcile.plan([root.inventory().export_file(file, text.content.encode())], preview, present=True)

    outcome = Work(root, text.command, listener).carry_out(plan, dry_run=dry_run)
    outcome.notes += text.notes
    outcome.data["file"] = str(file)
    return outcome
