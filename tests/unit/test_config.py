from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gdkreg.config import schema, values
from gdkreg.config.edit import set_value
from gdkreg.config.effective import Settings
from gdkreg.config.settings import find_root, flatten, load
from gdkreg.errors import ConfigError
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT


def loaded(host: FakeHost, text: str | bytes) -> Settings:
    host.put(ROOT / "gdk.yml", text)
    return load(ROOT, host)


def refused(host: FakeHost, text: str | bytes) -> str:
    with pytest.raises(ConfigError) as error:
        loaded(host, text)
    assert error.value.exit_code == 2
    return f"{error.value.what} | {error.value.why}"


def test_an_empty_file_means_gdks_defaults(fake: FakeHost) -> None:
    found = loaded(fake, "")
    assert found.authority == "127.0.0.1:5000"
    assert found.gitlab_url == "http://127.0.0.1:3000"
    assert found.names() == {}
    assert (found.registry.enabled, found.registry.auth_enabled, found.registry.self_signed) == (False, True, False)
    assert found.runner.config_file == str(ROOT / "gitlab-runner-config.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("registry:\n  prot: 1", "gdk.yml:2: registry.prot: there is no such key; did you mean port?"),
        ("registry:\n  port: 70000", "gdk.yml:2: registry.port: expected a whole number <= 65535"),
        ("registry:\n  port: 0", "gdk.yml:2: registry.port: expected a whole number >= 1"),
        ("a: 1\nregistry:\n  port: x", "gdk.yml:3: registry.port: expected a whole number, got text"),
        ("registry:\n  enabled: 'yes'", "gdk.yml:2: registry.enabled: expected true or false, got text"),
        ("registry:\n  image: 3", "gdk.yml:2: registry.image: expected text, got a whole number"),
        ("registry:\n  image: a b", "gdk.yml:2: registry.image: 'a b' is not an image reference"),
        ("registry: 3", "gdk.yml:1: registry: expected a block of keys"),
        (
            "registry:\n  runtime: podman",
            "gdk.yml:2: registry.runtime: invalid enum value 'podman'; one of auto, docker, process",
        ),
        ("registry:\n  certificate_days: 9999", "gdk.yml:2: registry.certificate_days: expected a whole number <= 825"),
        ("registry:\n  uid: me", "gdk.yml:2: registry.uid: expected a number or '', got 'me'"),
        ("registry:\n  config: {1: 2}", "gdk.yml:2: registry.config: every key has to be text"),
        ("registry: {1: 2}", "gdk.yml:1: registry: every key has to be text"),
        ("registry:\n  listen_address: 8.8.8.8", "gdk.yml:2: registry.listen_address: 8.8.8.8 is a public address"),
        ("registry:\n  listen_address: '::1'", "gdk.yml:2: registry.listen_address: '::1' is not an IPv4 address"),
        ("listen_address: 0.0.0.0", "gdk.yml:1: listen_address: 0.0.0.0 means every address"),
        ("listen_address: 255.255.255.255", "gdk.yml:1: listen_address: 255.255.255.255 is a broadcast address"),
        ("listen_address: 224.0.0.1", "gdk.yml:1: listen_address: 224.0.0.1 is a multicast address"),
        ("listen_address: 127.255.255.255", "is the network or broadcast address of 127.0.0.0/8"),
        ("listen_address: 240.0.0.1", "gdk.yml:1: listen_address: 240.0.0.1 is a public address"),
        ("hostname: a_b", "gdk.yml:1: hostname: 'a_b' is not a host name"),
        ("hostname: ''\nregistry:\n  host: -x.test", "gdk.yml:3: registry.host: '-x.test' is not a host name"),
        ("registry: {enabled: true, host: 1.2.3}", "registry.host: '1.2.3' looks like an IPv4 address but is none"),
        ("relative_url_root: 'a b'", "relative_url_root: 'a b' is not a path of a URL"),
        ("runner:\n  config_fil: x", "gdk.yml:2: runner.config_fil: there is no such key; did you mean config_file?"),
        ("registry:\n\tport: 1", "gdk.yml:2: port: not valid YAML | a tab"),
        ("- a", "gdk.yml:1: expected keys and values | it holds a list"),
        ("just text", "gdk.yml:1: expected keys and values | it holds one plain value"),
        ("hostname: [", "gdk.yml:1: hostname: not valid YAML"),
        ("registry:\n  port: 1\n  port: 2", "gdk.yml:3: registry.port: stands here a second time"),
        ("registry:\n  port: 1\nregistry:\n  port: 2", "gdk.yml:3: registry: stands here a second time"),
        ("registry:\n  image: !ruby/x y", "gdk.yml:2: registry: not valid YAML"),
        ("auto_devops: {enabled: true, gitlab: {port: 60536}}", "auto_devops.gitlab.port: the registry's port would be 65536"),
        ("auto_devops: {tunnel: {user: -oProxyCommand=x}}", "auto_devops.tunnel.user: '-oProxyCommand=x' is not a user's name"),
        ("auto_devops: {tunnel: {key: -x}}", "auto_devops.tunnel.key: '-x' looks like an option"),
        ("auto_devops: {tunnel: {host: '-x'}}", "auto_devops.tunnel.host: '-x' is not a host name"),
        ("auto_devops: {tunnel: {prot: 22}}", "auto_devops.tunnel.prot: there is no such key; did you mean port?"),
        ("hostname: caf\u00e9".encode("latin1"), "gdk.yml:1: not UTF-8 | byte 0xe9"),
        ("registry: {enabled: true}".encode("utf-16"), "gdk.yml:1: not UTF-8"),
        ("\x00", "not valid YAML"),
    ],
)
def test_bad_input_is_one_error_with_file_line_and_key(fake: FakeHost, text: str | bytes, message: str) -> None:
    assert message in refused(fake, text)
    assert fake.ran == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("registry:\n  host: ''", "gdk.yml:2: registry.host: '' is not a host name"),
        ("port: 1\nhostname: ''", "gdk.yml:2: hostname: '' is not a host name"),
        ("registry:\n  api_host: --help", "gdk.yml:2: registry.api_host: '--help' is not a host name"),
        ("registry:\n  host: r\u0435gistry.test", "gdk.yml:2: registry.host: 'r\u0435gistry.test' is not a host name"),
        ("registry:\n  host: 'a.test '", "is not a host name"),
        ('registry:\n  host: "a.test\\n"', "is not a host name"),
        ("registry:\n  host: 0x7f000001", "expected text"),
        ("registry:\n  host: a.0x7f", "looks like an IPv4 address"),
        ("registry:\n  tunnel_host: ..", "is not a host name"),
        ("registry:\n  listen_address: ''", "gdk.yml:2: registry.listen_address: '' is not an IPv4 address"),
        ("registry:\n  listen_address: \u0661.0.0.1", "is not an IPv4 address"),
        ("registry:\n  image: --privileged", "gdk.yml:2: registry.image: '--privileged' is not an image reference"),
        ("registry:\n  image: ../../etc", "gdk.yml:2: registry.image: '../../etc' is not an image reference"),
        ("registry:\n  image: /etc/passwd", "is not an image reference"),
        ("registry:\n  image: Registry:2", "is not an image reference"),
        ("registry:\n  image: 'registry:'", "is not an image reference"),
        ("registry:\n  image: ''", "is not an image reference"),
        ("registry:\n  gid: 1180591620717411303424", "gdk.yml:2: registry.gid: expected a number of at most 2147483647"),
        ("registry:\n  uid: 2147483648", "registry.uid: expected a number of at most 2147483647, got 2147483648"),
        ("registry:\n  uid: -1", "registry.uid: expected a number or '', got -1"),
        ("registry:\n  uid: '\u0663'", "registry.uid: expected a number or ''"),
        ("registry:\n  port: .nan", "registry.port: expected a whole number"),
        ("registry:\n  bin: ''", "gdk.yml:2: registry.bin: '' is no path"),
        ("registry:\n  bin: -x", "registry.bin: '-x' looks like an option; a file of that name is ./-x"),
        ('registry:\n  bin: "a\\0b"', "registry.bin: 'a\\x00b' holds U+0000"),
        ("runner:\n  config_file: ''", "gdk.yml:2: runner.config_file: '' is no path"),
        ('runner:\n  config_file: "a\\u202eb"', "holds U+202E, which cannot be seen"),
        ('runner:\n  extra_hosts: ["a:1", "b\\e"]', "runner.extra_hosts.1: 'b\\x1b' holds U+001B"),
        ("relative_url_root: --help", "gdk.yml:1: relative_url_root: '--help' is not a path of a URL"),
        ("relative_url_root: /a/../b", "is not a path of a URL"),
        ("relative_url_root: //evil.test", "is not a path of a URL"),
        ('registry:\n  version: "a\\tb"', "gdk.yml:2: registry.version: 'a\\tb' holds U+0009"),
        ("registry:\n  config:\n    a:\n    - b: .nan", "gdk.yml:4: registry.config.a.0.b: nan is not a number"),
        ("registry:\n  config:\n    a: {1: 2}", "gdk.yml:3: registry.config.a: every key has to be text"),
        ("registry:\n  config:\n    a: 2024-01-01", "gdk.yml:3: registry.config.a: a date for YAML; put it in quotes"),
        ("registry:\n  config:\n    a: !!binary aGk=", "gdk.yml:3: registry.config.a: a bytes for YAML"),
        ("registry:\n  config:\n    a: 99999999999999999999", "registry.config.a: a number of more than 64 bits"),
        ('registry:\n  config:\n    a: "\\e[2J"', "registry.config.a: '\\x1b[2J' holds U+001B"),
        (
            "registry:\n  users:\n  - name: a\n    nam: b",
            "gdk.yml:4: registry.users.0.nam: there is no such key; did you mean name?",
        ),
        (
            "registry:\n  users:\n  - name: a\n    password: x",
            "gdk.yml:3: registry.users.0: a: the password is not a bcrypt hash",
        ),
        ("[" * 5000, "not valid YAML"),
        (
            "registry:\n  config:\n    a: &a [1,1,1,1,1,1,1,1,1]\n"
            + "".join(f"    {b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdef", "bcdefg", strict=True)),
            "gdk.yml:1: registry: holds more than 100000 keys",
        ),
    ],
)
def test_no_value_is_taken_in_silence_that_cannot_be_meant(fake: FakeHost, text: str, message: str) -> None:
    assert message in refused(fake, text)
    assert fake.ran == []


