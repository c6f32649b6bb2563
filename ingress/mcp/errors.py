"""What goes wrong, as JSON-RPC says it. The one table; nothing else makes error codes from ours."""

from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from common.errors import (
    CallbackRefusedError,
    KeyConflictError,
    LonghaulError,
    NotFoundError,
    RefusedError,
    StoreUnreachableError,
)
from common.ledger import ContendedError

RETRY_AFTER = 5.0  # seconds
CONTENDED_RETRY_AFTER = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WireError:
    code: int
    message: str
    data: Any = None
    retry_after: float | None = None  # seconds; over HTTP this is 503 with Retry-After

    def raised(self) -> MCPError:
        return MCPError(self.code, self.message, self.data)


def wire_error(error: LonghaulError, job: str) -> WireError:
    """`job` is the id of the record that may stand, empty when there can be none.

    "Retryable" is said only where nothing can run (DESIGN 9, Errors).
    """
    match error:
        case NotFoundError() | KeyConflictError() | CallbackRefusedError():
            return WireError(code=types.INVALID_PARAMS, message=str(error))
        case RefusedError(retry_after=None):
            return WireError(
                code=types.INTERNAL_ERROR, message=str(error), data={"retryable": False}
            )
        case RefusedError(retry_after=float(after)):
            return _try_again(str(error), after)
        case StoreUnreachableError() if not job or error.nothing_written:
            return _try_again("the store does not answer; nothing was started", RETRY_AFTER)
        case StoreUnreachableError():
            return WireError(
                code=types.INTERNAL_ERROR,
                message=f"the store does not answer; the call may go on as job {job}: do not "
                f"repeat it before `longhaul jobs show {job}` says how it stands",
                data={"retryable": False, "job": job},
            )
        case ContendedError() if not job:
            return _try_again("the job kept changing; nothing was done", CONTENDED_RETRY_AFTER)
        case ContendedError():
            return WireError(
                code=types.INTERNAL_ERROR,
                message=f"job {job} kept changing; `longhaul jobs show {job}` says how it stands",
                data={"retryable": False, "job": job},
            )
        case _:
            return WireError(code=types.INTERNAL_ERROR, message="Internal error")


def _try_again(message: str, after: float) -> WireError:
    return WireError(
        code=types.INTERNAL_ERROR,
        message=message,
        data={"retryable": True, "retryAfterMs": round(after * 1000)},
        retry_after=after,
    )
