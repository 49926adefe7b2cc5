"""Collection and usage on a tree of 100,000 blobs, against the registry's own tool on the same tree, in turns."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.box import Box
from tests.unit.storage.trees import Registry

Report = Callable[[str, float, float, str, str], None]
REPOSITORIES = 1000
PEAK = 150  # MB
ROUNDS = 3
CONFIG = "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {storage}}}}}\n"
GDK_YML = "registry: {enabled: true, listen_address: 127.0.0.1, host: registry.test, runtime: process}\n"
# What forks it has to be small: a child's peak begins with its parent's.
MEASURED = """
import resource, subprocess, sys, time
begin = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
taken = time.perf_counter() - begin
print(taken, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def fill(registry: Registry, numbers: range) -> None:
    """For each repository 5 tags, one of them on an index in every second one, and 22 layers that nothing uses."""
    chosen = random.Random(1)
    for number in numbers:
        name = f"group{number % 40}/project-{number}"
        for tag in range(5):
            layers = (f"base {chosen.randrange(50)}", *(f"{number} {tag} {layer}" for layer in range(13)))
            if tag == 0 and number % 2 == 0:
                children = [registry.image(name, f"{number} {half}", layers=half) for half in (layers[:7], layers[7:])]
                registry.index(name, children, f"v{tag}")
            else:
                registry.image(name, f"{number} {tag}", f"v{tag}", layers)
        if number % 2:
            registry.image(name, f"{number} untagged", layers=(f"{number} untagged",))
        for loose in range(22):
            registry.blob(name, f"loose {number} {loose}".encode())


def ours(box: Box, *words: str) -> tuple[float, int]:
    """Seconds of one gdkreg command, from its start to its end, and its peak in MB."""
    done = box.run(sys.executable, "-S", "-c", MEASURED, "gdkreg", *words, timeout=600)
    assert done.code == 0, done
    taken, peak = done.err.splitlines()[-1].split()
    return float(taken), int(peak) // 1024


def theirs(storage: Path, *options: str) -> float:
    config = storage.parent / "config.yml"
    config.write_text(CONFIG.format(storage=storage))
    begin = time.perf_counter()
    argv = ["docker-registry", "garbage-collect", *options, str(config)]
    done = subprocess.run(argv, env=ENVIRONMENT, capture_output=True, text=True)
    assert "blobs marked" in done.stdout, done
    return time.perf_counter() - begin


def collection(report: Report) -> None:
    with tempfile.TemporaryDirectory() as folder:
        box = Box(Path(folder) / "box", engine=False)
        try:
            (box.root / "gdk.yml").write_text(GDK_YML)
            box.ok("reconfigure", "--yes")
            registry = Registry(box.root / "registry/storage")
            fill(registry, range(REPOSITORIES // 2))
            half = [ours(box, "gc", "--dry-run", "--json") for _ in range(ROUNDS + 1)]
            fill(registry, range(REPOSITORIES // 2, REPOSITORIES))
            dry(box, half, report)
            real(box, report)
        finally:
            box.close()


def dry(box: Box, half: list[tuple[float, int]], report: Report) -> None:
    plans, uses, floors = [], [], []
    for _ in range(ROUNDS + 1):
        floors.append(theirs(box.root / "registry/storage", "--dry-run"))
        plans.append(ours(box, "gc", "--dry-run", "--json"))
        uses.append(ours(box, "usage"))
    floor = min(floors)
    for name, found in (("gc --dry-run", plans), ("usage", uses)):
        best = min(found)[0]
        report(
            f"{name}, 100,000 blobs / garbage-collect --dry-run", best / floor, 0.5, "x", f"{best:.2f} s against {floor:.2f} s"
        )
        report(f"peak memory of {name}", max(peak for _, peak in found), PEAK, "MB", "")
    growth = min(plans)[0] / min(half)[0]
    report("gc --dry-run, 100,000 blobs / 50,000 (linear is 2)", growth, 2.4, "x", f"{min(plans)[0]:.2f} s, {min(half)[0]:.2f} s")
    more = plans[0][1] / half[0][1]
    report("its peak memory, 100,000 blobs / 50,000", more, 2.4, "x", f"{plans[0][1]} MB, {half[0][1]} MB")


def real(box: Box, report: Report) -> None:
    """Ours is given back after each round; theirs works on a copy of links."""
    storage, moves, floors = box.root / "registry/storage", [], []
    for _ in range(ROUNDS - 1):
        copy = storage.parent / "copy"
        subprocess.run(["cp", "-al", str(storage), str(copy)], check=True)
        floors.append(theirs(copy))
        shutil.rmtree(copy)
        moves.append(ours(box, "gc", "--yes"))
        box.ok("gc", "restore", "--yes")
    best, floor = min(moves)[0], min(floors)
    report("gc, 100,000 blobs / garbage-collect", best / floor, 1, "x", f"{best:.2f} s against {floor:.2f} s")
    report("peak memory of gc", max(peak for _, peak in moves), PEAK, "MB", "")


if __name__ == "__main__":
    collection(lambda name, value, limit, unit, detail: print(f"{name:<55} {value:7.2f} {unit:<3} (limit {limit:g})  {detail}"))
