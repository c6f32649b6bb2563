"""Which replicas get calls: breakers, looks, and those that are replaced by fresh ones."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.pools import Pooled, pooled, stdio
from tests.support.journal import journal
from tests.support.waiting import until
from workers.backends.base import Place, ReplicaStatus, Verdict

pytestmark = pytest.mark.anyio

FAILED, WELL = Verdict("it went away"), Verdict(None)


def the_replica(backend: Pooled) -> ReplicaStatus:
    (replica,) = backend.pool.status().replicas
    return replica


async def replica_that(
    backend: Pooled, fact: Callable[[ReplicaStatus], bool], *, seconds: float = 30.0
) -> ReplicaStatus:
    await until(lambda: fact(the_replica(backend)), seconds=seconds)
    return the_replica(backend)


def taken(backend: Pooled) -> Place:
    place = backend.pool.try_place()
    assert place is not None
    return place


def judged(backend: Pooled, verdict: Verdict | None) -> None:
    place = taken(backend)
    place.judge(verdict)
    place.release()


async def test_a_breaker_opens_tries_one_call_and_closes(tmp_path: Path) -> None:
    config = stdio("legacy_stdio", breaker={"failures": 2, "cooldown": 0.3})
    async with pooled(config, tmp_path) as backend:
        await replica_that(backend, lambda replica: replica.state == "ready")
        judged(backend, FAILED)
        judged(backend, WELL)
        judged(backend, FAILED)
        assert the_replica(backend).breaker == "closed"
        judged(backend, FAILED)
        assert backend.pool.try_place() is None
        assert not backend.pool.takes_calls
        replica = the_replica(backend)
        assert (replica.breaker, replica.breaker_why) == ("open", "it went away")
        assert "gets no calls until" in backend.pool.why_not()
        await backend.pool.until(takes_calls=True)
        trial = taken(backend)
        assert (the_replica(backend).breaker, backend.pool.try_place()) == ("half-open", None)
        trial.release()  # without a word: the next one is the trial
        judged(backend, FAILED)
        assert the_replica(backend).breaker == "open"
        await backend.pool.until(takes_calls=True)
        judged(backend, WELL)
        assert the_replica(backend).breaker == "closed"


async def test_a_call_from_before_that_ends_unjudged_admits_no_second_trial(tmp_path: Path) -> None:
    """As when its caller cancels it."""
    config = stdio("legacy_stdio", breaker={"failures": 1, "cooldown": 0.3})
    async with pooled(config, tmp_path) as backend:
        await replica_that(backend, lambda replica: replica.state == "ready")
        before = taken(backend)
        judged(backend, FAILED)
        await backend.pool.until(takes_calls=True)
        trial = taken(backend)
        before.release()
        assert backend.pool.try_place() is None
        trial.judge(WELL)
        trial.release()
        assert the_replica(backend).breaker == "closed"


async def test_who_waits_for_a_place_gets_one_when_the_breaker_lets_a_call_through(
    tmp_path: Path,
) -> None:
    config = stdio("legacy_stdio", breaker={"failures": 1, "cooldown": 0.2})
    async with pooled(config, tmp_path) as backend:
        await replica_that(backend, lambda replica: replica.state == "ready")
        judged(backend, FAILED)
        assert (await backend.call("echo"))["content"]


async def test_one_death_is_one_failure_however_many_calls_it_breaks(tmp_path: Path) -> None:
    config = stdio("legacy_stdio", breaker={"failures": 2, "cooldown": 60}, concurrency=4)
    async with pooled(config, tmp_path) as backend:
        await replica_that(backend, lambda replica: replica.state == "ready")
        places = [taken(backend) for _ in range(3)]
        backend.pool.restart("for the test", at_once=True)
        await replica_that(backend, lambda replica: replica.restarts == 1)
        for place in places:
            place.judge(FAILED)
            place.release()
        assert the_replica(backend).breaker == "closed"


async def test_a_replica_that_answers_no_look_is_started_again_and_gets_no_calls(
    tmp_path: Path,
) -> None:
    """`silent` never answers a ping. It may be up, and is not trusted until a look succeeds."""
    health = {"interval": 0.1, "timeout": 0.1, "unhealthy_after": 2}
    async with pooled(stdio("legacy_stdio", "silent", health=health), tmp_path) as backend:
        await replica_that(backend, lambda replica: replica.state == "ready")
        replica = await replica_that(backend, lambda replica: replica.restarts >= 2)
        assert "unhealthy: no answer within 0.1 s" in str(replica.last_error)
        assert replica.failed_looks >= 2
        assert backend.pool.try_place() is None


async def test_a_replica_with_a_call_is_not_looked_at(tmp_path: Path) -> None:
    health = {"interval": 0.05, "timeout": 0.05, "unhealthy_after": 1000}
    async with pooled(stdio("legacy_stdio", "silent", health=health), tmp_path) as backend:
        place = await backend.pool.wait_place()
        failed = the_replica(backend).failed_looks
        with pytest.raises(AssertionError, match="not so after"):
            await replica_that(backend, lambda each: each.failed_looks > failed, seconds=0.5)
        place.release()
        await replica_that(backend, lambda each: each.failed_looks > failed)


@pytest.mark.parametrize(
    ("probe", "said"), [("refuse", "not today"), ("echo", None), ("hang", "no answer within")]
)
async def test_a_probe_is_a_call_of_a_tool(tmp_path: Path, probe: str, said: str | None) -> None:
    health = {"interval": 0.05, "timeout": 0.3, "unhealthy_after": 1000, "probe": {"tool": probe}}
    async with pooled(stdio("legacy_stdio", health=health), tmp_path) as backend:
        if said is None:
            await replica_that(backend, lambda replica: replica.state == "ready")
            with pytest.raises(AssertionError, match="not so after"):
                await replica_that(backend, lambda each: each.failed_looks > 0, seconds=0.5)
        else:
            replica = await replica_that(backend, lambda each: each.failed_looks > 0)
            assert said in str(replica.look_error)


@pytest.mark.parametrize(
    ("rule", "why"),
    [({"calls": 2}, "served 2 calls"), ({"age": 0.5}, "s old"), ({"memory": 1}, "MB of memory")],
    ids=["calls", "age", "memory"],
)
async def test_a_worn_replica_is_replaced(tmp_path: Path, rule: dict[str, Any], why: str) -> None:
    async with pooled(stdio("legacy_stdio", recycle=rule), tmp_path) as backend:
        for _ in range(2):
            await backend.call("echo")
        replica = await replica_that(backend, lambda replica: replica.restarts >= 1)
        assert why in str(replica.last_error)
        assert (await backend.call("echo"))["content"]


def restarted(count: int, replica: ReplicaStatus) -> bool:
    return replica.restarts >= count


async def test_one_that_is_replaced_after_its_calls_has_not_failed(tmp_path: Path) -> None:
    """A fresh process for each call: none waits as after a crash, each time longer."""
    config = stdio("legacy_stdio", recycle={"calls": 1})
    with journal() as said:
        async with pooled(config, tmp_path) as backend:
            await replica_that(backend, lambda replica: replica.state == "ready")
            for count in range(1, 4):
                assert (await backend.call("echo"))["content"]
                await replica_that(backend, partial(restarted, count))
            assert len(said.of("backend.replica_replaced")) == 3
            assert not said.of("backend.replica_down")


async def test_a_replica_is_drained_before_it_is_replaced_one_at_a_time(tmp_path: Path) -> None:
    config = stdio("legacy_stdio", replicas=2, concurrency=1)
    async with pooled(config, tmp_path) as backend:
        await until(lambda: all(each.state == "ready" for each in backend.pool.status().replicas))
        held = taken(backend)
        backend.pool.restart("ordered", at_once=False)
        busy, idle = sorted(backend.pool.status().replicas, key=lambda each: -each.in_flight)
        await until(lambda: any(each.retiring for each in backend.pool.status().replicas))
        with pytest.raises(AssertionError, match="not so after"):
            await until(
                lambda: busy.pid not in {each.pid for each in backend.pool.status().replicas},
                seconds=0.5,
            )
        held.release()
        await until(
            lambda: all(
                each.restarts == 1 and each.state == "ready"
                for each in backend.pool.status().replicas
            ),
            seconds=30,
        )
        assert idle.pid not in {each.pid for each in backend.pool.status().replicas}


async def test_what_was_written_to_stderr_is_kept_over_restarts(tmp_path: Path) -> None:
    async with pooled(stdio("legacy_stdio"), tmp_path) as backend:
        await replica_that(backend, lambda replica: replica.state == "ready")
        pid = the_replica(backend).pid
        backend.pool.restart("ordered", at_once=True)
        await replica_that(backend, lambda each: each.restarts == 1 and each.state == "ready")
        await until(lambda: len(backend.pool.log_tail(10)) == 2)
        first, second = backend.pool.log_tail(10)
        assert first == f"{pid} level info"
        assert second == f"{the_replica(backend).pid} level info"
        assert backend.pool.log_tail(1) == [second]
