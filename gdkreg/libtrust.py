"""The key id of libtrust, by which GitLab's tokens name their key."""

from __future__ import annotations

import base64
import hashlib


def key_id(spki: bytes) -> str:
    """SHA-256 of a DER SubjectPublicKeyInfo, 240 bits of it in base32, in groups of 4."""
    text = base64.b32encode(hashlib.sha256(spki).digest()[:30]).decode()
    return ":".join(text[at : at + 4] for at in range(0, len(text), 4))
