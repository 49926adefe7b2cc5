from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdkreg.errors import ConfigError
from gdkreg.registry import names
from gdkreg.registry.names import Reference

HEX = "a" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("img", Reference("img")),
        ("group/sub/img", Reference("group/sub/img")),
        ("group/img:v1.0", Reference("group/img", "v1.0")),
        (f"img@sha256:{HEX}", Reference("img", "", f"sha256:{HEX}")),
        (f"img:t@sha512:{HEX}{HEX}", Reference("img", "t", f"sha512:{HEX}{HEX}")),
        ("a.b_c__d---e/f", Reference("a.b_c__d---e/f")),
        ("img:_" + "x" * 127, Reference("img", "_" + "x" * 127)),
        ("a" * 255, Reference("a" * 255)),
        ("registry.test:5100/group/img:tag", Reference("group/img", "tag")),
        ("registry.test/img", Reference("registry.test/img")),
    ],
)
def test_a_reference_is_taken_apart(text: str, expected: Reference) -> None:
    assert names.parse(text, authority="registry.test:5100") == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "@", "img:", "img@", "Img", "img/", "/img", "a//b", "a..b", "a___b", "-a", "a-", "../x", "img\n", "img:t\n"),
        *("img:.x", "img:t:u", "img:" + "x" * 129, "a" * 256, "other.test:5000/img"),
        *("img@sha256:abc", f"img@sha256:{HEX.upper()}", f"img@md5:{HEX}"),
    ],
)
def test_what_is_no_reference_is_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        names.parse(text, authority="registry.test:5100")
    assert " is " in caught.value.why


def test_capitals_are_told_in_lower_case() -> None:
    with pytest.raises(ConfigError) as caught:
        names.repository("Group/Img")
    assert caught.value.fix.endswith("group/img")


@given(st.from_regex(rf"{names.COMPONENT}(/{names.COMPONENT})?", fullmatch=True).filter(lambda text: len(text) <= 255))
def test_a_reference_is_written_as_it_is_read(repository: str) -> None:
    for text in (repository, f"{repository}:t", f"{repository}@sha256:{HEX}", f"{repository}:t@sha256:{HEX}"):
        assert str(names.parse(text)) == text
