"""What is in a registry, as values: against what was pushed."""

from __future__ import annotations

import datetime
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from gdkreg.errors import ConfigError, GdkregError
from gdkreg.registry.images import Images
from gdkreg.registry.manifests import OCI_MANIFEST, digest_of
from gdkreg.registry.names import parse
from gdkreg.report import images as report
from gdkreg.units import size
from gdkreg.verbs import browsing
from gdkreg.verbs.describing import NEVER, Image, moment
from tests import pushed
from tests.registry import FakeRegistry, serving
from tests.unit.test_images import of


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with serving(FakeRegistry(page=7)) as made:
        yield made


@pytest.fixture
def images(fake: FakeRegistry) -> Iterator[Images]:
    with of(fake) as made:
        yield made


def test_the_catalog_with_its_tags(fake: FakeRegistry, images: Images) -> None:
    for n in range(30):
        fake.of(f"g/r{n:02}").tags = {str(tag): "" for tag in range(n % 3)}
    fake.of("UPPER")
    found = list(browsing.with_tags(images))
    assert [item.name for item in found] == ["UPPER", *(f"g/r{n:02}" for n in range(30))]
    assert [len(item.tags) for item in found[1:]] == [n % 3 for n in range(30)]
    assert "is none of the distribution spec's" in found[0].problem
    assert list(browsing.catalog(images, 3)) == ["UPPER", "g/r00", "g/r01"]
    assert len(list(browsing.with_tags(images, 3))) == 3


def test_a_repository_that_may_not_be_read_hides_no_other(fake: FakeRegistry, images: Images) -> None:
    for name in ("a", "b", "c"):
        fake.of(name).tags = {"1": ""}
    fake.fault = lambda handler: "/b/tags" in handler.path and handler.fail(403, "DENIED") is None  # type: ignore[func-returns-value]
    found = {item.name: item for item in browsing.with_tags(images)}
    assert (found["a"].tags, found["b"].tags, found["c"].tags) == (["1"], [], ["1"])
    assert "refuses me: pull of b" in found["b"].problem


def test_tags_with_what_they_lead_to(images: Images) -> None:
    base = b"b" * 1000
    config = pushed.image(images, "a", "old", layers=[base, b"1"], created="2020-01-01T00:00:00Z")
    pushed.image(images, "a", "offset", layers=[base], created="2020-01-01T01:00:00+02:00")
    children = [pushed.image(images, "a", layers=[base, arch.encode()], arch=arch) for arch in ("amd64", "arm64")]
    attested = {**pushed.artifact(images, "a", kind="x"), "platform": {"os": "unknown", "architecture": "unknown"}}
    pushed.index(images, "a", "new", children=[*children, attested])
    pushed.artifact(images, "a", "sbom", kind="application/x.sbom")
    found = {item.tag: item for item in browsing.described(images, "a")}
    assert found["new"].platforms == ["linux/amd64", "linux/arm64"]
    assert (found["old"].digest, found["old"].platforms) == (config["digest"], ["linux/amd64"])
    manifest = images.manifest("a", "old")
    assert manifest.config is not None
    assert found["old"].size == 1001 + manifest.config.size
    assert 1010 < found["new"].size < 2000, "what both platforms share counts once"
    assert found["sbom"].artifact_type == "application/x.sbom"
    by = {sort: [item.tag for item in browsing.described(images, "a", sort)] for sort in ("name", "created", "size")}
    assert by["name"] == ["new", "offset", "old", "sbom"]
    assert by["created"] == ["new", "old", "offset", "sbom"], "by the moment, whatever zone it is told in"
    assert by["size"][0] == "new"
    assert [item.tag for item in browsing.described(images, "a", "created", 1)] == ["new"]
    assert list(browsing.tags(images, "a", 2, ordered=True)) == ["new", "offset"]


