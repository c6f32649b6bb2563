"""What an answer to a callback means, and when the next try is."""

from dataclasses import replace

import pytest

from common.jobs.callbacks import CallbackState
from common.jobs.change import AtLeast, Now
from common.jobs.head import Head
from common.jobs.state import JobState
from ingress.callbacks.post import Answered, NotSent
from ingress.callbacks.verdict import Delivered, Failed, Retries, delay_ms, settle, verdict_on
from tests.support.heads import a_head

RETRIES = Retries(attempts=15, first_ms=5_000, max_ms=14_400_000, kept_ms=1_000)
HOUR = 3_600_000


def pending(tries: int = 1) -> Head:
    return a_head(
        JobState.COMPLETED,
        callback=CallbackState.PENDING,
        callback_tries=tries,
        forget_at=5,
    )


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_2xx_is_a_yes(status: int) -> None:
    assert verdict_on(Answered(status=status)) == Delivered()


@pytest.mark.parametrize("status", [199, 301, 302, 307, 400, 401, 404, 429, 500, 503])
def test_all_else_is_tried_again(status: int) -> None:
    verdict = verdict_on(Answered(status=status))
    assert isinstance(verdict, Failed)
    assert not verdict.final
    assert settle(pending(), verdict, RETRIES, 0.5, 0).name == "callback_retried"


def test_410_is_the_end() -> None:
    change = settle(pending(), verdict_on(Answered(status=410)), RETRIES, 0.5, 7)
    assert change.name == "callback_failed"
    assert change.fields["forget_at"] == AtLeast(1_007)


def test_so_is_the_last_try() -> None:
    failed = verdict_on(NotSent("no connection"))
    assert settle(pending(14), failed, RETRIES, 0.5, 0).name == "callback_retried"
    last = settle(pending(15), failed, RETRIES, 0.5, 0)
    assert (last.name, last.fields["callback_error"]) == ("callback_failed", "no connection")


def test_tries_go_on_for_hours() -> None:
    failed = Failed(error="HTTP 500")
    waits = [delay_ms(tried, failed, RETRIES, 0.5) for tried in range(1, 15)]
    assert waits[:4] == [5_000, 10_000, 20_000, 40_000]
    assert max(waits) == 4 * HOUR
    assert 10 * HOUR < sum(waits) < 20 * HOUR


def test_they_spread() -> None:
    failed = Failed(error="HTTP 500")
    assert [delay_ms(1, failed, RETRIES, chance) for chance in (0.0, 1.0)] == [3_750, 6_250]


def test_a_receiver_may_ask_for_longer_and_not_for_ever() -> None:
    asked = verdict_on(Answered(status=503, retry_after=60.0))
    assert isinstance(asked, Failed)
    assert settle(pending(), asked, RETRIES, 0.5, 0).fields["callback_at"] == Now(60_000)
    assert delay_ms(1, replace(asked, wait_ms=1_000 * HOUR), RETRIES, 0.5) == 24 * HOUR
    assert delay_ms(1, replace(asked, wait_ms=1), RETRIES, 0.5) == 5_000
