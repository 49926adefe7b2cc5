"""Debian's registry (Distribution 2.8) as a process on this machine: plain HTTP on a free port of 127.0.0.1, no engine."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {storage}, maxthreads: 100}}
  delete: {{enabled: true}}
  cache: {{blobdescriptor: inmemory}}
http:
  addr: 127.0.0.1:{port}
  relativeurls: true
"""


@contextlib.contextmanager
def running(folder: Path, *, more: str = "") -> Iterator[str]:
    """The registry's address while the block runs; `storage` in the folder is its tree."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / f"config-{port}.yml"
    config.write_text(_CONFIG.format(storage=folder / "storage", port=port) + more)
    env = {key: value for key, value in os.environ.items() if not key.startswith(("REGISTRY_", "AWS_", "OTEL_"))}
    with (folder / "registry.log").open("ab") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], env=env, stdout=log, stderr=log)
    try:
        _wait(f"http://127.0.0.1:{port}/v2/", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the registry did not start") from None
            time.sleep(0.05)
