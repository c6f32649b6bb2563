"""A dead letter becomes one job and no second one, on every store: one guarded step."""

import asyncio
from dataclasses import replace

import pytest

from common.jobs.change import Change, Done, Refused, Replays
from common.jobs.endings import bury, cancel, complete, lose
from common.jobs.head import RECORD_FORMAT, Head
from common.jobs.indexes import REPLAYED
from common.jobs.transitions import submit
from tests.support.ledger import RETENTION, SUBMISSION, Ledger, a_job_id, touch

pytestmark = pytest.mark.anyio

ERROR = {"code": -31_002, "message": "the backend went away"}


async def a_dead(ledger: Ledger) -> Head:
    head = await ledger.claimed()
    return await ledger.done(head, bury(head, ERROR, RETENTION))


async def a_lost(ledger: Ledger) -> Head:
    head = await ledger.claimed()
    return await ledger.done(head, lose(head, "it died", RETENTION, seen_gone=False))


def a_replay(letter: Head, by: str = "ada") -> Change:
    spec = replace(SUBMISSION.spec, replay_of=letter.id)
    return submit(replace(SUBMISSION, spec=spec), 0, (Replays(letter.id, by),))


@pytest.mark.parametrize("a_letter", [a_dead, a_lost], ids=["dead", "lost"])
async def test_a_letter_and_its_replay_know_each_other(ledger: Ledger, a_letter: object) -> None:
    letter = await (a_dead(ledger) if a_letter is a_dead else a_lost(ledger))
    due = await ledger.due_at(letter)
    job = a_job_id()
    assert isinstance(await ledger.store.commit(job, a_replay(letter), version=0), Done)
    after = await ledger.head(letter.id)
    assert after == replace(letter, replayed_as=job, version=letter.version + 1)
    assert (await ledger.head(job)).spec.replay_of == letter.id
    assert await ledger.members(REPLAYED) == {letter.id}
    assert await ledger.due_at(after) == due
    events = await ledger.store.events(letter.id)
    assert (events[-1].number, events[-1].name) == (after.version, "replayed")
    assert events[-1].facts == {"replayed_as": job, "by": "ada"}


async def test_a_second_replay_is_told_of_the_first(ledger: Ledger) -> None:
    letter = await a_dead(ledger)
    first, second = a_job_id(), a_job_id()
    assert isinstance(await ledger.store.commit(first, a_replay(letter), version=0), Done)
    answer = await ledger.store.commit(second, a_replay(letter), version=0)
    assert isinstance(answer, Refused)
    assert (answer.guard, answer.holder_of_key, answer.head) == ("Replays", first, None)
    assert await ledger.store.get(second) is None


async def test_of_many_who_replay_at_once_one_does(ledger: Ledger) -> None:
    letter = await a_dead(ledger)
    answers = await asyncio.gather(
        *(ledger.store.commit(a_job_id(), a_replay(letter), version=0) for _ in range(20))
    )
    assert sum(isinstance(answer, Done) for answer in answers) == 1
    (job,) = {answer.holder_of_key for answer in answers if isinstance(answer, Refused)}
    assert (await ledger.head(letter.id)).replayed_as == job


async def test_a_replay_whose_answer_was_lost_is_repeated_and_done_once(ledger: Ledger) -> None:
    letter = await a_dead(ledger)
    job = a_job_id()
    for _ in range(2):
        answer = await ledger.store.commit(job, a_replay(letter), version=0, commit_id="c1")
        assert isinstance(answer, Done)
    assert (await ledger.head(letter.id)).version == letter.version + 1


async def test_only_a_letter_is_replayed(ledger: Ledger) -> None:
    """Not what waits, runs, was cancelled, or is not there; nor what was dropped meanwhile."""
    queued, running = await ledger.submitted(), await ledger.claimed()
    cancelled = await ledger.submitted()
    cancelled = await ledger.done(cancelled, cancel(cancelled, "asked to", RETENTION))
    dropped = await a_dead(ledger)
    assert await ledger.store.remove(dropped.id, version=dropped.version)
    for each in (queued, running, cancelled, dropped):
        answer = await ledger.store.commit(a_job_id(), a_replay(each), version=0)
        assert isinstance(answer, Refused)
        assert (answer.guard, answer.holder_of_key) == ("Replays", "")
    assert await ledger.members(REPLAYED) == set()


async def test_a_drop_that_has_not_seen_the_replay_is_refused(ledger: Ledger) -> None:
    letter = await a_dead(ledger)
    assert isinstance(await ledger.store.commit(a_job_id(), a_replay(letter), version=0), Done)
    assert not await ledger.store.remove(letter.id, version=letter.version)
    assert await ledger.store.remove(letter.id, version=letter.version + 1)
    assert await ledger.members(REPLAYED) == set()


async def test_a_loss_that_was_replayed_may_still_finish(ledger: Ledger) -> None:
    letter = await a_lost(ledger)
    await ledger.store.commit(a_job_id(), a_replay(letter), version=0)
    late = complete(letter, b"{}", RETENTION, tool_error=False)
    assert isinstance(await ledger.store.commit(letter.id, late, version=letter.version), Refused)
    seen = await ledger.head(letter.id)
    after = await ledger.done(seen, complete(seen, b"{}", RETENTION, tool_error=False))
    assert (after.state, after.replayed_as) == ("completed", seen.replayed_as)
    assert await ledger.members(REPLAYED) == set()


async def test_a_letter_of_a_newer_release_is_left_alone(ledger: Ledger) -> None:
    letter = await a_dead(ledger)
    letter = await ledger.done(letter, touch(fields={"format": RECORD_FORMAT + 1}))
    answer = await ledger.store.commit(a_job_id(), a_replay(letter), version=0)
    assert isinstance(answer, Refused)
    assert await ledger.head(letter.id) == letter


async def test_a_refusal_by_another_guard_leaves_the_letter_alone(ledger: Ledger) -> None:
    letter = await a_dead(ledger)
    spec = replace(SUBMISSION.spec, replay_of=letter.id)
    elsewhere = Replays("0" * 22)
    change = submit(replace(SUBMISSION, spec=spec), 0, (Replays(letter.id), elsewhere))
    assert isinstance(await ledger.store.commit(a_job_id(), change, version=0), Refused)
    assert await ledger.head(letter.id) == letter


async def test_a_letter_of_a_held_call_is_kept_as_long_as_any(ledger: Ledger) -> None:
    """Its caller has its error; what becomes of the job is a person's business all the same."""
    head = await ledger.claimed(replace(SUBMISSION, holder="i1", watcher="i1"))
    head = await ledger.done(head, bury(head, ERROR, RETENTION))
    assert await ledger.due_at(head) == head.finished_at + RETENTION.dead
