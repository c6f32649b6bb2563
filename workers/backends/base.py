"""What a worker sees of a backend: a place for one call, the call itself, and how it can fail."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from common.values import value_type
from workers.backends.breaker import BreakerState
from workers.backends.parting import Parting

Era = Literal["modern", "legacy"]
LOG_LEVEL = "info"  # what backends are asked to send; callers hear what they asked for

ReplicaState = Literal["starting", "ready", "backoff", "stopped"]


@value_type(frozen=True, slots=True, kw_only=True)
class Call:
    """One tool call as it goes to a backend."""

    tool: str  # the backend's own name
    arguments: Mapping[str, Any] | None = None
    meta: Mapping[str, Any]  # the caller's `_meta` to pass on, without its progressToken
    client_capabilities: Mapping[str, Any]  # the caller's; only modern backends are told
    log_level: str | None = None  # only modern backends are told
    input_responses: Mapping[str, Any] | None = None  # answers of a modern question round
    request_state: str | None = None  # returned to the backend byte for byte
    task: str | None = None  # the backend's own task to go on with: the tool is not called again


class Listener(Protocol):
    """Hears a running call. Never blocks, may be called from any task of the loop."""

    def progress(self, value: float, total: float | None, message: str | None) -> None: ...

    def output(self, text: str) -> None:
        """A piece of what the tool produces, as it says with its progress or its log."""
        ...

    def checkpoint(self, said: object) -> None:
        """How far the tool has come, in its own JSON: its next try begins from the newest."""
        ...

    def log(self, params: Mapping[str, Any]) -> None:
        """The params of a `notifications/message` that belongs to this call and no other."""
        ...

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put a question that the backend asks in mid-call; the result to reply with.

        Cancelled when the call ends first.

        Raises:
            ProtocolFailure: The error to reply with.
        """
        ...

    async def entrusted(self, task: str) -> None:
        """The backend runs the call as a task of its own; it is followed once this returns."""
        ...


class BackendError(Exception):
    """A call that ended without a tool result."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after  # seconds that the backend asks to wait; None: it did not


class NotStarted(BackendError):
    """Provably not run: nothing was written, or the backend refused before running anything."""


class Overloaded(BackendError):
    """The backend has too much to do and refused before it ran anything."""


class ConnectionLost(BackendError):
    """The request was written and no answer came: the outcome is unknown."""


class ProtocolFailure(BackendError):
    """The backend answered with a JSON-RPC error."""

    def __init__(
        self, code: int, message: str, data: Any = None, *, retry_after: float | None = None
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.code = code
        self.data = data


class StateRefused(ProtocolFailure):
    """The backend does not take its own `requestState` back: expired, or of another process."""


class TaskUnknown(BackendError):
    """The backend does not know its own task, or no longer: what became of it is unknown."""


class InputRequired(BackendError):
    """The backend wants answers before it goes on; this call is over (2026-07-28)."""

    def __init__(self, requests: Mapping[str, Any], request_state: str | None) -> None:
        super().__init__("the backend asks before it goes on")
        self.requests = requests  # by the backend's keys: {"method", "params"}; may be empty
        self.request_state = request_state


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolListing:
    """What a backend offers, as it said it."""

    backend: str
    protocol_version: str
    era: Era
    server_info: dict[str, Any]
    instructions: str | None
    tools: tuple[dict[str, Any], ...]  # definitions verbatim
    dropped: tuple[tuple[str, str], ...]  # (name, reason): no tool a client could be shown
    bad_headers: tuple[tuple[str, str], ...]  # (name, reason): listed, but not for modern clients
    capabilities: dict[str, Any]


OnTools = Callable[[ToolListing], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStatus:
    state: ReplicaState
    since: float  # seconds since the epoch
    protocol_version: str | None
    in_flight: int
    restarts: int
    pid: int | None  # stdio only; also its process group
    url: str | None  # HTTP only
    last_error: str | None
    last_stderr: str | None
    breaker: BreakerState = "closed"
    breaker_until: float | None = None  # seconds since the epoch, while it is open
    breaker_why: str = ""
    failed_looks: int = 0  # in a row
    look_error: str | None = None  # of the newest look, when it failed
    retiring: str | None = None  # takes no more calls, and why; it is started again


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendStatus:
    name: str
    transport: str
    disabled: bool
    replicas: tuple[ReplicaStatus, ...]


class Connection(Protocol):
    """One live connection to a replica, shared by all its calls."""

    @property
    def ready(self) -> bool: ...

    async def call(self, call: Call, listener: Listener, parting: Parting) -> dict[str, Any]:
        """See `Place.call`; `parting` hears whether the tool of a cancelled call lets go."""
        ...

    async def cancel_task(self, call: Call) -> None: ...


@value_type(frozen=True, slots=True)
class Verdict:
    """What a call has shown about its replica."""

    failure: str | None  # None: it works


class Keeper(Protocol):
    """Who gave a place, and looks after the replica it is on."""

    def judge(self, verdict: Verdict) -> None:
        """What the call has shown; may come before the place is given back."""
        ...

    async def see_off(self, parting: Parting) -> None:
        """Until the tool of a cancelled call has let go, as far as that can be known."""
        ...

    def give_back(self, parting: Parting | None) -> None:
        """The place is free, once this cancelled call has been seen off."""
        ...


class Place:
    """Room for one call on one live replica; given back once, by `release` or leaving the block."""

    __slots__ = ("_connection", "_keeper", "_others", "_parting")

    def __init__(
        self, connection: Connection, keeper: Keeper, others: Sequence[Connection] = ()
    ) -> None:
        self._connection = connection
        self._keeper: Keeper | None = keeper
        self._others = others  # to the backend's other replicas
        self._parting = Parting()

    async def call(self, call: Call, listener: Listener) -> dict[str, Any]:
        """The raw result, verbatim. No clock runs here; cancelling it cancels at the backend.

        Where the backend made a task of its own of it, cancelling only stops following it.

        Raises:
            NotStarted: the backend provably did not run it.
            Overloaded: nor did it here; it has too much to do.
            ConnectionLost: it may have run; with a task, it can be followed again.
            ProtocolFailure: the backend answered with a JSON-RPC error.
            InputRequired: it asks before it goes on.
            TaskUnknown: no replica knows the task to go on with.
        """
        try:
            return await self._connection.call(call, listener, self._parting)
        except TaskUnknown as error:
            return await self._elsewhere(call, listener, error)

    def judge(self, verdict: Verdict | None) -> None:
        """What the call has shown about the replica; None: nothing."""
        if self._keeper is not None and verdict is not None:
            self._keeper.judge(verdict)

    async def let_go(self) -> None:
        """After a cancelled call: until its tool has let go, as far as that can be known."""
        if self._keeper is not None and self._parting.begun:
            await self._keeper.see_off(self._parting)
            self._parting.end()

    async def cancel_task(self, call: Call) -> None:
        """Tell the backend that its task is wanted no longer.

        Raises:
            BackendError: It could not be told, or did not want to be.
        """
        await self._connection.cancel_task(call)

    async def _elsewhere(
        self, call: Call, listener: Listener, error: TaskUnknown
    ) -> dict[str, Any]:
        """Replicas need not share their tasks: look for the one that has this."""
        for other in self._others:
            if not other.ready:
                raise ConnectionLost("a replica that may know the task is not up") from error
            self._connection = other
            with suppress(TaskUnknown):
                return await other.call(call, listener, self._parting)
        raise error

    def release(self) -> None:
        """It counts as taken for as long as the tool of a cancelled call has not let go."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.give_back(None if self._parting.over else self._parting)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
