"""The commands for what is in a registry, in-process, on a registry in memory."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from gdkreg.cli import app, session
from gdkreg.cli.app import build
from gdkreg.cli.options import _references
from gdkreg.registry.images import Images
from gdkreg.registry.manifests import OCI_INDEX, digest_of
from gdkreg.report import images as report
from gdkreg.report import out
from tests import pushed
from tests.fakes import FakeHost
from tests.registry import FakeRegistry, serving
from tests.unit.test_images import of

ROOT = Path("/home/dev/gdk")


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with serving(FakeRegistry()) as made:
        yield made


@pytest.fixture
def images(fake: FakeRegistry) -> Images:
    return of(fake)


@pytest.fixture(autouse=True)
def host(fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    """A root whose registry is the one in memory, set up."""
    made = FakeHost(home="/home/dev", env={"GDKREG_ROOT": str(ROOT)})
    port = fake.url.rpartition(":")[2]
    keys = ("enabled: true", "host: 127.0.0.1", "listen_address: 127.0.0.1", "self_signed: false", "auth_enabled: false")
    made.put(ROOT / "gdk.yml", "registry:\n" + "".join(f"  {key}\n" for key in (*keys, f"port: {port}")))
    made.put("/etc/hosts", "127.0.0.1 localhost\n")
    monkeypatch.setattr(session, "Machine", lambda: made)
    monkeypatch.setattr("gdkreg.host.machine.Machine", lambda: made)
    gdkreg("reconfigure")
    return made


def gdkreg(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(build(), list(arguments))
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result


def data(*arguments: str) -> dict[str, Any]:
    found = json.loads(gdkreg(*arguments, "--json").stdout)
    assert found["root"] == str(ROOT)
    return dict(found)


def test_names_alone_for_a_pipe(fake: FakeRegistry, images: Images) -> None:
    pushed.image(images, "group/app", "1", "2")
    pushed.image(images, "other", "latest")
    assert gdkreg("catalog").stdout == "group/app\nother\n"
    assert gdkreg("catalog", "--limit", "1").stdout == "group/app\n"
    assert gdkreg("catalog", "--tags").stdout == "group/app:1\ngroup/app:2\nother:latest\n"
    assert gdkreg("tags", "group/app").stdout == "1\n2\n"
    pushed.image(images, "group/app", "0", created="1999-01-01T00:00:00Z")
    assert gdkreg("tags", "group/app", "--sort", "created", "--limit", "2").stdout == "2\n1\n"
    assert gdkreg("tags", f"{fake.url[7:]}/group/app", "--sort", "name").stdout == "0\n1\n2\n"


def test_json_for_a_program(fake: FakeRegistry, images: Images) -> None:
    made = pushed.image(images, "group/app", "1")
    assert data("catalog")["repositories"] == [{"name": "group/app"}]
    assert data("catalog", "--tags")["repositories"] == [{"name": "group/app", "tags": ["1"], "problem": ""}]
    (tag,) = data("tags", "group/app")["tags"]
    assert (tag["tag"], tag["digest"], tag["platforms"]) == ("1", made["digest"], ["linux/amd64"])
    assert data("inspect", "group/app:1")["digest"] == made["digest"]
    assert data("inspect", "group/app")["tags"] == 1
    assert len(data("layers", "group/app:1")["layers"]) == 1
    found = data("manifest", "group/app:1")
    assert (found["digest"], found["size"]) == (made["digest"], made["size"])
    assert found["registry"] == fake.url[7:]


def test_raw_is_the_very_bytes(images: Images) -> None:
    odd = b'{ "mediaType":"' + OCI_INDEX.encode() + b'",\n"schemaVersion":2 , "manifests":[] }\r\n'
    images.put_manifest("a", "1", odd, OCI_INDEX)
    for command in ("manifest", "inspect"):
        raw = gdkreg(command, "--raw", "a:1").stdout_bytes
        assert raw == odd
        assert f"sha256:{hashlib.sha256(raw).hexdigest()}" == digest_of(odd)
    assert '  "schemaVersion": 2,\n' in gdkreg("manifest", "a:1").stdout


def test_an_image_as_text(images: Images) -> None:
    base = b"b" * 1000
    children = [pushed.image(images, "a", layers=[base, arch.encode()], arch=arch) for arch in ("amd64", "arm64")]
    index = pushed.index(images, "a", "1", children=children)
    pushed.image(images, "a", "old", layers=[base], Entrypoint=["/bin/a b"], Env=["A=1", "B=2"], Labels={"x": "y"})
    text = gdkreg("inspect", "a:1", "--platform", "linux/arm64").stdout
    assert f"digest      {index['digest']}\n" in text
    assert f"linux/amd64  {children[0]['digest'][7:19]}" in text
    assert f"{digest_of(base)[7:19]}  1 kB  old" in text
    old = gdkreg("inspect", "a:old", "--no-trunc").stdout
    assert "entrypoint   '/bin/a b'\n" in old
    assert "environment  A=1\n             B=2\n" in old
    assert "labels       x=y\n" in old
    assert f"{digest_of(base)}  1 kB  1\n" in old
    assert gdkreg("layers", "a:old").stdout.splitlines()[1] == f"{digest_of(base)[7:19]}  1 kB  1"
    assert "tags        2\n" in gdkreg("inspect", "a").stdout


def test_what_a_stranger_wrote_is_harmless(fake: FakeRegistry, images: Images, capsys: pytest.CaptureFixture[str]) -> None:
    pushed.image(images, "a", "1", Labels={"evil\x1b[2J": "\x07\u202e"}, Env=["X=\x9b1m"], Cmd=["\x1b]0;title\x07"])
    fake.of("b\x1b[2Jb")
    fake.of("a").tags["evil\x1b[31m"] = fake.of("a").tags["1"]
    odd = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": {"a": "\x9b1m\u202e"}}
    images.put_manifest("a", "odd", json.dumps(odd, ensure_ascii=False).encode(), OCI_INDEX)
    report.table(("A",), [["\x1b[2J"]])
    assert capsys.readouterr().out == "A\n\\x1b[2J\n"
    for command in (
        ["manifest", "a:odd"],
        ["inspect", "a:odd"],
        ["inspect", "a:1"],
        ["catalog"],
        ["tags", "a"],
        ["layers", "a:1"],
        ["manifest", "a:1"],
        ["catalog", "--tags"],
    ):
        text = gdkreg(*command).output
        assert not [char for char in text if not char.isprintable() and char != "\n"], command


def test_a_blob(fake: FakeRegistry, images: Images, tmp_path: Path) -> None:
    digest = pushed.put_blob(images, "a", b"content" * 1000)["digest"]
    file = tmp_path / "x"
    text = gdkreg("blob", f"a@{digest}", "-o", str(file)).output
    assert text == f"{file}: 7 kB, and it is {digest}\n"
    assert file.read_bytes() == b"content" * 1000
    fake.blobs[digest] = b"changed"
    file.unlink()
    assert "came back changed" in gdkreg("blob", f"a@{digest}", "-o", str(file), code=1).output
    assert list(tmp_path.iterdir()) == []
    assert "names no blob" in gdkreg("blob", "a:1", "-o", str(file), code=2).output
    assert "--output" in gdkreg("blob", f"a@{digest}", code=2).output


def test_what_is_wrong_is_said_with_what_helps(fake: FakeRegistry, images: Images, host: FakeHost) -> None:
    pushed.image(images, "group/app", "1.0")
    assert "did you mean group/app?" in gdkreg("tags", "group/ap", code=1).output
    assert "gdkreg catalog" in gdkreg("tags", "group/ap", code=1).output
    assert "did you mean 1.0?" in gdkreg("inspect", "group/app:1.1", code=1).output
    assert "gdkreg tags group/app" in gdkreg("layers", "group/app", code=1).output
    assert "is not a repository" in gdkreg("tags", "group/app:1", code=2).output
    assert "write it in lower case: group/app" in gdkreg("inspect", "Group/app", code=2).output
    assert "is not a registry" in gdkreg("catalog", "--registry", "a b", code=2).output
    error = json.loads(gdkreg("tags", "group/ap", "--json", code=1).stdout)["error"]
    assert error["fix"] == "gdkreg catalog"
    host.files.pop(ROOT / ".gdkreg/applied.json")
    assert "gdkreg reconfigure" in gdkreg("catalog", code=1).output


def test_a_registry_that_is_stopped(host: FakeHost) -> None:
    host.put(ROOT / "gdk.yml", host.files[ROOT / "gdk.yml"].decode().replace("port: ", "port: 1 # "))
    gdkreg("reconfigure")
    text = gdkreg("catalog", code=1).output
    assert "the registry 127.0.0.1:1 does not answer" in text
    assert "fix: gdkreg start registry" in text


def test_another_registry_needs_no_gdk_yml(fake: FakeRegistry, host: FakeHost) -> None:
    with serving(FakeRegistry()) as other:
        pushed.image(of(other), "their/app", "1")
        name = other.url[7:]
        assert gdkreg("catalog", "--registry", name).stdout == "their/app\n"
        assert f"gdkreg tags their/app --registry {name}" in gdkreg("inspect", "their/app:2", "--registry", name, code=1).output
        host.files.clear()
        host.infos.clear()
        assert gdkreg("tags", "their/app", "--registry", name).stdout == "1\n"
        assert json.loads(gdkreg("catalog", "--registry", name, "--json").stdout)["root"] == ""


def test_copy(fake: FakeRegistry, images: Images) -> None:
    made = pushed.image(images, "a", "1")
    dry = gdkreg("copy", "a:1", "b/c", "--dry-run").output
    assert f"copy manifest {made['digest']} as 1  ({fake.url[7:]}/b/c:1)" in dry
    assert "b/c" not in fake.repositories
    text = gdkreg("copy", "a:1", "b/c").output
    assert text.count(" copied\n") == 3
    assert text.endswith("Done: 3 changes.\n")
    assert fake.of("b/c").tags == {"1": made["digest"]}
    assert "is there already" in gdkreg("copy", "a:1", "b/c").output
    with serving(FakeRegistry()) as other:
        gdkreg("copy", f"{fake.url[7:]}/a:1", f"{other.url[7:]}/x:2")
        assert other.of("x").tags == {"2": made["digest"]}
        found = json.loads(gdkreg("copy", f"{other.url[7:]}/x:2", "back", "--json").stdout)
    assert (found["changes"], found["digest"], found["target"]) == (3, made["digest"], f"{fake.url[7:]}/back:2")
    fake.read_only = True
    text = gdkreg("copy", "a:1", "d", code=1).output
    assert "takes no push now" in text
    assert "did you mean 1" in gdkreg("copy", "a:11", "d", code=1).output


def test_a_shell_is_offered_repositories_and_tags(images: Images) -> None:
    pushed.image(images, "group/app", "1", "11", "2")
    pushed.image(images, "other", "1")

    def offered(text: str, **params: str) -> list[str]:
        context = typer.Context(typer.main.get_command(build()))
        context.params = dict(params)
        return _references(context, text)

    assert offered("") == ["group/app", "other"]
    assert offered("gr") == ["group/app"]
    assert offered("group/app:1") == ["group/app:1", "group/app:11"]
    assert offered("none:") == []
    assert offered("", registry="127.0.0.1:1") == []


_BASH = """\
eval "$(_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION=1 gdkreg --show-completion bash)"
read -ra words -d '' <<< "$LINE"
COMP_WORDS=() COMP_LINE=$LINE
for word in "${words[@]}"; do  # as readline takes a line apart
    while [[ $word == *:* ]]; do COMP_WORDS+=("${word%%:*}" ":"); word=${word#*:}; done
    [[ -n $word ]] && COMP_WORDS+=("$word")
done
[[ $LINE == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_gdkreg_completion gdkreg
printf '%s\\n' "${COMPREPLY[@]}"
"""


def test_bash_is_offered_what_comes_after_the_colon(fake: FakeRegistry, images: Images) -> None:
    pushed.image(images, "group/app", "1", "11", "2")
    pushed.image(images, "group/other", "1")

    def offered(text: str) -> list[str]:
        line = f"gdkreg inspect --registry {fake.url[7:]} {text}"
        done = subprocess.run(["bash", "-c", _BASH], capture_output=True, text=True, check=True, env={**os.environ, "LINE": line})
        return done.stdout.split()

    assert offered("") == ["group/app", "group/other"]
    assert offered("group/a") == ["group/app"]
    assert offered("group/app:") == ["1", "11", "2"]
    assert offered("group/app:1") == ["1", "11"]


def test_no_list_of_commands_is_forgotten() -> None:
    """What `--help` shows, what is loaded for a command, and what an error's remedy may name, are the same commands."""
    registered = {name for _, commands in app._MODULES.values() for name in commands}
    assert set(out._COMMANDS.split("|")) == registered
    whole = typer.main.get_command(build())
    assert set(whole.commands) == registered  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", ["config get registry.port", "catalog --help"])
def test_what_is_slow_to_import_is_imported_late(command: str) -> None:
    slow = ("requests", "urllib3", "rich.table", "cryptography", "jwt", "docker")
    build_it = f"from gdkreg.cli import app; app.build({command.split()[0]!r})"
    code = f"import sys; {build_it}; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
