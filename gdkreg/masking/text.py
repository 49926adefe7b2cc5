"""Addresses, and other programs' words, without what is secret in them."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterable, Iterator

from gdkreg.masking.public import QUERY

MASK = "***"
_PUBLIC = frozenset(QUERY.split())
_ADDRESS = (
    r"\b[A-Za-z][A-Za-z0-9+.-]{0,20}://[^\s\"'<>`\\]+|"
    r"(?<![\w.])/[^\s\"'<>?]*\?[^\s\"'<>]+"  # from its path on, as in an access log
)
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*"
_PLACE = r"(?:[\w.*-]+|\[[0-9A-Fa-f:.]+\])(?::\d+)?"
# Of the registry's API, the engine's and the token protocol; another path may be a secret, as a webhook's is.
_PATH = r"/?|/v[12](?:\.\d+)?/[\w./:+~%*-]*|(?:/[\w.-]{1,40})?/jwt/auth|/token"
_LOCAL = {"unix", "npipe", "file"}

_HEADER = r"(?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]+|[\w-]{0,40}-token|api-?key"
_NAME = r"[\w.-]{0,40}(?:token|secret|passw(?:or)?d|credentials?|signature|cookie|jwt|private_?key|api_?key|access_?key(?:_?id)?)"
# Marks of which one has to be there in lower case, the pattern, and what stands in its place. Only what is needed is ever
# compiled: that costs more than most commands' own work.
_PROSE: tuple[tuple[tuple[str, ...], str, str | Callable[[re.Match[str]], str]], ...] = (
    (("private key-----",), r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", MASK),
    (("eyj",), r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?", MASK),
    (("gl", "gh", "ia"), r"\b(?:gl[a-z]{2,7}-[\w.-]{10,}|gh[a-z]_\w{20,}|A[KS]IA[0-9A-Z]{12,})", MASK),
    # User and host of what is no whole address; `name:1@sha256:…` is an image.
    (("@",), r"(?<![\w/.-])[^\s:/@\"'=,(]+:[^\s/@\"']+@(?!sha256:)(?=[\w\[])", f"{MASK}@"),
    (("auth", "cookie", "x-", "token", "key"), rf"(?i)\b({_HEADER})(\"?\s*:\s*)[^\n\"}}\]]+", r"\1\2***"),
    (("basic", "bearer"), r"\b((?i:basic|bearer))[ \t]+(?=[^\s,\"']*[A-Z0-9=+/])(?!realm=)[\w+/=.~-]{6,}", r"\1 ***"),
    (('"',), rf"(?i)(\"{_NAME}\"\s*:\s*)(?:\"(?:[^\"\\]|\\.)*\"|[\w.-]+)", r'\1"***"'),
    # A line of an access log.
    (("http",), r"(\b[A-Z]{3,7} |uri=\"?)(/[^\s\"]*)", lambda found: found[1] + address(found[2])),
    (("=",), rf"(?i)\b({_NAME}=)(?:\"[^\"]*\"|[^\s&;,\"']+)", r"\1***"),
)

_to_learn: list[Callable[[], Iterable[str]]] = []
_known: set[str] = set()
_pattern: re.Pattern[str] | None = None


def learn(secrets: Callable[[], Iterable[str]]) -> None:
    """Texts that are masked from now on in whatever another program says (`prose`); they are asked for when it says something."""
    _to_learn.append(secrets)


def _learnt() -> re.Pattern[str] | None:
    global _pattern
    from urllib.parse import quote

    while _to_learn:
        with contextlib.suppress(ValueError, RecursionError):  # a number of 10,000 digits, a list in itself: nobody can say that
            _known.update(text for text in _to_learn.pop()() if len(text) >= 6)  # a short one would blot out words
        quoted = functools.partial(quote, safe="", errors="replace")
        forms = {form for text in _known for form in (text, quoted(text), text.replace("\\", "\\\\").replace('"', '\\"'))}
        _pattern = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))) if forms else None
    return _pattern


def address(text: str) -> str:
    """A URL, whole or from its path on, without user and password, and with public names and paths only."""
    rest, _, fragment = text.partition("#")
    rest, mark, asked = rest.partition("?")
    scheme, slashes, after = rest.partition("://")
    if not re.fullmatch(_SCHEME, scheme):  # it begins with its path
        slashes = ""
    if scheme.lower() in _LOCAL and slashes:
        return rest
    place, slash, path = after.partition("/") if slashes else ("", "", rest)
    path = slash + path
    _, at, place = place.rpartition("@")
    shown = f"{scheme}{slashes}{MASK + at if at else ''}" if slashes else ""
    if slashes:
        shown += place if "@" not in path and (not place or re.fullmatch(_PLACE, place)) else MASK
    shown += path if re.fullmatch(_PATH, path) else f"/{MASK}"
    return f"{shown}{mark}{query(asked)}{f'#{MASK}' if fragment else ''}"


def query(text: str) -> str:
    """A query string in which only public names keep their values."""
    return "".join(part if part in "&;" else _pair(part) for part in re.split("([&;])", text))


def _pair(part: str) -> str:
    from urllib.parse import unquote_plus

    name, equals, _ = part.partition("=")
    return part if equals and unquote_plus(name).lower() in _PUBLIC else f"{name}={MASK}" if equals else MASK


def public_text(text: str) -> str:
    """The value of a public key: all the same without credentials, and without what nobody expects in it."""
    return MASK if "\n" in text.strip() else prose(text)


def visible(text: str) -> str:
    """Text that came over the wire, harmless to a terminal: no escape, control or direction character stays one."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def known_free(text: str) -> str:
    """A command of ours, which may quote what somebody wrote: without what was learnt."""
    pattern = _learnt()
    return pattern.sub(MASK, text) if pattern else text


def prose(text: str) -> str:
    """What another program said, or a sentence of ours that quotes it."""
    text = known_free(text)
    if "://" in text or "?" in text:
        text = re.sub(_ADDRESS, lambda found: address(found[0]), text)
    lower = text.lower()
    for marks, pattern, by in _PROSE:
        if any(mark in lower for mark in marks):
            text = re.sub(pattern, by, text)
    return text


def hidden_in(text: str) -> Iterator[str]:
    """What `address` hides of the addresses in a text."""
    for found in re.finditer(_ADDRESS, text):
        rest, _, asked = found[0].partition("?")
        place, slash, path = rest.partition("://")[2].partition("/")
        user, at, _ = place.rpartition("@")
        if at:
            yield user
            yield user.partition(":")[2]
        if not re.fullmatch(_PATH, slash + path):
            yield path
            yield from (part for part in path.split("/") if not part.islower())  # a plain word would be masked everywhere
        for part in re.split("[&;]", asked):
            if _pair(part) != part:
                yield part.partition("=")[2] or part