def test_every_text_of_the_schema_has_a_rule() -> None:
    from gdkreg.config import checks

    blocks = (schema.GdkYml, schema.Registry, schema.Runner, schema.AutoDevops, schema.User)
    for block in blocks:
        kinds = checks.kinds(block)
        for name, hint in block.__annotations__.items():
            takes_text = re.search(r"\bstr\b", hint.split(",")[0]) is not None and "dict" not in hint
            assert (name in kinds) == takes_text, f"{block.__name__}.{name}"
            assert kinds.get(name, "account") in {*values.PROBLEMS, "account"}


@pytest.mark.parametrize(
    "image",
    [
        "registry",
        "registry:2",
        "localhost:5000/a/b__c:v1.0-x",
        "registry.gitlab.com/gitlab-org/build/cng/gitlab-container-registry:v3.88.0-gitlab",
        "docker.io/library/registry@sha256:" + "a" * 64,
        "a-b.test/x:T_1@sha256:" + "0" * 64,
        "0123456789ab",
        schema.DEFAULT_IMAGE,
    ],
)
def test_images_as_docker_takes_them(fake: FakeHost, image: str) -> None:
    assert loaded(fake, f"registry:\n  image: {image}\n").registry.image == image


def test_what_a_gdk_has_stays_valid(fake: FakeHost) -> None:
    text = (
        "hostname: gdk.test\nrelative_url_root: /gitlab/\nregistry:\n  uid: ''\n  gid: 1000\n  version: ''\n"
        "  config:\n    http: {debug: {addr: ''}, x: null}\n    key: |\n      a\n      b\n  bin: ~/go/bin/x y\n"
        "gitlab:\n  x: --help\n  y: .nan\n"
    )
    assert loaded(fake, text).registry.config["key"] == "a\nb\n"


