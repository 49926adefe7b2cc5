"""Files and folders that are ours: how each comes back, and which config.yml is written whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gdkreg.config.settings import load
from gdkreg.errors import GdkregError
from gdkreg.host.base import FileInfo, digest
from gdkreg.plan.actions import Action, ForgetFile, MakeFolder, RemoveFile, RemoveFolder, WriteFile
from gdkreg.plan.ledger import Entry
from gdkreg.resources import registry_config
from gdkreg.resources.registry_config import RegistryConfig
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT
from tests.unit.helpers import apply, files, journal, plan

A, D = ROOT / "a", ROOT / "d"


def entry(kind: str, target: str = "@/a", **fields: Any) -> Entry:
    whole = {"run": "r", "seq": 1, "command": "up", "resource": "thing", "kind": kind, "target": target} | fields
    return msgspec.convert(whole, Entry)


def back(host: FakeHost, found: Entry, *, keep_edits: bool = False) -> list[Action]:
    return files(host, "thing", keep_edits=keep_edits).back(found, host)


# a file comes back


def test_what_stood_there_comes_back_with_mode_and_owner(fake: FakeHost) -> None:
    fake.put(A, "ours")
    journal(fake).keep(b"theirs")
    found = entry("file", before=digest(b"theirs"), after=digest(b"ours"), mode=0o640, owner=(7, 8), as_root=True, secret=True)
    (action,) = back(fake, found)
    assert action == WriteFile(
        path=A, content=b"theirs", reason="undo", before=b"ours", mode=0o640, owner=(7, 8), as_root=True, secret=True
    )
    (action,) = back(fake, msgspec.structs.replace(found, owner=(-1, -1)))
    assert isinstance(action, WriteFile)
    assert action.owner is None
    (action,) = back(fake, msgspec.structs.replace(found, before=""))
    assert action == RemoveFile(path=A, reason="undo", before=b"ours", as_root=True, secret=True)


def test_what_is_back_already_needs_nothing(fake: FakeHost) -> None:
    fake.put(A, "theirs")
    assert back(fake, entry("file", before=digest(b"theirs"), after=digest(b"ours"))) == []
    assert back(fake, entry("forget", before=digest(b"x"))) == []
    assert back(fake, entry("file", before=digest(b"x"), after=digest(b"ours")), keep_edits=True) == []
    with pytest.raises(GdkregError, match="was edited after"):
        back(fake, entry("file", before=digest(b"x"), after=digest(b"ours")))


@pytest.mark.parametrize("kind", ["address", "unit", "service", "login"])
def test_what_is_no_file_is_refused(fake: FakeHost, kind: str) -> None:
    with pytest.raises(GdkregError, match="that gdkreg does not make"):
        back(fake, entry(kind))


# a folder comes back, or goes


@pytest.mark.parametrize(
    ("before", "after", "stands", "full", "expected"),
    [
        ("", "made", True, False, RemoveFolder(path=D, reason="undo", as_root=True)),
        ("", "made", True, True, None),
        ("", "made", False, False, None),
        ("made", "made", True, False, None),
        ("made", "", False, False, MakeFolder(path=D, reason="undo", mode=0o750, owner=(7, 8), as_root=True)),
        ("made", "", True, False, None),
    ],
)
def test_folders(fake: FakeHost, before: str, after: str, stands: bool, full: bool, expected: Action | None) -> None:
    if stands:
        fake.make_folder(D, mode=0o755)
    if full:
        fake.put(D / "f", "x")
    found = entry("folder", "@/d", before=before, after=after, mode=0o750, owner=(7, 8), as_root=True)
    assert back(fake, found) == ([expected] if expected else [])


# a file is given back


def released(host: FakeHost, *, keep_edits: bool = False) -> list[Action]:
    owned = files(host, "thing", keep_edits=keep_edits)
    return owned.release(owned.inspect(host, A))


def test_what_is_ours_is_given_back(fake: FakeHost) -> None:
    assert released(fake) == []
    fake.put(A, "theirs", 0o640)
    fake.infos[A] = FileInfo("file", 0o640, 7, 8)
    journal(fake).keep(b"theirs")
    wrote = entry("file", before=digest(b"theirs"), after=digest(b"ours"), mode=0o640, owner=(7, 8), as_root=True, secret=True)
    journal(fake).note(wrote)
    assert released(fake) == [ForgetFile(path=A, reason="it is as it was before gdkreg")]
    fake.put(A, "ours")
    (action,) = released(fake)
    assert action == WriteFile(
        path=A,
        content=b"theirs",
        reason="as it was before gdkreg",
        before=b"ours",
        mode=0o640,
        owner=(7, 8),
        as_root=True,
        secret=True,
    )
    fake.remove(A)
    (action,) = released(fake)
    assert isinstance(action, WriteFile), "it was removed by hand: what stood there comes back all the same"
    fake.put(A, "edited")
    assert released(fake, keep_edits=True) == []
    assert "was edited after" in released(fake)[0].reason


def test_a_backup_that_is_gone_is_told(fake: FakeHost) -> None:
    fake.put(A, "ours")
    journal(fake).note(entry("file", before=digest(b"lost"), after=digest(b"ours")))
    assert "is damaged" in released(fake)[0].reason


def test_what_was_made_and_is_gone_is_forgotten(fake: FakeHost) -> None:
    journal(fake).note(entry("file", after=digest(b"ours")))
    assert released(fake) == [ForgetFile(path=A, reason="it is gone already")]
    fake.put(A, "ours")
    assert released(fake) == [RemoveFile(path=A, reason="no longer wanted", before=b"ours")]


# a file is written


def written(host: FakeHost, content: bytes = b"x", path: Path = A, **options: Any) -> list[Action]:
    owned = files(host, "thing")
    return owned.write(owned.inspect(host, path), content, "why", mode=0o600, **options)


def test_a_file_that_is_right_is_left(fake: FakeHost) -> None:
    fake.put(A, "x", 0o600)
    assert written(fake) == written(fake, owner=(0, 0)) == []
    assert len(written(fake, b"y")) == len(written(fake, owner=(0, 1))) == len(written(fake, owner=(1, 0))) == 1
    fake.put(A, "x", 0o644)
    assert len(written(fake)) == 1


def test_nothing_is_written_through_a_link_in_the_root(fake: FakeHost) -> None:
    fake.put(ROOT / "real", "x")
    fake.link(str(A), "real")
    assert written(fake) == [], "what it leads to is right"
    with pytest.raises(GdkregError, match="is a symlink to real") as error:
        written(fake, b"y")
    assert error.value.fix == f"look at it, then: rm {A}"
    fake.link("/etc/a", "hosts")
    assert len(written(fake, path=Path("/etc/a"))) == 1


# registry/config.yml

WHOLE = """\
# Written by gdkreg from gdk.yml: change it there (registry.config) and run gdkreg reconfigure.
version: 0.1
log:
  level: info
  formatter: text
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
  delete:
    enabled: true
