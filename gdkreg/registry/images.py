"""What there is in a registry: repositories, tags, manifests, blobs."""

from __future__ import annotations

import hashlib
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import quote, urljoin

import msgspec

from gdkreg.errors import GdkregError
from gdkreg.registry import manifests
from gdkreg.registry.answers import AnswerError
from gdkreg.registry.client import WORKERS, Client, Response
from gdkreg.registry.manifests import ACCEPT, Descriptor, Manifest
from gdkreg.registry.names import is_digest
from gdkreg.registry.scopes import Scope

PAGE = 1000  # entries; a registry refuses to give more at a time
LARGEST = 16 << 20  # bytes of a blob that is read into memory
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*rel="?next"?', re.IGNORECASE)
_NOTHING = {404, 400, 405}  # of a registry that knows no referrers, by its generation
CATALOG = Scope("registry", "catalog", ("*",))
Item = TypeVar("Item")
Result = TypeVar("Result")


def pull(repository: str) -> Scope:
    return Scope("repository", repository, ("pull",))


def push(repository: str) -> Scope:
    return Scope("repository", repository, ("pull", "push"))


def delete(repository: str) -> Scope:
    return Scope("repository", repository, ("delete",))


def gather(function: Callable[[Item], Result], items: Iterable[Item], workers: int = WORKERS) -> Iterator[Result]:
    """The results in the order of the items: so many at a time, little further than is asked for, up to the first error."""
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class Images:
    """One registry's images. Every method raises `AnswerError` where the registry refuses, `GdkregError` where it is away."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def __enter__(self) -> Images:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def expect(self, repositories: Sequence[str]) -> None:
        """Get ready to read these, in as few tokens as can be."""
        self.client.cover([pull(name) for name in repositories])

    # lists

    def catalog(self) -> Iterator[str]:
        """The repositories, a page at a time."""
        return self._pages(f"/v2/_catalog?n={PAGE}", "repositories", CATALOG)

    def tags(self, repository: str) -> Iterator[str]:
        """The tags in the registry's order, which is none with Distribution 2.8; none for a repository that lost all of its."""
        return self._pages(f"/v2/{repository}/tags/list?n={PAGE}", "tags", pull(repository))

    def _pages(self, path: str, key: str, scope: Scope) -> Iterator[str]:
        seen = {path}
        while path:
            answer = self.client.request("GET", path, [scope])
            yield from _names(_json(answer, path), key)
            found = _NEXT.search(answer.headers.get("Link", ""))
            path = urljoin(path, found[1]) if found else ""
            if path in seen:
                raise GdkregError("the registry's list has no end", why=f"it names {path} as the next page again")
            seen.add(path)

    # manifests

    def head(self, repository: str, reference: str, scope: Scope | None = None) -> Descriptor | None:
        """Digest, media type and size of a manifest by tag or digest; None where there is none. `scope` is what is going to be
        done there, where that is more than to read."""
        path = f"/v2/{repository}/manifests/{reference}"
        scopes = [scope or pull(repository)]
        answer = self.client.request("HEAD", path, scopes, headers={"Accept": ACCEPT}, allow=[404])
        if answer.status == 404:
            return None
        digest = answer.headers.get("Docker-Content-Digest", "")
        if not digest:
            found = self.manifest(repository, reference)
            return Descriptor(found.digest, found.media_type, len(found.content))
        return Descriptor(digest, answer.headers.get("Content-Type", ""), int(answer.headers.get("Content-Length") or 0))

    def manifest(self, repository: str, reference: str) -> Manifest:
        """A manifest by tag or digest, checked against the digest. Raises `ManifestError` for what is none."""
        path = f"/v2/{repository}/manifests/{reference}"
        answer = self.client.request("GET", path, [pull(repository)], headers={"Accept": ACCEPT}, stream=True)
        content = _all(answer)
        told = answer.headers.get("Docker-Content-Digest", "")
        wanted = reference if ":" in reference else told if is_digest(told) else ""
        kind = answer.headers.get("Content-Type", "")
        signed = manifests.KINDS.get(kind.partition(";")[0]) == "schema1"  # its digest leaves the signatures out
        if wanted and not signed and not matches(content, wanted):
            raise ChangedError("manifest", wanted)
        return manifests.parse(content, kind)

    def child(self, repository: str, digest: str) -> Manifest:
        """A manifest that an index names. Raises `GdkregError` where it is missing, which is damage."""
        try:
            return self.manifest(repository, digest)
        except AnswerError as error:
            if error.status != 404:
                raise
            why = "an index names it, and the registry has it no more"
            raise GdkregError(f"manifest {digest} of {repository} is missing", why=why, fix="push the image again") from None

    def put_manifest(self, repository: str, reference: str, content: bytes, media_type: str) -> str:
        """The digest under which the registry keeps it."""
        path, headers = f"/v2/{repository}/manifests/{reference}", {"Content-Type": media_type}
        answer = self.client.request("PUT", path, [push(repository)], headers=headers, body=content)
        return answer.headers.get("Docker-Content-Digest", "") or manifests.digest_of(content)

    def delete(self, repository: str, reference: str) -> bool:
        """By digest with all tags on it; by tag that tag alone, which Distribution 2.8 refuses with 400. False: it was gone."""
        path = f"/v2/{repository}/manifests/{reference}"
        return self.client.request("DELETE", path, [delete(repository)], allow=[404]).status != 404

    def referrers(self, repository: str, digest: str) -> list[Descriptor]:
        """What refers to a manifest, by the API or by the tag that clients use where there is none."""
        headers = {"Accept": manifests.OCI_INDEX}
        path = f"/v2/{repository}/referrers/{digest}"
        answer = self.client.request("GET", path, [pull(repository)], headers=headers, allow=_NOTHING)
        try:
            if answer.status == 200:
                return list(manifests.parse(answer.data, manifests.OCI_INDEX).manifests)
            return list(self.manifest(repository, digest.replace(":", "-", 1)).manifests)
        except AnswerError as error:
            if error.status == 404:
                return []
            raise

    # blobs

    def config(self, repository: str, manifest: Manifest) -> dict[str, Any]:
        """An image's configuration; empty for what has none."""
        if manifest.config is None:
            return {}
        try:
            found = json.loads(self.small_blob(repository, manifest.config))
        except (ValueError, RecursionError):
            return {}  # an artifact's may be anything
        return found if isinstance(found, dict) else {}

    def small_blob(self, repository: str, blob: Descriptor) -> bytes:
        """A blob in memory, checked."""
        if blob.size > LARGEST:
            raise GdkregError(f"blob {blob.digest} is too large", why=f"it has {blob.size} bytes, where {LARGEST} are much")
        content = self.blob(repository, blob.digest, stream=False).data
        if not matches(content, blob.digest):
            raise ChangedError("blob", blob.digest)
        return content

    def blob(self, repository: str, digest: str, start: int = 0, *, stream: bool = True) -> Response:
        """A blob's bytes as they come, from `start` on where the registry knows Range (then its status is 206); not checked."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        path = f"/v2/{repository}/blobs/{digest}"
        for _ in range(5):
            answer = self.client.request("GET", path, [pull(repository)], headers=headers, stream=stream, allow=[416])
            place = answer.headers.get("Location", "")
            if answer.status not in {301, 302, 303, 307, 308} or not place:
                return answer
            answer.drain_conn()
            path = urljoin(path, place)
        raise GdkregError(f"blob {digest} is not to be had", why="the registry sends its clients on and on")

    def size_of(self, repository: str, digest: str, scope: Scope | None = None) -> int | None:
        """A blob's bytes; None where it is not there. `scope` as for `head`."""
        path = f"/v2/{repository}/blobs/{digest}"
        answer = self.client.request("HEAD", path, [scope or pull(repository)], allow=[404])
        return None if answer.status == 404 else int(answer.headers.get("Content-Length") or 0)

    def mount(self, repository: str, digest: str, source: str) -> str:
        """Take a blob over from another repository. Empty where that is done; else where an upload was begun instead."""
        path = f"/v2/{repository}/blobs/uploads/?mount={quote(digest)}&from={quote(source, safe='')}"
        answer = self.client.request("POST", path, [push(repository), pull(source)])
        return "" if answer.status == 201 else self._location(answer)

    def upload(self, repository: str, digest: str, size: int, pieces: Iterable[bytes], begun: str = "") -> None:
        """Push a blob of so many bytes, as they come; `begun` is the place of an upload that was begun already."""
        if not begun:
            path = f"/v2/{repository}/blobs/uploads/"
            begun = self._location(self.client.request("POST", path, [push(repository)]))
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        path = f"{begun}{'&' if '?' in begun else '?'}digest={quote(digest)}"
        self.client.request("PUT", path, [push(repository)], headers=headers, body=pieces if size else b"")

    @staticmethod
    def _location(answer: Response) -> str:
        place = answer.headers.get("Location", "")
        if not place:
            raise GdkregError("the registry named no place for an upload", why=f"it answered {answer.status}")
        return place


def _all(answer: Response) -> bytes:
    """A manifest's bytes; one that is longer than a registry may take is none."""
    content = b""
    while len(content) <= manifests.LONGEST and (piece := answer.read(1 << 20)):
        content += piece
    if len(content) > manifests.LONGEST:
        answer.close()
        raise manifests.ManifestError("this is not a manifest", why=f"it has more than {manifests.LONGEST} bytes")
    answer.release_conn()
    return content


def matches(content: bytes, digest: str) -> bool:
    return hashlib.new(digest.partition(":")[0], content).hexdigest() == digest.partition(":")[2]


class ChangedError(GdkregError):
    """Bytes that are not those of their digest."""

    def __init__(self, what: str, digest: str) -> None:
        fix = "is the disk of the registry healthy? push the image again"
        super().__init__(f"{what} {digest} came back changed", why="its bytes have another digest", fix=fix)


def _json(answer: Response, path: str) -> Any:
    try:
        return msgspec.json.decode(answer.data)
    except msgspec.MsgspecError:
        raise GdkregError("this is no registry", why=f"{path} is no JSON") from None


def _names(body: Any, key: str) -> list[str]:
    found = body.get(key) if isinstance(body, dict) else None
    return [name for name in found or () if isinstance(name, str)]
