"""What is left over, and is as nobody expected, ends no process."""

import os
from pathlib import Path

import pytest
import redis

from common.blobs.base import blob_name, in_pieces
from common.blobs.folder import FolderBlobs
from common.forgetting import delete_strays
from common.jobs.ids import new_job_id
from common.jobs.state import JobState
from common.jobs.token import encode_token
from common.jobs.transitions import submit
from common.publishing import token_of
from common.runtime import open_runtime
from tests.support.journal import journal
from tests.support.ledger import SUBMISSION
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


async def test_the_blobs_of_a_record_that_cannot_be_read_are_no_strays(
    distributed_place: Place, tmp_path: Path
) -> None:
    """Nor does it keep those that are from being deleted, or end the process that looks."""
    place, blobs = distributed_place, FolderBlobs(tmp_path / "blobs")
    odd, unknown = new_job_id(1), new_job_id(2)
    for job in (odd, unknown):
        blob = await blobs.put(job, in_pieces(b"x"))
        os.utime(tmp_path / "blobs" / blob_name(job, blob.sha256), (0, 0))
    async with open_runtime(place.settings()) as runtime:
        await runtime.store.commit(odd, submit(SUBMISSION, 0), version=0)
        with redis.Redis.from_url(place.store_url) as store:
            store.hset(f"{{{place.namespace}0}}:j:{odd}", "state", "resting")
        assert await delete_strays(runtime, blobs) == 1
    assert [each.holder async for each in blobs.list()] == [odd]