def test_a_tag_that_cannot_be_read_is_told_and_hides_no_other(fake: FakeRegistry, images: Images) -> None:
    good = pushed.image(images, "a", "good")
    pushed.index(images, "a", "half", children=[good])
    fake.of("a").manifests["sha256:" + "0" * 64] = (OCI_MANIFEST, b"not JSON")
    fake.of("a").tags |= {"bad": "sha256:" + "0" * 64, "gone": "sha256:" + "1" * 64}
    found = {item.tag: item for item in browsing.described(images, "a")}
    assert sorted(found) == ["bad", "good", "half"], "a tag of which there is no manifest went in the meantime"
    assert found["bad"].problem
    assert not found["good"].problem
    del fake.of("a").manifests[good["digest"]]
    broken = {item.tag: item for item in browsing.described(images, "a")}["half"]
    assert broken.problem == f"manifest {good['digest']} of a is missing"
    half = parse("a:half")
    with pytest.raises(GdkregError, match="is missing") as error, browsing.suggesting(images, half):
        browsing.inspect(images, half)
    assert error.value.fix == "push the image again"
    config = images.manifest("a", pushed.image(images, "a", "config")["digest"]).config
    assert config is not None
    fake.blobs[config.digest] = b"changed"
    assert "came back changed" in {item.tag: item for item in browsing.described(images, "a")}["config"].problem


@pytest.fixture
def image(images: Images) -> Image:
    base = b"b" * 1000
    run: dict[str, Any] = {
        "Entrypoint": ["/app"],
        "Cmd": ["serve"],
        "Env": ["A=1"],
        "Labels": {"l": "v"},
        "User": "7",
        "ExposedPorts": {"80/tcp": {}},
    }
    children = [pushed.image(images, "a", layers=[base, arch.encode()], arch=arch, **run) for arch in ("amd64", "arm64")]
    index = pushed.index(images, "a", "1", children=children, annotations={"k": "v"})
    pushed.image(images, "a", "2", layers=[base])
    sbom = pushed.artifact(images, "a", kind="application/x.sbom", subject=index)
    pushed.index(images, "a", index["digest"].replace(":", "-"), children=[sbom])
    found = browsing.inspect(images, parse("a:1"), "linux/arm64")
    assert isinstance(found, Image)
    return found


def test_an_image_as_one_wants_to_see_it(images: Images, image: Image) -> None:
    assert image.digest == images.manifest("a", "1").digest
    assert [child.platform for child in image.platforms] == ["linux/amd64", "linux/arm64"]
    assert (image.platform, image.entrypoint, image.cmd, image.env) == ("linux/arm64", ["/app"], ["serve"], ["A=1"])
    assert (image.labels, image.annotations, image.user, image.ports) == ({"l": "v"}, {"k": "v"}, "7", ["80/tcp"])
    assert [(layer.size, layer.shared_by) for layer in image.layers] == [(1000, ["2"]), (5, [])]
    assert [item.artifact_type for item in image.referrers] == ["application/x.sbom"]
    sbom = browsing.inspect(images, parse(f"a@{image.referrers[0].digest}"))
    assert isinstance(sbom, Image)
    assert (sbom.subject, sbom.layers, sbom.artifact_type) == (image.digest, [], "application/x.sbom")


