"""The store's contract: entries of documents, and where their contents are."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from common.documents import Document, Visibility, new_place, seen_by
from common.store.documents import DocumentPage, Removed
from common.store.redis.documents import RedisDocuments
from common.store.redis.keys import Keys
from common.store.redis.store import RedisStore
from tests.support.ledger import Ledger, open_ledger
from tests.support.namespaces import Namespace
from tests.support.servers import Shared
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio

SHA = "ab" * 32


def document(owner: str = "ann", *, sha256: str = SHA, **more: Any) -> Document:
    return Document(sha256=sha256, size=3, owner=owner, **more)


def numbered(number: int) -> str:
    return f"{number:064x}"


async def walked(ledger: Ledger, reader: str | None, limit: int) -> list[Document]:
    found: list[Document] = []
    page: DocumentPage | None = None
    while page is None or page.cursor is not None:
        cursor = page.cursor if page else None
        page = await ledger.store.documents.page(reader, limit=limit, cursor=cursor)
        assert len(page.documents) <= limit
        found += page.documents
    return found


async def test_what_was_put_is_found_as_it_was_said(ledger: Ledger) -> None:
    documents, before = ledger.store.documents, await ledger.store.now()
    said = document(
        "o:ann b", name="rows ü.csv", media_type="text/csv", visibility=Visibility.EVERYONE
    )
    place = new_place()
    kept = await documents.put(said, place=place, life_ms=60_000)
    assert kept.new
    assert before <= kept.document.created_at <= await ledger.store.now()
    born = kept.document.created_at
    assert kept.document == replace(said, created_at=born, expires_at=born + 60_000)
    content = await documents.content(SHA)
    assert content is not None
    assert (content.place, list(content.entries)) == (place, [kept.document])
    assert await documents.content(numbered(1)) is None


async def test_owners_of_the_same_bytes_share_the_first_place(ledger: Ledger) -> None:
    documents, place = ledger.store.documents, new_place()
    first = await documents.put(document("ann"), place=place)
    second = await documents.put(document("bob"), place=new_place())
    assert (first.place, second.place, second.new) == (place, place, True)
    assert await documents.remove(SHA, "eve") is None
    assert await documents.remove(SHA, "ann") == Removed(sha256=SHA, place="")
    assert await documents.remove(SHA, "ann") is None
    assert await documents.remove(SHA, "bob") == Removed(sha256=SHA, place=place)
    assert await documents.content(SHA) is None
    fresh = new_place()
    assert (await documents.put(document("ann"), place=fresh)).place == fresh


async def test_an_owner_that_puts_again_says_it_anew_and_keeps_its_turn(ledger: Ledger) -> None:
    documents, place = ledger.store.documents, new_place()
    old = await documents.put(document(name="a", visibility=Visibility.EVERYONE), place=place)
    other = await documents.put(document(sha256=numbered(1)), place=new_place(), life_ms=1)
    again = await documents.put(document(name="b"), place=new_place(), life_ms=90_000)
    assert (again.new, again.place) == (False, place)
    assert again.document.created_at == old.document.created_at
    assert again.document.name == "b"
    assert await walked(ledger, None, 9) == [other.document, again.document] or (
        other.document.created_at == old.document.created_at
    )
    assert await walked(ledger, "bob", 9) == []
    forever = await documents.put(document(name="b"), place=new_place())
    assert forever.document.expires_at == 0


async def test_lists_have_what_their_reader_may_see_the_newest_first(ledger: Ledger) -> None:
    documents = ledger.store.documents
    kept: list[Document] = []
    for number in range(24):
        owner, visibility = ("ann", "bob")[number % 2], ("own", "everyone")[number // 2 % 2]
        said = document(owner, sha256=numbered(number), visibility=Visibility(visibility))
        kept.append((await documents.put(said, place=new_place())).document)
    kept.sort(key=lambda each: each.position, reverse=True)
    for limit in (1, 5, 24, 100):
        assert await walked(ledger, None, limit) == kept
        for reader in ("ann", "bob", "eve"):
            seen = [
                each
                for each in kept
                if each.owner == reader or each.visibility is Visibility.EVERYONE
            ]
            assert await walked(ledger, reader, limit) == seen


async def test_a_list_goes_on_behind_its_cursor_whatever_came_and_went(ledger: Ledger) -> None:
    documents = ledger.store.documents
    for number in range(6):
        await documents.put(document(sha256=numbered(number)), place=new_place())
    page = await documents.page("ann", limit=2)
    await documents.remove(page.documents[-1].sha256, "ann")
    await documents.put(document(sha256=numbered(9)), place=new_place())
    rest = await documents.page("ann", limit=9, cursor=page.cursor)
    shown = {each.sha256 for each in (*page.documents, *rest.documents)}
    assert shown == {numbered(number) for number in range(6)}
    assert rest.cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "1:2:3", "-00000000000001:a:b", "+"])
async def test_a_cursor_of_somebody_else_is_told(ledger: Ledger, cursor: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        await ledger.store.documents.page("ann", limit=1, cursor=cursor)


async def test_what_has_expired_is_taken_and_nothing_else(ledger: Ledger) -> None:
    documents, place = ledger.store.documents, new_place()
    await documents.put(document("ann"), place=place, life_ms=1)
    await documents.put(document("bob"), place=new_place(), life_ms=1)
    stays = await documents.put(document(sha256=numbered(1)), place=new_place(), life_ms=60_000)
    again = await documents.put(document(sha256=numbered(2)), place=new_place(), life_ms=1)
    await documents.put(again.document, place=new_place())  # for ever now

    gone: list[Removed] = []

    async def taken() -> bool:
        gone.extend(await documents.expire(1))
        return len(gone) == 2

    await until_answered(taken)
    assert [each.place for each in gone] == ["", place]
    assert await documents.expire(10) == []
    assert {each.sha256 for each in await walked(ledger, None, 9)} == {
        stays.document.sha256,
        numbered(2),
    }


async def test_puts_and_removals_at_once_never_lose_a_content_that_is_named(
    ledger: Ledger,
) -> None:
    documents = ledger.store.documents
    deleted: set[str] = set()

    async def come_and_go(owner: str) -> None:
        for _ in range(20):
            kept = await documents.put(document(owner), place=new_place())
            assert kept.place not in deleted
            removed = await documents.remove(SHA, owner)
            assert removed is not None
            deleted.add(removed.place)

    await asyncio.gather(*(come_and_go(owner) for owner in ("ann", "bob", "eve")))
    assert await documents.content(SHA) is None


async def test_what_is_sent_twice_answers_as_it_did(
    redis_server: Shared, namespace: Namespace
) -> None:
    """As after a lost reply: the store sends its script again."""
    async with open_ledger(redis_server.url, namespace) as ledger:
        assert isinstance(ledger.store, RedisStore)
        run = ledger.store._run

        async def twice(*words: Any) -> Any:
            await run(*words)
            return await run(*words)

        documents, place = RedisDocuments(ledger.store._send, twice, Keys(namespace)), new_place()
        assert (await documents.put(document(), place=place)).new
        assert not (await documents.put(document(), place=new_place())).new
        assert await documents.remove(SHA, "ann") == Removed(sha256=SHA, place=place)
        assert await documents.remove(SHA, "ann") is None


class TestWhoSees:
    own, public = document("ann", created_at=2), document("bob", visibility=Visibility.EVERYONE)

    @pytest.mark.parametrize(
        ("reader", "entries", "found"),
        [
            ("ann", [own], own),
            ("eve", [own], None),
            ("eve", [own, public], public),
            ("ann", [public, own], own),
            (None, [own], own),
            (None, [own, public], public),
            ("ann", [replace(own, expires_at=10)], None),
            ("ann", [replace(own, expires_at=11)], replace(own, expires_at=11)),
            ("ann", [replace(own, expires_at=10), public], public),
        ],
    )
    def test_of_a_content(
        self, reader: str | None, entries: Sequence[Document], found: Document | None
    ) -> None:
        assert seen_by(reader, entries, 10) == found
