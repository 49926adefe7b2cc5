"""The tunnel while the far side has the port still: what takes a minute each."""

from __future__ import annotations

import time

from tests.e2e.box import Box
from tests.machines.far import ADDRESS, REGISTRY_PORT, Far, sshs
from tests.machines.test_tunnel import down as down
from tests.machines.test_tunnel import failed, log, until
from tests.machines.test_tunnel import place as place
from tests.machines.test_tunnel import up as up


def test_it_outlasts_whoever_has_the_port(down: tuple[Box, Far]) -> None:
    box, far = down
    holder = far.hold(REGISTRY_PORT)
    box.ok("start", "tunnel", "--yes", "--dry-run")
    error = failed(box, "start", "tunnel", "--yes")
    assert error["what"] == f"port {REGISTRY_PORT} of far.test cannot be had"
    assert sshs(box) == []
    before = len(log(box))
    found = box.ok("start").out
    assert "tunnel started but is not connected yet" in found, "where nobody asked for it by name it is waited for"
    assert f"! port {REGISTRY_PORT} of far.test cannot be had" in found
    time.sleep(5)
    until(box, True, "cannot be had")
    assert len(log(box)) == before + 1, "one line, however often it tried"
    far.release(holder, REGISTRY_PORT)
    until(box, True, "ready", patience=70)
    box.ok("stop", "tunnel")
    far.wait_for(REGISTRY_PORT, gone=True)


def test_a_line_that_is_dead_without_a_word(up: tuple[Box, Far]) -> None:
    """Here it is noticed, and there sshd has the port until it notices, too."""
    box, far = up
    before = len(log(box))
    far.cut()
    try:
        until(box, True, "cannot be reached", patience=60)
    finally:
        far.mend()
    until(box, True, "cannot be had", patience=90)
    assert far.run("curl", "-sm", "2", f"http://{ADDRESS}:{REGISTRY_PORT}/v2/").code != 0, "what sshd still has leads nowhere"
    until(box, True, "ready", patience=90)
    said = log(box)[before:]
    words = ("was lost", "cannot be reached", "cannot be had", "is public")
    assert [word in line for word, line in zip(words, said, strict=True)] == [True] * 4, said
