"""What the clients share: their own words as a broken hop, and credentials in a private file."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from gdkreg.config.effective import Settings
from gdkreg.explain import remedy_of
from gdkreg.host.base import HostReader
from gdkreg.proof.client import BrokenError

TRUST = "gdkreg trust-docker-registry"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def broken(text: str, settings: Settings, host: HostReader) -> BrokenError:
    """A client's own words as a broken hop, with what cures them."""
    return BrokenError(last_line(text) or "it failed without a word", remedy_of(text, settings, host.platform.system))


def last_line(text: str) -> str:
    words = [line.strip() for line in text.splitlines() if line.strip()]
    return words[-1][:300] if words else ""


def last_digest(text: str) -> str:
    """The last digest that a client told. Raises `BrokenError` where it told none."""
    found = _DIGEST.findall(text)
    if not found:
        raise BrokenError("the engine told no digest", "gdkreg tail registry --no-follow")
    return str(found[-1])


def path_of(reference: str) -> tuple[str, str]:
    """Repository and tag of HOST:PORT/REPOSITORY:TAG."""
    repository, _, tag = reference.partition("/")[2].rpartition(":")
    return repository, tag


def docker_config(settings: Settings, token: str) -> dict[str, object]:
    """`auths` of Docker's config.json: a bearer token for this registry and nothing else."""
    return {"auths": {settings.authority: {"registrytoken": token}} if token else {}}


def as_json(config: dict[str, object]) -> bytes:
    return json.dumps(config).encode()


def private(path: Path, config: dict[str, object]) -> None:
    """A file that only this user reads."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(as_json(config))
