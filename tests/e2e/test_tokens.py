"""Token authentication without a GitLab, on a real engine, a real registry and real clients."""

from __future__ import annotations

import base64
import json
import shlex
import sys
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.bench.under_load import flood
from tests.certs import dated
from tests.e2e import gitlab
from tests.e2e.box import GDK_YML, HOST, Box


@pytest.fixture(scope="module", autouse=True)
def up(box: Box) -> None:
    """A registry with the stand-in issuer: no GitLab answers in the box, so auto chooses it."""
    box.configure(GDK_YML)
    result = box.ok("up", "--yes")
    assert "First user: developer, password" in result.out
    assert "auth started at https://registry.test:5001/jwt/auth" in result.out
    for name in ("in", "out"):
        box.import_small(f"{HOST}/{'group/app' if name == 'in' else 'other/app'}:1")


def add_user(box: Box, name: str, password: str, *options: str) -> None:
    done = box.run("python", "-m", "gdkreg", "user", "add", name, "--password-stdin", *options, stdin=password + "\n")
    assert done.code == 0, done


def registry(box: Box, path: str, token: str) -> tuple[int, str]:
    """The registry's answer to a request with this token: status and challenge."""
    argv = ["curl", "-sSi", "--cacert", str(box.root / "registry_host.crt"), "-H", f"Authorization: Bearer {token}"]
    done = box.run(*argv, f"https://{HOST}{path}")
    assert done.code == 0, done
    return int(done.out.split()[1]), done.out


def test_status_shows_the_choice_and_the_first_user_is_private(box: Box) -> None:
    found = json.loads(box.ok("status", "--json").out)
    assert found["issuer"] == "local"
    assert found["services"]["auth"]["verdict"] == "ready"
    assert (box.root / ".gdkreg/first_user").stat().st_mode & 0o777 == 0o600
    assert box.listeners(5001) == ["172.16.123.1"]
    assert "password" not in box.ok("reconfigure").out, "it is told once"


def test_login_of_the_first_user_and_push(box: Box) -> None:
    assert "Login Succeeded" in box.ok("login").out
    box.client("docker", "push", f"{HOST}/group/app:1")
    wrong = box.run("python", "-m", "gdkreg", "login", "-u", "developer", "--password-stdin", stdin="wrong\n")
    assert wrong.code == 1
    assert "wrong name or password" in wrong.err


def test_a_user_within_and_outside_the_grant(box: Box) -> None:
    add_user(box, "ci", "hunter22", "--pull", "**", "--push", "group/*")
    done = box.run("python", "-m", "gdkreg", "login", "-u", "ci", "--password-stdin", stdin="hunter22\n")
    assert done.code == 0, done
    box.client("docker", "push", f"{HOST}/group/app:1")
    box.client("docker", "pull", f"{HOST}/group/app:1")
    refused = box.client("docker", "push", f"{HOST}/other/app:1", want=False)
    assert "denied" in refused.err
    explained = box.run("python", "-m", "gdkreg", "explain", stdin=refused.err)
    assert "may not do this" in explained.out
    box.ok("user", "remove", "ci")
    gone = box.run("python", "-m", "gdkreg", "login", "-u", "ci", "--password-stdin", stdin="hunter22\n")
    assert gone.code == 1


def test_users_are_added_one_after_the_other(box: Box) -> None:
    add = [sys.executable, "-m", "gdkreg", "user", "add", "--password-stdin", "--pull", "group/**"]
    script = "".join(f"printf 'hunter22\\r\\n' | {shlex.join([*add, f'user{n}'])} & " for n in range(6)) + "wait"
    told = box.run("sh", "-c", script)
    assert told.out.count("is added in gdk.yml") == 6, told
    assert told.out.count("the first user counts no longer") == 1
    names = {row["name"] for row in json.loads(box.ok("user", "list", "--json").out)["users"]}
    assert names == {f"user{n}" for n in range(6)}
    done = box.run("python", "-m", "gdkreg", "login", "-u", "user3", "--password-stdin", stdin="hunter22\n")
    assert done.code == 0, done
    lost = box.gdkreg("login")
    assert "there is no password" in lost.err, "the first user is not taken any more"
    again = box.run("python", "-m", "gdkreg", "user", "add", "user3", "--admin", "--password-stdin", stdin="other\n")
    assert "user3 is replaced in gdk.yml" in again.out
    for arguments in (("a:b",), ("ok", "--pull", "../x")):
        bad = box.run("python", "-m", "gdkreg", "user", "add", *arguments, "--password-stdin", stdin="x\n")
        assert bad.code == 2
        assert "cannot be added" in bad.err
    odd = box.run(
        "sh", "-c", f"printf 'x\\377\\n' | {shlex.join([sys.executable, '-m', 'gdkreg'])} user add odd --password-stdin"
    )
    assert "the password is not UTF-8" in odd.err
    for name in names:
        box.ok("user", "remove", name)
    box.ok("login")


