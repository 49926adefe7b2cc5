"""gdk.yml edited: where a key goes, what stays, and that every sequence of edits leaves a file that holds."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example as case
from hypothesis import given, settings
from hypothesis import strategies as st

from gdkreg.config.edit import set_list, set_value
from gdkreg.config.example import example
from gdkreg.config.settings import load, lookup
from gdkreg.config.source import parse
from gdkreg.errors import ConfigError
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT

PATH = Path("gdk.yml")
STARTER = example()
HASH = "$2b$10$" + "a" * 53


def put(text: str, key: str, value: Any) -> str:
    return set_value(PATH, text, tuple(key.split(".")), value)


def users(text: str, change: Any) -> str:
    have = (parse(PATH, text.encode()).values.get("registry") or {}).get("users") or []
    return set_list(PATH, text, ("registry", "users"), change(list(have)))


def changed(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that went, and the lines that came."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    went, came = list[str](), list[str]()
    for tag, start, stop, from_, to in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if tag != "equal":
            went += old[start:stop]
            came += new[from_:to]
    return went, came


def value_of(text: str, key: str) -> Any:
    host = FakeHost()
    host.put(ROOT / "gdk.yml", text)
    return lookup(load(ROOT, host), key)


# the starter file


@pytest.mark.parametrize(
    ("key", "value", "went", "came"),
    [
        ("port", 3001, ["# port: 3000\n"], ["port: 3001\n"]),
        ("hostname", "gdk.test", ["# hostname:\n"], ["hostname: gdk.test\n"]),
        ("registry.port", 5005, ["  # port: 5000\n"], ["  port: 5005\n"]),
        ("registry.host", "a.test", ["  host: registry.test\n"], ["  host: a.test\n"]),
        ("https.enabled", True, ["# https:\n", "  # enabled: false\n"], ["https:\n", "  enabled: true\n"]),
        ("runner.enabled", False, ["# runner:\n", "  # enabled:\n"], ["runner:\n", "  enabled: false\n"]),
        (
            "registry.database.enabled",
            True,
            ["  # database:\n", "    # enabled: false\n"],
            ["  database:\n", "    enabled: true\n"],
        ),
        (
            "auto_devops.gitlab.port",
            20000,
            ["# auto_devops:\n", "  # gitlab:\n", "    # port:\n"],
            ["auto_devops:\n", "  gitlab:\n", "    port: 20000\n"],
        ),
        (
            "registry.config.log.level",
            "debug",
            ["  # config: {}\n"],
            ["  config:\n", "    log:\n", "      level: debug\n"],
        ),
    ],
)
def test_a_key_takes_its_own_line_of_the_starter(key: str, value: Any, went: list[str], came: list[str]) -> None:
    edited = put(STARTER, key, value)
    assert changed(STARTER, edited) == (went, came)
    assert value_of(edited, key) == value


def test_the_last_user_leaves_the_starter_as_it_was() -> None:
    added = users(STARTER, lambda have: [*have, {"name": "ci", "password": HASH, "pull": ["g/**"]}])
    assert changed(STARTER, added)[0] == ["  # users: []\n"]
    assert value_of(added, "registry.users")[0]["name"] == "ci"
    assert users(added, lambda have: have[:-1]) == STARTER


# a file of one's own

OWN = """\
hostname: gdk.test
registry:
  enabled: true
  # port: what my colleague has is 5010
  # host: other.test
  config:
    log: {level: info}
    # http: {addr: x}
  # read_only_maintenance_enabled: true

# the runner
# runner:
#   enabled: true
gitaly:
  x: !ruby/y 1
