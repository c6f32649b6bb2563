"""A job's output: appended by notes of its claim, numbered, capped, read from a number on."""

import pytest

from common.jobs.change import Note
from common.jobs.endings import complete
from common.jobs.head import Head
from common.jobs.output import (
    OUTPUT_BYTES,
    OUTPUT_ENTRIES,
    Appended,
    OutputEntry,
    encode_message,
    encode_text,
)
from tests.support.ledger import RETENTION, Ledger

pytestmark = pytest.mark.anyio


async def say(ledger: Ledger, head: Head, *texts: str, mark: str, skipped: int = 0) -> bool:
    entries = tuple(entry for text in texts for entry in encode_text(text))
    said = Appended(mark=mark, entries=entries, skipped=skipped)
    return await ledger.store.note(head.id, Note(claim=head.claims, output=said))


async def kept(ledger: Ledger, head: Head, after: int = 0, limit: int = 10_000) -> list[str]:
    read = await ledger.store.output(head.id, after=after, limit=limit)
    return [f"{entry.number} {entry.text}" for entry in read.entries]


async def test_what_was_said_is_read_in_its_order(ledger: Ledger) -> None:
    head = await ledger.claimed()
    line = encode_message("log", 'a "line"\n', "info", "exporter")
    said = Appended(mark="1.1", entries=(*encode_text("ü, ]"), line))
    assert await ledger.store.note(head.id, Note(claim=head.claims, output=said))
    assert await say(ledger, head, "more", mark="1.2")
    read = await ledger.store.output(head.id, after=0, limit=100)
    now = await ledger.store.now()
    assert [entry.number for entry in read.entries] == [1, 2, 3]
    assert read.last == 3
    at = read.entries[1].at
    assert now - 60_000 < at <= now
    assert read.entries[1] == OutputEntry(
        number=2, at=at, tried=1, kind="log", text='a "line"\n', level="info", logger="exporter"
    )


async def test_it_is_read_from_a_number_on_and_so_many_at_most(ledger: Ledger) -> None:
    head = await ledger.claimed()
    await say(ledger, head, "a", "b", "c", "d", mark="1.1")
    assert await kept(ledger, head, after=1, limit=2) == ["2 b", "3 c"]
    assert await kept(ledger, head, after=4) == []
    assert await kept(ledger, head, after=9) == []


async def test_a_job_that_said_nothing_has_none(ledger: Ledger) -> None:
    head = await ledger.claimed()
    for job in (head.id, "0" * 22):
        read = await ledger.store.output(job, after=0, limit=5)
        assert (list(read.entries), read.last) == ([], 0)


async def test_a_note_that_comes_again_appends_nothing_more(ledger: Ledger) -> None:
    """Its reply was lost, and the link sent it again."""
    head = await ledger.claimed()
    for _ in range(2):
        assert await say(ledger, head, "once", mark="1.1")
    await say(ledger, head, "next", mark="1.2")
    assert await kept(ledger, head) == ["1 once", "2 next"]


async def test_only_the_claim_that_runs_appends(ledger: Ledger) -> None:
    head = await ledger.claimed()
    said = Appended(mark="7.1", entries=tuple(encode_text("a ghost")))
    assert not await ledger.store.note(head.id, Note(claim=head.claims + 1, output=said))
    await say(ledger, head, "the run", mark="1.1")
    ended = await ledger.done(head, complete(head, b"{}", RETENTION, tool_error=False))
    assert not await say(ledger, ended, "too late", mark="1.2")
    assert await kept(ledger, head) == ["1 the run"]


async def test_the_newest_entries_are_kept_with_their_numbers(ledger: Ledger) -> None:
    head = await ledger.claimed()
    for batch in range(3):
        texts = [f"{batch}:{n}" for n in range(OUTPUT_ENTRIES // 2)]
        await say(ledger, head, *texts, mark=f"1.{batch}")
    found = await kept(ledger, head)
    assert len(found) == OUTPUT_ENTRIES
    assert found[0] == f"{OUTPUT_ENTRIES // 2 + 1} 1:0"
    assert found[-1] == f"{OUTPUT_ENTRIES // 2 * 3} 2:{OUTPUT_ENTRIES // 2 - 1}"
    assert await kept(ledger, head, after=OUTPUT_ENTRIES + 1, limit=1) == [
        f"{OUTPUT_ENTRIES + 2} 2:1"
    ]


async def test_no_more_bytes_are_kept_than_the_cap(ledger: Ledger) -> None:
    head = await ledger.claimed()
    piece = "é" * 1_000
    for batch in range(4):
        await say(ledger, head, *[piece] * 50, mark=f"1.{batch}")
    read = await ledger.store.output(head.id, after=0, limit=10_000)
    room = OUTPUT_BYTES // len(piece.encode())
    assert room * 0.9 < len(read.entries) <= room
    assert (read.entries[-1].number, read.last) == (200, 200)
    numbers = [entry.number for entry in read.entries]
    assert numbers == list(range(numbers[0], 201))


async def test_what_was_skipped_before_it_came_here_has_numbers_too(ledger: Ledger) -> None:
    head = await ledger.claimed()
    await say(ledger, head, "a", "b", mark="1.1")
    await say(ledger, head, "z", mark="1.2", skipped=10)
    await say(ledger, head, "end", mark="1.3")
    assert await kept(ledger, head) == ["13 z", "14 end"]


async def test_a_record_takes_its_output_with_it(ledger: Ledger) -> None:
    head = await ledger.claimed()
    await say(ledger, head, "a", mark="1.1")
    assert await ledger.store.remove(head.id, version=head.version)
    read = await ledger.store.output(head.id, after=0, limit=10)
    assert (list(read.entries), read.last) == ([], 0)
