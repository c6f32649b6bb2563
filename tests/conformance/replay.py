"""Events kept for a client whose stream was closed and that comes back for the rest."""

from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from mcp_types import JSONRPCMessage
from typing_extensions import override


class RememberedEvents(EventStore):
    """Every event of every stream, for as long as the process lives."""

    def __init__(self) -> None:
        self._events: list[tuple[StreamId, JSONRPCMessage | None]] = []

    @override
    async def store_event(self, stream_id: StreamId, message: JSONRPCMessage | None) -> EventId:
        self._events.append((stream_id, message))
        return str(len(self._events) - 1)

    @override
    async def replay_events_after(
        self, last_event_id: EventId, send_callback: EventCallback
    ) -> StreamId | None:
        seen = int(last_event_id)
        stream_id, _ = self._events[seen]
        for number, (stream, message) in enumerate(self._events[seen + 1 :], seen + 1):
            if stream == stream_id and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream_id
