"""Which roots this user has: one file each in `~/.gdkreg-roots/`, with the root's id, its place, its key and its claims.

A `.gdkreg/` that came with a folder, from an archive or a repository, has no file there, so nothing in it is believed;
a root that was moved is found by its id; a copy is told from its original, which still stands where the file says.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import msgspec

from gdkreg.errors import DamagedError, GdkregError
from gdkreg.host.base import Host, HostReader
from gdkreg.host.files import SUFFIX, temporary
from gdkreg.plan import state

_LIMIT = 4096  # bytes
_ID = re.compile(r"[0-9a-f]{16}")


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What is written down of a root. `key` seals its journal; `alias` tells that its address was added by gdkreg, `made`
    are folders that another root made and left to this one, `former` the places where this root stood before."""

    id: str
    path: str
    key: str
    address: str = ""
    port: int = 0
    authority: str = ""
    alias: bool = False
    made: list[str] = []
    former: list[str] = []


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who a root is. `former` are the places where it stood before, `moved` tells that it was moved since the last run;
    `foreign` why the `.gdkreg/` here is not its own."""

    claim: Claim
    known: bool
    former: tuple[Path, ...] = ()
    moved: bool = False
    foreign: str = ""

    @property
    def id(self) -> str:
        return self.claim.id

    @property
    def key(self) -> bytes:
        return self.claim.key.encode()


def identify(root: Path, host: HostReader) -> Identity:
    """Raises `DamagedError` where the root's own file in the register is damaged."""
    written = _id_of(root, host)
    known = _read(host, written) if written else None
    if known is not None and known.path == str(root):
        return Identity(claim=known, known=True, former=_left(known, known.former, host))
    if known is not None and _id_of(Path(known.path), host) != written:
        return Identity(claim=known, known=True, former=_left(known, [*known.former, known.path], host), moved=True)
    at_path = next((claim for claim in claims(host) if claim.path == str(root)), None)
    if at_path is not None and not written:
        return Identity(claim=at_path, known=True, former=_left(at_path, at_path.former, host))
    fresh = _fresh(root)
    if known is not None:
        return Identity(claim=fresh, known=False, foreign=f"it is a copy of {known.path}'s")
    foreign = "it was not made by you on this machine" if host.entries(root / state.FOLDER) else ""
    return Identity(claim=fresh, known=False, foreign=foreign)


def _left(claim: Claim, places: list[str], host: HostReader) -> tuple[Path, ...]:
    """Those former places at which no other root stands by now."""
    taken = {other.path for other in claims(host) if other.id != claim.id and _id_of(Path(other.path), host) == other.id}
    return tuple(Path(place) for place in dict.fromkeys(places) if place not in taken)


def _fresh(root: Path) -> Claim:
    import secrets

    return Claim(id=secrets.token_hex(8), path=str(root), key=secrets.token_hex(32))


def _id_of(root: Path, host: HostReader) -> str:
    """The id that lies in a root's `.gdkreg/`; empty where there is none that can be read."""
    try:
        text = (state.read(host, root, "id", _LIMIT) or b"").decode("ascii", "replace").strip()
    except (GdkregError, OSError):
        return ""
    return text if _ID.fullmatch(text) else ""


def _read(host: HostReader, name: str) -> Claim | None:
    folder = host.platform.roots
    if host.info(folder) is None:
        return None
    path = folder / name
    raw = host.read_own(path, folder.parent, _LIMIT)
    if raw is None:
        return None
    try:
        found = msgspec.json.decode(raw, type=Claim)
    except ValueError as error:
        raise DamagedError(f"{path} is damaged", why=str(error)[:120], fix=f"rm {path}; then gdkreg down and gdkreg up") from None
    if found.id != name or not found.path.startswith("/") or len(found.key) < 32:
        raise DamagedError(f"{path} is damaged", why="it is not what gdkreg writes", fix=f"rm {path}")
    return found


def claims(host: HostReader) -> list[Claim]:
    """Every root that is written down; a damaged file hides only its own."""
    found = []
    for name in host.entries(host.platform.roots):
        with contextlib.suppress(DamagedError):
            if _ID.fullmatch(name) and (claim := _read(host, name)):
                found.append(claim)
    return found


def others(root: Path, host: HostReader) -> list[Claim]:
    """The other roots of this user that still stand where they are written down."""
    rest = [claim for claim in claims(host) if claim.path != str(root)]
    return [claim for claim in rest if claim.address and _id_of(Path(claim.path), host) == claim.id]


def write(host: Host, claim: Claim) -> None:
    """Write a root down, before anything else of it is made."""
    folder = host.platform.roots
    if host.info(folder) is None:
        host.make_folder(folder, mode=0o700)
    host.write(folder / claim.id, msgspec.json.encode(claim), mode=0o600, below=folder)
    for other in claims(host):
        if other.path == claim.path and other.id != claim.id:  # a root that stood here before, and is gone
            host.remove(folder / other.id, below=folder)


def hand_on(host: Host, root: Path, folders: list[Path]) -> None:
    """Leave folders that still hold something of another root to that one: the last to leave takes them away."""
    heirs = others(root, host)
    if folders and heirs:
        made = [*heirs[0].made, *(str(folder) for folder in folders)]
        write(host, msgspec.structs.replace(heirs[0], made=list(dict.fromkeys(made))))


def forget(host: Host, root: Path) -> None:
    """Strike a root out; with the last one the folder goes."""
    folder, known = host.platform.roots, claims(host)
    for claim in known:
        if claim.path == str(root):
            host.remove(folder / claim.id, below=folder)
    whose = {temporary(folder / claim.id).name for claim in known if claim.path != str(root)}
    for name in host.entries(folder):
        if name.endswith(SUFFIX) and name not in whose:  # a run that was killed left it
            host.remove(folder / name, below=folder)
    if host.info(folder) is not None:
        host.remove_folder(folder)
