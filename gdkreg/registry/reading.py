"""A blob as it passes: resumed where the connection breaks, its digest checked at the end."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from urllib3.exceptions import HTTPError

from gdkreg.errors import GdkregError
from gdkreg.registry.client import Response
from gdkreg.registry.images import ChangedError, Images

PIECE = 1 << 20  # bytes
_TRIES = 5  # without a byte in between


class Reading:
    """The bytes of a blob after those of `have`, which are here already. `at` is how far it has come; `size` is the whole
    blob's, None until the first byte where nobody told."""

    def __init__(self, images: Images, repository: str, digest: str, have: Iterable[bytes] = (), size: int | None = None) -> None:
        self._images, self._repository, self.digest = images, repository, digest
        self._sum = hashlib.new(digest.partition(":")[0])
        self.at, self.size = 0, size
        for piece in have:
            self._sum.update(piece)
            self.at += len(piece)

    def __iter__(self) -> Iterator[bytes]:
        """Raises `GdkregError` where it does not come, or, after the last byte, where it is not what the digest says."""
        with ThreadPoolExecutor(1) as beside:  # while one piece is summed up the next one is read
            summing: Future[None] | None = None
            for piece in self._resumed():
                if summing is not None:
                    summing.result()
                summing = beside.submit(self._sum.update, piece)
                yield piece
        if self._sum.hexdigest() != self.digest.partition(":")[2]:
            raise ChangedError("blob", self.digest)

    def _resumed(self) -> Iterator[bytes]:
        tries = 0
        while True:
            answer = self._images.blob(self._repository, self.digest, self.at)
            begun = self.at
            try:
                yield from self._read(answer)
                return
            except HTTPError as error:
                tries = 1 if self.at > begun else tries + 1
                if tries >= _TRIES:
                    raise self._images.client.lost(error) from None
                time.sleep(0.2 * (tries - 1))
            finally:
                answer.close()  # a connection with half a blob on it is good for nothing more

    def _read(self, answer: Response) -> Iterator[bytes]:
        if answer.status == 416:  # there is no more of it
            return
        skip = self.at if answer.status == 200 else 0  # a registry that knows no Range begins anew
        if answer.status == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {self.at}-"):
            raise GdkregError(f"blob {self.digest} is not to be had", why="the registry sent another part than was asked for")
        length = answer.headers.get("Content-Length", "")
        if length.isdigit():
            self.size = int(length) + self.at - skip
        while piece := answer.read(PIECE, decode_content=False):
            piece, skip = piece[skip:], max(0, skip - len(piece))
            if piece:
                self.at += len(piece)
                yield piece
