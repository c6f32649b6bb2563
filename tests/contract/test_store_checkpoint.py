"""A job's checkpoint: noted by its claim, handed to the next one, gone with its record."""

from dataclasses import replace

import pytest

from common.jobs.change import Done, Note
from common.jobs.checkpoint import CHECKPOINT, CHECKPOINT_BYTES, stored
from common.jobs.endings import complete
from common.jobs.head import Head
from common.jobs.output import Appended, encode_text
from common.jobs.transitions import claim, rescue
from tests.support.ledger import RETENTION, SUBMISSION, Ledger

pytestmark = pytest.mark.anyio

REPEATABLE = replace(SUBMISSION, spec=replace(SUBMISSION.spec, repeatable=True))


def noted(head: Head, body: bytes, output: Appended | None = None) -> Note:
    relay = (b"hint",)
    return Note(claim=head.claims, fields=stored(body), checkpoint=body, relay=relay, output=output)


async def kept(ledger: Ledger, head: Head) -> bytes | None:
    return await ledger.store.part(head.id, CHECKPOINT)


async def test_the_newest_stands_and_leaves_the_version_alone(ledger: Ledger) -> None:
    head = await ledger.claimed()
    assert await kept(ledger, head) is None
    largest = b'"' + "é\n".encode() * (CHECKPOINT_BYTES // 4) + b'"'
    for body in (b'{"row":1}', largest, b"null"):
        assert await ledger.store.note(head.id, noted(head, body))
        assert await kept(ledger, head) == body
    now = await ledger.head(head.id)
    assert (now.version, now.checkpoint_bytes) == (head.version, 4)
    assert now.checkpoint_at >= head.started_at


async def test_one_note_carries_it_with_output_and_hints(ledger: Ledger) -> None:
    head = await ledger.claimed()
    said = Appended(mark="1.1", entries=tuple(encode_text("row 1")))
    assert await ledger.store.note(head.id, noted(head, b'["c"]', output=said))
    read = await ledger.store.output(head.id, after=0, limit=10)
    assert [entry.text for entry in read.entries] == ["row 1"]
    assert await kept(ledger, head) == b'["c"]'


async def test_only_the_claim_that_runs_moves_it(ledger: Ledger) -> None:
    head = await ledger.claimed()
    assert await ledger.store.note(head.id, noted(head, b"1"))
    ghost = replace(head, claims=head.claims + 1)
    assert not await ledger.store.note(head.id, noted(ghost, b"2"))
    ended = await ledger.done(head, complete(head, b"{}", RETENTION, tool_error=False))
    assert not await ledger.store.note(head.id, noted(ended, b"3"))
    assert await kept(ledger, head) == b"1"


async def test_the_next_claim_brings_it_along(ledger: Ledger) -> None:
    head = await ledger.claimed(REPEATABLE)
    assert await ledger.store.note(head.id, noted(head, b'{"row":60}'))
    await ledger.store.release("w1")
    again = await ledger.done(await ledger.head(head.id), rescue(head))
    await ledger.store.beat("w2", {})
    answer = await ledger.store.commit(head.id, claim("w2"), version=again.version)
    assert isinstance(answer, Done)
    assert answer.parts[CHECKPOINT] == b'{"row":60}'


async def test_a_first_claim_brings_none(ledger: Ledger) -> None:
    head = await ledger.submitted()
    await ledger.store.beat("w1", {})
    answer = await ledger.store.commit(head.id, claim("w1"), version=head.version)
    assert isinstance(answer, Done)
    assert CHECKPOINT not in answer.parts


async def test_a_new_record_may_begin_with_one(ledger: Ledger) -> None:
    head = await ledger.submitted(replace(SUBMISSION, checkpoint=b"[7]"))
    assert await kept(ledger, head) == b"[7]"
    assert (head.checkpoint_bytes, head.checkpoint_at) == (3, head.created_at)


async def test_it_goes_with_its_record(ledger: Ledger) -> None:
    head = await ledger.claimed()
    await ledger.store.note(head.id, noted(head, b"1"))
    assert await ledger.store.remove(head.id, version=head.version)
    assert await kept(ledger, head) is None