def test_gitlab_comes_and_goes(box: Box) -> None:
    """auto: GitLab's realm where it answers as GitLab does, with a CA of mkcert's in the system's store, else our own."""
    box.configure(GDK_YML + gitlab.KEYS)
    box.ok("reconfigure")
    page, pem = gitlab.start(box, "<html>my app")
    assert "auth" in box.ok("start").out
    assert json.loads(box.ok("status", "--json").out)["issuer"] == "local", "a page is no realm"
    gitlab.stop(page)

    first = (box.root / ".gdkreg/first_user").read_bytes()
    running, pem = gitlab.start(box)
    assert "auth stopped: it is not wanted any more" in box.ok("start").out
    found = json.loads(box.ok("status", "--json").out)
    assert (found["issuer"], "auth" in found["services"]) == ("gitlab", False)
    assert (box.root / ".gdkreg/first_user").read_bytes() == first, "the issuer may be ours again"
    dry = box.gdkreg("start", "--dry-run")
    assert "auth" not in dry.out
    assert "GitLab gives out the tokens" in box.gdkreg("restart", "auth").err
    assert box.listeners(5001) == []

    trusted = {"SSL_CERT_FILE": str(pem), "GITLAB_TOKEN": "glpat-1"}
    minted = box.gdkreg("token", "--from", "gitlab", "repository:group/app:pull", env=trusted)
    assert minted.out == "a.token.of-gitlab-token:glpat-1\n", minted
    refused = box.gdkreg("token", "--from", "gitlab", "repository:group/app:pull", env={"GITLAB_TOKEN": "glpat-1"})
    assert "is not trusted" in refused.err
    assert "mkcert" in refused.err
    missing = box.gdkreg("token", "--from", "gitlab", "repository:group/app:pull")
    assert "GITLAB_TOKEN is not set" in missing.err
    gitlab.stop(running)
    last = json.loads(box.gdkreg("verify", "--json").out)["http"][-1]
    assert last["name"] == "token", "GitLab is asked, though no token of its is known"
    assert "does not answer" in last["detail"]
    remedy = last["remedy"]
    assert "start GitLab" in remedy
    down, _ = gitlab.start(box, "<html>502", status=502)
    result = box.gdkreg("verify", "--json", env={"SSL_CERT_FILE": str(pem)})
    last = json.loads(result.out)["http"][-1]
    assert (result.code, last["name"], last["remedy"]) == (1, "token", remedy), "a page of a proxy is no realm's answer"
    gitlab.stop(down)
    box.configure(GDK_YML)
    box.ok("reconfigure")
    box.ok("start")


def test_a_broken_credential_helper_is_named_and_gone_round(box: Box) -> None:
    config = box.home / ".docker/config.json"
    kept = config.read_text()
    config.write_text(json.dumps({"credsStore": "no-such-helper"}))
    result = box.gdkreg("login")
    assert result.code == 1
    assert "docker's credential helper no-such-helper is broken" in result.err
    own = box.folder / "own-config"
    assert f"docker --config {own}" in box.ok("login", "--config-dir", str(own)).out
    box.client("docker", "--config", str(own), "pull", f"{HOST}/group/app:1")
    config.write_text(kept)


def test_podman_and_skopeo_log_in(box: Box) -> None:
    for client in ("podman", "skopeo"):
        assert "developer" in box.ok("login", "--client", client, "--config-dir", str(box.folder / client)).out


def crafted(box: Box, **changes: Any) -> str:
    """A token of our own making, each time with one thing wrong."""
    good = box.ok("token", "repository:group/app:pull").out.strip()
    header, claims = jwt.get_unverified_header(good), jwt.decode(good, options={"verify_signature": False})
    key = changes.pop("key", None) or (box.root / "localhost.key").read_text()
    return jwt.encode({**claims, **changes}, key, algorithm="RS256", headers={"kid": header["kid"], "x5c": header["x5c"]})


def other_key() -> str:
    from gdkreg.resources import x509

    return x509.pem(x509.new_token_key()).decode()


NOW = int(time.time())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "somebody"}, "issuer:"),
        ({"aud": "other"}, "audience:"),
        ({"aud": ["container_registry"]}, "audience:"),
        ({"exp": NOW - 3600}, "expired"),
        ({"nbf": NOW + 7200, "exp": NOW + 9000}, "not yet valid"),
        ({"key": "other"}, "wrong key"),
        ({"access": []}, "missing scope"),
    ],
)
def test_each_single_reason_is_refused_by_the_registry_and_named_by_inspect(
    box: Box, changes: dict[str, Any], reason: str
) -> None:
    token = crafted(box, **({"key": other_key()} if "key" in changes else changes))
    status, _ = registry(box, "/v2/group/app/tags/list", token)
    assert status == 401
    done = box.run("python", "-m", "gdkreg", "token", "inspect", "-", "--scope", "repository:group/app:pull", stdin=token)
    assert done.code == 1
    (said,) = [line for line in done.out.splitlines() if line.startswith("✗")]
    assert reason in said