http:
  addr: :5000
  secret: {secret}
  headers:
    X-Content-Type-Options:
    - nosniff
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
validation:
  disabled: true
compatibility:
  schema1:
    enabled: false
database:
  enabled: false
auth:
  token:
    autoredirect: false
    realm: http://gdk.test:3000/jwt/auth
    service: container_registry
    issuer: gitlab-issuer
    rootcertbundle: /etc/docker/registry/localhost.crt
    jwks: /etc/docker/registry/jwks.json
"""
CONFIG = ROOT / "registry/config.yml"
SECRET = ROOT / ".gdkreg/http_secret"


def config(host: FakeHost, text: str = "hostname: gdk.test\nregistry: {self_signed: false}\n") -> RegistryConfig:
    host.put(ROOT / "gdk.yml", text)
    return RegistryConfig(load(ROOT, host), files(host, "registry/config.yml"))


def test_the_whole_configuration(fake: FakeHost) -> None:
    apply(fake, config(fake))
    assert fake.files[CONFIG].decode() == WHOLE.format(secret=fake.files[SECRET].decode())
    assert (fake.infos[SECRET].mode, fake.infos[CONFIG].mode, fake.infos[CONFIG.parent / "storage"].mode) == (0o600, 0o600, 0o700)
    assert registry_config.marked(fake.files[CONFIG])
    assert not registry_config.marked(fake.files[CONFIG][1:])


@pytest.mark.parametrize(
    ("storage", "drivers"),
    [
        ("{s3: {bucket: b}}", {"s3"}),
        ("{delete: {enabled: false}}", {"filesystem"}),
        ("{filesystem: {maxthreads: 50}, s3: {bucket: b}}", {"filesystem", "s3"}),
        ("null", None),
    ],
)
def test_the_users_own_driver_takes_the_place_of_ours(fake: FakeHost, storage: str, drivers: set[str] | None) -> None:
    found = registry_config.build(config(fake, f"registry: {{config: {{storage: {storage}}}}}").settings, "s")
    if drivers is None:
        assert "storage" not in found
    else:
        assert set(found["storage"]) - {"cache", "delete"} == drivers


@pytest.mark.parametrize("secret", ["", "short", "A" * 64, "a" * 65])
def test_a_secret_that_is_not_ours_is_damaged_and_does_not_stop_down(fake: FakeHost, secret: str) -> None:
    apply(fake, config(fake))
    fake.put(SECRET, secret, 0o600)
    with pytest.raises(GdkregError, match="http_secret is damaged"):
        plan(fake, config(fake))
    assert [type(action) for action in plan(fake, config(fake), present=False)] == [RemoveFile, RemoveFolder, RemoveFolder]


def test_folders_go_while_there_is_nothing_of_anybodys_in_them(fake: FakeHost) -> None:
    apply(fake, config(fake))

    def gone() -> list[str]:
        found = plan(fake, config(fake), present=False)
        return [action.path.name for action in found if isinstance(action, RemoveFolder)]

    assert gone() == ["storage", "registry"]
    fake.put(CONFIG.parent / "mine", "x")
    assert gone() == ["storage"]
    fake.put(CONFIG.parent / "storage/docker/x", "x")
    assert gone() == []
    fake.remove_tree(CONFIG.parent / "storage")
    fake.remove(CONFIG.parent / "mine")
    fake.link(str(CONFIG.parent / "storage"), "/elsewhere")
    assert gone() == [], "a link is the user's"
    fake.remove(CONFIG.parent / "storage")
    assert gone() == ["registry"]
    fake.put(CONFIG, "edited")
    assert gone() == [], "what is left there needs its folder"


def test_folders_of_the_users_own_stay(fake: FakeHost) -> None:
    fake.make_folder(CONFIG.parent, mode=0o755)
    fake.make_folder(CONFIG.parent / "storage", mode=0o755)
    apply(fake, config(fake))
    apply(fake, config(fake), present=False)
    assert CONFIG.parent / "storage" in fake.infos


def test_how_the_configuration_stands(fake: FakeHost) -> None:
    def said(text: str = "") -> str:
        resource = config(fake, text)
        return resource.notes(resource.inspect(fake))[0].text

    assert said() == "missing"
    apply(fake, config(fake, ""))
    assert said() == str(CONFIG)
    assert said("registry: {port: 5001}") == "not what gdk.yml says"
    fake.put(CONFIG, "theirs")
    assert said() == "somebody else wrote over it, perhaps gdk reconfigure"
