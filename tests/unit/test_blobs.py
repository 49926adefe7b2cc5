"""Blobs into files: whole, checked, resumed; and images from one place to another."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from gdkreg.errors import ConfigError, GdkregError
from gdkreg.registry import reading
from gdkreg.registry.images import Images
from gdkreg.registry.manifests import OCI_MANIFEST, digest_of
from gdkreg.registry.names import Reference, parse
from gdkreg.verbs import blobs, copying
from gdkreg.verbs.copying import End
from gdkreg.verbs.work import DeclinedError
from tests import pushed
from tests.registry import FakeRegistry, Handler, serving
from tests.unit.test_images import of

CONTENT = secrets.token_bytes(100_000)
DIGEST = digest_of(CONTENT)
BLOB = Reference("a", digest=DIGEST)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PIECE", 1000)
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(urllib3.Retry, "sleep", lambda *_: None)


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with serving(FakeRegistry()) as made:
        made.blobs[DIGEST] = CONTENT
        made.of("a").blobs.add(DIGEST)
        yield made


def cutting(fake: FakeRegistry, after: int, *, knows_range: bool = True) -> None:
    """Every answer with a blob breaks off after so many bytes, but for the last few."""

    def cut(handler: Handler) -> bool:
        if "/blobs/sha256" not in handler.path or handler.command != "GET":
            return False
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1]) if knows_range else 0
        content = fake.blobs[DIGEST][start:]
        if len(content) <= after:
            return False
        kind = {"Content-Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"} if start else {}
        handler.cut(content, after, 206 if start else 200, **kind)
        return True

    fake.fault = cut


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_blob_is_saved_and_its_way_told(fake: FakeRegistry, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    saved = blobs.save(of(fake), BLOB, tmp_path / "x", lambda at, size: told.append((at, size)))
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert (saved.size, saved.digest, saved.resumed_at) == (len(CONTENT), DIGEST, 0)
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert left(tmp_path) == ["x"]


def test_a_connection_that_breaks_is_resumed_where_it_broke(fake: FakeRegistry, tmp_path: Path) -> None:
    cutting(fake, 9_000)
    saved = blobs.save(of(fake), BLOB, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert saved.size == len(CONTENT)
    ranges = [asked.headers.get("range") for asked in fake.asked if "/blobs/" in asked.path]
    assert ranges == [None, *(f"bytes={start}-" for start in range(9_000, 100_000, 9_000))], "as often as it comes further"


def test_a_registry_that_knows_no_range(fake: FakeRegistry, tmp_path: Path) -> None:
    first = [True]

    def whole(handler: Handler) -> bool:
        if first.pop() if first else False:
            handler.cut(CONTENT, 40_500)
        else:
            handler.reply(200, CONTENT)
        return True

    fake.fault = whole
    blobs.save(of(fake), BLOB, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_what_came_before_an_end_for_good_is_gone_on_from(fake: FakeRegistry, tmp_path: Path) -> None:
    def only_so_far(handler: Handler) -> bool:
        if handler.headers.get("Range"):
            handler.cut(b"x" * 9, 0, 206, **{"Content-Range": f"bytes {handler.headers['Range'][6:]}9/9"})
        else:
            handler.cut(CONTENT, 50_000)
        return True

    fake.fault = only_so_far
    with pytest.raises(GdkregError, match="broke") as error:
        blobs.save(of(fake), BLOB, tmp_path / "x")
    assert "has 50000 bytes of it" in error.value.details
    (part,) = left(tmp_path)
    assert part.endswith(".part"), "nothing stands under the name that was asked for"
    fake.fault = lambda _: False
    saved = blobs.save(of(fake), BLOB, tmp_path / "x")
    assert (saved.resumed_at, (tmp_path / "x").read_bytes()) == (50_000, CONTENT)
    assert left(tmp_path) == ["x"]


def test_a_part_that_is_wrong_is_fetched_anew(fake: FakeRegistry, tmp_path: Path) -> None:
    for wrong in (b"wrong", CONTENT + b"more", CONTENT[:-1] + b"\0"):
        (tmp_path / f"x.{DIGEST[7:19]}.part").write_bytes(wrong)
        blobs.save(of(fake), BLOB, tmp_path / "x")
        assert (tmp_path / "x").read_bytes() == CONTENT
        assert left(tmp_path) == ["x"]


def test_a_corrupt_blob_is_told_and_leaves_no_file(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.blobs[DIGEST] = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    (tmp_path / "x").write_text("mine")
    with pytest.raises(GdkregError, match="came back changed"):
        blobs.save(of(fake), BLOB, tmp_path / "x")
    (tmp_path / f"x.{DIGEST[7:19]}.part").write_bytes(CONTENT[:7])
    with pytest.raises(GdkregError, match="came back changed"):
        blobs.save(of(fake), BLOB, tmp_path / "x")
    assert left(tmp_path) == ["x"]
    assert (tmp_path / "x").read_text() == "mine", "what stood there stays"
    fake.blobs[DIGEST] = CONTENT[:-1]
    with pytest.raises(GdkregError, match="came back changed"):
        blobs.save(of(fake), BLOB, tmp_path / "x")


def test_a_blob_that_is_not_there_leaves_nothing(fake: FakeRegistry, tmp_path: Path) -> None:
    with pytest.raises(GdkregError, match="answered 404"):
        blobs.save(of(fake), Reference("a", digest=digest_of(b"none")), tmp_path / "x")
    with pytest.raises(ConfigError, match="names no blob"):
        blobs.save(of(fake), parse("a:1"), tmp_path / "x")
    with pytest.raises(GdkregError, match="cannot write"):
        blobs.save(of(fake), BLOB, tmp_path / "nowhere/x")
    assert left(tmp_path) == []


def test_two_at_once_do_not_write_one_file(fake: FakeRegistry, tmp_path: Path) -> None:
    def again(at: int, size: int | None) -> None:
        with pytest.raises(GdkregError, match="is being written"):
            blobs.save(of(fake), BLOB, tmp_path / "x")

    blobs.save(of(fake), BLOB, tmp_path / "x", again)
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_another_part_than_was_asked_for_is_refused(fake: FakeRegistry, tmp_path: Path) -> None:
    (tmp_path / f"x.{DIGEST[7:19]}.part").write_bytes(CONTENT[:70])
    fake.fault = lambda handler: handler.reply(206, CONTENT, Content_Range="bytes 0-99999/100000") is None  # type: ignore[func-returns-value]
    with pytest.raises(GdkregError, match="is not to be had"):
        blobs.save(of(fake), BLOB, tmp_path / "x")


# copying


def end(images: Images, text: str, authority: str = "here") -> End:
    return End(images, authority, parse(text))


def made(images: Images) -> dict[str, object]:
    children = [pushed.image(images, "a/b", arch=arch) for arch in ("amd64", "arm64")]
    return pushed.index(images, "a/b", "1", children=children)


def test_a_copy_inside_a_registry_moves_no_bytes(fake: FakeRegistry) -> None:
    images = of(fake)
    index = made(images)
    fake.asked.clear()
    dry = copying.copy(end(images, "a/b:1"), end(images, "c:2"), dry_run=True)
    assert "c" not in fake.repositories
    done = copying.copy(end(images, "a/b:1"), end(images, "c:2"))
    assert [item.text for item in done.items] == [item.text for item in dry.items]
    assert {item.status for item in done.items} == {"done"}
    assert fake.of("c").tags == {"2": index["digest"]}
    assert fake.of("c").manifests == fake.of("a/b").manifests
    assert not [asked for asked in fake.asked if asked.method == "PUT" and "/blobs/" in asked.path]
    again = copying.copy(end(images, "a/b:1"), end(images, "c:2"))
    assert again.items == []
    assert again.data["digest"] == index["digest"]


def test_a_copy_from_one_registry_to_another_streams(fake: FakeRegistry) -> None:
    with serving(FakeRegistry()) as other:
        index, theirs = made(of(fake)), of(other)
        copying.copy(end(of(fake), "a/b:1"), End(theirs, "there", parse("x/y")))
        assert other.of("x/y").tags == {"1": index["digest"]}
        assert other.of("x/y").manifests == fake.of("a/b").manifests
        assert other.blobs == {digest: content for digest, content in fake.blobs.items() if digest != DIGEST}
        copying.copy(end(of(fake), f"a/b@{index['digest']}"), End(theirs, "there", parse("z")))
        assert other.of("z").tags == {}
        assert str(index["digest"]) in other.of("z").manifests


def test_where_nothing_can_be_taken_over_it_streams(fake: FakeRegistry) -> None:
    images = of(fake)
    made(images)
    fake.fault = lambda handler: "mount=" in handler.path and handler.reply(202, Location="/v2/c/blobs/uploads/1") is None  # type: ignore[func-returns-value]
    copying.copy(end(images, "a/b:1"), end(images, "c:1"))
    assert fake.of("c").manifests == fake.of("a/b").manifests


def test_a_tag_that_leads_elsewhere_is_asked_for(fake: FakeRegistry) -> None:
    images = of(fake)
    index, old = made(images), pushed.image(images, "c", "1")
    asked = []

    class No(type(copying.SILENT)):  # type: ignore[misc]
        def agree(self, items: object, *, ask: bool) -> bool:
            asked.append(ask)
            return False

    with pytest.raises(DeclinedError):
        copying.copy(end(images, "a/b:1"), end(images, "c:1"), No())
    with pytest.raises(DeclinedError):
        copying.copy(end(images, "a/b:1"), end(images, "c:2"), No())
    assert asked == [True, False]
    assert fake.of("c").tags == {"1": old["digest"]}
    done = copying.copy(end(images, "a/b:1"), end(images, "c:1"))
    assert done.data["replaces"] == old["digest"]
    assert old["digest"] in done.items[-1].text
    assert fake.of("c").tags == {"1": index["digest"]}


def test_what_cannot_be_copied_is_refused_before_the_first_change(fake: FakeRegistry) -> None:
    images = of(fake)
    made(images)
    for source, to, what in (
        ("a/b:1", "a/b:1", "onto itself"),
        ("a/b:1", "a/b", "onto itself"),
        ("a/b:1", f"c@{DIGEST}", "names a digest"),
    ):
        with pytest.raises(ConfigError, match=what):
            copying.copy(end(images, source), end(images, to))
    foreign = {"mediaType": pushed.LAYER, "digest": digest_of(b"far"), "size": 3, "urls": ["https://far.test/x"]}
    config = pushed.put_blob(images, "w", b"{}", pushed.CONFIG)
    pushed.put(images, "w", {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [foreign]}, "1")
    done = copying.copy(end(images, "w:1"), end(images, "v:1"))
    assert len(done.items) == 2, "a layer that is elsewhere stays there"


def test_a_corrupt_blob_is_not_copied(fake: FakeRegistry) -> None:
    with serving(FakeRegistry()) as other:
        images = of(fake)
        made(images)
        layer = images.manifest("a/b", images.manifest("a/b", "1").manifests[0].digest).layers[0]
        fake.blobs[layer.digest] = b"x" * layer.size
        with pytest.raises(GdkregError) as error:
            copying.copy(end(images, "a/b:1"), End(of(other), "there", parse("c:1")))
        assert error.value.outcome is not None
        assert other.of("c").tags == {}


def test_which_registry_a_name_means() -> None:
    assert copying.split("group/app:1", "own") == ("own", "group/app:1")
    assert copying.split("other.test/app", "own") == ("other.test", "app")
    assert copying.split("host:5000/a/b@sha256:0", "own") == ("host:5000", "a/b@sha256:0")
    assert copying.split("localhost/a", "own") == ("localhost", "a")
    assert copying.split("app:1.0", "own") == ("own", "app:1.0")
