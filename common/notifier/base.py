"""The `Notifier` port: hints without guarantee. A fact is never carried by a hint alone.

Channels are named here. `watch` channels carry what the store tells an ingress about jobs; a worker
has one for orders; `news` is heard by everyone.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from common.values import value_type

NEWS = "news"  # payload: b"catalogue" when the catalogue has changed, or one of these
KEYS_CHANGED = b"keys"
DOCUMENTS_CHANGED = b"documents:"  # and the caller whose list has changed; nobody: everyone's
ORDERS_CHANGED = b"orders"  # what operators ordered about backends
BRIDGES = "bridges"  # payload: which call of which bridge its client cancelled; for ingresses
SESSIONS = "sessions"  # what happens to handshake-era sessions; for ingresses


def ingress_channel(lease: str) -> str:
    return f"in:{lease}"


def asking_channel(lease: str) -> str:
    """What operators want to know of a worker; answered on the channel that they name."""
    return f"ask:{lease}"


def reply_channel(request: str) -> str:
    """Where whoever asked listens for as long as it waits."""
    return f"re:{request}"


def worker_channel(lease: str) -> str:
    return f"w:{lease}"


@value_type(frozen=True, slots=True)
class Hint:
    channel: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Hints may have been missed (start, or a lost connection): read what you wait for again."""


class Notifier(Protocol):
    async def publish(self, channel: str, payload: bytes) -> None:
        """Tell whoever listens now; never raises for a lost connection."""
        ...

    def listen(
        self, channels: Sequence[str]
    ) -> AbstractAsyncContextManager[AsyncIterator[Hint | Gap]]:
        """Hints of these channels; entered once the subscription stands. Begins with a `Gap`."""
        ...

    async def aclose(self) -> None: ...
