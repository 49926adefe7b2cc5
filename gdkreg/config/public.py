"""Which values of a gdk.yml anybody may see."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import msgspec

from gdkreg.config.schema import GdkYml
from gdkreg.masking.public import DISTRIBUTION
from gdkreg.masking.structure import Rule, masked, paths

CONFIG = "registry.config"
_SECRET = {"registry.users.password", CONFIG}


@functools.cache
def rule() -> Rule:
    """Every key of the schema but the users' hashes; of registry.config what is public of Distribution's settings."""
    below = (f"{CONFIG}.{path}" for path in DISTRIBUTION.split())
    return paths(" ".join([*_leaves(GdkYml, ""), *below]))


def _leaves(block: type[msgspec.Struct], at: str) -> Iterator[str]:
    for field in msgspec.structs.fields(block):
        path, below = f"{at}{field.name}", _block(msgspec.inspect.type_info(field.type))
        if below is not None:
            yield from _leaves(below, f"{path}.")
        elif path not in _SECRET:
            yield path


def _block(found: msgspec.inspect.Type) -> type[msgspec.Struct] | None:
    """The block that a key holds, one or a list of them."""
    while isinstance(found, (msgspec.inspect.Metadata, msgspec.inspect.ListType)):
        found = found.type if isinstance(found, msgspec.inspect.Metadata) else found.item_type
    return found.cls if isinstance(found, msgspec.inspect.StructType) else None


def shown(key: str, value: Any) -> Any:
    """The value of a dotted key as anybody may see it."""
    return masked(value, rule(), at=tuple(key.split(".")))
