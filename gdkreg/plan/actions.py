"""What can be done to a machine, as frozen values. Resources and services return them; only `executor.py` carries them out."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.host.base import HostReader

# Content that costs, is secret, or depends on an earlier action is made when it is written.
Content = bytes | Callable[[HostReader], bytes]
_PENDING = b"\0made when it is written: "


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
    """Remove a folder that is empty by then; one that is not stays. `whole`: gdkreg's own folder, with all that is
    in it, or what a program keeps for itself in a folder that is ours."""

    path: Path
    reason: str
    as_root: bool = False
    whole: bool = False


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """What a command changes, for the journal: never how. `before` and `after` are words of the kind:

    address: the interface, or "" where there is none; unit: "enabled" or "", by the link that says so;
    owner: "uid:gid"; link: where a symlink leads; store: the digest of a certificate that another program keeps, or "".
    """

    kind: Literal["address", "unit", "owner", "link", "store"]
    target: str
    before: str
    after: str


class RunCommand(msgspec.Struct, frozen=True, kw_only=True):
    """Run a command as an explicit argv; `fact` is what it changes. `otherwise` is run where it fails; with `may_fail` a
    failure means that there was nothing to do. `feed` is a file that it reads on stdin, as it is by then."""

    argv: tuple[str, ...]
    fact: Fact
    reason: str
    stdin: str = ""
    feed: Path | None = None
    as_root: bool = False
    otherwise: RunCommand | None = None
    may_fail: bool = False


ServiceVerb = Literal[
    "pull", "start", "resume", "recreate", "stop", "remove", "prove", "hold", "release", "watch", "let go", "reload"
]
ImageVerb = Literal["untag", "tag", "collect", "restore", "roll back", "empty", "copy"]


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """Something that runs, or that another program keeps for us. `services/`, `registry/` and `storage/` know how.

    `service` names it: a service, a registry that a client is logged in to, an image REPOSITORY:TAG, a run of the collection.
    `before` and `after` are the states "running", "stopped" and "" (not there) of a service, "in" and "" of a login, digests of
    a tag, "" and the run of what a collection moved; of a reload what the engine is to give up and to take. `removes` is a file
    that goes with it.
    """

    service: str
    verb: ServiceVerb | ImageVerb | Literal["login", "logout"]
    reason: str
    before: str = ""
    after: str = ""
    removes: Path | None = None
    as_root: bool = False


class ForgetFile(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is done to the machine: a file that we wrote is no longer ours to give back."""

    path: Path
    reason: str
    as_root: bool = False


class ForgetFact(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is done to the machine: what a command of ours made is gone without us, and `fact` says so."""

    fact: Fact
    reason: str
    as_root: bool = False


class Leave(msgspec.Struct, frozen=True, kw_only=True):
    """Something of ours that cannot be taken back now, and the way out; a later run takes it up again."""

    target: str
    reason: str
    fix: str
    details: str = ""
    as_root: bool = False


class SetAside(msgspec.Struct, frozen=True, kw_only=True):
    """Rename a `.gdkreg/` that is another root's, so that this one can have its own."""

    path: Path
    to: Path
    reason: str
    as_root: bool = False


Action = WriteFile | RemoveFile | MakeFolder | RemoveFolder | RunCommand | Control | ForgetFile | ForgetFact | Leave | SetAside


class Step(msgspec.Struct, frozen=True):
    """One planned action of one resource or service; `undoes` names the change that it takes back."""

    resource: str
    action: Action
    undoes: str = ""


def pending(path: Path) -> bytes:
    """Stands for content that is not made yet: equal to nothing that a file can hold."""
    return _PENDING + str(path).encode()


def is_pending(content: bytes | None) -> bool:
    return content is not None and content.startswith(_PENDING)


def target(action: Action) -> str:
    if isinstance(action, (RunCommand, ForgetFact)):
        return f"{action.fact.kind} {action.fact.target}"
    if isinstance(action, Control):
        return action.service
    return action.target if isinstance(action, Leave) else str(action.path)


def sentence(action: Action) -> str:
    """One line for a person: what is done, and why."""
    verb = {
        WriteFile: "write",
        RemoveFile: "remove",
        MakeFolder: "make folder",
        RemoveFolder: "remove folder",
        ForgetFile: "forget",
        ForgetFact: "forget",
        Leave: "leave",
        SetAside: "set aside",
    }
    if isinstance(action, RunCommand):
        return f"run {shown(action)}  ({action.reason})"
    if isinstance(action, Control):
        return f"{action.verb} {action.service}  ({action.reason})"
    what = "replace" if isinstance(action, WriteFile) and action.before is not None else verb[type(action)]
    return f"{what} {target(action)}  ({action.reason})"


def shown(action: RunCommand) -> str:
    """The command as one would type it."""
    text = shlex.join(action.argv)
    if action.stdin:
        text += " <<< " + shlex.quote("; ".join(action.stdin.splitlines()))
    return f"{text} < {shlex.quote(str(action.feed))}" if action.feed else text


def left(error: GdkregError, target: str) -> Leave:
    """What cannot be planned now, as the action that leaves it."""
    return Leave(
        target=target, reason=f"{error.what}: {error.why}" if error.why else error.what, fix=error.fix, details=error.details
    )


def by_hand(action: Action, laid_ready: Path) -> str:
    """The command that does the same with sudo; `laid_ready` is a file that holds the content to write."""
    if isinstance(action, WriteFile):
        if action.before is not None:
            return f"sudo cp {shlex.quote(str(laid_ready))} {shlex.quote(str(action.path))}"
        owner = f" -o {action.owner[0]} -g {action.owner[1]}" if action.owner else ""
        return f"sudo install -m {action.mode:o}{owner} {shlex.quote(str(laid_ready))} {shlex.quote(str(action.path))}"
    if isinstance(action, MakeFolder):
        return f"sudo install -d -m {action.mode:o} {shlex.quote(str(action.path))}"
    if isinstance(action, RemoveFolder):
        return f"sudo rmdir {shlex.quote(str(action.path))}"
    if isinstance(action, RunCommand) and action.stdin:
        lines = " ".join(shlex.quote(line) for line in action.stdin.splitlines())
        return f"printf '%s\\n' {lines} | sudo {shlex.join(action.argv)}"
    return f"sudo {shown(action)}" if isinstance(action, RunCommand) else f"sudo rm {shlex.quote(target(action))}"
