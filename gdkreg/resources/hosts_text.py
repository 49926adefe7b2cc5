"""The managed block in an /etc/hosts, as functions from bytes to bytes.

Every byte outside the block stays: line ends, tabs, a byte order mark, a missing final newline. What
is added can be taken out again from the text alone: a line that was taken over stands commented out
where it was, so `remove(add(text)) == text` needs no other record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

_BOM = b"\xef\xbb\xbf"
_TAKEN = b"# gdkreg took over for "
_OPEN = b"last line, no newline: "
_REST = b" # the rest of the line above, by gdkreg"
_BEGIN = b"# >>> gdkreg "
_END = b"# <<< gdkreg "
_OURS = re.compile(rb"[0-9.]+ \S+ # gdkreg")


class Mapped(msgspec.Struct, frozen=True):
    """A line that maps one of our names. `number` counts from 1; `root` is set inside another root's block."""

    number: int
    name: str
    address: str
    text: str
    root: str


class Parts(msgspec.Struct, frozen=True):
    """A hosts file without what is ours: the bytes before and behind the block's place.

    `placed` tells whether there was a block, `taken` which names were taken over.
    """

    before: bytes
    after: bytes
    placed: bool
    taken: frozenset[str]


def _begin(root: str) -> bytes:
    return _BEGIN + root.encode() + b" >>> managed"


def _taken(root: str) -> bytes:
    return _TAKEN + root.encode() + b": "


def _end(root: str) -> bytes:
    return _END + root.encode() + b" <<<"


def split(content: bytes, root: str) -> Parts:
    """Take the block and the marks of taken lines out."""
    begin, end = _begin(root), _end(root)
    start = _line_at(content, begin)
    if start < 0:
        body, taken = _untake(content, root)
        return Parts(body, b"", False, taken)
    stop = _line_at(content, end, start)
    head_end = _after_line(content, start)
    joined = b"(joined)" in content[start:head_end]
    # A block whose end somebody deleted reaches as far as its lines are ours.
    inner_stop = stop if stop >= 0 else _own_lines_end(content, head_end)
    inner = _lines(content[head_end:inner_stop])
    foreign = b"".join(line for line in inner if not _OURS.fullmatch(line.strip()))
    before = content[:start]
    after = foreign + content[_after_line(content, inner_stop) if stop >= 0 else inner_stop :]
    if joined and not after:  # the end of the line above was added with the block, as the block's own lines end
        before = before.removesuffix(b"\r\n" if content[start:head_end].endswith(b"\r\n") else b"\n")
    before, taken_before = _untake(before, root)
    after, taken_after = _untake(after, root)
    return Parts(before, after, True, taken_before | taken_after)


def block(content: bytes, root: str) -> dict[str, str]:
    """The names in a root's block, with their addresses."""
    start = _line_at(content, _begin(root))
    stop = _line_at(content, _end(root), start) if start >= 0 else -1
    lines = _lines(content[start:stop]) if stop >= 0 else []
    return {name: address for line in lines if _OURS.fullmatch(line.strip()) for address, (name,) in [_parse(line)]}


def remove(content: bytes, root: str) -> bytes:
    parts = split(content, root)
    start = _line_at(content, _begin(root))
    joined = start >= 0 and b" (joined)" in content[start : _after_line(content, start)]
    if not (joined and parts.after.startswith(_BEGIN)):
        return parts.before + parts.after
    # The end of the line above was added with our block; now it is the next block's to take away.
    line = parts.after[: _after_line(parts.after, 0)]
    bare = line.rstrip(b"\r\n")
    marked = bare if bare.endswith(b"(joined)") else bare + b" (joined)"
    return parts.before + marked + line[len(bare) :] + parts.after[len(line) :]


def add(parts: Parts, names: Mapping[str, str], root: str, take: frozenset[str]) -> bytes:
    """The file with the block in its place (else at the end), and the names of `take` taken out of the user's lines."""
    before, after = (_take(piece, take, root) for piece in (parts.before, parts.after))
    if not names:
        return before + after
    eol = b"\r\n" if b"\r\n" in parts.before or b"\r\n" in parts.after else b"\n"
    joined = bool(before) and before != _BOM and not before.endswith(b"\n")
    head = _begin(root) + (b" (joined)" if joined else b"") + eol
    lines = b"".join(f"{address} {name} # gdkreg".encode() + eol for name, address in names.items())
    return before + (eol if joined else b"") + head + lines + _end(root) + eol + after


def mapped(content: bytes, names: Mapping[str, str]) -> list[Mapped]:
    """Every line that maps one of the names, whatever the address."""
    found: list[Mapped] = []
    lower = content.lower()
    starts: set[int] = set()
    for name in names:
        at = lower.find(name.lower().encode())
        while at >= 0:
            starts.add(content.rfind(b"\n", 0, at) + 1)
            at = lower.find(name.lower().encode(), at + 1)
    wanted = {name.lower(): name for name in names}
    for start in sorted(starts):
        line = content[start : _after_line(content, start)]
        address, listed = _parse(line)
        for name in listed:
            if name.lower() in wanted:
                number = content.count(b"\n", 0, start) + 1
                shown = line.strip().decode("utf-8", "replace")
                shown = shown if len(shown) < 120 else shown[:117] + "…"
                found.append(Mapped(number, wanted[name.lower()], address, shown, _root_around(content, start)))
    return found


