"""The store's contract: handshake-era sessions, and the notes left in them."""

from dataclasses import replace

import pytest

from common.store.base import Timings
from common.store.sessions import Session
from tests.support.ledger import Ledger
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio

LIMIT = 100


def session(name: str = "s1") -> Session:
    return Session(
        id=name,
        caller="alice",
        version="2025-11-25",
        client={"name": "client", "version": "1", "more": [1, None, {}]},
        capabilities={"elicitation": {}, "huge": 2**70},
    )


async def test_what_was_created_is_found(ledger: Ledger) -> None:
    before = await ledger.store.now()
    assert await ledger.store.sessions.create(session(), limit=LIMIT)
    found = await ledger.store.sessions.get("s1")
    assert found is not None
    assert before <= found.created_at == found.seen_at <= await ledger.store.now()
    assert found == replace(session(), created_at=found.created_at, seen_at=found.seen_at)
    assert await ledger.store.sessions.get("s2") is None


async def test_a_log_level_is_everybodys(ledger: Ledger) -> None:
    sessions = ledger.store.sessions
    assert not await sessions.set_level("s1", "info")
    assert await sessions.get("s1") is None
    await sessions.create(session(), limit=LIMIT)
    assert await sessions.set_level("s1", "info")
    found = await sessions.get("s1")
    assert found is not None
    assert found.log_level == "info"


async def test_a_deleted_session_is_gone(ledger: Ledger) -> None:
    sessions = ledger.store.sessions
    await sessions.create(session(), limit=LIMIT)
    assert await sessions.delete("s1")
    assert not await sessions.delete("s1")
    assert await sessions.get("s1") is None
    assert not await sessions.set_level("s1", "info")


async def test_there_are_so_many_and_no_more(ledger: Ledger) -> None:
    sessions = ledger.store.sessions
    assert await sessions.create(session("s1"), limit=2)
    assert await sessions.create(session("s2"), limit=2)
    assert not await sessions.create(session("s3"), limit=2)
    assert await sessions.get("s3") is None
    await sessions.delete("s1")
    assert await sessions.create(session("s3"), limit=2)


async def test_a_note_is_for_its_session_and_name(ledger: Ledger) -> None:
    sessions = ledger.store.sessions
    await sessions.leave("s1", "cancel:7", b"first")
    await sessions.leave("s1", "cancel:7", b"\x00\xff")
    await sessions.leave("s2", "cancel:8", b"")
    assert await sessions.notes("s1", ["cancel:8", "cancel:7"]) == {"cancel:7": b"\x00\xff"}
    assert await sessions.notes("s2", ["cancel:8"]) == {"cancel:8": b""}
    assert await sessions.notes("s2", []) == {}


class TestSoon:
    """With times that a test can wait for."""

    @pytest.fixture
    def timings(self) -> Timings:
        return Timings(session_ms=600, session_note_ms=50)

    async def test_a_session_lives_as_long_as_somebody_asks(self, ledger: Ledger) -> None:
        sessions = ledger.store.sessions
        for name in ("s1", "s2"):
            await sessions.create(session(name), limit=LIMIT)
        began = await ledger.store.now()

        async def still_there() -> bool:
            assert await sessions.get("s1") is not None
            return await ledger.store.now() - began > 1_200

        await until_answered(still_there)
        assert await sessions.get("s2") is None
        assert not await sessions.delete("s2")
        assert await sessions.create(session("s3"), limit=2), "what is gone takes no place"

    async def test_a_note_is_there_for_a_while(self, ledger: Ledger) -> None:
        sessions = ledger.store.sessions
        await sessions.leave("s1", "cancel:7", b"x")

        async def gone() -> bool:
            return not await sessions.notes("s1", ["cancel:7"])

        await until_answered(gone)
