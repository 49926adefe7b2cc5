"""This machine's clock against the registry's: a virtual machine's drifts while the laptop sleeps."""

from __future__ import annotations

import time

from gdkreg.verbs.checks.certificates import clock_fix
from gdkreg.verbs.checks.seen import Finding, Seen

_LEEWAY, _NOTABLE = 60, 15  # seconds: Distribution refuses a token that is further off; what is told before


def check(seen: Seen) -> list[Finding]:
    if seen.answer is None or not seen.answer.date:
        return []
    from email.utils import parsedate_to_datetime

    try:
        there = parsedate_to_datetime(seen.answer.date).timestamp()
    except (ValueError, TypeError):
        return []
    off = round(there - time.time())
    if abs(off) < _NOTABLE:
        return []
    text = f"the registry's clock is {abs(off)} s {'ahead' if off > 0 else 'behind'}"
    broken = abs(off) >= _LEEWAY
    why = "it refuses tokens as expired or not valid yet" if broken else f"from {_LEEWAY} s on it refuses tokens"
    return [Finding("error" if broken else "warning", text, why, _fix(seen))]


def _fix(seen: Seen) -> str:
    """Where the engine has a machine of its own, that one's clock is wrong."""
    restart = {"desktop": "restart Docker Desktop", "colima": "colima restart", "orbstack": "orb restart docker"}
    return restart.get(seen.engine.kind) or clock_fix(seen)
