"""Whether the registry can store anything in its folder."""

from __future__ import annotations

import os
from pathlib import Path

from gdkreg.config.settings import Settings
from gdkreg.errors import GdkregError
from gdkreg.host.base import HostReader


def problem(settings: Settings, host: HostReader) -> GdkregError | None:
    """Why the registry could not store anything in its folder; None where it could."""
    storage = settings.root / "registry" / "storage"
    given = settings.registry.config.get("storage")
    if isinstance(given, dict) and set(given) - {"cache", "delete", "maintenance", "redirect", "tag", "filesystem"}:
        return None  # another storage driver
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
