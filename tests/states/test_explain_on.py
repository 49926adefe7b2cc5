"""An error that takes a large push to come about."""

from __future__ import annotations

import time

from tests.e2e.box import HOST, Box
from tests.e2e.test_explain import explained
from tests.e2e.test_explain import up as up


def test_a_token_that_ran_out_during_a_push(box: Box) -> None:
    """A layer that takes longer than its token: the registry allows a clock 60 s, of which 58 are over when it begins."""
    import jwt

    good = box.ok("token", "repository:group/late:pull,push").out.strip()
    header, claims = jwt.get_unverified_header(good), jwt.decode(good, options={"verify_signature": False})
    key = (box.root / "localhost.key").read_text()
    large = box.folder / "large"
    large.mkdir()
    assert box.run("sh", "-c", "head -c 400000000 /dev/urandom > large/data", cwd=box.folder).code == 0
    assert box.run("sh", "-c", f"tar -C {large} -c . | docker import - {HOST}/group/late:1").code == 0
    saved = box.folder / "saved.tar"
    assert box.run("docker", "save", "-o", str(saved), f"{HOST}/group/late:1").code == 0
    late = jwt.encode({**claims, "exp": int(time.time()) - 58, "nbf": 0}, key, algorithm="RS256", headers={"x5c": header["x5c"]})
    pushed = box.run("skopeo", "copy", "--dest-registry-token", late, f"docker-archive:{saved}", f"docker://{HOST}/group/late:1")
    assert explained(box, pushed) == "token expired on a large push", pushed
    box.run("docker", "image", "rm", f"{HOST}/group/late:1")
