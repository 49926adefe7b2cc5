"""Of make bench: the issuer under a flood, and a large blob through a trace."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.box import HOST, Box, child

Report = Callable[[str, float, float, str, str], None]
FLOOD = Path(__file__).with_name("flood.py")
ASK = """\
import json, sys, time
import requests
first = json.load(open(".gdkreg/first_user"))
query = {"service": "container_registry", "scope": "repository:g/p:pull"}
taken, failed, end = [], 0, time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    begin = time.monotonic()
    try:
        answer = requests.get(
            sys.argv[1], params=query, auth=(first["name"], first["password"]), verify="registry_host.crt", timeout=10
        )
        failed += answer.status_code != 200
    except requests.RequestException:
        failed += 1
    taken.append(time.monotonic() - begin)
    time.sleep(0.1)
taken.sort()
print(len(taken), failed, taken[len(taken) // 2], taken[-1])
"""
BLOB = 1 << 30


def flood(box: Box, report: Report, seconds: int = 60, idle: int = 2000, slow: int = 1000) -> None:
    """A user with a good password, on a new connection each time, while the issuer is flooded from the same address."""
    (box.root / "ask.py").write_text(ASK)
    url = "https://registry.test:5001/jwt/auth"
    box.run("python", "ask.py", url, "1")
    log = box.root / ".gdkreg/log/auth.log"
    before = log.stat().st_size
    numbers = [str(number) for number in (idle, slow, seconds)]
    crowd = box.popen("python", str(FLOOD), "172.16.123.1", "5001", *numbers)
    assert crowd.stdout is not None
    assert crowd.stdout.readline() == "flooding\n"
    done = box.run("python", "ask.py", url, str(seconds - 1), timeout=seconds + 30)
    assert done.code == 0, done
    closed = crowd.communicate(timeout=60)[0].strip()
    count, failed, median, worst = (float(word) for word in done.out.split())
    name = f"{idle} idle, {slow} slow connections, {seconds} s:"
    report(f"{name} answers that failed", failed, 0, "", f"of {count:.0f}; {closed} of the flood's were closed")
    report(f"{name} slowest answer", worst, 1.0, "s", f"median {median:.3f} s")
    report(f"{name} issuer's memory", memory(box, "VmRSS"), 120, "MB", f"at most {memory(box, 'VmHWM'):.0f} MB")
    report(f"{name} its log", (log.stat().st_size - before) / 1e6, 1.0, "MB", "")


def memory(box: Box, what: str, sign: str = "gdkreg.issuer.serve") -> float:
    """In MB, of the process with this in its command line."""
    pid = box.run("sh", "-c", f"pgrep -f '^[^ ]*python[^ ]* -m {sign}' | head -1").out.strip()
    line = box.run("grep", what, f"/proc/{pid}/status").out
    return int(line.split()[1]) / 1024


def blob(box: Box, report: Report) -> None:
    """Push and pull of 1 GiB, directly and through a trace; the registry asks for no token here."""
    made = box.run("sh", "-c", f"head -c {BLOB} /dev/urandom > blob; sha256sum blob", timeout=120)
    digest = f"sha256:{made.out.split()[0]}"
    push(box, digest)
    ways = {"direct": [pull(box, digest)], "traced": []}
    pushes = {"direct": push(box, digest, again=True), "traced": 0.0}
    tracing = box.popen("python", "-m", "gdkreg", "trace", "--har", "blob.har")
    assert tracing.stdout is not None
    assert "tracing" in tracing.stdout.readline()
    try:
        same = box.run("sh", "-c", f"{curl(f'/v2/g/p/blobs/{digest}')} | cmp - blob", timeout=300)
        ways["traced"] = [pull(box, digest) for _ in range(3)]
        pushes["traced"] = push(box, digest, again=True)
        peak = memory(box, "VmHWM", "gdkreg trace")
    finally:
        os.kill(child(tracing.pid), signal.SIGINT)
        tracing.communicate(timeout=30)
    ways["direct"] += [pull(box, digest) for _ in range(2)]
    fast = {way: BLOB / statistics.median(taken) / 1e6 for way, taken in ways.items()}
    report("1 GiB pulled, direct / through trace", fast["direct"] / fast["traced"], 1.25, "x", told(fast))
    fast = {way: BLOB / taken / 1e6 for way, taken in pushes.items()}
    report("1 GiB pushed, direct / through trace", fast["direct"] / fast["traced"], 1.25, "x", told(fast))
    report("1 GiB through trace: other bytes", same.code, 0, "", "")
    report("1 GiB through trace: peak memory", peak, 100, "MB", "")


def told(fast: dict[str, float]) -> str:
    return ", ".join(f"{way} {speed:.0f} MB/s" for way, speed in fast.items())


def curl(path: str, *options: str) -> str:
    return " ".join(["curl", "-sS", "--fail", "--cacert", "registry_host.crt", *options, f"'https://{HOST}{path}'"])


def pull(box: Box, digest: str) -> float:
    done = box.run("sh", "-c", curl(f"/v2/g/p/blobs/{digest}", "-o", "/dev/null", "-w", "'%{time_total}'"), timeout=300)
    assert done.code == 0, done
    return float(done.out)


def push(box: Box, digest: str, *, again: bool = False) -> float:
    """The seconds that the upload took; `again` in another repository's name, so that it is no other work."""
    name = f"g/p{time.monotonic_ns()}" if again else "g/p"
    begun = box.run("sh", "-c", curl(f"/v2/{name}/blobs/uploads/", "-X", "POST", "-D", "-", "-o", "/dev/null"))
    (place,) = [line.split(None, 1)[1].strip() for line in begun.out.splitlines() if line.lower().startswith("location:")]
    assert place.startswith(f"https://{HOST}/"), place
    send = curl(f"{place.removeprefix(f'https://{HOST}')}&digest={digest}", "-T", "blob", "-H", "Expect:", "-o", "/dev/null")
    begin = time.monotonic()
    done = box.run("sh", "-c", send, timeout=300)
    assert done.code == 0, done
    return time.monotonic() - begin
