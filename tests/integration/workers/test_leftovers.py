"""What the broker gave back and nobody expected ends no process."""

from pathlib import Path

import pytest
import redis

from common.jobs.state import JobState
from common.jobs.token import encode_token
from common.publishing import token_of
from tests.support.journal import journal
from tests.support.rabbitmq import put_raw
from tests.support.system import Place, open_system
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def watched() -> None:
    """Unlike everywhere else: what was unexpected is expected here."""


async def test_a_leftover_whose_record_cannot_be_read_ends_nothing(
    distributed_place: Place, tmp_path: Path
) -> None:
    """It stays where it is: each process that takes it would end, and again when started anew."""
    place = distributed_place
    async with open_system(place.settings()) as system:
        async with system.worker():
            await system.offered("b__work")
        odd = await system.submit(log=str(tmp_path / "log"))
        head = await system.until_head(odd, lambda head: head.confirmed == 1)
        token = encode_token(token_of(head, generation=1, version=head.version))
        await put_raw(place.broker_url, f"{place.namespace}.v1.unrouted", "b", token)
        with redis.Redis.from_url(place.store_url) as store, journal() as said:
            key = f"{{{place.namespace}0}}:j:{odd}"
            store.hset(key, "state", "resting")
            async with open_system(place.settings()) as another, another.worker():
                await until(lambda: said.of("leftovers.broken"))
                job = await another.submit(log=str(tmp_path / "log"))
                assert (await another.ended(job)).state is JobState.COMPLETED
                store.hset(key, "state", "queued")