def test_a_good_token_is_taken_by_the_registry_and_by_inspect(box: Box) -> None:
    token = crafted(box)
    assert registry(box, "/v2/group/app/tags/list", token)[0] == 200
    assert box.run("python", "-m", "gdkreg", "token", "inspect", "-", stdin=token).code == 0
    by_kid = jwt.encode(
        jwt.decode(token, options={"verify_signature": False}),
        (box.root / "localhost.key").read_text(),
        algorithm="RS256",
        headers={"kid": jwt.get_unverified_header(token)["kid"]},
    )
    assert registry(box, "/v2/group/app/tags/list", by_kid)[0] == 200, "GitLab's tokens carry the kid only"
    catalog = box.ok("token", "registry:catalog:*").out.strip()
    assert '"group/app"' in registry(box, "/v2/_catalog", catalog)[1]
    line = box.ok("token", "--curl", "repository:group/app:pull").out.strip()
    assert '"tags":["1"]' in box.run("sh", "-c", line).out


def signed(box: Box, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """A good token with these changes, signed by hand: no library may object to them."""
    good = box.ok("token", "repository:group/app:pull").out.strip()
    parts = [json.loads(base64.urlsafe_b64decode(part + "==")) for part in good.split(".")[:2]]
    raw = [json.dumps({**part, **change}).encode() for part, change in zip(parts, (header, claims), strict=True)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in raw)
    key = serialization.load_pem_private_key((box.root / "localhost.key").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    signature = key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({}, {}),
        ({"x5c": []}, {}),
        ({"crit": ["exp"]}, {}),
        ({"x5c": "text"}, {}),
        ({"alg": ["RS256"]}, {}),
        ({}, {"exp": NOW + 1000.5}),
        ({}, {"exp": None}),
        ({}, {"exp": str(NOW + 1000)}),
        ({}, {"nbf": NOW - 10.5}),
        ({}, {"iat": "x"}),
        ({}, {"iat": None}),
        ({}, {"sub": 5}),
        ({}, {"jti": 5}),
        ({}, {"access": None}),
        ({}, {"access": {}}),
        ({}, {"access": [{"type": "repository", "name": "group/app", "actions": "pull"}]}),
        ({}, {"access": [{"type": "repository", "name": "group/app", "actions": 5}]}),
        ({}, {"access": [{"type": "repository", "name": "group/app", "actions": ["pull"], "class": "x"}]}),
    ],
)
def test_inspect_agrees_with_the_registry(box: Box, header: dict[str, Any], claims: dict[str, Any]) -> None:
    token = signed(box, header, claims)
    taken = registry(box, "/v2/group/app/tags/list", token)[0] != 401
    done = box.run("python", "-m", "gdkreg", "token", "inspect", "-", "--scope", "repository:group/app:pull", stdin=token)
    assert done.code == (0 if taken else 1), done
    assert "bug" not in done.err


def test_a_certificate_that_ran_out_is_named(box: Box) -> None:
    """The registry takes the key by its kid still, and refuses the certificate that the token carries."""
    path = box.root / "localhost.crt"
    kept = path.read_bytes()
    key = serialization.load_pem_private_key((box.root / "localhost.key").read_bytes(), None)
    path.write_bytes(dated(key, "gitlab-issuer", -20, -10))
    box.ok("restart", "registry")
    token = signed(box, {}, {})
    assert registry(box, "/v2/group/app/tags/list", token)[0] == 401
    done = box.run("python", "-m", "gdkreg", "token", "inspect", "-", stdin=token)
    assert done.code == 1
    assert "localhost.crt, which it carries as x5c, expired on" in done.out
    path.write_bytes(kept)
    box.ok("restart", "registry")


def test_a_flood_keeps_nobody_out(box: Box) -> None:
    """A small one of a few seconds, from the user's own address; the whole one is a figure of make bench."""
    figures: dict[str, float] = {}
    flood(box, lambda name, value, *_: figures.update({name.split(": ")[1]: value}), seconds=5, idle=900, slow=900)
    assert figures.pop("answers that failed") == 0
    assert figures.pop("issuer's memory") < 120
    assert figures.pop("its log") < 1
    assert figures.pop("slowest answer") < 10, "no figure: only that it does not wait for the flood's end"
    assert figures == {}
    lines = box.ok("tail", "auth", "--no-follow", "-n", "10000").out.splitlines()
    assert sum("the oldest is closed" in line for line in lines) < 10


def test_no_password_or_token_in_any_log(box: Box) -> None:
    password = json.loads((box.root / ".gdkreg/first_user").read_text())["password"]
    logs = box.ok("tail", "auth", "--no-follow", "-n", "10000").out + box.ok("tail", "registry", "--no-follow", "-n", "10000").out
    logs += (box.root / ".gdkreg/journal.jsonl").read_text()
    assert "/jwt/auth" in logs
    assert password not in logs
    assert "eyJ" not in logs


def test_everything_taken_back(box: Box) -> None:
    box.ok("down")
    assert box.listeners(5000) == box.listeners(5001) == []
    assert not (box.root / ".gdkreg").exists()