def test_a_block_whose_keys_are_all_commented_out_is_not_there(fake: FakeHost) -> None:
    text = "registry:\n  database:\n    # enabled: true\n  users:\n  config:\nauto_devops:\n  gitlab:\n    # port: 1\n"
    found = loaded(fake, text + "runner:\n  extra_hosts:\n")
    assert (found.registry.users, found.registry.config, found.runner.extra_hosts) == ([], {}, [])


def test_a_bad_value_of_a_value_file_points_there(fake: FakeHost) -> None:
    fake.put(ROOT / "registry_port", "70000")
    fake.put(ROOT / "host", "--help")
    assert "/registry_port:1: registry.port: expected a whole number <= 65535" in refused(fake, "")
    assert "/host:1: hostname: '--help' is not a host name" in refused(fake, "registry:\n  port: 5000\n")


def test_what_gdk_may_have_besides(fake: FakeHost) -> None:
    text = "gitaly: !ruby/object x\nregistry: {database: {enabled: true, host: x}}\nrunner: {install_mode: docker, token: x}\n"
    assert loaded(fake, text).registry.database.enabled


def test_gitlab_may_listen_everywhere_if_the_registry_does_not(fake: FakeHost) -> None:
    text = "hostname: gdk.test\nlisten_address: 0.0.0.0\nregistry: {listen_address: 172.16.123.1, host: registry.test}"
    assert loaded(fake, text).names() == {"gdk.test": "172.16.123.1", "registry.test": "172.16.123.1"}


