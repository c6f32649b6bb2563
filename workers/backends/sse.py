"""Server-sent events out of bytes, in whatever pieces they come."""

from dataclasses import dataclass

from workers.backends.jsonrpc import MAX_MESSAGE


class TooLong(Exception):
    """One event is larger than a message may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    name: str  # empty: "message"
    data: bytes
    last_id: str | None  # the newest id of the stream so far
    retry: float | None  # seconds, as the server asked in this event


class EventParser:
    """Feed it bytes, get whole events. An event cut off by the end of the stream never was."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._name = ""
        self._data: list[bytes] = []
        self._last_id: str | None = None
        self._retry: float | None = None
        self._touched = False

    def feed(self, chunk: bytes) -> list[Event]:
        """The events completed by this chunk.

        Raises:
            TooLong: Give the stream up.
        """
        self._size += len(chunk)
        if self._size > MAX_MESSAGE:
            raise TooLong
        self._pieces.append(chunk)
        if b"\n" not in chunk and b"\r" not in chunk:
            return []
        lines, rest = _split(b"".join(self._pieces))
        self._pieces = [rest]
        events = [event for line in lines if (event := self._line(line)) is not None]
        if events or not self._data:
            self._size = len(rest) + sum(map(len, self._data))
        return events

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._complete()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case b"data":
                self._data.append(value)
            case b"event":
                self._name = value.decode("utf-8", "replace")
            case b"id" if b"\0" not in value:
                self._last_id = value.decode("utf-8", "replace")
            case b"retry" if value.isdigit():
                self._retry = int(value) / 1000
            case _:  # a comment, or a field of later days
                return None
        self._touched = True
        return None

    def _complete(self) -> Event | None:
        if not self._touched:
            return None
        event = Event(
            name=self._name,
            data=b"\n".join(self._data),
            last_id=self._last_id,
            retry=self._retry,
        )
        self._name, self._data, self._retry, self._touched = "", [], None, False
        return event


def _split(data: bytes) -> tuple[list[bytes], bytes]:
    """Whole lines, and what may go on. A last CR may be half of a CRLF, so it waits."""
    ends_whole = data.endswith(b"\n")
    lines = data.splitlines() if ends_whole else data.splitlines(keepends=True)
    if ends_whole or not lines:
        return lines, b""
    rest = lines.pop()
    return [line.rstrip(b"\r\n") for line in lines], rest
