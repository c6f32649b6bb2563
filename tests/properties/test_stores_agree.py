"""Any history of transitions leaves a store as the pure interpreter says it must be."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config.urls import sqlite_url
from common.jobs.asking import answer, ask, ask_owned
from common.jobs.attaching import attach, come_back, hand_off, send_back
from common.jobs.change import Change, Done, Free, Note, Refused, Replays, Room, Unique
from common.jobs.endings import bury, cancel, complete, fail, keep, let_go, lose, owner_died
from common.jobs.head import Head
from common.jobs.indexes import queue_index
from common.jobs.questions import Round
from common.jobs.transitions import (
    IllegalMoveError,
    check,
    claim,
    hand_back,
    park,
    rescue,
    retry,
    submit,
)
from common.store.base import JobStore
from tests.support.ledger import (
    RETENTION,
    SUBMISSION,
    a_job_id,
    all_pages,
    open_ledger,
    prioritised,
)
from tests.support.model import Model
from tests.support.namespaces import Namespace, remove
from tests.support.servers import Shared

JOBS, WORKERS = 2, ("w1", "w2")
ERROR = {"code": 1, "message": "no"}
QUEUE = queue_index("exporter")
QUESTIONS = Round(number=1, requests={"1.a": {"method": "roots/list"}})

ATTACHABLE = replace(SUBMISSION, spec=replace(SUBMISSION.spec, attach="a"), holder="i1")

SUBMISSIONS = (
    submit(SUBMISSION, 5),
    submit(prioritised(9), 5, (Room(QUEUE, 2),)),
    submit(replace(SUBMISSION, holder="i1", watcher="i1!"), 5, (Unique("k"),)),
    submit(ATTACHABLE, 5, (Free("a"),)),
    submit(replace(SUBMISSION, queue_ms=1, deadline_ms=60_000), 5, (Unique("k"), Room(QUEUE, 1))),
)
TRANSITIONS: tuple[Callable[[Head], Change], ...] = (
    lambda head: retry(head, 0, ERROR),
    lambda head: retry(head, 60_000, ERROR),
    lambda head: hand_back(head, "drained", 0),
    rescue,
    lambda head: owner_died(head, RETENTION),
    lambda head: park(head, 0, "busy"),
    lambda head: hand_off(head, "held long", 1_000),
    attach,
    lambda head: send_back(head, 1_000),
    lambda head: come_back(head, RETENTION),
    check,
    lambda head: complete(head, b"{}", RETENTION, tool_error=True),
    lambda head: fail(head, ERROR, RETENTION),
    lambda head: bury(head, ERROR, RETENTION),
    lambda head: lose(head, "it died", RETENTION, seen_gone=True),
    lambda head: cancel(head, "enough", RETENTION),
    lambda head: let_go(head, RETENTION),
    lambda head: keep(head, RETENTION),
    lambda head: ask(head, QUESTIONS, 60_000),
    lambda head: ask_owned(head, QUESTIONS, 60_000),
    lambda head: answer(head, QUESTIONS, complete=False),
    lambda head: answer(head, QUESTIONS, complete=True),
    lambda head: answer(head, QUESTIONS, complete=True, too_late=True),
)
NOTES = (
    Note(watch="i1"),
    Note(watch="i1!"),
    Note(watch="i2!", fields={"confirmed": 1}),
    Note(unwatch="i1"),
    Note(claim=1, fields={"progress": "[1,2,null]", "progress_at": 7}),
)


@dataclass(frozen=True)
class Step:
    """One thing somebody does to one of the jobs; `stale` reads the version wrongly."""

    kind: str
    job: int
    choice: int = 0
    stale: int = 0


jobs = st.integers(0, JOBS - 1)
steps = st.one_of(
    st.builds(Step, st.just("submit"), jobs, st.integers(0, len(SUBMISSIONS) - 1)),
    st.builds(Step, st.just("claim"), jobs, st.integers(0, 1), st.sampled_from([0, 0, 0, -1])),
    st.builds(
        Step,
        st.just("move"),
        jobs,
        st.integers(0, len(TRANSITIONS) - 1),
        st.sampled_from([0, 0, 0, 0, 1, -1]),
    ),
    st.builds(Step, st.just("replay"), jobs, st.integers(0, JOBS - 1)),
    st.builds(Step, st.just("repeat"), jobs),
    st.builds(Step, st.just("note"), jobs, st.integers(0, len(NOTES) - 1)),
    st.builds(Step, st.just("remove"), jobs, st.sampled_from([0, 0, 1])),
    st.builds(Step, st.sampled_from(["beat", "release"]), jobs, st.integers(0, 1)),
)
histories = st.lists(steps, min_size=30, max_size=80)


@given(histories)
@settings(max_examples=25, deadline=None)
def test_sqlite_agrees_with_the_interpreter(history: list[Step]) -> None:
    with TemporaryDirectory() as folder:
        anyio.run(live, sqlite_url(Path(folder) / "longhaul.db"), "lh", history)


@given(histories)
@settings(max_examples=25, deadline=None)
def test_redis_agrees_with_the_interpreter(redis_server: Shared, history: list[Step]) -> None:
    namespace = Namespace.fresh()
    anyio.run(live, redis_server.url, namespace, history)
    remove(namespace, broker=None, store=redis_server.url)


async def live(url: str, namespace: str, history: list[Step]) -> None:
    async with open_ledger(url, namespace) as ledger:
        twins = Twins(ledger.store)
        for worker in WORKERS:
            await twins.beat(worker)
        for step in history:
            await twins.take(step)
        await twins.compare_everything()


def replay_of(letter: str) -> Change:
    spec = replace(SUBMISSION.spec, replay_of=letter)
    return submit(replace(SUBMISSION, spec=spec), 5, (Replays(letter, "ada"),))


@dataclass
class Twins:
    """A store and the model, living the same life."""

    store: JobStore
    model: Model = field(default_factory=Model)
    ids: list[str] = field(default_factory=lambda: [a_job_id() for _ in range(JOBS)])
    last: dict[str, tuple[Change, int, str]] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)

    async def take(self, step: Step) -> None:
        job_id = self.ids[step.job]
        head = self.model.head(job_id)
        match step.kind:
            case "submit":
                await self.commit(job_id, SUBMISSIONS[step.choice], 0)
            case "replay":
                await self.commit(job_id, replay_of(self.ids[step.choice]), 0)
            case "claim":
                await self.claim(job_id, head, step)
            case "repeat":
                if job_id in self.last:
                    await self.commit(job_id, *self.last[job_id])
            case "note":
                note = NOTES[step.choice]
                done = await self.store.note(job_id, note)
                assert done == self.model.note(job_id, note, now=0)
            case "beat":
                await self.beat(WORKERS[step.choice])
            case "release":
                await self.release(WORKERS[step.choice])
            case "remove":
                version = 1 if head is None else head.version + step.choice
                removed = await self.store.remove(job_id, version=version)
                assert removed == self.model.remove(job_id, version)
            case "move":
                await self.move(job_id, head, step)
        for each in self.ids:
            assert await self.store.get(each) == self.model.head(each)

    async def claim(self, job_id: str, head: Head | None, step: Step) -> None:
        version = head.version if head is not None else 1
        if head is None or head.state in {"queued", "waiting"}:
            await self.commit(job_id, claim(WORKERS[step.choice]), max(1, version + step.stale))

    async def move(self, job_id: str, head: Head | None, step: Step) -> None:
        if head is None:
            return
        for make in (*TRANSITIONS[step.choice :], *TRANSITIONS[: step.choice]):
            with suppress(IllegalMoveError):  # the first that the job's state allows
                change = make(head)
                await self.commit(job_id, change, max(1, head.version + step.stale))
                return

    async def commit(
        self, job_id: str, change: Change, version: int, commit_id: str | None = None
    ) -> None:
        name = commit_id or f"c{next(self.numbers)}"
        self.last[job_id] = change, version, name
        answer = await self.store.commit(job_id, change, version=version, commit_id=name)
        expected = self.model.commit(job_id, change, version, name, answer.now)
        assert type(answer) is type(expected), (answer, expected)
        if isinstance(answer, Refused):
            assert answer == expected
        elif isinstance(expected, Done):
            assert answer.version == expected.version

    async def beat(self, lease: str) -> None:
        await self.store.beat(lease, {})
        self.model.alive.add(lease)

    async def release(self, lease: str) -> None:
        await self.store.release(lease)
        due = [await self.store.score("due", job) for job in await self._owned(lease)]
        self.model.release(lease, int(due[0]) if due and due[0] else 0)

    async def _owned(self, lease: str) -> list[str]:
        return [head.id for head in await all_pages(self.store, f"owner:{lease}")]

    async def compare_everything(self) -> None:
        for index, entries in self.model.indexes.items():
            assert await self.store.count(index) == len(entries), index
            for job_id, score in entries.items():
                assert await self.store.score(index, job_id) == score, index
        for job_id in self.ids:
            events = [(event.number, event.name) for event in await self.store.events(job_id)]
            assert events == self.model.events.get(job_id, [])