def test_a_bare_no_is_a_restart_policy(fake: FakeHost) -> None:
    assert loaded(fake, "registry: {restart_policy: no}").registry.restart_policy == "no"
    assert loaded(fake, "registry: {persist_alias: true}").registry.restart_policy == "unless-stopped"


def test_the_tunnel(fake: FakeHost) -> None:
    found = loaded(fake, "auto_devops: {enabled: true, gitlab: {port: 20001}}")
    assert found.gitlab_url == "https://20001.qa-tunnel.gitlab.info"
    assert found.authority == "25001.qa-tunnel.gitlab.info"
    assert found.registry.enabled
    assert found.registry.tunnel_host == "127.0.0.1"
    assert found.names() == {}


def test_the_url_of_a_gdk_with_https_and_a_path(fake: FakeHost) -> None:
    found = loaded(fake, "hostname: gdk.test\nport: 3443\nhttps: {enabled: true}\nrelative_url_root: /gitlab/")
    assert found.gitlab_url == "https://gdk.test:3443/gitlab"


def test_old_single_value_files_fill_in(fake: FakeHost) -> None:
    for name, text in {
        "registry_image": "registry:dev\n",
        "registry_port": "5005",
        "registry_enabled": "true",
        "host": "old.test",
    }.items():
        fake.put(ROOT / name, text)
    found = loaded(fake, "registry:\n  port: 5001\n")
    assert (found.registry.image, found.registry.port, found.registry.enabled) == ("registry:dev", 5001, True)
    assert found.hostname == "old.test"
    assert found.origin["registry.image"] == "registry_image"


@pytest.mark.parametrize(("name", "text"), [("registry_enabled", "maybe"), ("port", "x")])
def test_a_bad_value_file_is_named(fake: FakeHost, name: str, text: str) -> None:
    fake.put(ROOT / name, text)
    assert f"{name}:1" in refused(fake, "")


def test_a_value_file_beside_a_block_of_the_wrong_type(fake: FakeHost) -> None:
    fake.put(ROOT / "registry_port", "5005")
    assert "registry: expected a block" in refused(fake, "registry: 3")


def test_a_byte_order_mark_is_fine(fake: FakeHost) -> None:
    assert loaded(fake, b"\xef\xbb\xbfhostname: gdk.test\n").hostname == "gdk.test"


def test_merge_keys_are_not_duplicates(fake: FakeHost) -> None:
    assert loaded(fake, "registry:\n  <<: {port: 5003}\n  enabled: true\n").registry.port == 5003


