"""What can go wrong, and the words that callers and operators get for it.

LonghaulError
├── NotFoundError          no such job, tool, queue for this caller
├── ForbiddenError         the role of the caller's key does not allow it
├── InvalidRowsError       rows of a batch that cannot be read as a whole
├── InvalidCallError       arguments against the tool's schema
│   └── InvalidAnswerError an answer against what was asked
├── CallbackRefusedError   the URL to be told is not one that may be asked
├── NoCallbackError        nothing of the job can be sent again
├── KeyConflictError       the idempotency key of another call
├── MayHaveRunError        a lost job is replayed only by somebody who says so
├── NotReplayableError     a dead letter that is no job
├── StillServedError       a backend that a worker runs is not forgotten
├── RefusedError           admission: too many, too large
├── StoreUnreachableError  the store does not answer
│   └── BlobsUnreachableError  the place of large results and arguments does not
├── ContendedError         in common.ledger: the record kept moving
└── ConfigError            in common.config: the configuration cannot be used

`BrokerError` lives with its port: it never reaches a caller, a stored job waits instead.
"""

# JSON-RPC codes of our own; the protocol reserves -32768 to -32000.
TIMED_OUT = -31_001  # one of the job's clocks ran out
BACKEND_GONE = -31_002  # the backend could not be reached, or went away, and tries are used up
CANCELLED = -31_003
OUTCOME_UNKNOWN = -31_004
UNANSWERED = -31_005  # a question of its tool was refused, and the tool cannot be told
NOT_KEPT = -31_006  # the tool has answered, but the answer could not be stored
TOO_LARGE = -31_009  # the answer has more bytes than may be kept; `data` names both
OVERLOADED = -31_007  # the backend had too much to do, each time
TOOL_GONE = -31_010  # its backend was forgotten while the job waited
ROW_REFUSED = -31_011  # a row of a batch that cannot be a call; nothing was started
TOOL_FAILED = -31_008  # every try ended with the tool's own error; `data.result` is the last one


class LonghaulError(Exception):
    """Something we can tell a caller about."""


class NotFoundError(LonghaulError):
    """It does not exist for this caller."""


class ForbiddenError(LonghaulError):
    """The caller is known, and its key has not the role that this needs."""

    def __init__(self, *, needs: str, has: str) -> None:
        super().__init__(f"this needs a key with the role {needs}; yours has the role {has}")
        self.needs = needs
        self.has = has


class InvalidCallError(LonghaulError):
    """The arguments do not fit the tool's schema; the text names path and rule."""


class InvalidRowsError(LonghaulError):
    """The rows of a batch cannot be read as a whole; the text says why."""


class InvalidAnswerError(InvalidCallError):
    """An answer does not fit its question; the text names key, path and rule."""


class CallbackRefusedError(LonghaulError):
    """The URL that a caller wants to be told at may not be asked; the text says why."""


class NoCallbackError(LonghaulError):
    """The job names no URL, or has not ended."""


class KeyConflictError(LonghaulError):
    """The caller gave this idempotency key with another call; nothing was stored."""


class MayHaveRunError(LonghaulError):
    """The tool may have done it: a replay needs the word of somebody who looked."""

    def __init__(self, job: str) -> None:
        super().__init__(
            f"job {job} is lost: its tool may have run. Look whether it did; `lost: true` "
            "(`--lost`) replays it all the same"
        )


class NotReplayableError(LonghaulError):
    """There is nothing to run."""


class StillServedError(LonghaulError):
    """A live worker runs the backend; the text names it."""


class RefusedError(LonghaulError):
    """Admission said no; nothing was stored."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after  # seconds; None: repeating it will not help


class StoreUnreachableError(LonghaulError):
    """The store did not answer in time; what was asked of it may have happened all the same."""

    def __init__(self, message: str, *, nothing_written: bool = False) -> None:
        super().__init__(message)
        self.nothing_written = nothing_written  # it cannot have happened


class BlobsUnreachableError(StoreUnreachableError):
    """What is kept beside the records cannot be written or read now."""

    def __init__(self, message: str) -> None:
        super().__init__(message, nothing_written=True)  # a blob comes before what names it
