"""A registry in memory, over real HTTP: it passes the same tests as the real one (tests/images.py)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from gdkreg.registry import manifests

_NAME = r"([a-z0-9._/-]+)"


class Asked(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]


class Repository:
    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.blobs: set[str] = set()


class FakeRegistry:
    """`page` entries a page. `fault(handler)` comes before every answer and may answer itself, by True."""

    def __init__(self, page: int = 1000, *, untags: bool = True, referrers: bool = False) -> None:
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.page, self.untags, self.referrers = page, untags, referrers
        self.read_only = False
        self.asked: list[Asked] = []
        self.connections = 0
        self.fault: Callable[[Handler], bool] = lambda _: False
        self.wants = ""  # the Authorization that it wants, and its challenge
        self.challenge = ""
        self.url = ""

    def of(self, name: str) -> Repository:
        return self.repositories.setdefault(name, Repository())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    fake: FakeRegistry
    body: bytes

    def setup(self) -> None:
        super().setup()
        self.fake.connections += 1

    def log_message(self, *_: object) -> None: ...

    def version_string(self) -> str:
        return "fake"

    def reply(self, status: int, body: Any = b"", **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(raw)), **{k.replace("_", "-"): v for k, v in headers.items()}}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def fail(self, status: int, code: str) -> None:
        self.reply(status, {"errors": [{"code": code, "message": code.lower().replace("_", " ")}]})

    def cut(self, body: bytes, after: int, status: int = 200, **headers: str) -> None:
        """An answer whose connection breaks after so many bytes."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:after])
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def any(self) -> None:
        fake, place = self.fake, urlsplit(self.path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fake.asked.append(Asked(self.command, self.path, {key.lower(): value for key, value in self.headers.items()}))
        if fake.fault(self):
            return
        if fake.wants and self.headers.get("Authorization") != fake.wants:
            self.reply(401, {"errors": [{"code": "UNAUTHORIZED"}]}, WWW_Authenticate=fake.challenge)
            return
        if fake.read_only and self.command in {"POST", "PUT", "PATCH", "DELETE"}:
            self.reply(405, b"Method not allowed")
            return
        query = {key: values[0] for key, values in parse_qs(place.query).items()}
        for pattern, answer in _ROUTES:
            if (found := re.fullmatch(pattern, place.path)) is not None:
                answer(self, query, *found.groups())
                return
        self.reply(404, b"404 page not found\n")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = any

    # what it answers

    def v2(self, query: dict[str, str]) -> None:
        self.reply(200, {})

    def paged(self, key: str, found: list[str], query: dict[str, str], **more: str) -> None:
        count = min(int(query.get("n", "100")), self.fake.page)
        left = [name for name in found if name > query.get("last", "")]
        page, path = left[:count], urlsplit(self.path).path
        links = {"Link": f'<{path}?last={page[-1]}&n={count}>; rel="next"'} if len(left) > count else {}
        self.reply(200, {**more, key: page or None if key == "tags" else page}, **links)

    def catalog(self, query: dict[str, str]) -> None:
        self.paged("repositories", sorted(self.fake.repositories), query)

    def tags(self, query: dict[str, str], name: str) -> None:
        if name not in self.fake.repositories:
            self.fail(404, "NAME_UNKNOWN")
        else:
            self.paged("tags", sorted(self.fake.of(name).tags), query, name=name)

    def manifest(self, query: dict[str, str], name: str, reference: str) -> None:
        repository = self.fake.repositories.get(name) or Repository()
        digest = repository.tags.get(reference, reference)
        if self.command == "PUT":
            self.put_manifest(name, reference)
        elif self.command == "DELETE":
            self.delete_manifest(repository, reference)
        elif digest not in repository.manifests or (kind := repository.manifests[digest][0]) not in self.headers.get(
            "Accept", ""
        ):
            self.fail(404, "MANIFEST_UNKNOWN")
        else:
            self.reply(200, repository.manifests[digest][1], Content_Type=kind, Docker_Content_Digest=digest)

    def put_manifest(self, name: str, reference: str) -> None:
        digest, known = manifests.digest_of(self.body), self.fake.repositories.get(name) or Repository()
        found = manifests.parse(self.body, self.headers["Content-Type"])
        needed = [item.digest for item in (found.config, *found.layers) if item is not None and not item.foreign]
        if any(item not in known.blobs for item in needed) or any(i.digest not in known.manifests for i in found.manifests):
            self.fail(400, "MANIFEST_BLOB_UNKNOWN")
            return
        self.fake.of(name).manifests[digest] = (self.headers["Content-Type"], self.body)
        if ":" not in reference:
            self.fake.of(name).tags[reference] = digest
        self.reply(201, Docker_Content_Digest=digest, Location=f"/v2/{name}/manifests/{digest}")

    def delete_manifest(self, repository: Repository, reference: str) -> None:
        if ":" not in reference and not self.fake.untags:
            self.fail(400, "DIGEST_INVALID")
        elif reference not in repository.manifests and reference not in repository.tags:
            self.fail(404, "MANIFEST_UNKNOWN")
        else:
            repository.manifests.pop(reference, None)
            repository.tags = {tag: at for tag, at in repository.tags.items() if reference not in (tag, at)}
            self.reply(202)

    def blob(self, query: dict[str, str], name: str, digest: str) -> None:
        repository = self.fake.repositories.get(name) or Repository()
        if digest not in repository.blobs:
            self.fail(404, "BLOB_UNKNOWN")
            return
        content, asked = self.fake.blobs[digest], self.headers.get("Range", "")
        if not asked:
            self.reply(200, content, Docker_Content_Digest=digest)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            self.reply(416)
            return
        self.reply(206, content[start:], Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}")

    def begin(self, query: dict[str, str], name: str) -> None:
        digest, source = query.get("mount", ""), self.fake.repositories.get(query.get("from", ""))
        if source is not None and digest in source.blobs:
            self.fake.of(name).blobs.add(digest)
            self.reply(201, Location=f"/v2/{name}/blobs/{digest}")
        else:
            self.reply(202, Location=f"/v2/{name}/blobs/uploads/1?_state=x")

    def upload(self, query: dict[str, str], name: str) -> None:
        if f"sha256:{hashlib.sha256(self.body).hexdigest()}" != query.get("digest"):
            self.fail(400, "DIGEST_INVALID")
            return
        self.fake.blobs[query["digest"]] = self.body
        self.fake.of(name).blobs.add(query["digest"])
        self.reply(201)

    def referrers(self, query: dict[str, str], name: str, digest: str) -> None:
        if not self.fake.referrers:
            self.reply(404, b"404 page not found\n")
            return
        found = []
        for at, (kind, content) in self.fake.of(name).manifests.items():
            read = manifests.parse(content, kind)
            if read.subject is not None and read.subject.digest == digest:
                found.append({"mediaType": kind, "digest": at, "size": len(content), "artifactType": read.artifact_type})
        self.reply(200, {"schemaVersion": 2, "mediaType": manifests.OCI_INDEX, "manifests": found})


_ROUTES: tuple[tuple[str, Callable[..., None]], ...] = (
    (r"/v2/", Handler.v2),
    (r"/v2/_catalog", Handler.catalog),
    (rf"/v2/{_NAME}/tags/list", Handler.tags),
    (rf"/v2/{_NAME}/manifests/([^/]+)", Handler.manifest),
    (rf"/v2/{_NAME}/blobs/uploads/", Handler.begin),
    (rf"/v2/{_NAME}/blobs/uploads/1", Handler.upload),
    (rf"/v2/{_NAME}/blobs/(\w+:\w+)", Handler.blob),
    (rf"/v2/{_NAME}/referrers/(\w+:\w+)", Handler.referrers),
)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes in the middle of an answer is what some tests are about."""


@contextlib.contextmanager
def serving(fake: FakeRegistry) -> Iterator[FakeRegistry]:
    """The registry at `fake.url` while the block runs."""
    server = _Server(("127.0.0.1", 0), type("Of", (Handler,), {"fake": fake}))
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