# end
"""


@pytest.mark.parametrize(
    ("key", "value", "line", "before"),
    [
        # below the comment of the user's that names it, which stays
        ("registry.port", 5001, "  port: 5001", "  # host: other.test"),
        ("registry.host", "b.test", "  host: b.test", "  config:"),
        # else behind the block's last comment, and never in another's
        ("registry.self_signed", True, "  self_signed: true", ""),
        ("registry.config.version", 0.1, "    version: 0.1", "  # read_only_maintenance_enabled: true"),
        ("port", 3001, "port: 3001", None),
    ],
)
def test_a_new_key_goes_where_a_person_would_put_it(key: str, value: Any, line: str, before: str | None) -> None:
    edited = put(OWN, key, value)
    assert changed(OWN, edited) == ([], [line + "\n"])
    rows = [*edited.splitlines(), None]
    assert rows[rows.index(line) + 1] == before


def test_a_commented_block_is_uncommented_with_the_key_alone() -> None:
    edited = put(OWN, "runner.enabled", False)
    assert changed(OWN, edited) == (["# runner:\n"], ["runner:\n", "  enabled: false\n"])
    assert "runner:\n#   enabled: true\n  enabled: false\n" in edited
    assert put(OWN, "runner.enabled", True) == OWN.replace("# runner:\n#   enabled", "runner:\n  enabled")


@pytest.mark.parametrize("comment", ["  # port: 5000", "  #port: 5000", "#  port: 5000", "#   port: 5000"])
def test_a_comment_is_known_however_it_was_put(comment: str) -> None:
    text = f"# port: 3000\nregistry:\n  enabled: true\n{comment}\n# end\n"
    assert put(text, "registry.port", 5001) == text.replace(comment, "  port: 5001")
    assert put(text, "port", 3001) == text.replace("# port: 3000\n", "port: 3001\n")
    below = put(text, "registry.host", "a.test")
    assert below == text.replace("# end", "  host: a.test\n# end")


@pytest.mark.parametrize(
    ("text", "key", "value", "wanted"),
    [
        ("registry: {enabled: true} # c\n", "registry.host", "a.test", "registry: {enabled: true, host: a.test} # c\n"),
        ("registry: {}\n", "registry.port", 1, "registry:\n  port: 1\n"),
        ("{hostname: x}\n", "registry.port", 1, "{hostname: x, registry: {port: 1}}\n"),
        ("{registry: , port: 1}\n", "registry.port", 1, "{registry: {port: 1} , port: 1}\n"),
        ("registry:\n  config: {a: {}}\n", "registry.config.a.b", 1, "registry:\n  config: {a: {b: 1}}\n"),
        ("'registry':\n    enabled: true\n", "registry.port", 1, "'registry':\n    enabled: true\n    port: 1\n"),
        ("registry:\n    # enabled: true\n", "registry.port", 1, "registry:\n    # enabled: true\n    port: 1\n"),
        ("port : 1\n", "port", 2, "port : 2\n"),
        ("port:\n", "port", 2, "port: 2\n"),
        ("registry: ~ # none\n", "registry.port", 1, "registry: # none\n  port: 1\n"),
        ("a: 1\n...\n", "port", 1, "a: 1\nport: 1\n...\n"),
        ("# port: 3000\n---\na: 1\n", "port", 1, "# port: 3000\n---\na: 1\nport: 1\n"),
        ("a: &p 1\nport: *p\n", "port", 2, "a: &p 1\nport: 2\n"),
        ("registry:\n  x: |\n    # port: 5000\n  enabled: true\n", "registry.port", 1, None),
        ("a: |+\n  one\n\n\n", "port", 1, "a: |+\n  one\n\n\nport: 1\n"),
        ("registry:\n  host: |\n    a\n\n  port: 1\n", "registry.host", "b", "registry:\n  host: b\n\n  port: 1\n"),
        ("hostname: a", "registry.config.no", "x\ny", "hostname: a\nregistry:\n  config:\n    'no': \"x\\ny\"\n"),
        ("# a\r\n\r\nport: 1\r\n", "hostname", "é", "# a\r\n\r\nport: 1\r\nhostname: é\r\n"),
        ("registry:\n  host: [a]\n", "registry.host", "b", "registry:\n  host: b\n"),
        ("date: 2024-99-99\n", "port", 1, "date: 2024-99-99\nport: 1\n"),
    ],
)
def test_a_key_in_files_of_every_shape(text: str, key: str, value: Any, wanted: str | None) -> None:
    edited = put(text, key, value)
    assert edited == (wanted if wanted is not None else text + "  port: 1\n")


def test_what_an_alias_stands_for_is_not_changed_with_it() -> None:
    shared = "base: &b\n  port: 5003\nregistry: *b\n"
    with pytest.raises(ConfigError, match="cannot be edited safely"):
        put(shared, "registry.port", 1)
    with pytest.raises(ConfigError, match="cannot be edited safely"):
        put("port: &p 3000\nregistry:\n  port: *p\n", "port", 1)
    assert put("b: &b\n  port: 1\nregistry:\n  <<: *b\n", "registry.port", 2).endswith("  <<: *b\n  port: 2\n")


def test_an_edit_that_would_change_another_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be edited safely"):
        put("a: |\n  no line end behind this", "port", 1)  # the line end that the new key needs would be one more of a's


@pytest.mark.parametrize(
    "text",
    [f"registry:\n  users: [{{name: a, password: '{HASH}'}}] # u\n", f"registry: {{users: [{{name: a, password: '{HASH}'}}]}}\n"],
)
def test_a_list_that_says_so_already_stays(text: str) -> None:
    assert users(text, lambda have: have) == text


LIST = f"""\
registry:
  users: # ours
  # the first
  - name: a   # A
    password: '{HASH}'
    # may pull
    pull: [ 'g/**' ]
  # the second
  - {{ name: b, password: "{HASH}" }}
  port: 5000