def test_which_platform(images: Images, image: Image) -> None:
    with pytest.raises(ConfigError, match="is not for windows/amd64") as error:
        browsing.inspect(images, parse("a:1"), "windows/amd64")
    assert error.value.why == "its platforms: linux/amd64, linux/arm64"
    with pytest.raises(ConfigError, match="is not for linux/arm64"):
        browsing.inspect(images, parse("a:2"), "linux/arm64")
    variant = {**pushed.image(images, "b", arch="arm"), "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}}
    pushed.index(images, "b", "1", children=[variant])
    for asked in ("linux/arm", "linux/arm/v7", ""):
        found = browsing.layers(images, parse("b:1"), asked)
        assert (found.platform, len(found.layers)) == ("linux/arm/v7", 1)
    pushed.index(images, "b", "empty", children=[])
    assert browsing.layers(images, parse("b:empty")).layers == []


def test_without_a_tag_it_is_latest_or_the_repository(images: Images) -> None:
    pushed.image(images, "a", "1", "2", created="2020-01-01T00:00:00Z")
    pushed.image(images, "a", "3")
    found = browsing.inspect(images, parse("a"))
    assert isinstance(found, browsing.Summary)
    assert (found.tags, [item.tag for item in found.newest], found.partly) == (3, ["3", "2", "1"], False)
    assert found.size == sum(item.size for item in browsing.described(images, "a") if item.tag != "2")
    pushed.image(images, "a", "latest")
    found = browsing.inspect(images, parse("a"))
    assert isinstance(found, Image)
    assert found.tag == "latest"


def test_what_is_not_there_and_what_is_near(images: Images, fake: FakeRegistry) -> None:
    pushed.image(images, "group/app", "1.0", "1.1", "other")

    def missing(text: str) -> GdkregError:
        reference = parse(text)
        with pytest.raises(GdkregError) as error, browsing.suggesting(images, reference, " --registry x"):
            browsing.manifest(images, reference)
        return error.value

    assert missing("group/ap:1.0").as_data() == {
        "what": "there is no repository group/ap",
        "why": "did you mean group/app?",
        "fix": "gdkreg catalog --registry x",
        "details": "",
    }
    found = missing("group/app:1.2")
    assert found.what == "group/app has no tag 1.2"
    assert "1.0" in found.why
    assert "1.1" in found.why
    assert found.fix == "gdkreg tags group/app --registry x"
    assert missing("group/app").what == "group/app has no tag latest"
    assert "has no manifest" in missing(f"group/app@{digest_of(b'')}").what
    assert missing("zzz").why == ""
    fake.of("group/app").tags.clear()
    assert missing("group/app:1.0").why == "it has no tags"
    fake.fault = lambda handler: "_catalog" in handler.path and handler.fail(401, "UNAUTHORIZED") is None  # type: ignore[func-returns-value]
    assert missing("group/ap:1.0").why == "", "who may not list the registry is told all the same"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2024-01-02T03:04:05Z", (2024, 1, 2, 3, 4, 5)),
        ("2024-01-02T03:04:05.123456789Z", (2024, 1, 2, 3, 4, 5)),
        ("2024-01-02T03:04:05+02:00", (2024, 1, 2, 1, 4, 5)),
        ("2024-01-02t03:04:05z", (2024, 1, 2, 3, 4, 5)),
    ],
)
def test_moments(text: str, wanted: tuple[int, ...]) -> None:
    assert moment(text) == datetime.datetime(*wanted, tzinfo=datetime.timezone.utc)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01T00:00:00Z", "2024-01-02", "0001-01-01T00:00:00+14:00", "x" * 9999])
def test_what_is_no_moment(text: str) -> None:
    assert moment(text) == NEVER
    assert report.age(text) == ""


def test_sizes_and_ages() -> None:
    told = [size(count) for count in (0, 1, 999, 1000, 12_345, 123_456, 999_600, 1_000_000, 5_000_000_000, 10**15)]
    assert told == ["0 B", "1 B", "999 B", "1 kB", "12.3 kB", "123 kB", "1 MB", "1 MB", "5 GB", "1e+03 TB"]
    now = datetime.datetime(2024, 6, 1, tzinfo=datetime.timezone.utc)
    ages = {
        "2024-06-01T00:00:00Z": "just now",
        "2024-05-31T23:58:30Z": "1 minute ago",
        "2024-05-31T20:00:00Z": "4 hours ago",
        "2024-05-20T00:00:00Z": "1 week ago",
        "2022-01-01T00:00:00Z": "2 years ago",
        "2024-06-02T00:00:00Z": "in the future",
        "0001-01-01T00:00:00Z": "",
    }
    assert {text: report.age(text, now) for text in ages} == ages
    assert (report.short("sha256:" + "a" * 64), report.short("odd")) == ("a" * 12, "odd")


def test_a_configuration_of_any_shape_is_read(fake: FakeRegistry, images: Images) -> None:
    """Whatever a stranger wrote into it: nothing of it is an error."""
    odd = [None, 1, "x", [], {}, [1], {"a": 1}, [None], True, "2024"]
    seeded = random.Random(1)
    for number in range(60):
        config = {key: seeded.choice(odd) for key in ("os", "architecture", "created", "config", "history", "variant", "author")}
        inner = {key: seeded.choice(odd) for key in ("Env", "Labels", "Cmd", "Entrypoint", "ExposedPorts", "User")}
        content = json.dumps(seeded.choice([{**config, "config": inner}, config, [], "x", None])).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": pushed.put_blob(images, "a", content, pushed.CONFIG),
            "layers": [pushed.put_blob(images, "a", b"layer")],
        }
        pushed.put(images, "a", manifest, str(number))
        found = browsing.inspect(images, parse(f"a:{number}"), shared=False)
        assert isinstance(found, Image)
        assert len(found.layers) == 1
    assert not any(item.problem for item in browsing.described(images, "a"))
