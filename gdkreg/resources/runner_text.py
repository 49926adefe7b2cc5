"""The runner's config.toml, as functions from text to text. What is not ours keeps its bytes.

GitLab Runner reads `volumes`, `extra_hosts` and `pull_policy` under [runners.docker]; only its
Docker executors have that table.
"""

from __future__ import annotations

import copy
import difflib
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array, Table

from gdkreg.errors import GdkregError
from gdkreg.resources.runner_lists import refuse_wrong

DOCKER_EXECUTORS = frozenset({"docker", "docker+machine", "docker-autoscaler", "docker-windows"})
CERTS_D = "/etc/docker/certs.d"
_once = functools.lru_cache(maxsize=8)  # a plan is made more than once, and parsing hundreds of runners takes its time
_KEYS = ("volumes", "extra_hosts", "pull_policy")


class Wanted(msgspec.Struct, frozen=True):
    """What every Docker runner gets: the mount, host name → address, and a pull policy ("" leaves it)."""

    mount: str
    hosts: Mapping[str, str]
    pull_policy: str = ""


class Seen(msgspec.Struct, frozen=True):
    """One runner of the file, for the report."""

    name: str
    executor: str
    patched: bool


def patch(text: str, wanted: Wanted) -> tuple[str, list[Seen]]:
    """The file with every Docker runner brought to what is wanted, and what runners there are.

    Raises `GdkregError` for what is not TOML, and where there is no runner; `WrongValueError` for no list of texts.
    """
    text, seen = _patched(text, wanted.mount, tuple(wanted.hosts.items()), wanted.pull_policy)
    return text, list(seen)


@_once
def _patched(text: str, mount: str, hosts: tuple[tuple[str, str], ...], pull_policy: str) -> tuple[str, tuple[Seen, ...]]:
    document = _parse(text)
    seen: list[Seen] = []
    for index, runner in enumerate(_runners(document), start=1):
        name, executor = str(runner.get("name") or f"runner {index}"), str(runner.get("executor", ""))
        docker = executor in DOCKER_EXECUTORS
        seen.append(Seen(name, executor, docker))
        if docker:
            table = _docker_table(runner)
            refuse_wrong(table, text, index)
            _put(table, "volumes", _with_mount(_strings(table.get("volumes")), mount))
            _put(table, "extra_hosts", with_hosts(_strings(table.get("extra_hosts")), dict(hosts)))
            if pull_policy and table.get("pull_policy") != pull_policy:
                table["pull_policy"] = pull_policy
                _indent(table, "pull_policy")
    if not seen:
        raise GdkregError("there is no [[runners]] in it", fix="gitlab-runner register makes one")
    return _dump(document, text), tuple(seen)


@_once
def take_back(current: str, original: str, written: str) -> str:
    """The current text without what we put in between `original` and `written`; the user's later edits stay."""
    document, before, ours = _parse(current), _read(original), _read(written)
    runners, finder = _runners(document), _Finder(ours)
    for position, runner in enumerate(runners):
        if not isinstance(runner.get("docker"), Mapping):
            continue
        table = runner["docker"]
        at = finder.find(runner, position, len(runners))
        if at is None:  # a runner that was not there: only exactly what we write is ours
            for name in ("volumes", "extra_hosts"):
                strings = [
                    {item for one in part for item in _strings(one.get("docker", {}).get(name))} for part in (ours, before)
                ]
                _put(table, name, [item for item in _strings(table.get(name)) if item not in strings[0] - strings[1]])
            continue
        first, ours_table = before[at].get("docker", {}), ours[at].get("docker", {})
        for name in ("volumes", "extra_hosts"):
            had, put = _strings(first.get(name)), _strings(ours_table.get(name))
            _put(table, name, _without_ours(name, _strings(table.get(name)), had, put), drop_empty=name not in first)
        if table.get("pull_policy") == ours_table.get("pull_policy") != first.get("pull_policy"):
            if "pull_policy" in first:
                table["pull_policy"] = first["pull_policy"]
            else:
                del table["pull_policy"]
        if not table and "docker" not in before[at]:
            del runner["docker"]
    return _dump(document, current)


