"""Names of the OCI distribution spec: repository, tag, digest, and the reference that joins them."""

from __future__ import annotations

import re

import msgspec

from gdkreg.errors import ConfigError

COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
LONGEST = 255  # characters of a repository's name, as in Distribution
ALGORITHMS = {"sha256": 64, "sha384": 96, "sha512": 128}  # hexadecimal digits; Distribution knows these

REPOSITORY_GRAMMAR = (
    "a repository is lowercase letters and digits, joined by one of . _ __ or some -, "
    f"in parts joined by /; {LONGEST} characters at most"
)
TAG_GRAMMAR = "a tag is a letter, a digit or _, then up to 127 of these or . or -"
DIGEST_GRAMMAR = "a digest is sha256: and 64 hexadecimal digits in lower case, or sha512: and 128"
GRAMMAR = "a reference is REPOSITORY, then :TAG, or @DIGEST, or both"

_REPOSITORY = re.compile(rf"{COMPONENT}(?:/{COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile("|".join(f"{name}:[0-9a-f]{{{digits}}}" for name, digits in ALGORITHMS.items()))


class Reference(msgspec.Struct, frozen=True):
    """A repository, and a tag, a digest, both or neither in it. With both the digest counts, as for docker."""

    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """What stands in the API's paths: the digest, else the tag; empty where it is the whole repository."""
        return self.digest or self.tag

    def __str__(self) -> str:
        return f"{self.repository}{':' if self.tag else ''}{self.tag}{'@' if self.digest else ''}{self.digest}"


def is_repository(text: str) -> bool:
    return len(text) <= LONGEST and _REPOSITORY.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    return _TAG.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None


def repository(text: str) -> str:
    """The text itself. Raises `ConfigError` with the grammar where it names no repository."""
    if is_repository(text):
        return text
    lower = text.lower()
    fix = f"write it in lower case: {lower}" if is_repository(lower) else ""
    raise ConfigError(f"{text[:300]!r} is not a repository", why=REPOSITORY_GRAMMAR, fix=fix)


def tag(text: str) -> str:
    """The text itself. Raises `ConfigError` with the grammar where it is no tag."""
    if is_tag(text):
        return text
    raise ConfigError(f"{text[:150]!r} is not a tag", why=TAG_GRAMMAR)


def digest(text: str) -> str:
    """The text itself. Raises `ConfigError` with the grammar where it is no digest."""
    if is_digest(text):
        return text
    raise ConfigError(f"{text[:150]!r} is not a digest", why=DIGEST_GRAMMAR)


def parse(text: str, *, authority: str = "") -> Reference:
    """`authority` is the own registry's HOST:PORT, which may stand before the repository, as docker writes it.

    Raises `ConfigError` with the grammar of the part that is wrong.
    """
    rest = text.removeprefix(f"{authority}/") if authority else text
    rest, at, wanted = rest.partition("@")
    name, colon, label = rest.rpartition(":") if ":" in rest.rpartition("/")[2] else (rest, "", "")
    if (at and not wanted) or (colon and not label) or not name:
        raise ConfigError(f"{text[:300]!r} is not a reference", why=GRAMMAR)
    return Reference(repository(name), tag(label) if label else "", digest(wanted) if wanted else "")
