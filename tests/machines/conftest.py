"""Other machines: a GDK's supervisor, Podman and rootless engines, a VM, a far end. `make test-machines`."""

from __future__ import annotations

from tests.e2e.conftest import _can_run as _can_run
from tests.e2e.conftest import box as box
from tests.e2e.conftest import lone_box as lone_box
from tests.e2e.conftest import lone_engine_box as lone_engine_box
