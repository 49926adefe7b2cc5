"""Single values at their edges, and the place that an error names."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdkreg.config.settings import load
from gdkreg.config.source import Source, parse
from gdkreg.config.values import (
    address_problem,
    host_problem,
    is_loopback,
    pattern_problem,
    user_name_problem,
    user_problem,
)
from gdkreg.errors import ConfigError
from tests.fakes import FakeHost
from tests.unit.conftest import ROOT

YML = Path("/r/gdk.yml")
HASH = "$2y$10$" + "a" * 53


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("a" * 63, True),
        ("a" * 64, False),
        (".".join(["a" * 62] * 4), True),
        (".".join(["a" * 63, "a" * 63, "a" * 63, "a" * 61]), True),
        (".".join(["a" * 63, "a" * 63, "a" * 63, "a" * 62]), False),
        ("a-b.c", True),
        ("-a", False),
        ("a-", False),
        ("a..b", False),
        ("", False),
        ("1.2.3.4", True),
        ("1.2.3", False),
        ("1a.2b", True),
    ],
)
def test_host_names(text: str, fine: bool) -> None:
    assert (host_problem(text) == "") == fine


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("172.16.123.1", ""),
        ("127.0.0.1", ""),
        ("100.64.0.1", ""),
        ("0.0.0.0", "0.0.0.0 means every address; the registry listens on one"),
        ("255.255.255.255", "255.255.255.255 is a broadcast address"),
        ("224.0.0.1", "224.0.0.1 is a multicast address"),
        ("8.8.8.8", "8.8.8.8 is a public address; take one of 127.0.0.0/8 or a private one such as 172.16.123.1"),
        ("10.0.0.0", "10.0.0.0 is the network or broadcast address of 10.0.0.0/8"),
        ("192.168.255.255", "192.168.255.255 is the network or broadcast address of 192.168.0.0/16"),
        ("1.2.3", "'1.2.3' is not an IPv4 address"),
        ("::1", "'::1' is not an IPv4 address"),
    ],
)
def test_addresses(text: str, said: str) -> None:
    assert address_problem(text) == said


def test_loopback_is_127() -> None:
    assert (is_loopback("127.9.9.9"), is_loopback("128.0.0.1")) == (True, False)


@pytest.mark.parametrize(
    ("pattern", "fine"),
    [
        ("a/" + "*/" * 7 + "*", True),
        ("a/" + "*/" * 8 + "*", False),
        ("a" * 255, True),
        ("a" * 256, False),
        ("**", True),
        ("***", False),
        ("a..b", False),
        ("a//b", False),
        ("a/", False),
        ("/a", False),
        ("A", False),
    ],
)
def test_patterns(pattern: str, fine: bool) -> None:
    assert (pattern_problem(pattern) == "") == fine


@pytest.mark.parametrize(("name", "fine"), [("a" * 64, True), ("a" * 65, False), ("a.b_c@d-e", True), (".a", False), ("", False)])
def test_names_of_users(name: str, fine: bool) -> None:
    assert (user_name_problem(name) == "") == fine


@pytest.mark.parametrize(
    ("password", "fine"),
    [
        (HASH, True),
        (HASH.replace("$10$", "$04$"), True),
        (HASH.replace("$10$", "$03$"), False),
        (HASH.replace("$10$", "$19$"), True),
        (HASH.replace("$10$", "$20$"), False),
        (HASH + "a", False),
        (HASH[:-1], False),
    ],
)
def test_hashes(password: str, fine: bool) -> None:
    assert (user_problem("ci", password, []) == "") == fine
    assert "pattern" in user_problem("ci", HASH, ["a", "A"])
    assert user_problem("ci", HASH, ["a", "b"]) == ""
    assert "a name is made of" in user_problem("", HASH, [])


# where an error is


def test_an_error_names_the_line_of_the_nearest_block() -> None:
    source = Source(YML, {}, {("registry",): 3, ("registry", "port"): 5})
    for key, line in ((("registry", "port"), 5), (("registry", "host"), 3), (("registry", "a", "b"), 3), (("port",), 1)):
        error = source.error(key, "wrong")
        assert (error.what, error.fix) == (f"{YML}:{line}: {'.'.join(key)}: wrong", f"edit {YML}, line {line}")
    assert source.error(("port",), "wrong", "do that").fix == "do that"


@pytest.mark.parametrize(
    ("text", "what", "why"),
    [
        (b"a: 1\nb: \xff\n", "2: not UTF-8", "byte 0xff"),
        (b"\xff", "1: not UTF-8", "byte 0xff"),
        (b"a: 1\n\tb: 2\n", "2: b: not valid YAML", "a tab; YAML is indented with spaces"),
        (b"a: 1\nb: [1\n", "3: b: not valid YAML", "did not find expected"),
        (b"- a\n", "1: expected keys and values", "it holds a list"),
        (b"\n\nword\n", "3: expected keys and values", "it holds one plain value"),
        (b"registry:\n  port: 1\n  port: 2\n", "3: registry.port: stands here a second time", ""),
        (b"port: 1\nhostname: x\nport: 2\n", "3: port: stands here a second time", ""),
        (b"registry: &a\n  x: *a\n", "1: registry: an alias that holds itself", ""),
        (b"port: 1\nregistry:\n  x: !ruby/object 1\n", "3: registry: not valid YAML", "could not determine a constructor"),
    ],
)
def test_what_is_no_gdk_yml(text: bytes, what: str, why: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(YML, text)
    assert error.value.what == f"{YML}:{what}"
    assert error.value.why.startswith(why) if why else error.value.why == ""


@pytest.mark.parametrize("text", [b"", b"# only words\n", b"---\n", b"\xef\xbb\xbf"])
def test_an_empty_gdk_yml_is_fine(text: bytes) -> None:
    found = parse(YML, text)
    assert (found.values, found.lines) == ({}, {})


def test_lines_of_keys_below_a_merge() -> None:
    found = parse(YML, b"registry:\n  <<: {port: 1}\n  host: x\n  self_signed:\nport:\n")
    assert found.lines == {("registry",): 1, ("registry", "host"): 3, ("registry", "self_signed"): 4, ("port",): 5}
    assert found.values == {"registry": {"port": 1, "host": "x", "self_signed": None}}


# what follows from what


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("hostname: gdk.test", "http://gdk.test:3000"),
        ("{hostname: gdk.test, port: 80}", "http://gdk.test"),
        ("{hostname: gdk.test, port: 443}", "http://gdk.test:443"),
        ("{hostname: gdk.test, port: 443, https: {enabled: true}}", "https://gdk.test"),
        ("{hostname: gdk.test, port: 80, https: {enabled: true}}", "https://gdk.test:80"),
        ("{hostname: gdk.test, relative_url_root: /gitlab/}", "http://gdk.test:3000/gitlab"),
    ],
)
def test_where_gitlab_is(text: str, url: str) -> None:
    host = FakeHost()
    host.put(ROOT / "gdk.yml", text)
    assert load(ROOT, host).gitlab_url == url


@pytest.mark.parametrize(
    ("keys", "authority", "realm"),
    [
        ("{host: r.test, token_issuer: local}", "r.test:5000", "http://r.test:5001/jwt/auth"),
        ("{host: r.test, token_issuer: local, self_signed: true, auth_port: 9}", "r.test:5000", "https://r.test:9/jwt/auth"),
        ("{token_issuer: gitlab}", "gdk.test:5000", "http://gdk.test:3000/jwt/auth"),
    ],
)
def test_where_the_registry_and_its_realm_are(keys: str, authority: str, realm: str) -> None:
    host = FakeHost()
    host.put(ROOT / "gdk.yml", f"hostname: gdk.test\nregistry: {keys}\n")
    found = load(ROOT, host)
    assert (found.authority, found.realm) == (authority, realm)


@pytest.mark.parametrize(
    ("keys", "name", "value"),
    [
        ("{}", "host", "gdk.test"),
        ("{host: r.test}", "host", "r.test"),
        ("{}", "listen_address", "127.0.0.1"),
        ("{listen_address: 172.16.123.1}", "tunnel_host", "172.16.123.1"),
        ("{tunnel_host: t.test}", "tunnel_host", "t.test"),
        ("{}", "api_host", "gdk.test"),
        ("{host: r.test}", "api_host", "gdk.test"),
        ("{api_host: a.test}", "api_host", "a.test"),
        ("{port: 5005}", "external_port", 5005),
        ("{port: 5005, external_port: 443}", "external_port", 443),
        ("{}", "auth_port", 5001),
        ("{port: 5001}", "auth_port", 5002),
        ("{auth_port: 7000}", "auth_port", 7000),
        ("{}", "restart_policy", "no"),
        ("{persist: true}", "restart_policy", "unless-stopped"),
        ("{persist: true, restart_policy: always}", "restart_policy", "always"),
        ("{persist: true}", "persist", True),
        ("{}", "persist", False),
    ],
)
def test_what_a_key_is_where_nothing_is_said(keys: str, name: str, value: object) -> None:
    host = FakeHost()
    host.put(ROOT / "gdk.yml", f"hostname: gdk.test\nregistry: {keys}\n")
    assert getattr(load(ROOT, host).registry, name) == value