def test_the_root_is_found_upwards_and_by_name(fake: FakeHost) -> None:
    assert find_root(ROOT / "a" / "b", fake) == ROOT
    assert find_root(Path("/"), fake, ROOT) == ROOT
    fake.platform.env["GDKREG_ROOT"] = str(ROOT)  # type: ignore[index]
    assert find_root(Path("/"), fake) == ROOT
    with pytest.raises(ConfigError, match=r"no gdk.yml in /tmp"):
        find_root(Path("/"), fake, Path("/tmp"))
    del fake.platform.env["GDKREG_ROOT"]  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="or above it"):
        find_root(Path("/usr"), fake)


def test_every_key_has_a_value(fake: FakeHost) -> None:
    found = dict(flatten(loaded(fake, "registry: {config: {log: {level: debug}}}")))
    assert found["registry.config"] == {"log": {"level": "debug"}}
    assert found["https.enabled"] is False
    assert "auto_devops.registry.port" in found


texts = st.text(alphabet="abcdefghijklmnop:-[]{}#'\"\n\t 0123456789.&*!|>%@`\x00é", max_size=80)


@settings(deadline=None)
@given(texts)
def test_whatever_stands_there_is_settings_or_one_error(text: str) -> None:
    host = FakeHost()
    host.put(ROOT / "gdk.yml", "registry:\n" + text)
    try:
        port = load(ROOT, host).port
    except ConfigError as error:
        said = error.what
    else:
        said = f"gdk.yml:{port}"
    assert "gdk.yml:" in said


@given(st.ip_addresses(v=4))
def test_an_address_is_private_or_refused(address: Any) -> None:
    problem = values.address_problem(str(address))
    if not problem:
        assert address.is_private or address in ipaddress.ip_network("100.64.0.0/10")
        assert not address.is_unspecified
        assert not address.is_multicast


# config set

DOCUMENT = """\
# top
hostname: gdk.test   # mine
registry:
  enabled: true # yes

  # about the port
  port: 5000
  config:
    log: {level: debug}
  text: |
    one
    two
# tail
gitaly:
  x: !ruby/y 1
"""


@pytest.mark.parametrize(
    ("key", "value", "changed"),
    [
        ("registry.port", 5001, "  port: 5001"),
        ("hostname", "a.test", "hostname: a.test   # mine"),
        ("registry.host", "a.test", "  host: a.test"),
        ("registry.config.http", {"x": [1]}, "    http: {x: [1]}"),
        ("runner.enabled", True, "runner:\n  enabled: true"),
        ("registry.restart_policy", "no", "  restart_policy: 'no'"),
    ],
)
def test_set_changes_its_key_and_nothing_else(key: str, value: Any, changed: str) -> None:
    edited = set_value(Path("gdk.yml"), DOCUMENT, tuple(key.split(".")), value)
    assert changed in edited
    removed = [line for line in DOCUMENT.splitlines() if line not in edited.splitlines()]
    assert len(removed) <= 1


@pytest.mark.parametrize(
    "text", ["", "registry:", "registry: ~\n", "registry: # none yet\n", "a: 1", "registry:\r\n  port: 1\r\n", "---\n"]
)
def test_set_in_odd_files(text: str) -> None:
    edited = set_value(Path("gdk.yml"), text, ("registry", "host"), "a.test")
    assert yaml.safe_load(edited)["registry"]["host"] == "a.test"
    assert ("\r\n" in text) == ("\r\n" in edited)


