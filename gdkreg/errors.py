"""The one error type. It is raised anywhere and shown once, in `cli/app.py`."""

from __future__ import annotations

from typing import Any

FAILED, BAD_CONFIG, CHANGES, NEEDS_ROOT = 1, 2, 3, 4


class GdkregError(Exception):
    """Something a person has to know: what happened, why, and the one command that helps.

    `details` are further lines shown as they are (a diff, the last lines of a log). `outcome` is what a verb had
    done by then (`plan.outcome.Outcome`), where it had begun. What another program said may stand in any of them: secrets
    in it are masked here, so that no error can bring them out.
    """

    exit_code = FAILED

    def __init__(self, what: str, *, why: str = "", fix: str = "", details: str = "") -> None:
        from gdkreg.masking.text import known_free, prose

        super().__init__(prose(what))
        self.what, self.why, self.details = prose(what), prose(why), prose(details)
        self.fix = known_free(fix)
        self.outcome: Any = None

    def as_data(self) -> dict[str, str]:
        """As `--json` tells it."""
        return {"what": self.what, "why": self.why, "fix": self.fix, "details": self.details}


class ConfigError(GdkregError):
    """gdk.yml, or the command line, says something that cannot be meant. Nothing was touched."""

    exit_code = BAD_CONFIG


class NeedsRootError(GdkregError):
    """A step needs root and it was refused. `details` holds the commands to run by hand."""

    exit_code = NEEDS_ROOT


class DamagedError(GdkregError):
    """A file of gdkreg's own is not as gdkreg writes it. Nothing in it is used."""
