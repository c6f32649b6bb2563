"""The `Notifier` port's promises, on every implementation."""

from collections.abc import AsyncIterator

import anyio
import pytest

from common.clock import SystemClock
from common.notifier.base import Gap, Hint, Notifier
from common.notifier.open import open_notifier
from tests.support.hearing import listening
from tests.support.namespaces import Namespace
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.anyio


@pytest.fixture
async def notifier(store_url: str, namespace: Namespace) -> AsyncIterator[Notifier]:
    async with open_notifier(store_url, namespace, SystemClock()) as opened:
        yield opened


async def test_listening_begins_with_a_gap(notifier: Notifier) -> None:
    async with notifier.listen(["a"]) as hints:
        with anyio.fail_after(PATIENCE):
            assert await anext(hints) == Gap()


async def test_a_listener_hears_its_channels_in_order_and_no_others(notifier: Notifier) -> None:
    async with listening(notifier, "a", "b") as heard:
        sent = [Hint(channel, bytes([number])) for number in range(20) for channel in "bca"]
        for hint in sent:
            await notifier.publish(hint.channel, hint.payload)
        assert await heard.all() == [hint for hint in sent if hint.channel != "c"]


async def test_every_channel_stands_once_the_listener_is_entered(notifier: Notifier) -> None:
    channels = [f"c{number}" for number in range(20)]
    async with notifier.listen(channels) as hints:
        for channel in reversed(channels):
            await notifier.publish(channel, b"now")
        with anyio.fail_after(PATIENCE):
            heard: set[str] = set()
            while len(heard) < len(channels):
                hint = await anext(hints)
                if isinstance(hint, Hint):
                    heard.add(hint.channel)


async def test_every_listener_of_a_channel_hears_it(notifier: Notifier) -> None:
    async with notifier.listen(["a"]) as one, notifier.listen(["a", "b"]) as other:
        await notifier.publish("a", b"1")
        for hints in (one, other):
            with anyio.fail_after(PATIENCE):
                while await anext(hints) != Hint("a", b"1"):
                    pass


async def test_what_is_published_without_a_listener_is_gone(notifier: Notifier) -> None:
    await notifier.publish("a", b"early")
    async with listening(notifier, "a") as heard:
        assert await heard.all() == []
    await notifier.publish("a", b"late")


async def test_any_bytes_arrive_as_they_are(notifier: Notifier) -> None:
    payloads = [b"", bytes(range(256)), b"x" * 1_000_000]
    async with listening(notifier, "a") as heard:
        for payload in payloads:
            await notifier.publish("a", payload)
        assert [hint.payload for hint in await heard.all()] == payloads


async def test_namespaces_do_not_hear_each_other(notifier: Notifier, store_url: str) -> None:
    async with (
        open_notifier(store_url, Namespace.fresh(), SystemClock()) as other,
        listening(notifier, "a") as heard,
    ):
        await other.publish("a", b"theirs")
        async with listening(other, "a") as theirs:
            await notifier.publish("a", b"ours")
            assert await theirs.all() == []
        assert await heard.all() == [Hint("a", b"ours")]
