"""make bench: every figure is a ratio of two things measured in this run, or a peak in MB; exits with 1 where one is missed."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench import images, storage, under_load
from tests.e2e.box import IMAGE, Box, missing

GDK_YML = f"""\
registry:
  enabled: true
  host: registry.test
  listen_address: 172.16.123.1
  port: 5000
  self_signed: true
  auth_enabled: false
  runtime: docker
  image: {IMAGE}
"""
SMALLEST = """\
import typer, yaml
app = typer.Typer()
@app.command()
def get(key: str) -> None:
    value = yaml.safe_load(open("gdk.yml"))
    for part in key.split("."):
        value = value[part]
    print(value)
app()
"""
PEAK = """\
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""
_missed = 0


def report(name: str, value: float, limit: float, unit: str, detail: str) -> None:
    global _missed
    good = value <= limit
    _missed += not good
    print(f"{'ok  ' if good else 'MISS'} {name:<46} {value:7.2f} {unit:<3} (limit {limit:g})  {detail}", flush=True)


def seconds(work: Callable[[], object], times: int, before: Callable[[], object] = lambda: None) -> float:
    taken = []
    for _ in range(times):
        before()
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def ratio(name: str, ours: float, floor: float, limit: float) -> None:
    report(name, ours / floor, limit, "x", f"{ours:.3f} s against {floor:.3f} s")


def run(box: Box, *command: str) -> None:
    done = box.run(*command)
    assert done.code == 0, done


def start(box: Box) -> None:
    """`start registry` cold against a bare docker run of the same mounts."""

    def clean() -> None:
        box.run("sh", "-c", "docker rm -f $(docker ps -aq) 2>/dev/null")

    box.ok("start", "registry")
    inspect = "{{range .HostConfig.Binds}}-v {{.}} {{end}}"
    name = box.run("docker", "ps", "-q").out.strip()
    binds = box.run("docker", "inspect", "-f", inspect, name).out.split()
    bare = ["docker", "run", "-d", "-p", "172.16.123.1:5000:5000", *binds, IMAGE, "serve", "/etc/docker/registry/config.yml"]
    until = "until curl -sk -o /dev/null https://172.16.123.1:5000/v2/; do :; done"
    floor = seconds(lambda: run(box, "sh", "-c", f"{' '.join(bare)} >/dev/null; {until}"), 7, clean)
    ours = seconds(lambda: run(box, "gdkreg", "start", "registry"), 7, clean)
    ratio("start registry, cold / docker run until /v2/", ours, floor, 1.8)
    clean()
    peak(box, "start registry", "start", "registry")
    again(box, until)


def again(box: Box, until: str) -> None:
    """`start` after `stop` against `docker start` of the very same container."""
    name = box.run("docker", "ps", "-q").out.strip()
    stop = lambda: box.ok("stop", "registry")  # noqa: E731
    floor = seconds(lambda: run(box, "sh", "-c", f"docker start {name} >/dev/null; {until}"), 7, stop)
    ours = seconds(lambda: run(box, "gdkreg", "start", "registry"), 7, stop)
    ratio("start after stop / docker start until /v2/", ours, floor, 1.6)
    assert box.run("docker", "ps", "-q").out.strip() == name, "an unchanged container is started, not made anew"


def commands(box: Box) -> None:
    (box.root / "smallest.py").write_text(SMALLEST)
    floor = seconds(lambda: run(box, "python", "smallest.py", "registry.port"), 15)
    get = seconds(lambda: run(box, "gdkreg", "config", "get", "registry.port"), 15)
    nothing = seconds(lambda: run(box, "gdkreg", "reconfigure"), 15)
    ratio("config get / smallest Typer app", get, floor, 1.4)
    ratio("reconfigure with nothing to do / the same", nothing, floor, 2.5)
    status = seconds(lambda: run(box, "gdkreg", "status"), 15)
    ratio("status, with an engine / the same", status, floor, 3.5)
    doctor = seconds(lambda: box.run("gdkreg", "doctor"), 15)
    ratio("doctor, with an engine / the same", doctor, floor, 8)
    ratio("doctor / status", doctor, status, 2)
    long_journal(box)
    peak(box, "config get", "config", "get", "registry.port")
    peak(box, "reconfigure", "reconfigure")


