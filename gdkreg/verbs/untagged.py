"""What `rm` and `cleanup` take away is written down: a killed one is finished by the next command, and `undo` puts tags back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from gdkreg.errors import DamagedError, GdkregError
from gdkreg.host.base import digest as digest_of
from gdkreg.plan import state
from gdkreg.plan.actions import Control, Step
from gdkreg.plan.executor import msgspec_entry
from gdkreg.plan.journal import new_run
from gdkreg.plan.ledger import Entry
from gdkreg.plan.state import FOLDER

if TYPE_CHECKING:
    from gdkreg.registry.images import Images
    from gdkreg.registry.untagging import Removal
    from gdkreg.verbs.root import Root

_MARK = "untagging"
_LIMIT = 64 * 1024 * 1024  # bytes


class Gone(msgspec.Struct, frozen=True):
    """Tags of one manifest that were taken away, or were about to be."""

    repository: str
    tags: tuple[str, ...]
    digest: str


class Mark:
    """Stands in `.gdkreg/` while a run takes tags away."""

    def __init__(self, root: Root, command: str) -> None:
        self._root, self._command = root, command
        self._begun = False

    def begin(self, removals: Iterable[Removal]) -> None:
        """Before the first of them."""
        if self._begun:
            return
        content = msgspec.json.encode([Gone(item.repository, item.tags, item.digest) for item in removals])
        journal = self._root.journal
        journal.keep(content)
        entry = msgspec_entry(
            run=new_run(), seq=1, command=self._command, resource="tags", kind="tags", target="tags", before=digest_of(content)
        )
        journal.note(entry)
        state.write(self._root.host, self._root.path, _MARK, content)
        self._begun = True

    def end(self) -> None:
        """After the last one."""
        if self._begun:
            self._root.host.remove(self._root.path / FOLDER / _MARK, below=self._root.path)


def stands(root: Root) -> bool:
    """Whether a run broke off, and can be finished now."""
    try:
        _read(state.read(root.reader, root.path, _MARK, _LIMIT) or b"")
    except (DamagedError, msgspec.MsgspecError):  # there is none, or nothing can be learned from it
        return False
    return root.applied is not None and root.services(root.applied).registry.state().running


def finish(root: Root) -> str:
    """On Distribution 2.8 a tag may stand on the marker that was to be deleted next. Raises `GdkregError`."""
    from gdkreg.registry import untagging

    content = state.read(root.host, root.path, _MARK, _LIMIT) or b"[]"
    with _connected(root) as images:
        found = [
            f"{gone.repository}:{tag}"
            for gone in _read(content)
            for tag in gone.tags
            if untagging.finish(images, gone.repository, tag)
        ]
    root.host.remove(root.path / FOLDER / _MARK, below=root.path)
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")


def put_back(root: Root, entry: Entry) -> list[Step]:
    """What brings the tags of a run back: their manifests are there until `gc` collects them. Raises `GdkregError`."""
    with _connected(root) as images:
        missing = [
            (gone.repository, name, gone.digest)
            for gone in _read(root.journal.backup(entry.before))
            for name in gone.tags or (gone.digest,)
            if _is_gone(images, gone, name)
        ]
    contents = {digest: _content(root, digest) for _, _, digest in missing}
    missing.sort(key=lambda item: _depth(contents, item[2]))
    return [
        Step(
            "tags",
            Control(service=_joined(repository, name), verb="tag", reason=f"{digest[:19]}…, as before", after=digest),
            undoes=entry.key,
        )
        for repository, name, digest in missing
    ]


def _joined(repository: str, name: str) -> str:
    return f"{repository}{'@' if ':' in name else ':'}{name}"


def _is_gone(images: Images, gone: Gone, name: str) -> bool:
    from gdkreg.registry.untagging import half_gone

    now = images.head(gone.repository, name)
    if now is not None and now.digest != gone.digest:
        if half_gone(images, gone.repository, now.digest):
            return True
        what = f"{gone.repository}:{name}"
        raise GdkregError(f"{what} is another image by now", why=f"it was {gone.digest}", fix=f"gdkreg rm {what}")
    return now is None


def _depth(contents: dict[str, bytes], digest: str) -> int:
    """How deep an index reaches: a registry takes one only after its children."""
    from gdkreg.registry import manifests

    if digest not in contents:
        return 0
    return 1 + max((_depth(contents, child.digest) for child in manifests.parse(contents[digest]).manifests), default=0)


def tag(root: Root, control: Control) -> str:
    """Put one tag on the manifest that it was on. Raises `GdkregError`."""
    from gdkreg.registry import manifests
    from gdkreg.registry.names import parse

    reference = parse(control.service)
    repository, name = reference.repository, reference.name
    content = _content(root, control.after)
    with _connected(root) as images:
        images.put_manifest(repository, name, content, manifests.parse(content).media_type)
    return ""


def _content(root: Root, wanted: str) -> bytes:
    """A manifest's bytes, of the storage: the registry itself does not give out what was deleted."""
    from gdkreg.services.storage import blob

    content = blob(root.set_up(), root.host, wanted)
    if content is None:
        raise GdkregError(f"{wanted} is gone", why="it was collected since", fix="gdkreg gc restore, then gdkreg undo")
    return content


def _read(content: bytes) -> list[Gone]:
    return msgspec.json.decode(content, type=list[Gone])


def _connected(root: Root) -> Images:
    from gdkreg.registry.remote import connect

    return connect(root.set_up(), root.host)
