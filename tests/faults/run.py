"""make test-faults: every point of every scenario, two boxes at a time; prints the count and every point that went wrong."""

from __future__ import annotations

import concurrent.futures
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.e2e.box import Box
from tests.faults import storing
from tests.faults.points import FAULTS, Rig, Scenario
from tests.faults.points import SCENARIOS as OF_THE_MACHINE

SCENARIOS = [*OF_THE_MACHINE, *storing.SCENARIOS]


def play(scenario: Scenario, every: int, faults: tuple[str, ...]) -> tuple[int, list[str]]:
    """One scenario in a box of its own; the number of points, and what went wrong."""
    bad: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        box = Box(Path(folder) / "box", engine=scenario.engine)
        try:
            rig = storing.Rig(box, scenario) if scenario in storing.SCENARIOS else Rig(box, scenario)
            points = [(fault, call, number) for fault in faults for call, number in rig.points()][::every]
            for fault, call, number in points:
                if wrong := _one(rig, fault, call, number):
                    bad.append(f"{scenario.name}: {fault} at {call} {number}: {wrong}")
                    print(bad[-1], flush=True)
        finally:
            box.close()
    return len(points), bad


def _one(rig: Rig | storing.Rig, fault: str, call: str, number: int) -> str:
    """A point that hangs, or that the next one cannot be prepared after, is as wrong as any other."""
    try:
        return rig.play(fault, call, number)
    except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__}: {str(error)[:500]}"


def main() -> int:
    """Arguments: every n-th point only; the beginnings of scenarios' names, by `|`; one fault."""
    every = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    names = tuple(sys.argv[2].split("|")) if len(sys.argv) > 2 else ("",)
    faults = (sys.argv[3],) if len(sys.argv) > 3 else FAULTS
    chosen = [scenario for scenario in SCENARIOS if scenario.name.startswith(names)]
    total, wrong = 0, 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = {pool.submit(play, scenario, every, faults): scenario for scenario in chosen}
        for done in concurrent.futures.as_completed(running):
            count, bad = done.result()
            total, wrong = total + count, wrong + len(bad)
            print(f"{'ok  ' if not bad else 'BAD '} {running[done].name}: {count} points, {len(bad)} wrong", flush=True)
    print(f"{total} points, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
