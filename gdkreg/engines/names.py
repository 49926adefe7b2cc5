"""Go programs, the engine too, remember /etc/hosts for 5 seconds: a name that is new there is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
MEMORY = 6.0  # seconds, a little over what Go's resolver keeps


def patiently(attempt: Callable[[], Result], said: Callable[[Result], str]) -> Result:
    """Try again while what is `said` of the result is that the name cannot be looked up."""
    deadline = time.monotonic() + MEMORY
    while True:
        result = attempt()
        text = said(result)
        unknown = "no such host" in text or "lookup " in text
        if not unknown or time.monotonic() > deadline:
            return result
        time.sleep(0.3)
