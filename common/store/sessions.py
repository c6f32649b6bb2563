"""The `SessionStore` port: handshake-era sessions, so that every ingress serves every client.

Contract, held by `tests/contract/test_store_sessions.py` on every implementation:

* A session that nobody asked for within `Timings.session_ms` is gone; asking is the sign of life.
* What a client says to one ingress about a call that another one holds is left as a note before
  anyone is told, and may be read for `Timings.session_note_ms`.

Every method raises `StoreUnreachableError` when the store does not answer in time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

SEEN_WITHIN = 30  # a sign of life is written when a 30th of `session_ms` has passed since the last


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A client between its `initialize` and its DELETE."""

    id: str
    caller: str
    version: str  # of the protocol, as negotiated
    client: Mapping[str, Any] = field(default_factory=dict)  # `clientInfo`, as it came
    capabilities: Mapping[str, Any] = field(default_factory=dict)  # as it came
    log_level: str | None = None  # None: it asked for no log lines
    created_at: int = 0  # ms, the store's time; as `seen_at` the store's own to set
    seen_at: int = 0


class SessionStore(Protocol):
    async def create(self, session: Session, *, limit: int) -> bool:
        """Store it; False when there are `limit` of them already."""
        ...

    async def get(self, session_id: str) -> Session | None:
        """The session, which counts as a sign of life; None when it is unknown, ended or gone."""
        ...

    async def set_level(self, session_id: str, level: str) -> bool:
        """False when there is no such session."""
        ...

    async def delete(self, session_id: str) -> bool:
        """False when there was no such session."""
        ...

    async def leave(self, session_id: str, name: str, body: bytes) -> None:
        """A note to whoever holds what `name` says; the newest of a name counts."""
        ...

    async def notes(self, session_id: str, names: Sequence[str]) -> Mapping[str, bytes]:
        """Those of the notes that are there."""
        ...