def _root_around(content: bytes, at: int) -> str:
    """The root whose block holds this place; empty where none does."""
    begin = content.rfind(_BEGIN, 0, at)
    if begin < 0 or content.find(_END, begin, at) >= 0:
        return ""
    line = content[begin : _after_line(content, begin)].removeprefix(_BEGIN)
    return line.partition(b" >>> managed")[0].decode("utf-8", "replace")


def _parse(line: bytes) -> tuple[str, list[str]]:
    fields = line.removeprefix(_BOM).partition(b"#")[0].decode("utf-8", "replace").split()
    return (fields[0], fields[1:]) if fields else ("", [])


def _take(content: bytes, names: frozenset[str], root: str) -> bytes:
    """Comment out each line that maps one of the names; its other names go on working on a line below it."""
    if not names:
        return content
    bom = _BOM if content.startswith(_BOM) else b""
    lower = {name.lower() for name in names}
    out: list[bytes] = []
    for line in _lines(content[len(bom) :]):
        address, listed = _parse(line)
        if not any(name.lower() in lower for name in listed):
            out.append(line)
            continue
        rest = [name for name in listed if name.lower() not in lower]
        ending = line[len(line.rstrip(b"\r\n")) :]
        if not rest:
            out.append(_taken(root) + line)
            continue
        kept = " ".join([address, *rest]).encode() + _REST
        out.append(_taken(root) + (line if ending else _OPEN + line + b"\n"))
        out.append(kept + ending)
    return bom + b"".join(out)


def _lines(content: bytes) -> list[bytes]:
    """Lines with their ends, by newline only: `splitlines` also splits at a lone carriage return."""
    *whole, tail = content.split(b"\n")
    return [line + b"\n" for line in whole] + ([tail] if tail else [])


def _untake(content: bytes, root: str) -> tuple[bytes, frozenset[str]]:
    """Put taken lines back as they were; gives the names that had been taken, too.

    A rest line that the user changed since counts: its names are kept beside the ones that come back.
    """
    mark = _taken(root)
    if mark not in content:
        return content, frozenset()
    out: list[bytes] = []
    taken: set[str] = set()
    last: tuple[str, list[str]] | None = None
    bom = _BOM if content.startswith(_BOM) else b""
    for line in _lines(content[len(bom) :]):
        if line.startswith(mark):
            original = line.removeprefix(mark)
            opened = original.startswith(_OPEN)
            out.append(original.removeprefix(_OPEN).removesuffix(b"\n") if opened else original)
            last = _parse(out[-1])
            taken.update(last[1])
        elif last is not None and line.rstrip(b"\r\n").endswith(_REST):
            address, names = _parse(line)
            taken.difference_update(names)
            if address != last[0] or not set(names) <= set(last[1]) or names != [name for name in last[1] if name in names]:
                ending = line[len(line.rstrip(b"\r\n")) :]
                came_back = [name for name in last[1] if name in taken]
                out[-1] = " ".join([address, *names, *came_back]).encode() + ending
            last = None
        else:
            if out and not out[-1].endswith(b"\n"):
                out.append(b"\n")  # lines were added behind what used to be the last one
            out.append(line)
            last = None
    return bom + b"".join(out), frozenset(taken)


def others(content: bytes, own: set[str]) -> frozenset[str]:
    """The addresses in blocks of other roots than ours."""
    found: set[str] = set()
    for line in re.finditer(rb"(?m)^[0-9.]+ \S+ # gdkreg\r?$", content):
        if _root_around(content, line.start()) not in {"", *own}:
            found.add(line[0].split()[0].decode())
    return frozenset(found)


def _line_at(content: bytes, marker: bytes, start: int = 0) -> int:
    """Where a line begins with the marker; -1 where none does."""
    at = content.find(marker, start)
    while at > 0 and content[at - 1 : at] != b"\n" and not (at == len(_BOM) and content.startswith(_BOM)):
        at = content.find(marker, at + 1)
    if at >= 0 and content[at + len(marker) : at + len(marker) + 1] not in {b"", b"\n", b"\r", b" "}:
        return _line_at(content, marker, at + 1)  # another root whose path begins like ours
    return at


def _after_line(content: bytes, start: int) -> int:
    found = content.find(b"\n", start)
    return len(content) if found < 0 else found + 1


def _own_lines_end(content: bytes, start: int) -> int:
    while start < len(content):
        stop = _after_line(content, start)
        if not _OURS.fullmatch(content[start:stop].strip()):
            return start
        start = stop
    return start
