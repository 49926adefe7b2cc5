"""make mutants SAMPLE=40 SEED=1: breaks one place of the code at a time; tells which breakages the quick tests do not notice.

Everything happens in a copy of this folder. The tests run there once with coverage, which gives each line the tests that reach
it. For each breakage the files of the few that say most about the line run first, and where they do not notice, all the quick
tests, up to the first that fails. A run that takes far longer than
the whole did has noticed too: the breakage made a loop endless. What survives is printed as a diff. Judge it: a test is
missing, the code is not needed, or nobody can see the difference.

Why cosmic-ray: it is kept, and its operators change one place of a text, which is all that a sample needs. mutmut negates no
condition and leaves a module's constants alone; neither takes a sample, so the choice and the run are here.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from coverage import CoverageData

from tests.mutants.breakages import Breakage, sample

ROOMS = ("plan", "resources", "config", "issuer", "registry", "engines")
QUICK = ("tests/unit", "tests/cli")
FEW = 5  # tests whose files run first: to collect all of them takes longer than to run most
MEMORY = 4 << 30  # bytes: an endless loop that collects ends there
Reach = dict[tuple[str, int], list[str]]


def copied(to: Path) -> Path:
    """This folder in another place, without what is not the project's."""
    here = Path(__file__).parents[2]
    shutil.copytree(here, to, symlinks=True, ignore=shutil.ignore_patterns(".*", "__pycache__", "dist", "build"))
    return to


def pytest_in(copy: Path, *words: str, seconds: int = 0) -> tuple[int | None, str]:
    """pytest on the copy's code: the exit code, None where it did not end in time, and what it said.

    It may take so many seconds of the processor, whose share a busy machine makes small, and ten times as many by the clock.
    """

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        if seconds:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))

    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    env = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "GDKREG_FIRST": str(copy / "first")}
    with tempfile.TemporaryFile("w+") as said:
        running = subprocess.Popen(
            argv,
            cwd=copy,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=bounded,
        )
        try:
            code: int | None = running.wait(10 * seconds or None)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        said.seek(0)
        return code, said.read()


def reach(copy: Path) -> Reach:
    """Runs everything once; which tests reach a line, those first that reach fewest lines."""
    code, said = pytest_in(copy, *QUICK, "--cov=gdkreg", "--cov-context=test", "--cov-report=")
    if code:
        sys.exit(f"the tests fail before anything is broken:\n{said[-3000:]}")
    data = CoverageData(str(copy / ".coverage"))
    data.read()
    found: Reach = {}
    size: dict[str, int] = defaultdict(int)
    for file in data.measured_files():
        for line, contexts in data.contexts_by_lineno(file).items():
            tests = [name.rsplit("|", 1)[0] for name in contexts if name]
            found[os.path.relpath(file, copy), line] = tests
            for name in tests:
                size[name] += 1
    return {key: sorted(set(tests), key=lambda name: size[name]) for key, tests in found.items()}


def outcome(copy: Path, breakage: Breakage, found: Reach, seconds: int) -> tuple[str, list[str]]:
    """Who noticed, "" where nobody did; and the breakage as the lines of a diff."""
    whole = breakage.path.read_text()
    broken = breakage.apply(whole)
    name = str(breakage.path.relative_to(copy))
    tests = found.get((name, breakage.line), [])
    (copy / "first").write_text("\n".join(tests))
    options = ("-x", "--no-cov", "-p", "tests.mutants.first")
    breakage.path.write_text(broken)
    try:
        few = dict.fromkeys(test.partition("::")[0] for test in tests[:FEW])
        code, said = pytest_in(copy, *few, *options, seconds=seconds) if few else (0, "")
        if code == 0:
            code, said = pytest_in(copy, *QUICK, *options, seconds=seconds)
    finally:
        breakage.path.write_text(whole)
    diff = list(difflib.unified_diff(whole.splitlines(), broken.splitlines(), f"a/{name}", f"b/{name}", lineterm="", n=2))
    if code is None or code < 0:
        return "out of time", diff
    first = re.search(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
    return (first[1] if first else f"pytest ended with {code}") if code else "", diff


def main() -> int:
    """Arguments: the size of the sample, the seed, and rooms if not all."""
    size, seed = int(sys.argv[1]), int(sys.argv[2])
    rooms = sys.argv[3:] or ROOMS
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the copy and the running tests go, too
    with tempfile.TemporaryDirectory(prefix="gdkreg-mutants-") as folder:
        copy = copied(Path(folder).resolve() / "copy")
        chosen = sample([path for room in rooms for path in (copy / "gdkreg" / room).glob("*.py")], size, seed)
        print("running the quick tests once on the code as it is", flush=True)
        found = reach(copy)
        seconds = 10 + 2 * int(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime)
        survivors = []
        for number, breakage in enumerate(chosen, 1):
            noticed, diff = outcome(copy, breakage, found, seconds)
            where = f"{breakage.path.relative_to(copy)}:{breakage.line}"
            print(f"{number:4}/{len(chosen)} {'noticed ' if noticed else 'SURVIVED'} {where} {noticed}", flush=True)
            if not noticed:
                survivors.append(diff)
    for diff in survivors:
        print("", *diff, sep="\n")
    print(f"\nseed {seed}: {len(chosen) - len(survivors)} of {len(chosen)} noticed, {len(survivors)} survived")
    return 0


if __name__ == "__main__":
    sys.exit(main())
