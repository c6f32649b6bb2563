"""The store's contract: API keys, their revision, and how everyone hears of a change."""

from dataclasses import replace
from typing import Any

import pytest

from common.api_keys import Role, StoredKey, digest_of, new_key
from common.notifier.base import KEYS_CHANGED, NEWS, Gap, Hint
from common.store.api_keys import KeyTable
from common.store.redis.api_keys import RedisApiKeys
from common.store.redis.keys import Keys
from common.store.redis.store import RedisStore
from tests.support.ledger import Ledger, open_ledger
from tests.support.namespaces import Namespace
from tests.support.servers import Shared

pytestmark = pytest.mark.anyio


def stored(name: str, role: Role = Role.USER) -> StoredKey:
    key = new_key()
    return StoredKey(name=name, caller="alice", role=role, digest=digest_of(key), shown=key[:9])


async def table(ledger: Ledger) -> KeyTable:
    found = await ledger.store.api_keys.read()
    assert found is not None
    return found


async def test_a_store_without_keys_has_a_revision_too(ledger: Ledger) -> None:
    found = await table(ledger)
    assert list(found.keys) == []
    assert await ledger.store.api_keys.read(found.revision) is None


async def test_what_was_created_is_read_by_name(ledger: Ledger) -> None:
    keys, before = ledger.store.api_keys, await ledger.store.now()
    lasting, passing = stored("b.lasting", Role.ADMIN), stored("a@passing", Role.OPERATOR)
    assert await keys.create(lasting)
    assert await keys.create(passing, life_ms=60_000)
    first, second = (await table(ledger)).keys
    assert first == replace(passing, created_at=first.created_at, expires_at=first.expires_at)
    assert second == replace(lasting, created_at=second.created_at)
    assert first.expires_at == first.created_at + 60_000
    assert before <= second.created_at <= first.created_at <= await ledger.store.now()


async def test_a_name_is_given_once(ledger: Ledger) -> None:
    keys, alice = ledger.store.api_keys, stored("alice")
    assert await keys.create(alice)
    before = await table(ledger)
    assert not await keys.create(stored("alice", Role.ADMIN))
    assert await table(ledger) == before
    (found,) = before.keys
    assert (found.digest, found.role) == (alice.digest, Role.USER)


async def test_a_revoked_key_is_gone_and_its_name_free(ledger: Ledger) -> None:
    keys = ledger.store.api_keys
    await keys.create(stored("alice"))
    await keys.create(stored("bob"))
    assert await keys.revoke("alice")
    assert [key.name for key in (await table(ledger)).keys] == ["bob"]
    before = await table(ledger)
    assert not await keys.revoke("alice")
    assert await table(ledger) == before
    assert await keys.create(stored("alice"))


async def test_every_change_makes_another_revision(ledger: Ledger) -> None:
    keys, seen = ledger.store.api_keys, [(await table(ledger)).revision]
    for change in (keys.create(stored("a")), keys.create(stored("b")), keys.revoke("a")):
        assert await change
        found = await keys.read(seen[-1])
        assert found is not None
        seen.append(found.revision)
        assert await keys.read(found.revision) is None
    assert len(set(seen)) == 4


async def test_everyone_hears_of_a_change_and_of_nothing_else(ledger: Ledger) -> None:
    keys = ledger.store.api_keys
    async with ledger.notifier.listen([NEWS]) as hints:
        assert isinstance(await anext(hints), Gap)
        await keys.create(stored("a"))
        await keys.create(stored("a"))
        await keys.revoke("nobody")
        await keys.revoke("a")
        await ledger.notifier.publish(NEWS, b"the end")
        heard = [await anext(hints) for _ in range(3)]
    assert heard == [Hint(NEWS, KEYS_CHANGED), Hint(NEWS, KEYS_CHANGED), Hint(NEWS, b"the end")]


async def test_a_change_that_is_sent_twice_answers_as_it_did(
    redis_server: Shared, namespace: Namespace
) -> None:
    """As after a lost reply: the store sends its script again."""
    async with open_ledger(redis_server.url, namespace) as ledger:
        assert isinstance(ledger.store, RedisStore)
        run = ledger.store._run

        async def twice(*words: Any) -> Any:
            await run(*words)
            return await run(*words)

        keys = RedisApiKeys(twice, Keys(namespace))
        assert await keys.create(stored("alice"))
        assert not await keys.create(stored("alice"))
        assert await keys.revoke("alice")
        assert not await keys.revoke("alice")
