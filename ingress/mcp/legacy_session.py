"""A session of the handshake era."""

from common.store.sessions import Session, SessionStore


class LegacySession:
    """A client's session, as one of its requests finds it."""

    def __init__(self, stored: Session, store: SessionStore) -> None:
        self.id = stored.id
        self.capabilities = stored.capabilities
        self.log_level = stored.log_level  # None: it asked for no log lines
        self._store = store

    async def set_level(self, level: str) -> None:
        """For its next requests, wherever they go."""
        await self._store.set_level(self.id, level)
