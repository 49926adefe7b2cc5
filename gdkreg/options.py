"""What a command line adds to gdk.yml."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Choice(msgspec.Struct, frozen=True):
    """Whose trust is kept. `usual`: of the engine in use, the runner and builders, without those of `less`; `more` are clients
    that were named."""

    usual: bool
    more: tuple[str, ...] = ()
    less: tuple[str, ...] = ()


class Options(msgspec.Struct, frozen=True):
    """What a command line adds to gdk.yml. `trust`, `runner`, `gdk` and `insecure` ask for what is otherwise only
    refreshed; `choice` takes the place of whose trust was asked for before."""

    take_over: bool = False
    keep_edits: bool = False
    trust: bool = False
    runner: Path | None = None
    gdk: bool = False
    insecure: bool = False
    pull_policy: str = ""
    renew: tuple[str, ...] = ()
    choice: Choice | None = None

    def also(self, **more: object) -> Options:
        """These options with some of them changed."""
        return msgspec.structs.replace(self, **more)