"""


def test_users_who_stay_keep_their_bytes() -> None:
    ci = {"name": "ci", "password": HASH}
    added = users(LIST, lambda have: [*have, ci])
    assert changed(LIST, added) == ([], ["  - name: ci\n", f"    password: {HASH}\n"])
    assert users(added, lambda have: have[:-1]) == LIST
    went, came = changed(LIST, users(LIST, lambda have: have[1:]))
    assert (len(went), went[0], came) == (4, "  - name: a   # A\n", [])
    went, came = changed(LIST, users(LIST, lambda have: [have[0], ci]))
    assert [row.strip()[:8] for row in went] == ["- { name"]
    none = users(LIST, lambda _: [])
    assert none == "registry:\n  # the first\n  # the second\n  port: 5000\n"


@pytest.mark.parametrize(
    "text",
    [
        "registry: {enabled: true}\n",
        "registry: {}\n",
        "registry: {port: 1, users: [], host: a.test}\n",
        f"registry:\n  users: [{{name: z, password: '{HASH}'}}] # c\n",
        "registry:\n  users:\n  port: 1\n",
        "registry:\n  users: [] # mine\n",
        "registry:\r\n  port: 1",
    ],
)
def test_users_come_and_go_in_files_of_every_shape(text: str) -> None:
    names = [item["name"] for item in (parse(PATH, text.encode()).values.get("registry") or {}).get("users") or []]
    one = users(text, lambda have: [*have, {"name": "a", "password": HASH}])
    two = users(one, lambda have: [*have, {"name": "b", "password": HASH, "pull": ["x/**", "y"]}])
    assert [item["name"] for item in value_of(two, "registry.users")] == [*names, "a", "b"]
    assert users(two, lambda have: have[:-1]) == one
    without = users(one, lambda _: [])
    assert "users" not in without
    assert ("\r" in two) == ("\r" in text)
    assert "\n" not in two.replace("\r\n", "") or "\r" not in text


# any sequence

KEYS: dict[str, st.SearchStrategy[Any]] = {
    "hostname": st.sampled_from(["a.test", "gdk.test"]),
    "port": st.integers(1, 9999),
    "relative_url_root": st.sampled_from(["", "/gitlab"]),
    "https.enabled": st.booleans(),
    "registry.enabled": st.booleans(),
    "registry.host": st.sampled_from(["registry.test", "b.test"]),
    "registry.port": st.integers(5100, 5200),
    "registry.api_host": st.sampled_from(["c.test", "d.test"]),
    "registry.uid": st.sampled_from(["", 1000]),
    "registry.restart_policy": st.sampled_from(["no", "always"]),
    "registry.database.enabled": st.booleans(),
    "registry.image": st.sampled_from(["registry:2", "registry:3"]),
    "registry.config.log.level": st.sampled_from(["debug", "info"]),
    "registry.config.log.fields.a": st.text("aé:# '\"\n", max_size=6),
    "registry.config.http": st.just({"headers": {"X-A": ["1", "2"]}}),
    "runner.enabled": st.booleans(),
    "runner.config_file": st.sampled_from(["/x/a.toml", "/x/b c.toml"]),
    "runner.extra_hosts": st.lists(st.just("a:1"), max_size=2),
    "auto_devops.listen_address": st.sampled_from(["0.0.0.0", "127.0.0.1"]),
    "auto_devops.gitlab.port": st.integers(20000, 20009),
    "auto_devops.registry.port": st.integers(20000, 20009),
}
NAMES = st.sampled_from(["a", "b", "c"])
sets = st.sampled_from(sorted(KEYS)).flatmap(lambda key: st.tuples(st.just("set"), st.just(key), KEYS[key]))
adds = st.tuples(st.just("add"), NAMES, st.lists(st.sampled_from(["g/**", "x"]), max_size=2))
removes = st.tuples(st.just("remove"), NAMES, st.none())
uncomments = st.tuples(st.just("uncomment"), st.integers(0, 60), st.none())
steps = st.lists(st.one_of(sets, sets, adds, removes, uncomments), max_size=8)

BLOCKS = {
    "hostname": ["hostname: x.test  # mine\n", "# hostname: x.test\n", "\"hostname\": 'x.test'\n", "hostname:\n"],
    "port": ["port: 3003\n", "#port: 3000\n", "port:    3004 # p\n"],
    "https": ["https:\n  enabled: true\n  # more\n", "https: {enabled: false}\n", "# https:\n#   enabled: false\n"],
    "gitaly": ["gitaly:\n  x: !ruby/y 1\n  # deep\n", "gitaly: |-\n  # port: 3000\n  text\n\n", "gitaly: [a, # b\n  c]\n"],
    "registry": [
        "registry:\n",
        "registry: {}\n",
        "registry: {enabled: true, host: x.test} # flow\n",
        "registry:\n  enabled: true # yes\n\n  # about the port\n  # port: 5000\n  config:\n    # log: {level: info}\n    x: 1\n",
        "registry:\n    host: x.test\n    #\ttabbed\n    # database:\n    #   enabled: false\n    # users: []\n",
        "registry:\n  # enabled: true\n  # port: 5000\n",
        "# registry:\n#   enabled: true\n#   # port: 5000\n",
        f"registry:\n  users:\n  # one\n  - name: a # A\n    password: '{HASH}'\n    pull:\n    - g/**\n  port: 5099\n",
        f"registry:\n  users: [{{name: a, password: '{HASH}'}}] # u\n  config: {{log: {{level: info}}}}\n",
        "registry:\n  <<: *base\n  enabled: true\n",
    ],
    "runner": [
        "runner: {enabled: false, token: x}\n",
        "runner:\n  token: |-\n    # enabled: true\n",
        "# runner:\n  # enabled:\n",
    ],
}
HEADS = ["", "---\n", "# gdk.yml of mine\n\n", "%YAML 1.1\n---\n# c\n", "base: &base\n  self_signed: true\n"]
TAILS = ["", "\n\n", "# tail\n", "...\n", "  # odd\n"]


@st.composite
def files(draw: st.DrawFn) -> str:
    """A gdk.yml as somebody may have it: every shape of every block, in any order."""
    names = draw(st.permutations(sorted(BLOCKS)))
    parts = [draw(st.sampled_from([*BLOCKS[name], ""])) for name in names]
    gaps = [draw(st.sampled_from(["", "\n", "# a word\n"])) for _ in parts]
    text = draw(st.sampled_from(HEADS)) + "".join(gap + part for gap, part in zip(gaps, parts, strict=True))
    if "*base" in text and "&base" not in text:
        text = text.replace("  <<: *base\n", "")
    bare = all(line.lstrip().startswith("#") or not line.strip() for line in text.splitlines())
    text += draw(st.sampled_from([tail for tail in TAILS if tail != "...\n" or not bare]))  # an end of nothing is no YAML
    text = text.removesuffix("\n") if draw(st.booleans()) and not text.endswith("...\n") else text
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


_COMMENTED = re.compile(r"^( *)# ([a-z_0-9]+:.*)$")


def uncommented(text: str, number: int) -> str:
    """The starter with one of its keys uncommented, and the blocks around it that are commented out."""
    lines = text.split("\n")
    places = [at for at, line in enumerate(lines) if _COMMENTED.match(line) and not line.startswith("# past")]
    if not places:
        return text
    at = places[number % len(places)]
    indent = len(lines[at]) - len(lines[at].lstrip())
    while True:
        lines[at] = _COMMENTED.sub(r"\1\2", lines[at])
        above = next((up for up in range(at, -1, -1) if _is_above(lines[up], indent)), None)
        if above is None or not indent:
            return "\n".join(lines)
        at, indent = above, len(lines[above]) - len(lines[above].lstrip())


def _is_above(line: str, indent: int) -> bool:
    key = re.match(r"^( *)(?:# )?[a-z_]+:\s*$", line)
    return key is not None and len(key[1]) < indent


def one_step(text: str, step: tuple[str, Any, Any]) -> str:
    verb, what, value = step
    if verb == "set":
        return put(text, what, value)
    if verb == "uncomment":
        return uncommented(text, what)
    entry: dict[str, Any] = {"name": what, "password": HASH} | ({"pull": value} if value else {})

    def change(have: list[Any]) -> list[Any]:
        if verb == "remove":
            return [item for item in have if item["name"] != what]
        at = next((at for at, item in enumerate(have) if item["name"] == what), len(have))
        return [*have[:at], entry, *have[at + 1 :]]

    return users(text, change)


def others(text: str, key: str) -> Any:
    """What the file says besides a key."""
    found = parse(PATH, text.encode()).values
    place, parts = found, key.split(".")
    for part in parts[:-1]:
        place = place.get(part) or {}
    place.pop(parts[-1], None)
    return _bare(found)


def _bare(value: Any) -> Any:
    """Without the blocks that hold nothing."""
    if not isinstance(value, dict):
        return value
    return {name: bare for name, item in value.items() if (bare := _bare(item)) is not None} or None


def only_its_lines(before: str, after: str, words: list[str]) -> None:
    """Every line that went or came is of the key itself, or of the blocks that it is in."""
    went, came = changed(before, after)
    came = [line.rstrip("\r\n") for line in came]
    went = [line for line in went if line.rstrip("\r\n") not in came]  # the last line has got an end
    for line in went:
        assert any(f"{word}:" in line or f"{word}'" in line or f'{word}"' in line for word in words), (line, words)


def played(text: str, plan: list[tuple[str, Any, Any]]) -> None:
    said: dict[str, Any] = {}
    for step in plan:
        verb, what, value = step
        before = text
        text = one_step(text, step)
        key = what if verb == "set" else "registry.users"
        if verb == "set":
            said = {old: item for old, item in said.items() if not old.startswith(key + ".") and not key.startswith(old + ".")}
            said[key] = value
            only_its_lines(before, text, key.split("."))
        if verb != "uncomment":
            assert others(before, key) == others(text, key)
            assert before.count("#") - text.count("#") <= 3 or verb != "set"
            assert value_of(text, key) == value or verb != "set"
        if verb == "add":
            assert any(item["name"] == what and item["pull"] == value for item in value_of(text, "registry.users"))
        if verb == "remove":
            assert all(item["name"] != what for item in value_of(text, "registry.users"))
    for known, wanted in said.items():
        assert value_of(text, known) == wanted, (known, text)
    removed = users(text, lambda _: [])
    assert not re.search(r"^ *users:", removed, re.MULTILINE)


@settings(deadline=None, max_examples=20)
@given(steps)
@case([("set", "hostname", "a.test"), ("uncomment", 5, None), ("set", "runner.enabled", True)])
def test_any_sequence_leaves_the_starter_valid_and_readable(plan: list[tuple[str, Any, Any]]) -> None:
    played(STARTER, plan)


@pytest.mark.parametrize(
    "text", ["registry:\n  # users: []", "registry:\n  users: []", "registry:\r\n  port: 5000\r\n  # users: []"]
)
def test_a_list_goes_below_a_last_line_without_an_end(text: str) -> None:
    played(text, [("add", "dev", []), ("add", "ops", []), ("remove", "dev", None)])


@settings(deadline=None, max_examples=40)
@given(files(), st.lists(st.one_of(sets, sets, adds, removes), max_size=5))
def test_any_sequence_leaves_any_file_valid_and_readable(text: str, plan: list[tuple[str, Any, Any]]) -> None:
    played(text, plan)
