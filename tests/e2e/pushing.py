"""Images of every kind, pushed inside a box: `python -m tests.e2e.pushing ROOT`, a JSON list of them on stdin.

{"name", "repository", "tags", "layers": [text…], "created"}: an image with such layers; {"name", "children": [names]}: an index;
{"subject": name}: of either kind, what refers to another one. Prints {name: digest}.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from gdkreg.registry.images import Images
from gdkreg.registry.manifests import OCI_INDEX, OCI_MANIFEST
from gdkreg.registry.remote import connect
from gdkreg.verbs.root import open_root
from tests.e2e.box import REPO, Box

CONFIG, LAYER = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar"


def push(box: Box, *images: dict[str, Any]) -> dict[str, str]:
    """The digests, by name."""
    done = box.run(
        sys.executable, "-m", "tests.e2e.pushing", str(box.root), stdin=json.dumps(images), env={"PYTHONPATH": str(REPO)}
    )
    assert done.code == 0, done
    found: dict[str, str] = json.loads(done.out)
    return found


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _blob(registry: Images, repository: str, content: bytes, media_type: str) -> dict[str, Any]:
    digest = _digest(content)
    if registry.size_of(repository, digest) is None:
        registry.upload(repository, digest, len(content), [content])
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _manifest(registry: Images, item: dict[str, Any], known: dict[str, dict[str, Any]]) -> tuple[bytes, str]:
    repository, kind = item["repository"], OCI_INDEX if "children" in item else OCI_MANIFEST
    body: dict[str, Any] = {"schemaVersion": 2, "mediaType": kind}
    if "children" in item:
        body["manifests"] = [
            {**known[name], "platform": {"os": "linux", "architecture": arch}}
            for name, arch in zip(item["children"], ("amd64", "arm64", "s390x", "riscv64"), strict=False)
        ]
    else:
        layers = item.get("layers", [item["name"]])
        config: dict[str, Any] = {
            "os": "linux",
            "architecture": "amd64",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": []},
        }
        config |= {"created": item["created"]} if "created" in item else {}
        config["history"] = [{"comment": item["name"]}]
        body["config"] = _blob(registry, repository, json.dumps(config).encode(), CONFIG)
        body["layers"] = [_blob(registry, repository, text.encode() * item.get("times", 1), LAYER) for text in layers]
    if "subject" in item:
        body["subject"] = known[item["subject"]]
    return json.dumps(body).encode(), kind


def main() -> None:
    root = open_root(Path(sys.argv[1]))
    known: dict[str, dict[str, Any]] = {}
    with connect(root.set_up(), root.host) as registry:
        for item in json.load(sys.stdin):
            content, kind = _manifest(registry, item, known)
            known[item["name"]] = {"mediaType": kind, "digest": _digest(content), "size": len(content)}
            for reference in item.get("tags") or [_digest(content)]:
                registry.put_manifest(item["repository"], reference, content, kind)
    print(json.dumps({name: found["digest"] for name, found in known.items()}))


if __name__ == "__main__":
    main()
