"""Who trusts the registry, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdkreg.report import out
from gdkreg.report.work import MARKS

if TYPE_CHECKING:
    from gdkreg.verbs.trusted import Trusted, Trusting

_SAID = {
    "current": "registry_host.crt",
    "other": "another certificate",
    "missing": "not there",
    "unread": "cannot be told",
}


def show(found: Trusted) -> None:
    if found.problem:
        out.line(found.problem)
        return
    out.table([_row(one) for one in found.stores])
    if found.absent:
        out.line(f"Not here: {', '.join(found.absent)}")


def _row(one: Trusting) -> list[str]:
    fine = one.state == "current" and not one.restart
    level = "ok" if fine else "warning" if one.chosen or one.state == "current" else "off"
    mark, color = MARKS[level]
    said = f"{_SAID[one.state]}{'; a restart is due' if one.restart else ''}{f' ({one.why})' if one.why else ''}"
    return [out.colored(mark, color), one.client, one.of, one.reads, f"{said}  → {one.fix}" if one.fix else said]
