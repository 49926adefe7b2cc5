"""Every command in every state: minutes long, by `make test-states`."""

from __future__ import annotations

from tests.e2e.conftest import _can_run as _can_run
from tests.e2e.conftest import box as box
from tests.e2e.conftest import lone_box as lone_box
