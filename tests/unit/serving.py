"""The issuer's server in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from gdkreg.issuer.serve import Server


@contextmanager
def serving(made: Server) -> Iterator[Server]:
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    while not made.started:
        time.sleep(0.01)
    yield made
    made.should_exit = True
    thread.join(5)