def long_journal(box: Box) -> None:
    """What 200,000 lines in the journal cost `status`: its own lines, again and again."""
    path = box.root / ".gdkreg/journal.jsonl"
    short = path.read_bytes()
    before = seconds(lambda: box.gdkreg("status"), 9)
    path.write_bytes(short * (200_000 // short.count(b"\n") + 1))
    after = seconds(lambda: box.gdkreg("status"), 9)
    path.write_bytes(short)
    report("status with 200,000 lines in the journal, more", after - before, 0.1, "s", f"{after:.3f} s, {before:.3f} s")


def hosts(box: Box) -> None:
    def with_lines(count: int) -> float:
        def prepare() -> None:
            box.gdkreg("down")
            box.hosts.write_text("".join(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255} host-{n}.example\n" for n in range(count)))

        return seconds(lambda: run(box, "gdkreg", "reconfigure"), 3, prepare)

    small, large = with_lines(10), with_lines(100_000)
    report("reconfigure, 100,000 hosts lines - (2 x 10 lines)", large - 2 * small, 0.3, "s", f"{large:.3f} s, {small:.3f} s")
    peak(box, "reconfigure with 100,000 hosts lines", "reconfigure")


def runners(box: Box) -> None:
    path = box.root / "config.toml"
    one = '[[runners]]\n  name = "r"\n  executor = "docker"\n  [runners.docker]\n    image = "x"\n    volumes = ["/cache"]\n'

    def with_runners(count: int) -> float:
        return seconds(lambda: run(box, "gdkreg", "runner-patch", str(path)), 3, lambda: path.write_text(one * count))

    base, half, whole = with_runners(1), with_runners(250), with_runners(500)
    growth = (whole - base) / max(half - base, 0.001)
    report("runner-patch, 500 runners / 250 (linear is 2)", growth, 2.4, "x", f"{whole:.3f} s, {half:.3f} s")
    path.write_text(one * 500)
    peak(box, "runner-patch on 500 runners", "runner-patch", str(path))


BARE_MINT = """\
import base64, hashlib, ssl, sys, time, uuid
import jwt
from cryptography.hazmat.primitives import serialization
key = serialization.load_pem_private_key(open("localhost.key", "rb").read(), None)
der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
kid = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
x5c = base64.b64encode(ssl.PEM_cert_to_DER_cert(open("localhost.crt").read())).decode()
now = int(time.time())
claims = {"iss": "gitlab-issuer", "sub": "me", "aud": "container_registry", "iat": now, "nbf": now, "exp": now + 300}
claims["jti"] = str(uuid.uuid4())
claims["access"] = [{"type": "repository", "name": "g/p", "actions": ["pull"]}]
print(jwt.encode(claims, key, algorithm="RS256", headers={"kid": kid, "x5c": [x5c]}))
"""
LOAD = """\
import concurrent.futures, json, statistics, sys, threading, time
import requests
first = json.load(open(".gdkreg/first_user"))
local = threading.local()
def ask(number):
    if not hasattr(local, "http"):
        local.http = requests.Session()
    begin = time.perf_counter()
    query = {"service": "container_registry", "scope": "repository:group/p%d:pull" % number}
    auth = (first["name"], first["password"])
    answer = local.http.get(sys.argv[1], params=query, auth=auth, verify="registry_host.crt", timeout=30)
    assert answer.status_code == 200 and answer.json()["token"]
    return time.perf_counter() - begin
ask(0)
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    taken = sorted(pool.map(ask, range(1000)))
print(len(taken), round(statistics.median(taken) * 1000), round(taken[989] * 1000))
"""


def tokens(box: Box) -> None:
    """Minting, the proof, and the issuer under 1,000 requests of 16 clients on the box's own loopback."""
    box.configure(GDK_YML.replace("  auth_enabled: false\n", ""))
    box.ok("up", "--yes")
    (box.root / "bare.py").write_text(BARE_MINT)
    bare = seconds(lambda: run(box, "python", "bare.py"), 9)
    mint = seconds(lambda: run(box, "gdkreg", "token", "repository:g/p:pull"), 9)
    ratio("token / bare python that signs the same", mint, bare, 1.5)
    hops = [json.loads(box.ok("verify", "--client", "http", "--json").out)["http"] for _ in range(5)]
    whole = statistics.median(sum(hop["ms"] for hop in run_) for run_ in hops) / 1000
    answers = (
        statistics.median(sum(hop["ms"] for hop in run_ if hop["name"] in {"push", "pull", "delete"}) for run_ in hops) / 1000
    )
    report("verify --client http, hops without push and pull", whole - answers, 0.5, "s", f"{whole:.3f} s with them")
    (box.root / "load.py").write_text(LOAD)
    done = box.run("python", "load.py", "https://registry.test:5001/jwt/auth", timeout=120)
    assert done.code == 0, done
    count, median, p99 = (int(word) for word in done.out.split())
    report("issuer: requests of 1,000 that failed", 1000 - count, 0, "", f"median {median} ms, p99 {p99} ms")


def what_is_in_it(box: Box) -> None:
    """The commands that read the registry."""
    images.listing(box, report)
    peak(box, "catalog --tags, 1,000 x 5", "catalog", "--tags", limit=150)
    images.download(box, report, lambda *words: peak(box, "blob of 1 GiB", *words, limit=150))


def peak(box: Box, name: str, *arguments: str, limit: float = 100) -> None:
    done = box.run("python", "-c", PEAK, "gdkreg", *arguments)
    assert done.code == 0, done
    report(f"peak memory of {name}", float(done.out), limit, "MB", "")


def main() -> int:
    if why := missing():
        print(f"bench needs a box of namespaces: {why}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        box = Box(Path(folder) / "box")
        try:
            box.import_registry()
            box.configure(GDK_YML)
            box.ok("reconfigure")
            start(box)
            under_load.blob(box, report)
            what_is_in_it(box)
            commands(box)
            runners(box)
            tokens(box)
            under_load.flood(box, report)
            hosts(box)
        finally:
            box.close()
    storage.collection(report)
    return 1 if _missed else 0


if __name__ == "__main__":
    sys.exit(main())
