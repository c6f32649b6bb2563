"""The store's contract: notes, and what watchers hear."""

import pytest

from common.jobs.change import WATCH_END, Add, AtLeast, Note, Now, Value
from common.jobs.endings import cancel, complete, fail, let_go, lose
from common.jobs.head import Head
from common.jobs.state import JobState
from common.jobs.transitions import claim, retry
from common.notifier.base import Hint, ingress_channel, worker_channel
from common.notifier.hints import INLINE_RESULT, JobHint, decode_hint
from tests.support.hearing import listening
from tests.support.ledger import RETENTION, Ledger, a_job_id, touch

pytestmark = pytest.mark.anyio

I1, I2, W1 = ingress_channel("i1"), ingress_channel("i2"), worker_channel("w1")

# --- notes


async def test_a_note_writes_and_leaves_version_and_commits_alone(ledger: Ledger) -> None:
    head = await ledger.submitted()
    before = await ledger.store.now()
    fields: dict[str, Value] = {"confirmed": AtLeast(2), "checks": Add(3), "progress_at": Now()}
    assert await ledger.store.note(head.id, Note(fields=fields | {"progress": "[1,2,null]"}))
    after = await ledger.head(head.id)
    assert (after.version, after.commits) == (head.version, head.commits)
    assert (after.confirmed, after.checks, after.progress) == (2, 3, "[1,2,null]")
    assert before <= after.progress_at <= await ledger.store.now()
    assert await ledger.store.note(head.id, Note(fields={"confirmed": AtLeast(1)}))
    assert (await ledger.head(head.id)).confirmed == 2
    assert len(await ledger.store.events(head.id)) == 1


async def test_a_note_makes_no_record(ledger: Ledger) -> None:
    job_id = a_job_id()
    assert not await ledger.store.note(job_id, Note(fields={"confirmed": 1}, watch="i1"))
    assert await ledger.store.get(job_id) is None


async def test_many_are_noted_together_and_those_without_a_record_passed_over(
    ledger: Ledger,
) -> None:
    first, second, gone = await ledger.submitted(), await ledger.submitted(), a_job_id()
    await ledger.store.note(second.id, Note(fields={"confirmed": 3}))
    confirmed: dict[str, Value] = {"confirmed": AtLeast(2)}
    fields = {first.id: {**confirmed, "answered": 1}, gone: confirmed, second.id: confirmed}
    await ledger.store.note_many(fields)
    noted = await ledger.head(first.id)
    assert (noted.confirmed, noted.answered, noted.version) == (2, True, first.version)
    assert (await ledger.head(second.id)).confirmed == 3
    assert await ledger.store.get(gone) is None


async def test_a_note_under_a_claim_needs_the_claim_and_a_job_that_runs(ledger: Ledger) -> None:
    queued = await ledger.submitted()
    assert not await ledger.store.note(queued.id, Note(fields={"checks": 1}, claim=0))
    running = await ledger.claimed()
    assert not await ledger.store.note(running.id, Note(fields={"checks": 1}, claim=2))
    assert await ledger.store.note(running.id, Note(fields={"checks": 1}, claim=1))
    assert (await ledger.head(running.id)).checks == 1
    ended = await ledger.done(
        await ledger.head(running.id), complete(running, b"{}", RETENTION, tool_error=False)
    )
    assert not await ledger.store.note(ended.id, Note(fields={"checks": 2}, claim=1))
    assert await ledger.head(ended.id) == ended


async def test_watchers_are_added_once_and_removed_in_both_forms(ledger: Ledger) -> None:
    head = await ledger.submitted()
    steps = [
        (Note(watch="i1!"), {"i1!"}),
        (Note(watch="i2"), {"i1!", "i2"}),
        (Note(watch="i1!"), {"i1!", "i2"}),
        (Note(watch="i1"), {"i1", "i2"}),
        (Note(watch="i1!"), {"i1", "i2"}),
        (Note(unwatch="i2!"), {"i1"}),
        (Note(unwatch="other"), {"i1"}),
        (Note(watch="i10!"), {"i1", "i10!"}),
        (Note(unwatch="i1"), {"i10!"}),
        (Note(unwatch="i10"), set()),
        (Note(watch="i3"), {"i3"}),
    ]
    for note, watchers in steps:
        assert await ledger.store.note(head.id, note)
        head = await ledger.head(head.id)
        named = head.watchers.split(",") if head.watchers else []
        assert (set(named), len(named)) == (watchers, len(watchers)), note


async def test_a_relay_reaches_those_who_watch_everything(ledger: Ledger) -> None:
    head = await ledger.claimed()
    await ledger.store.note(head.id, Note(watch="i1"))
    await ledger.store.note(head.id, Note(watch="i2" + WATCH_END))
    raw = b'["progress"]\n\x00\xff'
    async with listening(ledger.notifier, I1, I2, W1) as heard:
        assert await ledger.store.note(head.id, Note(relay=(raw,), claim=1))
        assert not await ledger.store.note(head.id, Note(relay=(raw,), claim=7))
        assert await heard.all() == [Hint(I1, raw)]


