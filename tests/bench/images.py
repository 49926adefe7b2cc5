"""Of make bench: what is in a registry, against bare requests and curl for the same answers in the same rounds."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.box import HOST, Box

Report = Callable[[str, float, float, str, str], None]
ROUNDS = 7
# As somebody would write it who knows the catalog's pages: requests, kept connections, eight at a time.
BARE = """\
import concurrent.futures, sys
import requests
http = requests.Session()
http.trust_env = False
http.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=8))
base, names, path = "https://" + sys.argv[1], [], "/v2/_catalog?n=1000"
while path:
    answer = http.get(base + path, verify="registry_host.crt")
    names += answer.json()["repositories"]
    path = answer.links.get("next", {}).get("url")
def tags(name):
    answer = http.get(f"{base}/v2/{name}/tags/list", verify="registry_host.crt")
    return answer.json().get("tags") or []
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    for name, found in zip(names, pool.map(tags, names)):
        for tag in found:
            print(f"{name}:{tag}")
"""
BLOB = 1 << 30


def listing(box: Box, report: Report) -> None:
    """1,000 repositories with 5 tags each, as they lie in the storage; the registry wants no tokens here, for bare requests
    have none."""
    tree = box.root / "registry/storage/docker/registry/v2/repositories"
    for number in range(1000):
        (tree / f"bench/r{number:04}/_layers").mkdir(parents=True)
        for tag in range(5):
            link = tree / f"bench/r{number:04}/_manifests/tags/v{tag}/current/link"
            link.parent.mkdir(parents=True)
            link.write_text("sha256:" + "0" * 64)
    (box.root / "bare_list.py").write_text(BARE)
    ours, bare = "gdkreg catalog --tags", f"python bare_list.py {HOST}"
    told = [sorted(box.run("sh", "-c", f"{command} | grep ^bench/").out.split()) for command in (ours, bare)]
    assert told[0] == told[1]
    assert len(told[0]) == 5000
    best = _best(box, ours, bare)
    _ratio(report, "catalog --tags, 1,000 x 5 / bare requests", *best, 1.2)
    names = _best(box, "gdkreg catalog", f"curl -sf --cacert registry_host.crt https://{HOST}/v2/_catalog?n=1000")
    report("catalog, 1,000 repositories, more than curl", names[0] - names[1], 0.6, "s", f"{names[0]:.3f} s")


def download(box: Box, report: Report, peak: Callable[..., None]) -> None:
    """A blob of 1 GiB, written to a file, against curl whose digest is summed up and whose bytes go nowhere."""
    block = os.urandom(1 << 20)
    summed = hashlib.sha256()
    for _ in range(BLOB >> 20):
        summed.update(block)
    digest = summed.hexdigest()
    tree = box.root / "registry/storage/docker/registry/v2"
    link, blob = tree / f"repositories/bench/big/_layers/sha256/{digest}/link", tree / f"blobs/sha256/{digest[:2]}/{digest}/data"
    for path in (link, blob):
        path.parent.mkdir(parents=True)
    link.write_text(f"sha256:{digest}")
    with blob.open("wb") as file:
        for _ in range(BLOB >> 20):
            file.write(block)
    os.sync()
    try:
        ours = f"gdkreg blob bench/big@sha256:{digest} -o big"
        curl = f"curl -sf --cacert registry_host.crt https://{HOST}/v2/bench/big/blobs/sha256:{digest} | sha256sum"
        best = _best(box, ours, curl, 5)
        report(
            "curl | sha256sum / blob of 1 GiB, rate", best[0] / best[1], 1 / 0.8, "x", f"{best[0]:.2f} s against {best[1]:.2f} s"
        )
        peak("blob", f"bench/big@sha256:{digest}", "-o", "big")
    finally:
        blob.unlink()
        Path(box.root / "big").unlink(missing_ok=True)


def _best(box: Box, ours: str, other: str, rounds: int = ROUNDS) -> tuple[float, float]:
    """The best of both, in turns: so both meet the same load of the machine."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for command, times in zip((ours, other), taken, strict=True):
            begin = time.perf_counter()
            done = box.run("sh", "-c", f"{command} >/dev/null", timeout=120)
            times.append(time.perf_counter() - begin)
            assert done.code == 0, done
    return min(taken[0]), min(taken[1])


def _ratio(report: Report, name: str, ours: float, other: float, limit: float) -> None:
    report(name, ours / other, limit, "x", f"{ours:.3f} s against {other:.3f} s")