@pytest.mark.parametrize("text", ["registry: 3\n", "registry: *x\n", "registry:\n  host:\n  - a\n", "port: 1\n---\nport: 2\n"])
def test_set_says_when_it_cannot(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot be edited safely"):
        set_value(Path("gdk.yml"), text, ("registry", "host"), "a.test")


def test_set_in_a_list_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected keys"):
        set_value(Path("gdk.yml"), "- a\n", ("port",), 1)


def test_set_an_empty_value(fake: FakeHost) -> None:
    assert set_value(Path("g"), "hostname:\nport: 1\n", ("hostname",), "a.test") == "hostname: a.test\nport: 1\n"


# the example and the schema


def test_the_example_is_made_from_the_code_and_loads(fake: FakeHost) -> None:
    from gdkreg.config.example import STARTER, example

    path = Path(__file__).parents[2] / "gdk.example.yml"
    assert path.read_text() == example(), "run: make example"
    found = dict(flatten(loaded(fake, example())))
    assert {key: found[key] for key in STARTER} == STARTER


def test_every_key_of_the_example_is_known_and_documented(fake: FakeHost) -> None:
    """Uncommented whole, the example is a gdk.yml that says what the defaults say."""
    from gdkreg.config.example import example

    lines = [re.sub(r"^( *)# (?=[a-z_0-9]+:( |$))", r"\1", line) for line in example().splitlines()]
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    document = yaml.safe_load(text)
    document["auto_devops"].pop("gitlab")
    assert set(document) == set(schema.GdkYml.__struct_fields__)
    assert set(document["registry"]) == set(schema.Registry.__struct_fields__)


def test_the_json_schema_describes_every_key() -> None:
    from gdkreg.config.example import json_schema

    found = json_schema()
    registry = found["$defs"]["Registry"]
    assert registry["additionalProperties"] is False
    assert all("description" in spec for spec in registry["properties"].values())


# registry.users, a list


USERS = [{"name": "a", "password": "$2b$10$x", "pull": ["g/**"]}, {"name": "b", "password": "p", "admin": True}]


@pytest.mark.parametrize(
    "text",
    [
        DOCUMENT,
        "registry:\n  users: []\n  port: 5000\n",
        "registry:\n  users:\n  - name: old # c\n    password: x\n  port: 5000 # keep\n",
        "registry:\n  users:\n    - name: old\n      password: x\n\n# tail\n",
        "registry:\r\n  users:\r\n  - name: old\r\n  port: 1\r\n",
        "",
    ],
)
def test_a_list_is_replaced_and_nothing_else(text: str) -> None:
    from gdkreg.config.edit import set_list

    path = Path("gdk.yml")
    edited = set_list(path, text, ("registry", "users"), USERS)
    emptied = set_list(path, edited, ("registry", "users"), [])
    for line in text.splitlines():
        if "old" not in line and "password: x" not in line and "users" not in line:
            assert line in edited.splitlines()
            assert line in emptied.splitlines()
    assert set_list(path, emptied, ("registry", "users"), USERS).count("name: a") == 1


def test_users_in_gdk_yml_are_checked(fake: FakeHost) -> None:
    good = "$2b$10$" + "a" * 53
    entry = f"registry: {{users: [{{name: ci, password: '{good}', pull: ['g/**']}}]}}"
    assert loaded(fake, entry).registry.users[0].pull == ["g/**"]
    assert "not a bcrypt hash" in refused(fake, entry.replace(good, "plain"))
    assert "is not a pattern" in refused(fake, entry.replace("g/**", "../x"))
    assert "there is no such key" in refused(fake, entry.replace("pull:", "pul:"))
    twice = f"registry: {{users: [{{name: ci, password: '{good}'}}, {{name: ci, password: '{good}'}}]}}"
    assert "stands there twice" in refused(fake, twice)
    assert "is the registry's own port" in refused(fake, "registry: {port: 5001, auth_port: 5001}")
    assert loaded(fake, "registry: {port: 5001}").auth_port == 5002


def test_storage_elsewhere_and_an_alias_of_itself(fake: FakeHost) -> None:
    text = "registry: {config: {storage: {filesystem: {rootdirectory: /data}}}}"
    assert "make that a symlink" in refused(fake, text)
    assert "an alias that holds itself" in refused(fake, "registry: &a {config: *a}")


def test_set_into_an_empty_block(fake: FakeHost) -> None:
    edited = set_value(Path("g"), "registry:\n  config: {}\n", ("registry", "config", "log", "level"), "warn")
    assert yaml.safe_load(edited) == {"registry": {"config": {"log": {"level": "warn"}}}}
