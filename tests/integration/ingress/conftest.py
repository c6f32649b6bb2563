"""The HTTP surface in both kinds of place."""

from collections.abc import AsyncIterator

import pytest

from tests.support.batch_desk import BatchDesk
from tests.support.surfaces import Surface, surface
from tests.support.system import Place


@pytest.fixture(params=["embedded", "rabbit"], ids=["embedded", "distributed"])
def place(request: pytest.FixtureRequest) -> Place:
    kind = "embedded_place" if request.param == "embedded" else "distributed_place"
    found: Place = request.getfixturevalue(kind)
    return found


@pytest.fixture
async def anywhere(place: Place) -> AsyncIterator[Surface]:
    where = place.settings().model_dump(include={"broker_url", "store_url", "namespace"})
    async with surface(place.data, **where) as made:
        yield made


@pytest.fixture
def desk(anywhere: Surface) -> BatchDesk:
    return BatchDesk(anywhere)
