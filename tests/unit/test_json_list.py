"""A list in a JSON file: what is not ours stays byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdkreg.resources import json_list
from gdkreg.resources.json_list import WrongJsonError

KEY = "insecure-registries"
NAME = "registry.test:5000"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '{\n  "insecure-registries": ["registry.test:5000"]\n}\n'),
        ("{}", '{"insecure-registries": ["registry.test:5000"]}'),
        ("{\n}\n", '{\n  "insecure-registries": ["registry.test:5000"]\n}\n'),
        ('{"debug":true,"mtu":1400}', '{"debug":true,"mtu":1400,"insecure-registries":["registry.test:5000"]}'),
        (
            '{\n\t"debug" : true\n}\n',
            '{\n\t"debug" : true,\n\t"insecure-registries" : ["registry.test:5000"]\n}\n',
        ),
        ('{"insecure-registries": []}', '{"insecure-registries": ["registry.test:5000"]}'),
        ('{"insecure-registries": ["a"]}', '{"insecure-registries": ["a", "registry.test:5000"]}'),
        (
            '{\r\n  "insecure-registries": [\r\n    "a"\r\n  ],\r\n  "debug": true\r\n}',
            '{\r\n  "insecure-registries": [\r\n    "a",\r\n    "registry.test:5000"\r\n  ],\r\n  "debug": true\r\n}',
        ),
        ('{"insecure-registries": ["a","b"]}', '{"insecure-registries": ["a","b","registry.test:5000"]}'),
        ('{"insecure-registries": ["registry.test:5000"]}', '{"insecure-registries": ["registry.test:5000"]}'),
    ],
)
def test_it_is_added_as_what_stands_around_it(before: str, after: str) -> None:
    assert json_list.add(before, KEY, NAME) == after


@pytest.mark.parametrize(
    ("text", "what", "place"),
    [
        ('{\n  "debug": true,\n}\n', "property name", (3, 1)),
        ('{"a": 1} x', "Extra data", (1, 10)),
        ("[1]", "no JSON object", (1, 1)),
        ('{\n "insecure-registries": "a"}', "no list of strings", (2, 25)),
        ('{"insecure-registries": [1]}', "no list of strings", (1, 25)),
        ('{"insecure-registries": [],\n  "insecure-registries": []}', "a second time", (2, 3)),
        ('{"a": NaN}', "NaN", (1, 1)),
        ("[" * 100_000, "", (1, 1)),
    ],
)
def test_what_the_engine_refuses_too(text: str, what: str, place: tuple[int, int]) -> None:
    with pytest.raises(WrongJsonError) as raised:
        json_list.add(text, KEY, NAME)
    assert what in raised.value.what
    assert (raised.value.line, raised.value.column) == place


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)
_spaces = st.sampled_from([(None, (", ", ": ")), (None, (",", ":")), (2, (",", ": ")), ("\t", (",", " : "))])


@given(
    st.dictionaries(st.text().filter(lambda key: key != KEY), _values),
    st.none() | st.lists(st.text().filter(lambda item: item != NAME), unique=True),
    _spaces,
    st.booleans(),
)
def test_remove_of_add_is_what_it_was(
    values: dict[str, Any], listed: list[str] | None, layout: tuple[Any, Any], windows: bool
) -> None:
    whole = values if listed is None else {**values, KEY: listed}
    text = json.dumps(whole, indent=layout[0], separators=layout[1], ensure_ascii=False)
    text = text.replace("\n", "\r\n") if windows else text
    added = json_list.add(text, KEY, NAME)
    assert json.loads(added) == {**whole, KEY: [*(listed or []), NAME]}
    back = json_list.remove(added, KEY, [NAME])
    assert json.loads(back) == {**whole, KEY: listed or []}
    assert (back if listed is not None else json_list.drop(back, KEY)) == text


def test_one_in_the_middle_is_removed() -> None:
    text = '{"insecure-registries": ["a", "registry.test:5000", "b"], "x": 1}'
    assert json_list.remove(text, KEY, [NAME]) == '{"insecure-registries": ["a", "b"], "x": 1}'
    assert json_list.drop(text, KEY) == '{"x": 1}'
