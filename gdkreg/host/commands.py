"""Running commands, and the few that run as root. `subprocess` is imported late: most commands run none."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from gdkreg.errors import GdkregError, NeedsRootError
from gdkreg.host.base import Completed

# A user's locale must not change what we parse.
_LOCALE = {"LC_ALL": "C", "LANGUAGE": "C"}


def run(
    argv: Sequence[str], *, stdin: bytes = b"", env: Mapping[str, str] | None = None, within: float | None = None
) -> Completed:
    """Run to the end and take what it printed; never through a shell."""
    import subprocess

    try:
        done = subprocess.run(
            list(argv), input=stdin, capture_output=True, env={**(env or os.environ), **_LOCALE}, check=False, timeout=within
        )
    except subprocess.TimeoutExpired:
        return Completed(124, "", f"{argv[0]}: no answer within {within:.0f} s")
    except FileNotFoundError:
        return Completed(127, "", f"{argv[0]}: command not found")
    except PermissionError:
        return Completed(126, "", f"{argv[0]}: permission denied")
    return Completed(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def run_attached(argv: Sequence[str]) -> int:
    """Run a user's own command on the user's own terminal; its exit code. Raises `GdkregError` where it cannot be run."""
    import subprocess

    try:
        return subprocess.run(list(argv), check=False).returncode
    except OSError as error:
        raise GdkregError(f"cannot run {argv[0]}", why=error.strerror or str(error)) from None


def run_as_root(argv: Sequence[str], *, stdin: bytes = b"") -> Completed:
    """Run one command through sudo; it asks for a password only where somebody can type it.

    Raises `NeedsRootError` where sudo is missing or says no.
    """
    if os.geteuid() == 0:
        return run(argv, stdin=stdin)
    _authenticate()
    return run(["sudo", "-n", *argv], stdin=stdin)


def read_as_root(path: str) -> bytes:
    """A file that only root may read. Raises `NeedsRootError` as above, `OSError` where cat fails."""
    import subprocess

    _authenticate()
    done = subprocess.run(["sudo", "-n", "cat", path], capture_output=True, check=False)
    if done.returncode != 0:
        raise OSError(done.stderr.decode(errors="replace").strip())
    return done.stdout


def _authenticate() -> None:
    """Ask for the password first and on the terminal, so that a later sudo can take its content on stdin."""
    import subprocess

    if run(["sudo", "-n", "true"]).code == 0:
        return
    on_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    try:
        if on_terminal and subprocess.run(["sudo", "-v"], check=False).returncode == 0:
            return
    except FileNotFoundError:
        raise NeedsRootError("this step needs root", why="there is no sudo on this machine") from None
    why = "sudo refused" if on_terminal else "sudo wants a password and there is no terminal to ask on"
    raise NeedsRootError("this step needs root", why=why)
