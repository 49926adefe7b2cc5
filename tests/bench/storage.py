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

from tests.unit.storage.trees import Registry

Report = Callable[[str, float, float, str, str], None]
REPOSITORIES = 1000
PEAK = 150  # MB
ROUNDS = 3
CONFIG = "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {storage}}}}}\n"
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


def ours(storage: Path, work: str) -> tuple[float, int]:
    """Seconds of the whole program, and its peak in MB."""
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "tests.bench.collect", str(storage), work], capture_output=True, text=True)
    taken = time.perf_counter() - begin
    assert done.returncode == 0, done
    return taken, int(done.stdout.split()[1])


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
        storage = Path(folder) / "storage"
        registry = Registry(storage)
        fill(registry, range(REPOSITORIES // 2))
        half = [ours(storage, "dry") for _ in range(ROUNDS + 1)]
        fill(registry, range(REPOSITORIES // 2, REPOSITORIES))
        dry(storage, half, report)
        real(storage, report)


def dry(storage: Path, half: list[tuple[float, int]], report: Report) -> None:
    plans, uses, floors = [], [], []
    for _ in range(ROUNDS + 1):
        floors.append(theirs(storage, "--dry-run"))
        plans.append(ours(storage, "dry"))
        uses.append(ours(storage, "usage"))
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


def real(storage: Path, report: Report) -> None:
    """Ours is given back after each round; theirs works on a copy of links."""
    moves, floors = [], []
    for _ in range(ROUNDS - 1):
        copy = storage.parent / "copy"
        subprocess.run(["cp", "-al", str(storage), str(copy)], check=True)
        floors.append(theirs(copy))
        shutil.rmtree(copy)
        moves.append(ours(storage, "move"))
        ours(storage, "restore")
    best, floor = min(moves)[0], min(floors)
    report("gc, 100,000 blobs / garbage-collect", best / floor, 1, "x", f"{best:.2f} s against {floor:.2f} s")
    report("peak memory of gc", max(peak for _, peak in moves), PEAK, "MB", "")


if __name__ == "__main__":
    collection(lambda name, value, limit, unit, detail: print(f"{name:<55} {value:7.2f} {unit:<3} (limit {limit:g})  {detail}"))
