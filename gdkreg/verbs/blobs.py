"""blob: one blob into a file, checked; never half of it under its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from gdkreg.errors import ConfigError, GdkregError
from gdkreg.host import files, parts
from gdkreg.registry.images import ChangedError, Images
from gdkreg.registry.names import Reference
from gdkreg.registry.reading import PIECE, Reading

Progress = Callable[[int, int | None], None]  # bytes so far, and of the whole where that is known


class Saved(msgspec.Struct, frozen=True):
    """`resumed_at` is how many of its bytes were here already, of a run that was interrupted."""

    file: str
    digest: str
    size: int
    resumed_at: int = 0


def save(images: Images, reference: Reference, file: Path, progress: Progress = lambda _at, _size: None) -> Saved:
    """Write a blob to a file. What arrives stands beside it as FILE.HEX.part until it is whole; a later run goes on from there.

    Raises `GdkregError` where it does not come whole, or is not what its digest says: then nothing stays.
    """
    if not reference.digest:
        raise ConfigError(f"{reference} names no blob", why="a blob is REPOSITORY@DIGEST", fix=f"gdkreg layers {reference}")
    part = file.with_name(f"{file.name}.{reference.digest.partition(':')[2][:12]}.part")
    with parts.open_part(part) as stream:
        had = stream.tell()
        try:
            size = _fill(images, reference, stream, progress)
        except ChangedError as error:
            if not had:
                _leave(stream, part, error)
                raise
            had, size = 0, _anew(images, reference, stream, part, progress)  # what was here may be what is wrong
        except GdkregError as error:
            _leave(stream, part, error)
            raise
        parts.keep_part(stream, part, file)
    return Saved(str(file), reference.digest, size, had)


def _anew(images: Images, reference: Reference, stream: BinaryIO, part: Path, progress: Progress) -> int:
    stream.truncate(0)
    stream.seek(0)
    try:
        return _fill(images, reference, stream, progress)
    except GdkregError as error:
        _leave(stream, part, error)
        raise


def _leave(stream: BinaryIO, part: Path, error: GdkregError) -> None:
    """What is good for a later run stays."""
    if isinstance(error, ChangedError) or stream.tell() == 0:
        parts.drop_part(part)
    else:
        error.details = f"{part} has {stream.tell()} bytes of it: the same command goes on from there"


def _fill(images: Images, reference: Reference, stream: BinaryIO, progress: Progress) -> int:
    stream.seek(0)
    reading = Reading(images, reference.repository, reference.digest, _all(stream))
    for piece in reading:
        _write(stream, piece)
        progress(reading.at, reading.size)
    return reading.at


def _write(stream: BinaryIO, piece: bytes) -> None:
    left = memoryview(piece)
    try:
        while left:
            left = left[stream.write(left) :]
    except OSError as error:
        raise files.explain(error, Path(os.fspath(stream.name))) from None


def _all(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(PIECE):
        yield piece
