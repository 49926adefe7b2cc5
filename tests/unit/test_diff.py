"""A diff that is shown is the change that is made: whoever applies it has the new file."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdkreg.plan import diff

TEXTS = st.lists(st.sampled_from("abcd"), max_size=24).map(lambda lines: "".join(f"{line}\n" for line in lines).encode())


def applied(shown: str, before: bytes) -> bytes:
    """What `patch` makes of it."""
    old, new, at = before.decode().splitlines(), list[str](), 0
    for row in shown.splitlines()[2:]:
        if found := re.match(r"@@ -(\d+)(?:,(\d+))? ", row):
            start = int(found[1]) - (found[2] != "0")
            new += old[at:start]
            at = start
            continue
        if row[0] != "+":
            assert old[at] == row[1:]
            at += 1
        if row[0] != "-":
            new.append(row[1:])
    return "".join(f"{line}\n" for line in [*new, *old[at:]]).encode()


@given(TEXTS, TEXTS)
def test_applying_a_diff_gives_the_new_file(before: bytes, after: bytes) -> None:
    shown = diff.unified("/etc/hosts", before, after)
    assert (shown == "") == (before == after)
    if shown:
        assert applied(shown, before) == after


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (None, b"a\n", "--- /dev/null\n+++ /etc/hosts\n@@ -0,0 +1 @@\n+a"),
        (b"a\n", None, "--- /etc/hosts\n+++ /dev/null\n@@ -1 +0,0 @@\n-a"),
        (b"a\n", b"a", "--- /etc/hosts\n+++ /etc/hosts\n@@ -1 +1 @@\n-a\n+a (no newline at the end)"),
        (b"a\nb", b"a\nc\n", "--- /etc/hosts\n+++ /etc/hosts\n@@ -1,2 +1,2 @@\n a\n-b (no newline at the end)\n+c"),
        (b"a\r\n", b"a\n", "--- /etc/hosts\n+++ /etc/hosts\n@@ -1 +1 @@\n-a␍\n+a"),
    ],
)
def test_how_a_diff_is_shown(before: bytes | None, after: bytes | None, shown: str) -> None:
    assert diff.unified("/etc/hosts", before, after) == shown


def test_three_lines_around_a_change_are_shown() -> None:
    lines = [f"line {number}" for number in range(20)]
    before = "\n".join([*lines, ""]).encode()
    after = before.replace(b"line 9\n", b"new\n")
    assert diff.unified("/etc/hosts", before, after).splitlines()[2:] == [
        "@@ -7,7 +7,7 @@",
        *(f" line {number}" for number in (6, 7, 8)),
        "-line 9",
        "+new",
        *(f" line {number}" for number in (10, 11, 12)),
    ]
