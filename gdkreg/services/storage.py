"""The registry's folder: whether it can store anything there, and the names of repositories in it."""

from __future__ import annotations

import os
from pathlib import Path

from gdkreg.config.effective import Settings
from gdkreg.errors import GdkregError
from gdkreg.host.base import Host, HostReader

_OWN = ("_layers", "_manifests", "_uploads")  # a repository's folders; any other one in it is another repository


def _is_a_folder(settings: Settings) -> bool:
    """Whether it is the folder beside gdk.yml, and no other storage driver's."""
    given = settings.registry.config.get("storage")
    return not isinstance(given, dict) or not set(given) - {"cache", "delete", "maintenance", "redirect", "tag", "filesystem"}


def forget(settings: Settings, host: Host, repository: str) -> bool:
    """Take the name of an emptied repository out of the catalog, which is a walk over these folders; False where it stays."""
    place = tree(settings)
    if place is None:
        return False
    folder_of_all = place / "repositories"
    folder = folder_of_all / repository
    if host.info(folder) is None:
        return False
    if host.entries(folder / "_manifests/tags") or host.entries(folder / "_uploads"):
        return False  # somebody else is at work in it
    try:
        for name in _OWN:
            if host.info(folder / name) is not None:
                host.remove_tree(folder / name)
        above = [parent for parent in folder.parents if parent.is_relative_to(folder_of_all) and parent != folder_of_all]
        for empty in (folder, *above):
            if not host.remove_folder(empty):
                break  # another repository lies in it
        return True
    except GdkregError:
        return False


def tree(settings: Settings) -> Path | None:
    """Where Distribution's tree lies; None where the storage is no folder of ours."""
    return settings.root / "registry/storage/docker/registry/v2" if _is_a_folder(settings) else None


def room(settings: Settings) -> tuple[int, int | None] | None:
    """The bytes that are free for the storage, and how many files (None where the file system does not count them); None
    where that cannot be told."""
    for folder in (settings.root / "registry" / "storage", settings.root):
        try:
            found = os.statvfs(folder)
        except OSError:
            continue
        return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None
    return None


def blob(settings: Settings, host: HostReader, digest: str) -> bytes | None:
    """A small blob's bytes; None where it is not there, or the storage is no folder."""
    place, (algorithm, _, digits) = tree(settings), digest.partition(":")
    return host.read(place / f"blobs/{algorithm}/{digits[:2]}/{digits}/data") if place else None


def problem(settings: Settings, host: HostReader) -> GdkregError | None:
    """Why the registry could not store anything in its folder; None where it could."""
    storage = settings.root / "registry" / "storage"
    if not _is_a_folder(settings):
        return None
    info = host.info(storage)
    if info is None:
        return GdkregError(f"{storage} is missing", fix="gdkreg reconfigure")
    real = Path(os.path.realpath(storage))
    if not real.exists():
        return None  # the plan makes it
    wanted = host.platform.uid if settings.registry.uid == "" else int(settings.registry.uid)
    if wanted == host.platform.uid:
        writable = os.access(real, os.W_OK | os.X_OK)
    else:
        found = info if info.kind != "symlink" else host.info(real)
        writable = found is not None and found.uid == wanted and found.mode & 0o300 == 0o300
    if writable:
        return None
    return GdkregError(
        f"{storage} is not writable for user {wanted}",
        why="every push would fail",
        fix=f"sudo chown -R {wanted} {real}; chmod u+rwx {real}",
    )
