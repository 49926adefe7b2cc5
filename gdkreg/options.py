"""What a command line adds to gdk.yml."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Options(msgspec.Struct, frozen=True):
    """What a command line adds to gdk.yml. `trust`, `runner`, `gdk` and `insecure` ask for what is otherwise only refreshed."""

    take_over: bool = False
    keep_edits: bool = False
    trust: bool = False
    runner: Path | None = None
    gdk: bool = False
    insecure: bool = False
    pull_policy: str = ""
    renew: tuple[str, ...] = ()

    def also(self, **more: object) -> Options:
        """These options with some of them changed."""
        return msgspec.structs.replace(self, **more)
