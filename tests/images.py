"""What a client sees of any registry: these tests run on the one in memory and on the real one."""

from __future__ import annotations

import json
import secrets

import pytest

from gdkreg.registry.answers import AnswerError
from gdkreg.registry.images import Images
from gdkreg.registry.manifests import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Descriptor, digest_of
from tests import pushed


def fresh() -> str:
    """A repository that no other test has."""
    return f"group/{secrets.token_hex(6)}"


class Contract:
    """A subclass gives the fixture `images`."""

    def test_what_is_pushed_is_listed(self, images: Images) -> None:
        name = fresh()
        for repository in (name, f"{name}/nested"):
            pushed.image(images, repository, "1", "latest", "v1.0_x-Y")
        listed = list(images.catalog())
        assert len(listed) == len(set(listed))
        assert {name, f"{name}/nested"} <= set(listed)
        assert sorted(images.tags(name)) == ["1", "latest", "v1.0_x-Y"]

    def test_a_repository_that_is_not_there(self, images: Images) -> None:
        with pytest.raises(AnswerError, match="answered 404") as error:
            list(images.tags(fresh()))
        assert (error.value.status, error.value.code) == (404, "NAME_UNKNOWN")
        assert images.head(fresh(), "1") is None
        assert images.size_of(fresh(), digest_of(b"")) is None
        with pytest.raises(AnswerError):
            images.manifest(fresh(), "1")

    @pytest.mark.parametrize("docker", [False, True])
    def test_every_kind_of_manifest_comes_back_as_its_bytes(self, images: Images, docker: bool) -> None:
        name = fresh()
        children = [pushed.image(images, name, arch=arch, docker=docker) for arch in ("amd64", "arm64")]
        made = pushed.index(images, name, "1", children=children, docker=docker)
        kinds = (DOCKER_LIST, DOCKER_MANIFEST) if docker else (OCI_INDEX, OCI_MANIFEST)
        found = images.manifest(name, "1")
        assert (found.digest, found.media_type) == (made["digest"], kinds[0])
        assert digest_of(found.content) == made["digest"]
        assert [str(child.platform) for child in found.manifests] == ["linux/amd64", "linux/arm64"]
        assert images.head(name, "1") == Descriptor(made["digest"], kinds[0], made["size"])
        child = images.manifest(name, found.manifests[1].digest)
        assert (child.media_type, len(child.layers)) == (kinds[1], 1)
        assert images.config(name, child)["architecture"] == "arm64"

    def test_blobs_come_whole_and_from_a_place_on(self, images: Images) -> None:
        name, content = fresh(), secrets.token_bytes(100_000)
        digest = pushed.put_blob(images, name, content)["digest"]
        assert images.size_of(name, digest) == len(content)
        assert images.small_blob(name, Descriptor(digest)) == content
        answer = images.blob(name, digest, 60_000)
        assert (answer.status, answer.read()) == (206, content[60_000:])
        assert images.blob(name, digest, len(content)).status == 416
        empty = pushed.put_blob(images, name, b"")["digest"]
        assert images.small_blob(name, Descriptor(empty)) == b""

    def test_a_blob_is_taken_over_or_pushed_in_pieces(self, images: Images) -> None:
        source, name, content = fresh(), fresh(), secrets.token_bytes(70_000)
        digest = pushed.put_blob(images, source, content)["digest"]
        pushed.put_blob(images, name, b"x")
        assert images.mount(name, digest, source) == ""
        assert images.size_of(name, digest) == len(content)
        other = secrets.token_bytes(70_000)
        begun = images.mount(name, digest_of(other), source)
        assert begun
        images.upload(name, digest_of(other), len(other), iter([other[:7], other[7:]]), begun)
        assert images.small_blob(name, Descriptor(digest_of(other))) == other

    def test_a_blob_under_another_digest_is_refused(self, images: Images) -> None:
        with pytest.raises(AnswerError) as error:
            images.upload(fresh(), digest_of(b"other"), 3, [b"abc"])
        assert (error.value.status, error.value.code) == (400, "DIGEST_INVALID")

    def test_deleting_a_digest_takes_its_tags(self, images: Images) -> None:
        name = fresh()
        digest = pushed.image(images, name, "1", "2")["digest"]
        pushed.image(images, name, "3")
        assert images.delete(name, digest) is True
        assert images.delete(name, digest) is False
        assert list(images.tags(name)) == ["3"]

    def test_referrers_by_the_api_or_by_the_tag(self, images: Images) -> None:
        name = fresh()
        subject = pushed.image(images, name, "1")
        assert images.referrers(name, subject["digest"]) == []
        made = pushed.artifact(images, name, kind="application/x.sbom", subject=subject)
        pushed.index(images, name, subject["digest"].replace(":", "-"), children=[made])
        (found,) = images.referrers(name, subject["digest"])
        assert (found.digest, found.artifact_type) == (made["digest"], "application/x.sbom")
        read = images.manifest(name, found.digest)
        assert (read.layers, read.subject and read.subject.digest) == ((), subject["digest"])
        assert images.config(name, read) == json.loads("{}")

    def test_a_manifest_of_which_a_blob_is_missing_is_refused(self, images: Images) -> None:
        missing = {"mediaType": pushed.LAYER, "digest": digest_of(b"missing"), "size": 7}
        name = fresh()
        config = pushed.put_blob(images, name, b"{}", pushed.CONFIG)
        with pytest.raises(AnswerError) as error:
            pushed.put(images, name, {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [missing]}, "1")
        assert (error.value.status, error.value.code) == (400, "MANIFEST_BLOB_UNKNOWN")
