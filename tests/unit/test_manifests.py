from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from gdkreg.registry import manifests
from gdkreg.registry.manifests import ManifestError, parse


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def descriptor(text: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": "application/octet-stream", "digest": digest(text), "size": len(text), **more}


def made(**parts: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, **parts}).encode()


def test_an_image_is_read_with_its_digest_of_the_bytes() -> None:
    content = made(
        mediaType=manifests.OCI_MANIFEST,
        config=descriptor("config"),
        layers=[descriptor("one"), descriptor("two", urls=["https://elsewhere.example/two"])],
        subject=descriptor("subject"),
        artifactType="application/x",
        annotations={"a": "b"},
    )
    found = parse(content)
    assert found.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert (found.kind, found.artifact_type, found.annotations) == ("image", "application/x", {"a": "b"})
    assert found.config is not None
    assert found.subject is not None
    assert (found.config.digest, found.subject.digest) == (digest("config"), digest("subject"))
    assert [(layer.size, layer.foreign) for layer in found.layers] == [(3, False), (3, True)]


def test_an_index_is_read_with_its_platforms() -> None:
    platform = {"os": "linux", "architecture": "arm64", "variant": "v8", "os.version": "1"}
    found = parse(made(mediaType=manifests.DOCKER_LIST, manifests=[descriptor("a", platform=platform), descriptor("b")]))
    assert found.kind == "index"
    assert [str(child.platform or "") for child in found.manifests] == ["linux/arm64/v8", ""]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (made(config=descriptor("c"), layers=[]), "image"),
        (made(manifests=[]), "index"),
        (b'{"schemaVersion":1,"fsLayers":[]}', "schema1"),
        (made(mediaType=manifests.OCI_ARTIFACT, blobs=None, annotations=None), "artifact"),
        (made(mediaType=manifests.OCI_MANIFEST, config=descriptor("c", urls=None, annotations=None), layers=None), "image"),
    ],
)
def test_what_is_not_told_is_judged_by_the_keys_and_null_is_empty(content: bytes, kind: str) -> None:
    assert parse(content).kind == kind


def test_layers_of_schema_1_and_blobs_of_an_artifact() -> None:
    old = json.dumps({"schemaVersion": 1, "fsLayers": [{"blobSum": digest("x")}], "history": []}).encode()
    assert [layer.digest for layer in parse(old, manifests.DOCKER_V1).layers] == [digest("x")]
    artifact = made(mediaType=manifests.OCI_ARTIFACT, blobs=[descriptor("y")], subject=descriptor("z"))
    assert [layer.digest for layer in parse(artifact).layers] == [digest("y")]


def test_annotations_may_have_any_key() -> None:
    content = made(
        mediaType=manifests.OCI_MANIFEST, config=descriptor("c", annotations={"Size": "1"}), annotations={"Digest": "x"}
    )
    assert parse(content).annotations == {"Digest": "x"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'"text"',
        made(mediaType="application/x-unknown", config=descriptor("c")),
        made(mediaType=7),
        made(mediaType=manifests.OCI_MANIFEST, config={}),
        made(mediaType=manifests.OCI_MANIFEST, config=descriptor("c"), layers=[{"digest": "sha256:abc"}]),
        made(mediaType=manifests.OCI_MANIFEST, config=descriptor("c"), layers="none"),
        made(mediaType=manifests.OCI_MANIFEST, config=descriptor("c"), LAYERS=[descriptor("x")]),
        made(mediaType=manifests.OCI_INDEX, manifests=[{**descriptor("c"), "Digest": digest("x")}]),
        made(mediaType=manifests.OCI_MANIFEST, config=descriptor("c"), layers=[])[:-9],
        b"[" * 100_000,
    ],
)
def test_what_is_no_manifest_is_told(content: bytes) -> None:
    with pytest.raises(ManifestError):
        parse(content)