# --- what watchers hear of commits


async def test_a_watcher_hears_of_every_commit(ledger: Ledger) -> None:
    head = await watched(ledger, "i1")
    await ledger.store.beat("w1", {})
    async with listening(ledger.notifier, I1, I2) as heard:
        head = await ledger.done(head, claim("w1"))
        head = await ledger.done(head, retry(head, 1_000, {"code": 1, "message": "no"}))
        await ledger.refused(head, touch(guards=claim("nobody").guards))
        hints = await heard.all()
    expected = [
        state_hint(head, "running", 2, "claimed"),
        state_hint(head, "waiting", 3, "retried"),
    ]
    assert [decode_hint(hint.payload) for hint in hints] == expected
    assert {hint.channel for hint in hints} == {I1}


async def test_a_watcher_of_the_end_hears_only_of_the_end_with_the_result(ledger: Ledger) -> None:
    head = await watched(ledger, "i1" + WATCH_END)
    await ledger.store.beat("w1", {})
    result = b'{"content":[{"type":"text","text":"a\\nb"}]}'
    async with listening(ledger.notifier, I1) as heard:
        head = await ledger.done(head, claim("w1"))
        await ledger.done(head, complete(head, result, RETENTION, tool_error=False))
        hints = await heard.all()
    assert [decode_hint(hint.payload) for hint in hints] == [
        state_hint(head, "completed", 3, "completed", result)
    ]


async def test_an_error_travels_with_the_hint_of_a_failure(ledger: Ledger) -> None:
    head = await watched(ledger, "i1" + WATCH_END)
    async with listening(ledger.notifier, I1) as heard:
        await ledger.done(head, fail(head, {"code": -1, "message": "no"}, RETENTION))
        (hint,) = await heard.all()
    assert decode_hint(hint.payload) == state_hint(
        head, "failed", 2, "failed", b'{"code":-1,"message":"no"}'
    )


async def test_an_unknown_outcome_carries_no_result(ledger: Ledger) -> None:
    head = await ledger.claimed()
    await ledger.store.note(head.id, Note(watch="i1"))
    async with listening(ledger.notifier, I1) as heard:
        await ledger.done(head, lose(head, "it died", RETENTION, seen_gone=False))
        (hint,) = await heard.all()
    assert decode_hint(hint.payload) == state_hint(head, "lost", 3, "lost")


@pytest.mark.parametrize("size", [INLINE_RESULT, INLINE_RESULT + 1])
async def test_a_large_result_is_read_from_the_store(ledger: Ledger, size: int) -> None:
    head = await ledger.claimed()
    await ledger.store.note(head.id, Note(watch="i1"))
    result = b"x" * size
    async with listening(ledger.notifier, I1) as heard:
        await ledger.done(head, complete(head, result, RETENTION, tool_error=False))
        (hint,) = await heard.all()
    assert decode_hint(hint.payload).result == (result if size <= INLINE_RESULT else None)
    assert await ledger.store.part(head.id, "result") == result


async def test_the_worker_hears_of_a_cancel_and_not_of_letting_go(ledger: Ledger) -> None:
    head = await ledger.claimed(worker="w1")
    async with listening(ledger.notifier, W1) as heard:
        head = await ledger.done(head, cancel(head, "enough", RETENTION))
        assert (head.state, head.still_running) == (JobState.CANCELLED, True)
        await ledger.done(head, let_go(head, RETENTION))
        hints = await heard.all()
    assert [decode_hint(hint.payload) for hint in hints] == [
        state_hint(head, "cancelled", 3, "cancelled")
    ]


async def test_a_repeated_commit_tells_nobody_again(ledger: Ledger) -> None:
    head = await watched(ledger, "i1")
    async with listening(ledger.notifier, I1) as heard:
        for _ in range(2):
            await ledger.store.commit(head.id, touch(), version=1, commit_id="c")
        assert len(await heard.all()) == 1


async def test_who_hears_of_a_commit_finds_it_in_the_store(ledger: Ledger) -> None:
    head = await watched(ledger, "i1")
    async with listening(ledger.notifier, I1) as heard:
        for version in range(1, 20):
            await ledger.store.commit(head.id, touch(), version=version)
            (hint,) = await heard.all()
            assert decode_hint(hint.payload).version == version + 1
            assert (await ledger.head(head.id)).version == version + 1


async def watched(ledger: Ledger, watcher: str) -> Head:
    head = await ledger.submitted()
    await ledger.store.note(head.id, Note(watch=watcher))
    return await ledger.head(head.id)


def state_hint(
    head: Head, state: str, version: int, change: str, result: bytes | None = None
) -> JobHint:
    return JobHint(
        kind="state", job=head.id, state=state, version=version, body=change, result=result
    )
