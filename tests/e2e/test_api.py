"""Our client on a real registry, by the tests that the one in memory passes too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gdkreg.registry.answers import Hints
from gdkreg.registry.client import Client, Trust
from gdkreg.registry.images import Images
from tests import distribution
from tests import images as contract


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    with (
        distribution.running(tmp_path_factory.mktemp("registry")) as url,
        Images(Client(url, Trust(), Hints("", "", ""))) as made,
    ):
        yield made


class TestDistribution(contract.Contract):
    pass
