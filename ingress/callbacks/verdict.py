"""What an answer to a callback means, and what becomes of the callback then. Pure."""

from dataclasses import dataclass

from common.jobs.callbacks import deliver, give_up, postpone
from common.jobs.change import Change
from common.jobs.head import Head
from ingress.callbacks.post import Answered, NotSent

GONE = 410
LONGEST_WAIT_MS = 24 * 3_600_000  # that a receiver may ask for
SPREAD = 0.25  # of a delay, either way: many that failed together do not come back together


@dataclass(frozen=True, slots=True)
class Delivered:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    error: str
    final: bool = False  # the receiver wants no more
    wait_ms: int = 0  # that it asks for


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    attempts: int  # tries in all
    first_ms: int
    max_ms: int
    kept_ms: int  # how long one that was given up can be replayed, at least


def verdict_on(answer: Answered | NotSent) -> Delivered | Failed:
    """Only 2xx is a yes. What a client did wrong may be the receiver's mistake: tried again."""
    match answer:
        case NotSent(why=why):
            return Failed(error=why)
        case Answered(status=status) if 200 <= status < 300:
            return Delivered()
        case Answered(status=status) if 300 <= status < 400:
            return Failed(error=f"HTTP {status}: redirects are not followed")
        case Answered(status=status) if status == GONE:
            return Failed(error="HTTP 410: the receiver wants no more", final=True)
        case Answered(status=status, retry_after=after):
            return Failed(error=f"HTTP {status}", wait_ms=round((after or 0.0) * 1000))


def settle(
    head: Head, verdict: Delivered | Failed, retries: Retries, chance: float, now: int
) -> Change:
    """`chance` is from 0 to 1; `now` is the store's time, in milliseconds."""
    if isinstance(verdict, Delivered):
        return deliver(head)
    if verdict.final or head.callback_tries >= retries.attempts:
        return give_up(head, verdict.error, now + retries.kept_ms)
    return postpone(head, delay_ms(head.callback_tries, verdict, retries, chance), verdict.error)


def delay_ms(tried: int, verdict: Failed, retries: Retries, chance: float) -> int:
    """Until the try after this many; the receiver's own wish counts when it is for longer."""
    doubled = min(retries.max_ms, retries.first_ms << min(tried - 1, 30))
    spread = round(doubled * (1 - SPREAD + 2 * SPREAD * chance))
    return max(spread, min(verdict.wait_ms, LONGEST_WAIT_MS))