@_once
def _read(text: str) -> list[Any]:
    """The runners as plain dictionaries, to look at only."""
    return _runners(_parse(text).unwrap())


class _Finder:
    """Finds a runner among others: by all that names it, else by its name or token alone, else by its place."""

    _KINDS = (("name", "id", "token", "url"), ("id", "token"), ("name",), ("token",))

    def __init__(self, others: list[Any]) -> None:
        self._count = len(others)
        self._places: list[dict[tuple[str, ...], list[int]]] = []
        for keys in self._KINDS:
            places: dict[tuple[str, ...], list[int]] = {}
            for at, other in enumerate(others):
                places.setdefault(self._named(other, keys), []).append(at)
            self._places.append(places)

    def _named(self, runner: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(runner.get(key, "")) for key in keys)

    def find(self, runner: Mapping[str, Any], position: int, count: int) -> int | None:
        for keys, places in zip(self._KINDS, self._places, strict=True):
            named = self._named(runner, keys)
            found = places.get(named, []) if any(named) else []
            if len(found) == 1:
                return found[0]
        return position if count == self._count else None


def _without_ours(key: str, now: list[str], had: list[str], put: list[str]) -> list[str]:
    """`now` without what `put` added to `had`; an item that ours replaced comes back in its place."""
    lost = {_slot(key, item): item for item in had if item not in put}
    out: list[str] = []
    for item in now:
        if item in had or item not in put:
            out.append(item)
        elif _slot(key, item) in lost:
            out.append(lost[_slot(key, item)])
    return out


def _slot(key: str, item: str) -> str:
    """What two entries cannot share: a mount's target, an extra host's name."""
    return _target(item) if key == "volumes" else item.partition(":")[0].lower()


def same_items(one: str, other: str) -> bool:
    """Whether two versions give every runner the same mounts, hosts and pull policy, in whatever order."""
    return _items(one) == _items(other)


def differ_by_ours(one: str, other: str) -> bool:
    """Whether two versions differ by nothing but the keys that we write. Raises `GdkregError` for what is not TOML."""
    return bool(_others(one) == _others(other))


def _others(text: str) -> Any:
    document = copy.deepcopy(_parse(text).unwrap())
    for runner in _runners(document):
        docker = runner.get("docker", {})
        rest = {key: value for key, value in docker.items() if key not in _KEYS} if isinstance(docker, Mapping) else docker
        runner.pop("docker", None)
        if rest:
            runner["docker"] = rest
    return document


def pull_policy_of(original: str, written: str) -> str:
    """The pull policy that an earlier patch set; empty where it left it."""
    old = {_identity(item): item for item in _read(original)}
    for runner in _read(written):
        policy = runner.get("docker", {}).get("pull_policy")
        if policy and policy != old.get(_identity(runner), {}).get("docker", {}).get("pull_policy"):
            return str(policy)
    return ""


def _items(text: str) -> list[tuple[str, list[str]]]:
    return [(key, sorted(_strings(runner.get("docker", {}).get(key)))) for runner in _read(text) for key in _KEYS]


def _parse(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text.replace("\r\n", "\n"))
    except (TOMLKitError, ValueError) as error:
        line = getattr(error, "line", None)
        raise GdkregError("it is not valid TOML", why=str(error), fix=f"edit it{f', line {line}' if line else ''}") from None


def _runners(document: Mapping[str, Any]) -> list[Any]:
    runners = document.get("runners", [])
    if not isinstance(runners, (AoT, Array, list)) or any(not isinstance(item, Mapping) for item in runners):
        raise GdkregError("its runners are not [[runners]] tables", fix="see the documentation of GitLab Runner")
    return list(runners)


def _identity(runner: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(runner.get(key, "")) for key in ("name", "id", "token", "url"))


def _docker_table(runner: Any) -> Any:
    if "docker" not in runner:
        runner["docker"] = tomlkit.table() if isinstance(runner, Table) else tomlkit.inline_table()
    if not isinstance(runner["docker"], Mapping):
        raise GdkregError("runners.docker is not a table", fix="see the documentation of GitLab Runner")
    return runner["docker"]


