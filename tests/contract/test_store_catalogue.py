"""The store's contract: the catalogue."""

import pytest

from common.notifier.base import NEWS, Hint
from common.store.base import CatalogueEntry
from tests.support.hearing import listening
from tests.support.ledger import Ledger

pytestmark = pytest.mark.anyio


def entry(
    digest: str, *, started_at: int = 1_000, backend: str = "exporter", tools: int = 1
) -> CatalogueEntry:
    body = {
        "tools": [{"name": f"t{number}"} for number in range(tools)],
        "none": [],
        "map": {},
        "huge": 2**70,
    }
    return CatalogueEntry(backend=backend, digest=digest, started_at=started_at, body=body)


async def test_what_was_put_is_listed_by_backend(ledger: Ledger) -> None:
    entries = [entry("d1", backend=name) for name in ("search", "exporter")]
    for each in entries:
        assert await ledger.store.put_catalogue(each)
    assert list(await ledger.store.catalogue()) == entries[::-1]


async def test_the_same_digest_changes_nothing(ledger: Ledger) -> None:
    assert await ledger.store.put_catalogue(entry("d1"))
    assert not await ledger.store.put_catalogue(entry("d1"))
    assert not await ledger.store.put_catalogue(entry("d1", started_at=2_000))


async def test_the_newest_worker_start_wins(ledger: Ledger) -> None:
    times = (1_790_000_000_001, 1_790_000_000_002)
    assert await ledger.store.put_catalogue(entry("d1", started_at=times[1]))
    assert not await ledger.store.put_catalogue(entry("d2", started_at=times[0]))
    assert await ledger.store.put_catalogue(entry("d3", started_at=times[1], tools=2))
    assert list(await ledger.store.catalogue()) == [entry("d3", started_at=times[1], tools=2)]


async def test_what_is_forgotten_may_be_put_again(ledger: Ledger) -> None:
    await ledger.store.put_catalogue(entry("d1"))
    assert await ledger.store.forget("exporter")
    assert not await ledger.store.forget("exporter")
    assert list(await ledger.store.catalogue()) == []
    assert await ledger.store.put_catalogue(entry("d1", started_at=500))


async def test_everyone_hears_of_a_change_and_of_nothing_else(ledger: Ledger) -> None:
    async with listening(ledger.notifier, NEWS) as heard:
        await ledger.store.put_catalogue(entry("d1"))
        await ledger.store.put_catalogue(entry("d1"))
        await ledger.store.forget("exporter")
        await ledger.store.forget("exporter")
        assert await heard.all() == [Hint(NEWS, b"catalogue")] * 2
