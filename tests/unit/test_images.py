"""What there is in a registry, over a registry in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gdkreg.registry.answers import Hints
from gdkreg.registry.client import Client, Trust
from gdkreg.registry.images import Images
from tests import images as contract
from tests.registry import FakeRegistry, serving

HINTS = Hints("start it", "trust it", "grant it: OPTIONS", "take writes", user="me")


def of(fake: FakeRegistry) -> Images:
    return Images(Client(fake.url, Trust(), HINTS))


@pytest.fixture(params=["2.8", "gitlab"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeRegistry]:
    new = request.param == "gitlab"
    with serving(FakeRegistry(page=2, untags=new, referrers=new)) as made:
        yield made


@pytest.fixture
def images(fake: FakeRegistry) -> Iterator[Images]:
    with of(fake) as made:
        yield made


class TestInMemory(contract.Contract):
    pass
