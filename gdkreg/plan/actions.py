"""What can be done to a machine, as frozen values. A resource returns them; only `executor.py` carries them out."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import msgspec

from gdkreg.host.base import HostReader

# Content that costs, is secret, or depends on an earlier action is made when it is written.
Content = bytes | Callable[[HostReader], bytes]


class WriteFile(msgspec.Struct, frozen=True, kw_only=True):
    """Make a file or replace it whole. `before` is what the plan saw there (None: no file).

    With `release` the file is the user's again from here on, whatever stood there before us. `preview`
    stands in a diff for content that is not made yet; `blind` is set where the plan could not read the file.
    """

    path: Path
    content: Content
    reason: str
    before: bytes | None
    mode: int = 0o644
    owner: tuple[int, int] | None = None
    as_root: bool = False
    secret: bool = False
    release: bool = False
    preview: bytes | None = None
    blind: bool = False


class RemoveFile(msgspec.Struct, frozen=True, kw_only=True):
    path: Path
    reason: str
    before: bytes | None
    as_root: bool = False
    secret: bool = False


class MakeFolder(msgspec.Struct, frozen=True, kw_only=True):
    path: Path
    reason: str
    mode: int = 0o755
    owner: tuple[int, int] | None = None
    as_root: bool = False


class RemoveFolder(msgspec.Struct, frozen=True, kw_only=True):
    """Remove a folder that is empty by then; one that is not stays."""

    path: Path
    reason: str
    as_root: bool = False


class RunCommand(msgspec.Struct, frozen=True, kw_only=True):
    """Run a command as an explicit argv. `undo` takes it back; `otherwise` is run where it
    fails; with `may_fail` a failure means that there was nothing to do.

    `removes` is set where it takes away what an earlier command made. `target` names what it
    changes, for the journal and the report.
    """

    argv: tuple[str, ...]
    target: str
    reason: str
    undo: tuple[str, ...] = ()
    stdin: str = ""
    as_root: bool = False
    otherwise: RunCommand | None = None
    removes: bool = False
    may_fail: bool = False


class ForgetFile(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is done to the machine: a file that we wrote is no longer ours to give back."""

    path: Path
    reason: str
    as_root: bool = False


Action = WriteFile | RemoveFile | MakeFolder | RemoveFolder | RunCommand | ForgetFile


def target(action: Action) -> str:
    return action.target if isinstance(action, RunCommand) else str(action.path)


def sentence(action: Action) -> str:
    """One line for a person: what is done, and why."""
    verb = {
        WriteFile: "write",
        RemoveFile: "remove",
        MakeFolder: "make folder",
        RemoveFolder: "remove folder",
        ForgetFile: "forget",
    }
    if isinstance(action, RunCommand):
        return f"run {shown(action)}  ({action.reason})"
    what = "replace" if isinstance(action, WriteFile) and action.before is not None else verb[type(action)]
    return f"{what} {action.path}  ({action.reason})"


def shown(action: RunCommand) -> str:
    """The command as one would type it."""
    text = shlex.join(action.argv)
    if action.stdin:
        text += " <<< " + shlex.quote("; ".join(action.stdin.splitlines()))
    return text


def by_hand(action: Action, pending: Path) -> str:
    """The command that does the same with sudo; `pending` is a file that holds the content to write."""
    if isinstance(action, WriteFile):
        if action.before is not None:
            return f"sudo cp {shlex.quote(str(pending))} {shlex.quote(str(action.path))}"
        owner = f" -o {action.owner[0]} -g {action.owner[1]}" if action.owner else ""
        return f"sudo install -m {action.mode:o}{owner} {shlex.quote(str(pending))} {shlex.quote(str(action.path))}"
    if isinstance(action, (RemoveFile, ForgetFile)):
        return f"sudo rm {shlex.quote(str(action.path))}"
    if isinstance(action, MakeFolder):
        return f"sudo install -d -m {action.mode:o} {shlex.quote(str(action.path))}"
    if isinstance(action, RemoveFolder):
        return f"sudo rmdir {shlex.quote(str(action.path))}"
    if action.stdin:
        return (
            f"printf '%s\\n' {' '.join(shlex.quote(line) for line in action.stdin.splitlines())} | sudo {shlex.join(action.argv)}"
        )
    return f"sudo {shlex.join(action.argv)}"