def _strings(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, (list, Array)) else [str(value)]


def _with_mount(volumes: Sequence[str], mount: str) -> list[str]:
    """Ours in the place of the first mount on certs.d, or at the end."""
    out: list[str] = []
    for volume in volumes:
        if _target(volume) != CERTS_D:
            out.append(volume)
        elif mount not in out:
            out.append(mount)
    return out if mount in out else [*out, mount]


def _target(volume: str) -> str:
    """The path inside the container of "SOURCE:TARGET[:OPTIONS]" or "TARGET"."""
    parts = volume.split(":")
    return (parts[1] if len(parts) > 1 else parts[0]).rstrip("/")


def docker_hosts(text: str) -> list[str]:
    """Where the Docker runners of a file ask their engine; without a word that is the usual socket."""
    tables = [runner.get("docker", {}) for runner in _read(text) if str(runner.get("executor", "")) in DOCKER_EXECUTORS]
    return list(dict.fromkeys(str(table.get("host") or "unix:///var/run/docker.sock") for table in tables))


def with_hosts(hosts: Sequence[str], wanted: Mapping[str, str]) -> list[str]:
    """Extra hosts with what is wanted: in the place of an item for the same name, or at the end."""
    lower = {name.lower(): f"{name}:{address}" for name, address in wanted.items()}
    out: list[str] = []
    for item in hosts:
        item = lower.get(item.partition(":")[0].lower(), item)
        if item not in out:
            out.append(item)
    return out + [item for item in lower.values() if item not in out]


def _put(table: Any, key: str, items: list[str], *, drop_empty: bool = True) -> None:
    """Bring an array to these items, touching only the ones that differ."""
    array = table.get(key)
    if not items and drop_empty:
        if array is not None and _strings(array):
            del table[key]
        return
    if isinstance(array, Array):
        _edit(array, items)
    elif _strings(array) != items:
        fresh = tomlkit.array()
        fresh.extend(items)
        table[key] = fresh
        _indent(table, key)


def _edit(array: Array, items: list[str]) -> None:
    have = _strings(array)
    for tag, start, stop, from_, to in reversed(difflib.SequenceMatcher(a=have, b=items, autojunk=False).get_opcodes()):
        if tag == "replace" and stop - start == to - from_:
            for offset in range(stop - start):
                array[start + offset] = items[from_ + offset]
        elif tag != "equal":
            for index in reversed(range(start, stop)):
                del array[index]
            for index, item in enumerate(items[from_:to]):
                array.insert(start + index, item)


def _indent(table: Any, key: str) -> None:
    """Give a new key the indentation of its neighbours; tomlkit takes that of the table's header."""
    body = getattr(getattr(table, "value", None), "body", [])  # a table of dotted keys has none
    first = next((item for name, item in body if name is not None and name.key != key), None)
    own = next((item for name, item in body if name is not None and name.key == key), None)
    if own is not None:
        inline = not isinstance(table, Table)
        own.trivia.indent = " " if inline else (first.trivia.indent if first is not None else own.trivia.indent)


def _dump(document: tomlkit.TOMLDocument, model: str) -> str:
    """The document's text with the line ends of the text that it came from."""
    text = tomlkit.dumps(document)
    crlf, lf = model.count("\r\n"), model.count("\n")
    if not crlf:
        return text
    if crlf == lf:
        return text.replace("\n", "\r\n")
    return _mixed(text, model)


def _mixed(text: str, model: str) -> str:
    old, new = model.split("\n"), text.split("\n")
    plain = [line.removesuffix("\r") for line in old]
    for tag, start, stop, from_, to in difflib.SequenceMatcher(a=plain, b=new, autojunk=False).get_opcodes():
        if tag == "equal":
            new[from_:to] = old[start:stop]
        elif tag == "replace":
            ends = [line.endswith("\r") for line in old[start:stop]] + [False] * (to - from_)
            new[from_:to] = [line + "\r" * end for line, end in zip(new[from_:to], ends, strict=False)]
    return "\n".join(new)
