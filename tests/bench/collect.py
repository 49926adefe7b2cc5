"""One piece of work on a tree, as a program of its own: `python -m tests.bench.collect STORAGE dry|usage|move|restore`.

Prints the seconds of what changes the tree, and the peak in MB.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

from gdkreg.storage import reader, trash, unused
from gdkreg.storage.layout import Tree


def main() -> None:
    storage, work = Path(sys.argv[1]), sys.argv[2]
    tree = Tree(str(storage / "docker/registry/v2"))
    begin = time.perf_counter()
    if work == "restore":
        for run in trash.runs(storage / "trash"):
            trash.restore(tree, run)
    else:
        found = reader.read(tree)
        if work == "usage":
            from gdkreg.storage import usage

            print(len(usage.by_repository(found)) + len(usage.by_tag(found)) + len(usage.by_layer(found)), file=sys.stderr)
        else:
            taken = unused.collectable(found, untagged=False, now=time.time())
            print(f"{len(taken.blobs)} blobs", file=sys.stderr)
            if work == "move":
                trash.move(tree, taken, storage / "trash/run", now=time.time())
    # ru_maxrss would begin with what the parent had when it forked.
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert peak
    print(time.perf_counter() - begin, int(peak[1]) // 1024)


if __name__ == "__main__":
    main()
