"""The command line in-process, on a machine in memory: options, exit codes, what is printed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gdkreg.cli import session
from gdkreg.cli.app import build
from tests.fakes import FakeHost

ROOT = Path("/home/dev/gdk")
GDK_YML = """\
hostname: gdk.test
registry:
  enabled: true
  host: registry.test
  listen_address: 172.16.123.1
  self_signed: true
"""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    host = FakeHost(home="/home/dev", env={"DOCKER_HOST": "unix:///nowhere.sock", "GDKREG_ROOT": str(ROOT)})
    host.put(ROOT / "gdk.yml", GDK_YML)
    host.put("/etc/hosts", "127.0.0.1 localhost\n")
    monkeypatch.setattr(session, "Machine", lambda: host)
    monkeypatch.setattr("gdkreg.host.machine.Machine", lambda: host)
    return host


def gdkreg(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(build(), list(arguments))
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result


def test_reconfigure_shows_what_it_does_and_the_next_step(fake: FakeHost) -> None:
    text = gdkreg("reconfigure").output
    assert "run ip address add 172.16.123.1/32 dev lo label lo:gdkreg" in text
    assert "replace /etc/hosts  (gdk.test, registry.test must lead here)" in text
    assert "Done: 13 changes." in text
    assert text.count("172.16.123.1/32") == 1, "each step is told once"
    assert "Next: gdkreg start\n" in text
    assert gdkreg("reconfigure").output == "Nothing to do: this machine matches gdk.yml.\n"


def test_plan_and_its_exit_code(fake: FakeHost) -> None:
    before = dict(fake.files)
    text = gdkreg("plan", "--exit-code", code=3).output
    assert "+172.16.123.1 registry.test # gdkreg" in text
    assert gdkreg("reconfigure", "--dry-run").output == gdkreg("plan").output == text
    found = json.loads(gdkreg("plan", "--json").output)
    assert {"resource", "action", "target", "reason", "as_root", "text", "diff", "status", "detail", "fix"} == set(
        found["actions"][0]
    )
    assert (found["dry_run"], found["changes"]) == (True, len(found["actions"]))
    assert fake.files == before
    gdkreg("reconfigure")
    assert gdkreg("plan", "--exit-code").output.startswith("Nothing to do")


def test_status_names_each_thing_and_its_next_step(fake: FakeHost) -> None:
    assert "gdkreg reconfigure" in gdkreg("status").output
    gdkreg("reconfigure")
    found = json.loads(gdkreg("status", "--json").output)
    assert {item["name"] for item in found["resources"]} >= {"loopback", "hosts", "registry_host.crt", "docker_trust"}
    assert found["services"]["registry"]["running"] is False
    fake.put(ROOT / "gdk.yml", GDK_YML + "  port: 5001\n")
    text = gdkreg("status").output
    assert "registry.port: 5000 → 5001" in text
    assert "the alias is gone after a reboot" in text


def test_disabled(fake: FakeHost) -> None:
    gdkreg("reconfigure")
    fake.put(ROOT / "gdk.yml", GDK_YML.replace("enabled: true", "enabled: false"))
    text = gdkreg("reconfigure").output
    assert "registry.enabled is false: what gdkreg had set up is taken back, the images are kept" in text
    assert fake.files[Path("/etc/hosts")] == b"127.0.0.1 localhost\n"
    assert "there is nothing to do" in gdkreg("reconfigure").output
    told = json.loads(gdkreg("reconfigure", "--json").output)
    assert (told["changes"], told["enabled"], told["actions"]) == (0, False, [])
    for command in (["start"], ["start", "registry"], ["up"]):
        assert "registry.enabled is false" in gdkreg(*command, code=1).output
    assert "registry.enabled is false" in gdkreg("status").output
    assert "registry.enabled is false" in gdkreg("doctor").output


def test_undo_and_down(fake: FakeHost) -> None:
    before = dict(fake.files)
    gdkreg("reconfigure")
    assert "remove" in gdkreg("undo", "--dry-run").output
    assert "Took back the last run (reconfigure)" in gdkreg("undo").output
    assert {path: raw for path, raw in fake.files.items() if not any(".gdkreg" in part for part in path.parts)} == before
    assert gdkreg("undo").output == "Nothing to undo.\n"
    gdkreg("reconfigure")
    assert "remove" in gdkreg("down", "--dry-run").output
    assert "Done:" in gdkreg("down").output
    assert fake.files == before, "nothing stays, not even what the root was written down in"
    assert gdkreg("down").output == "Nothing to do: nothing of gdkreg's is on this machine.\n"


def test_a_down_right_behind_a_reconfigure_does_not_trip_it(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = fake.lock

    @contextlib.contextmanager
    def then_down(*args: Any) -> Iterator[None]:
        with lock(*args):
            yield
        fake.files.pop(ROOT / ".gdkreg/applied.json", None)

    monkeypatch.setattr(fake, "lock", then_down)
    result = gdkreg("reconfigure")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "Next: gdkreg start")


def test_login_without_authentication_has_one_shape_too(fake: FakeHost) -> None:
    fake.put(ROOT / "gdk.yml", GDK_YML + "  auth_enabled: false\n")
    gdkreg("reconfigure")
    assert json.loads(gdkreg("login", "--json").stdout)["actions"] == []
    assert "there is nothing to log in to" in gdkreg("login").stdout


def test_login_without_the_certificate_is_a_sentence(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: "/usr/bin/docker")
    gdkreg("reconfigure")
    text = gdkreg("login", code=1).output  # the fake's registry_host.crt is on no disk that a request could read
    assert "is not trusted" in text
    assert "bug in gdkreg" not in text


def test_undo_goes_on_where_nothing_of_a_run_is_left_to_take_back(fake: FakeHost) -> None:
    runner = '[[runners]]\n  name = "a"\n  executor = "docker"\n'
    gdkreg("reconfigure")
    fake.put(ROOT / "gitlab-runner-config.toml", runner, 0o600)
    gdkreg("runner-patch", str(ROOT / "gitlab-runner-config.toml"))
    fake.put(ROOT / "gitlab-runner-config.toml", runner, 0o600)  # the user put it back by hand
    assert "Nothing of the last run (runner-patch) can be taken back now. gdkreg undo goes on" in gdkreg("undo").output
    assert "Took back the last run (reconfigure)" in gdkreg("undo").output
    assert gdkreg("undo").output == "Nothing to undo.\n"


def test_down_leaves_what_the_user_edited_with_a_diff_and_takes_the_rest_back(fake: FakeHost) -> None:
    gdkreg("reconfigure")
    path = ROOT / "registry" / "config.yml"
    fake.put(path, fake.files[path] + b"mine: true\n")
    text = gdkreg("down", code=1).output
    assert f"left: {path}" in text
    assert "was edited after gdkreg wrote it" in text
    assert "+mine: true" in text
    assert "gdkreg down --keep-edits leaves it as it is" in text
    assert "172.16.123.1" not in {item.address for item in fake.net}, "the rest is taken back"
    gdkreg("down", "--keep-edits")
    assert fake.files[path].endswith(b"mine: true\n")


def test_trust_and_runner(fake: FakeHost) -> None:
    assert "gdkreg reconfigure" in gdkreg("trust-docker-registry", code=1).output
    gdkreg("reconfigure")
    assert "remove" not in gdkreg("trust-docker-registry", "--dry-run").output
    text = gdkreg("trust-docker-registry").output
    assert "registry.test:5000 is trusted" in text
    assert "no engine answers" in text
    assert "trusted already" in gdkreg("trust-docker-registry").output
    assert "no longer trusted" in gdkreg("trust-docker-registry", "--remove").output
    assert "there is no runner configuration" in gdkreg("runner-patch", code=1).output
    runner = '[[runners]]\n  name = "a"\n  executor = "docker"\n[[runners]]\n  name = "s"\n  executor = "shell"\n'
    fake.put("/home/dev/.gitlab-runner/config.toml", runner)
    text = gdkreg("runner-patch").output
    assert "a (docker): patched" in text
    assert "s (shell): skipped, it runs no containers" in text
    fake.put("/etc/gitlab-runner/config.toml", runner)
    assert "more than one runner configuration" in gdkreg("runner-patch", code=2).output
    assert "as it was" in gdkreg("runner-patch", "--remove").output
    assert fake.files[Path("/home/dev/.gitlab-runner/config.toml")] == runner.encode()
    assert json.loads(gdkreg("runner-patch", "/etc/gitlab-runner/config.toml", "--json").output)["runners"]


def test_trust_without_tls_says_so(fake: FakeHost) -> None:
    fake.put(ROOT / "gdk.yml", "registry: {enabled: true}")
    assert "registry.self_signed is false" in gdkreg("trust-docker-registry", code=1).output


def test_config(fake: FakeHost) -> None:
    assert gdkreg("config", "get", "registry.host").output == "registry.test\n"
    assert "registry.port" in gdkreg("config", "get", "registry.prt", code=2).output
    assert "port" in gdkreg("config", "get", "registry").output
    rows = gdkreg("config", "list").output
    assert "gdk.yml:4" in rows
    assert json.loads(gdkreg("config", "list", "--json").output)["keys"][0]["key"] == "hostname"
    assert json.loads(gdkreg("config", "get", "registry.port", "--json").output)["value"] == 5000
    assert "+  port: 5001" in gdkreg("config", "set", "registry.port", "5001", "--dry-run").output
    gdkreg("config", "set", "registry.port", "5001")
    assert fake.files[ROOT / "gdk.yml"].decode() == GDK_YML + "  port: 5001\n"
    assert "already" in gdkreg("config", "set", "registry.port", "5001").output
    assert "expected a whole number <= 65535" in gdkreg("config", "set", "registry.port", "99999", code=2).output
    assert "there is no key" in gdkreg("config", "set", "registry.prt", "1", code=2).output
    assert fake.files[ROOT / "gdk.yml"].decode() == GDK_YML + "  port: 5001\n"
    assert json.loads(gdkreg("config", "schema").output)["title"]
    assert gdkreg("config", "example").output == (Path(__file__).parents[2] / "gdk.example.yml").read_text()


def test_the_command_line_is_named_for_what_it_says(fake: FakeHost) -> None:
    for key, value, problem in [
        ("registry.port", "abc", "registry.port: expected a whole number, got text"),
        ("registry.host", "", "registry.host: '' is not a host name"),
        ("registry.config.log.x", ".inf", "registry.config.log.x: inf is not a number"),
        ("auto_devops.tunnel.user", "a b", "auto_devops.tunnel.user: 'a b' is not a user's name"),
        ("registry.auth_port", "5000", "registry.auth_port: 5000 is the registry's own port"),
    ]:
        text = gdkreg("config", "set", key, value, code=2).output
        assert text.startswith(f"gdkreg: {problem}\n")
        assert "why: config set was told so on the command line; gdk.yml is as it was" in text
        assert fake.files[ROOT / "gdk.yml"].decode() == GDK_YML


def test_what_stood_in_gdk_yml_before_is_named_there(fake: FakeHost) -> None:
    broken = GDK_YML + "runner:\n  enabled: maybe\n"
    fake.put(ROOT / "gdk.yml", broken)
    assert "gdk.yml:8: runner.enabled: expected true or false" in gdkreg("config", "set", "registry.port", "5001", code=2).output
    assert fake.files[ROOT / "gdk.yml"].decode() == broken


def test_config_get_sees_what_config_set_wrote(fake: FakeHost) -> None:
    for key, value in [
        ("registry.config.log.level", "debug"),
        ("registry.config.storage.delete.enabled", "false"),
        ("registry.version", "1.10"),
        ("registry.restart_policy", "no"),
        ("relative_url_root", "/gitlab"),
        ("hostname", "no"),
    ]:
        gdkreg("config", "set", key, value)
        assert gdkreg("config", "get", key).output == value + "\n"
    assert json.loads(gdkreg("config", "get", "registry.config.log", "--json").output)["value"] == {"level": "debug"}
    for key in ("registry.config.log.levl", "registry.config.", "registry.configx", "registry.config.log.level.x"):
        assert f"there is no key {key}" in gdkreg("config", "get", key, code=2).output
    for key in ("registry.config.", "registry.configx", "registry.config..x", "registry"):
        assert f"there is no key {key}" in gdkreg("config", "set", key, "1", code=2).output


def test_the_last_user_takes_the_key_with_him(fake: FakeHost) -> None:
    for name in ("ci", "bot"):
        CliRunner().invoke(build(), ["user", "add", name, "--password-stdin"], input="secret\n")
    assert gdkreg("config", "get", "registry.users", "--json").output.count('"name"') == 2
    gdkreg("user", "remove", "ci")
    gdkreg("user", "remove", "bot")
    assert fake.files[ROOT / "gdk.yml"].decode() == GDK_YML


def test_a_runner_file_that_the_runner_refuses(fake: FakeHost) -> None:
    path = Path("/home/dev/.gitlab-runner/config.toml")
    runner = '[[runners]]\nexecutor = "shell"\n[[runners]]\nexecutor = "docker"\n[runners.docker]\n  volumes = "/cache"\n'
    fake.put(path, runner)
    gdkreg("reconfigure")
    text = gdkreg("runner-patch", code=2).output
    assert f"gdkreg: {path}:6: runners.docker.volumes: expected a list of texts, got text" in text
    assert 'fix: write volumes = ["/cache"] there' in text
    for wrong in ("volumes = 3", "volumes = [1]", 'extra_hosts = "a:1"', "extra_hosts = {}"):
        fake.put(path, runner.replace('volumes = "/cache"', wrong))
        assert f"{path}:6: runners.docker.{wrong.split()[0]}: expected a list" in gdkreg("runner-patch", code=2).output
    assert b"certs.d" not in fake.files[path]


def test_a_home_that_cannot_be_written_stops_nobody_whose_engine_reads_elsewhere(fake: FakeHost) -> None:
    fake.closed.add(Path("/home/dev/.docker"))
    gdkreg("reconfigure")
    said = (
        "/home/dev/.docker/certs.d/registry.test:5000/ca.crt cannot be written, so the runner and Docker Desktop will not trust"
    )
    text = gdkreg("trust-docker-registry", "--dry-run").output
    assert said in text
    assert "make folder" not in text
    text = gdkreg("trust-docker-registry").output
    assert said in text
    assert "registry.test:5000 is trusted" in text
    assert fake.files[ROOT / "registry" / "buildkitd.toml"]
    assert not any(".docker" in str(path) for path in fake.infos)
    assert "Nothing to do" in gdkreg("reconfigure").output
    assert said in gdkreg("status").output
    fake.closed.clear()
    gdkreg("reconfigure")
    assert said not in gdkreg("status").output


def test_a_checkout_shows_nothing_of_what_is_made(fake: FakeHost) -> None:
    exclude = ROOT / ".git/info/exclude"
    fake.put(exclude, "*.swp\n")
    assert f"replace {exclude}" in gdkreg("plan").output
    gdkreg("reconfigure")
    assert b"/jwks.json\n" in fake.files[exclude]
    assert "Nothing to do" in gdkreg("reconfigure").output
    gdkreg("undo")
    assert fake.files[exclude] == b"*.swp\n"
    gdkreg("reconfigure")
    gdkreg("down")
    assert fake.files[exclude] == b"*.swp\n"


def test_what_cert_renew_tells_is_what_it_does(fake: FakeHost) -> None:
    gdkreg("reconfigure")
    fake.remove(ROOT / "localhost.crt")
    assert "jwks.json" not in [row.split()[1] for row in gdkreg("status").output.splitlines() if row.startswith("~")]
    gdkreg("reconfigure")
    fake.remove(ROOT / "jwks.json")
    assert "jwks.json            missing" in gdkreg("status").output
    gdkreg("reconfigure")
    before = dict(fake.files)
    told = [item["target"] for item in json.loads(gdkreg("cert", "renew", "--dry-run", "--json").output)["actions"]]
    gdkreg("cert", "renew")
    changed = {str(path) for path in fake.files if fake.files[path] != before.get(path) and ".gdkreg" not in str(path)}
    assert changed == set(told)
    assert str(ROOT / "localhost.key") not in changed


def test_certificates(fake: FakeHost) -> None:
    assert "no certificates yet" in gdkreg("cert", "show").output
    gdkreg("reconfigure")
    text = gdkreg("cert", "show").output
    assert "registry.test, 172.16.123.1" in text
    assert "364 days left" in text
    before = dict(fake.files)
    assert "asked for" in gdkreg("cert", "renew", "tls", "--dry-run").output
    gdkreg("cert", "renew")
    assert fake.files[ROOT / "registry_host.crt"] != before[ROOT / "registry_host.crt"]
    assert fake.files[ROOT / "localhost.key"] == before[ROOT / "localhost.key"]
    assert set(json.loads(gdkreg("cert", "show", "--json").output)) >= {"registry_host.crt", "localhost.crt"}


def test_without_a_gdk_yml_and_with_a_broken_one(fake: FakeHost) -> None:
    fake.put(ROOT / "gdk.yml", "registry:\n  prot: 1\n")
    for command in (["plan"], ["reconfigure"], ["start"], ["status"], ["config", "list"], ["down"]):
        text = gdkreg(*command, code=2).output
        assert "gdk.yml:2: registry.prot: there is no such key; did you mean port?" in text
    fake.remove(ROOT / "gdk.yml")
    assert "gdkreg config example > " in gdkreg("plan", code=2).output


def test_no_root(fake: FakeHost) -> None:
    fake.refuse_root = True
    fake.platform = FakeHost(uid=1000, home="/home/dev", env=dict(fake.platform.env)).platform
    text = gdkreg("reconfigure", code=4).output
    assert "sudo ip address add 172.16.123.1/32 dev lo label lo:gdkreg" in text


def test_usage_errors_exit_with_2() -> None:
    gdkreg("start", "nothing", code=2)
    gdkreg("--nonsense", code=2)
    gdkreg("tail", "registry", "--since", "soon", code=2)


def test_start_before_reconfigure(fake: FakeHost) -> None:
    assert "gdkreg reconfigure" in gdkreg("start", "registry", code=1).output
    assert "was not running" in gdkreg("stop").output
    for arguments in (["start"], ["start", "registry"], ["restart"]):
        found = json.loads(gdkreg(*arguments, "--json", code=1).output)
        assert set(found["error"]) == {"what", "why", "fix", "details"}


def test_every_command_has_help_with_an_example() -> None:
    from typer.main import get_command

    def walk(command: object, path: list[str]) -> None:
        below = getattr(command, "commands", {})
        for name, item in below.items():
            walk(item, [*path, name])
        if not below:
            text = gdkreg(*path, "--help").output
            assert "Example: gdkreg" in text, path
            if path[0] != "config" or path[-1] in {"get", "list", "set"}:
                assert "--root" in text, path

    walk(get_command(build()), [])


def test_ctrl_c_says_what_is_done_and_what_not(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fake.write

    def interrupt(path: Path, *arguments: object, **options: object) -> None:
        if path == ROOT / "localhost.key":
            raise KeyboardInterrupt
        real(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(fake, "write", interrupt)
    text = gdkreg("reconfigure", code=130).output
    assert "interrupted after: write /home/dev/gdk/registry_host.crt" in text
    assert "not done: write /home/dev/gdk/localhost.key" in text
    monkeypatch.setattr(fake, "write", real)
    gdkreg("reconfigure")


def test_users_are_written_to_gdk_yml(fake: FakeHost) -> None:
    def user(*arguments: str, code: int = 0, stdin: str = "") -> str:
        result = CliRunner().invoke(build(), ["user", *arguments], input=stdin)
        assert result.exit_code == code, (result.output, result.exception)
        return str(result.output)

    assert "There are no users" in user("list")
    shown = user("add", "ci", "--admin", "--password-stdin", "--dry-run", stdin="hunter22\n")
    assert "+    - name: ci" in shown
    assert "$2b$" not in shown
    assert fake.files[ROOT / "gdk.yml"].decode() == GDK_YML
    user("add", "ci", "--pull", "group/**", "--push", "group/app/*", "--password-stdin", stdin="hunter22\n")
    text = fake.files[ROOT / "gdk.yml"].decode()
    assert text.startswith(GDK_YML)
    assert "hunter22" not in text
    assert "ci  pull group/**; push group/app/*" in user("list")
    assert json.loads(user("list", "--json"))["users"][0]["name"] == "ci"
    assert "is not a pattern" in user("add", "x", "--pull", "../", "--password-stdin", code=2, stdin="y\n")
    assert "the password is empty" in user("add", "x", "--password-stdin", code=2, stdin="\n")
    assert "too long" in user("add", "x", "--password-stdin", code=2, stdin="y" * 80 + "\n")
    assert "there is no password" in user("add", "x", code=1)
    assert "there is no user nobody" in user("remove", "nobody", code=2)
    user("remove", "ci")
    assert fake.files[ROOT / "gdk.yml"].decode() == GDK_YML


def test_verify_trace_and_token_before_a_reconfigure(fake: FakeHost) -> None:
    for command in (["verify"], ["trace"], ["token", "registry:catalog:*"], ["login"]):
        assert "gdkreg" in gdkreg(*command, code=1).output


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("gdkreg start ", ["registry", "auth", "tunnel"]),
        ("gdkreg config set registry.po", ["registry.port"]),
        ("gdkreg config get host", ["hostname"]),
        ("gdkreg user remove ", ["ci"]),
        ("gdkreg env cr", ["crane"]),
    ],
)
def test_completion(tmp_path: Path, words: str, offered: list[str]) -> None:
    (tmp_path / "gdk.yml").write_text(
        "registry:\n  enabled: true\n  users:\n    - {name: ci, password: '$2b$12$%s'}\n" % ("u" * 53)
    )
    env = {"_GDKREG_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(
        [Path(sys.executable).parent / "gdkreg"], cwd=tmp_path, env={**os.environ, **env}, capture_output=True, text=True
    )
    assert done.stdout.split() == offered, done


def test_root_before_the_command_too(tmp_path: Path) -> None:
    (tmp_path / "gdk.yml").write_text("registry: {port: 5005}\n")
    for words in (["--root", str(tmp_path)], [f"--root={tmp_path}"]):
        done = subprocess.run(
            [sys.executable, "-m", "gdkreg", *words, "config", "get", "registry.port"], cwd="/", capture_output=True, text=True
        )
        assert done.stdout == "5005\n", done


def test_a_value_is_printed_as_it_is_where_a_command_has_the_whole_path(tmp_path: Path) -> None:
    (tmp_path / "gdk.yml").write_text("registry:\n  config: {log: {fields: {note: run gdkreg up}}}\n")
    words = [sys.executable, "-m", "gdkreg", "config", "get", "registry.config.log.fields.note"]
    done = subprocess.run(words, cwd=tmp_path, env={**os.environ, "PATH": "/nowhere"}, capture_output=True, text=True)
    assert done.stdout == "run gdkreg up\n", done


def test_where_no_gdk_is_nothing_of_gdks_is_offered(fake: FakeHost) -> None:
    gdkreg("reconfigure")
    text = gdkreg("gdk", "status").output
    assert "this is no GDK" in text
    assert "gdk start" not in text
    assert "gdk on" not in text
    gdkreg("ci", "image", "-o", str(ROOT / "ci.yml"))
    assert gdkreg("undo").output.endswith("Took back the last run (ci image): 1 change.\n")
