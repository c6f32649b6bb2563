"""What only the notifier within a process promises."""

import pytest

from common.notifier.base import Gap, Hint
from common.notifier.memory import KEPT, MemoryNotifier

pytestmark = pytest.mark.anyio


async def test_a_listener_that_is_too_slow_sees_a_gap_and_what_came_after() -> None:
    notifier = MemoryNotifier()
    async with notifier.listen(["a"]) as hints:
        for number in range(KEPT + 1):
            notifier.tell("a", str(number).encode())
        assert await anext(hints) == Gap()
        rest = [await anext(hints), await anext(hints)]
        assert rest == [Hint("a", str(KEPT - 1).encode()), Hint("a", str(KEPT).encode())]


async def test_a_slow_listener_costs_the_others_nothing() -> None:
    notifier = MemoryNotifier()
    async with notifier.listen(["a"]), notifier.listen(["a"]) as quick:
        assert await anext(quick) == Gap()
        for number in range(KEPT + 10):
            notifier.tell("a", str(number).encode())
            assert await anext(quick) == Hint("a", str(number).encode())


async def test_a_listener_may_leave_while_others_are_told() -> None:
    notifier = MemoryNotifier()
    async with notifier.listen(["a", "a"]):
        async with notifier.listen(["a"]):
            pass
        notifier.tell("a", b"1")
    notifier.tell("a", b"2")
