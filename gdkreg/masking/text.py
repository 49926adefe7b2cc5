"""Addresses, and other programs' words, without what is secret in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote_plus

from gdkreg.masking.public import QUERY

MASK = "***"
_PUBLIC = frozenset(QUERY.split())
_ADDRESS = re.compile(
    r"\b[A-Za-z][A-Za-z0-9+.-]{0,20}://[^\s\"'<>`\\]+|"
    r"(?<![\w.])/[^\s\"'<>?]*\?[^\s\"'<>]+"  # from its path on, as in an access log
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_PLACE = re.compile(r"(?:[\w.*-]+|\[[0-9A-Fa-f:.]+\])(?::\d+)?")
# Of the registry's API, the engine's and the token protocol; another path may be a secret, as a webhook's is.
_PATH = re.compile(r"/?|/v[12](?:\.\d+)?/[\w./:+~%*-]*|(?:/[\w.-]{1,40})?/jwt/auth|/token")
_LOCAL = {"unix", "npipe", "file"}

_HEADER = r"(?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]+|[\w-]{0,40}-token|api-?key"
_NAME = r"[\w.-]{0,40}(?:token|secret|passw(?:or)?d|credentials?|signature|cookie|jwt|private_?key|api_?key|access_?key(?:_?id)?)"
_PROSE = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL), MASK),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"), MASK),
    (re.compile(r"\b(?:gl[a-z]{2,7}-[\w.-]{10,}|gh[a-z]_\w{20,}|A[KS]IA[0-9A-Z]{12,})"), MASK),
    # Host and user of what is no whole address; `name:1@sha256:…` is an image.
    (re.compile(r"(?<![\w/.-])[^\s:/@\"'=,(]+:[^\s/@\"']+@(?!sha256:)(?=[\w\[])"), f"{MASK}@"),
    (
        re.compile(r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]+|[\w-]*-token|api-?key)(\"?\s*:\s*)[^\n\"}\]]+"),
        r"\1\2***",
    ),
    (re.compile(r"\b((?i:basic|bearer))[ \t]+(?=[^\s,\"']*[A-Z0-9=+/])(?!realm=)[\w+/=.~-]{6,}"), r"\1 ***"),
    (re.compile(rf"(?i)(\"{_NAME}\"\s*:\s*)(?:\"(?:[^\"\\]|\\.)*\"|[\w.-]+)"), r'\1"***"'),
    (re.compile(rf"(?i)\b({_NAME}=)(?:\"[^\"]*\"|[^\s&;,\"']+)"), r"\1***"),
)

_known: set[str] = set()
_pattern: re.Pattern[str] | None = None


def learn(secrets: Iterable[str]) -> None:
    """Texts that are masked from now on in whatever another program says (`prose`); short ones would blot out words."""
    global _pattern
    fresh = {text for text in secrets if len(text) >= 6} - _known
    if fresh:
        _known.update(fresh)
        forms = {form for text in _known for form in (text, quote(text, safe=""), text.replace("\\", "\\\\").replace('"', '\\"'))}
        _pattern = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))


def address(text: str) -> str:
    """A URL, whole or from its path on, without user and password, and with public names and paths only."""
    rest, _, fragment = text.partition("#")
    rest, mark, asked = rest.partition("?")
    scheme, slashes, after = rest.partition("://")
    if not _SCHEME.fullmatch(scheme):  # it begins with its path
        slashes = ""
    if scheme.lower() in _LOCAL and slashes:
        return rest
    place, slash, path = after.partition("/") if slashes else ("", "", rest)
    path = slash + path
    _, at, place = place.rpartition("@")
    shown = f"{scheme}{slashes}{MASK + at if at else ''}" if slashes else ""
    if slashes:
        shown += place if "@" not in path and (not place or _PLACE.fullmatch(place)) else MASK
    shown += path if _PATH.fullmatch(path) else f"/{MASK}"
    return f"{shown}{mark}{query(asked)}{f'#{MASK}' if fragment else ''}"


def query(text: str) -> str:
    """A query string in which only public names keep their values."""
    return "".join(part if part in "&;" else _pair(part) for part in re.split("([&;])", text))


def _pair(part: str) -> str:
    name, equals, _ = part.partition("=")
    return part if equals and unquote_plus(name).lower() in _PUBLIC else f"{name}={MASK}" if equals else MASK


def public_text(text: str) -> str:
    """The value of a public key: all the same without credentials, and without what nobody expects in it."""
    return MASK if "\n" in text.strip() else prose(text)


def known_free(text: str) -> str:
    """A command of ours, which may quote what somebody wrote: without what was learnt."""
    return _pattern.sub(MASK, text) if _pattern else text


def prose(text: str) -> str:
    """What another program said, or a sentence of ours that quotes it."""
    text = known_free(text)
    text = _ADDRESS.sub(lambda found: address(found[0]), text)
    for pattern, by in _PROSE:
        text = pattern.sub(by, text)
    return text


def hidden_in(text: str) -> Iterator[str]:
    """What `address` hides of the addresses in a text."""
    for found in _ADDRESS.finditer(text):
        rest, _, asked = found[0].partition("?")
        place, slash, path = rest.partition("://")[2].partition("/")
        user, at, _ = place.rpartition("@")
        if at:
            yield user
            yield user.partition(":")[2]
        if not _PATH.fullmatch(slash + path):
            yield path
        for part in re.split("[&;]", asked):
            if _pair(part) != part:
                yield part.partition("=")[2] or part
