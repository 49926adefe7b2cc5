"""runit's status file, and what GitLab's gitlab.yml gets wrong."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from gdkreg.host import runit
from gdkreg.verbs import rails
from gdkreg.verbs.root import Root
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        (bytes(12) + (4711).to_bytes(4, "little") + b"\0u\0\1", runit.Seen("up", "run", 4711)),
        (bytes(16) + b"\0d\0\0", runit.Seen("down", "down", 0)),
        (bytes(12) + (9).to_bytes(4, "little") + b"\0d\1\2", runit.Seen("down", "finish", 9)),
        (b"cut off", None),
    ],
)
def test_how_a_service_stands(tmp_path: Path, raw: bytes, seen: runit.Seen | None) -> None:
    (tmp_path / "supervise").mkdir()
    (tmp_path / "supervise/status").write_bytes(raw)
    assert runit.look(tmp_path) is None
    os.mkfifo(tmp_path / "supervise/ok")
    assert runit.look(tmp_path) is None, "a runsv that is gone leaves all of it behind"
    reader = os.open(tmp_path / "supervise/ok", os.O_RDONLY | os.O_NONBLOCK)  # as runsv holds it
    try:
        assert runit.look(tmp_path) == seen
    finally:
        os.close(reader)


def test_sv_is_found_beside_the_runsv_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    def running(name: str, uid: int) -> SimpleNamespace:
        told = {"name": name, "exe": str(tmp_path / str(uid) / name), "uids": SimpleNamespace(real=uid)}
        return SimpleNamespace(info=told)

    me, other = os.geteuid(), os.geteuid() + 7
    for uid in (me, other):
        (tmp_path / str(uid)).mkdir()
        (tmp_path / str(uid) / "sv").touch(0o755)
    found = [running("runsv", other), running("sh", me)]
    monkeypatch.setattr(psutil, "process_iter", lambda _: found)
    assert runit.program() is None, "what another user calls runsv is not run"
    found.append(running("runsv", me))
    assert runit.program() == str(tmp_path / str(me) / "sv")
    (tmp_path / str(me) / "sv").unlink()
    assert runit.program() is None


GITLAB = """\
production: &base
  gitlab:
    api_url: http://other
  registry: # the container registry
    enabled: true

    api_url: URL # internal
    host: registry.test
  pages:
    api_url: http://other
"""


@pytest.mark.parametrize(
    ("tls", "said", "wanted"),
    [
        ("true", "http://registry.test:5000/", "https://registry.test:5000/"),
        ("true", "'http://registry.test:5000'", "'https://registry.test:5000'"),
        ("false", "https://registry.test:5000", "http://registry.test:5000"),
        ("true", "https://registry.test:5000", ""),
        ("false", "http://registry.test:5000", ""),
        ("true", "http://me:hunter22@registry.test", ""),
    ],
)
def test_api_url(fake: FakeHost, tls: str, said: str, wanted: str) -> None:
    fake.put(ROOT / "gdk.yml", f"registry:\n  enabled: true\n  host: registry.test\n  self_signed: {tls}\n")
    fake.put(ROOT / "gitlab/config/gitlab.yml", GITLAB.replace("URL", said))
    found = rails.find(Root(ROOT, fake))
    assert (found.wanted if found else "") == (f"    api_url: {wanted} # internal" if wanted else "")
    assert found is None or (found.line, f"-    api_url: {said} # internal" in found.diff) == (7, True)


def test_no_gitlab_yml(fake: FakeHost) -> None:
    fake.put(ROOT / "gdk.yml", "registry:\n  enabled: true\n")
    assert rails.find(Root(ROOT, fake)) is None
