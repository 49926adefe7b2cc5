"""When an image was made, as it tells itself."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

from gdkreg.errors import GdkregError
from gdkreg.registry.images import Images
from gdkreg.registry.manifests import Manifest

_ANNOTATION = "org.opencontainers.image.created"
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_MOST_CHILDREN = 64


def of(images: Images, repository: str, manifest: Manifest) -> float | None:
    """Seconds since 1970, of an index the newest of its images; None where none of it tells."""
    if manifest.kind != "index":
        told = manifest.annotations.get(_ANNOTATION)
        return moment(told) if told else told_by(images.config(repository, manifest))
    made = []
    for child in manifest.manifests[:_MOST_CHILDREN]:
        try:
            found = images.manifest(repository, child.digest)
        except GdkregError:  # a child that is not there, or no manifest, tells nothing
            continue
        if found.kind != "index":
            made.append(of(images, repository, found))
    return max((item for item in made if item is not None), default=None)


def told_by(config: Mapping[str, Any]) -> float | None:
    """Of an image's configuration."""
    told = config.get("created")
    return moment(told) if isinstance(told, str) else None


def moment(text: str) -> float | None:
    """RFC 3339, with as many digits of a second as Go writes; None for what is none, and for Go's year 1, which is no time."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    try:
        made = datetime.datetime.fromisoformat(found[1].upper() + found[2].upper().replace("Z", "+00:00"))
    except ValueError:
        return None
    return made.timestamp() if made.year > 1 else None
