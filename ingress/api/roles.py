"""Which role a route needs: one table. A route that is not in it is for admins alone.

Whose job it is decides the job's own lookup: for a `user` somebody else's does not exist.
"""

from collections.abc import Awaitable, Callable

from fastapi import Request

from common.api_keys import Role
from common.config.model import Documents
from common.errors import ForbiddenError
from common.runtime import Runtime
from ingress.caller import Caller

MCP = ("*", "/mcp")  # everybody: over MCP there are only jobs of one's own
PUT_DOCUMENT = ("PUT", "/v1/blobs")
NEEDED = {
    MCP: Role.USER,
    ("POST", "/v1/jobs"): Role.USER,
    ("GET", "/v1/jobs"): Role.USER,
    ("GET", "/v1/jobs/{job_id}"): Role.USER,
    ("DELETE", "/v1/jobs/{job_id}"): Role.USER,
    ("POST", "/v1/jobs/{job_id}/answer"): Role.USER,
    ("POST", "/v1/jobs/{job_id}/callback/replay"): Role.USER,
    ("GET", "/v1/callbacks"): Role.USER,
    ("GET", "/v1/jobs/{job_id}/result"): Role.USER,
    ("GET", "/v1/jobs/{job_id}/files/{name}"): Role.USER,
    ("GET", "/v1/jobs/{job_id}/events"): Role.USER,
    ("GET", "/v1/jobs/{job_id}/output"): Role.USER,
    ("POST", "/v1/batches"): Role.USER,
    ("GET", "/v1/batches"): Role.USER,
    ("GET", "/v1/batches/{batch_id}"): Role.USER,
    ("GET", "/v1/batches/{batch_id}/results"): Role.USER,
    ("DELETE", "/v1/batches/{batch_id}"): Role.USER,
    ("POST", "/v1/batches/{batch_id}/retry"): Role.USER,
    ("GET", "/v1/dead-letters"): Role.USER,
    ("GET", "/v1/dead-letters/{letter_id}"): Role.USER,
    ("POST", "/v1/dead-letters/{letter_id}/replay"): Role.OPERATOR,
    ("POST", "/v1/dead-letters/replay"): Role.OPERATOR,
    ("DELETE", "/v1/dead-letters/{letter_id}"): Role.OPERATOR,
    ("GET", "/v1/tools"): Role.USER,
    ("GET", "/v1/tools/{name}"): Role.USER,
    # Sums over everybody, without a caller in them.
    ("GET", "/v1/queues"): Role.USER,
    ("POST", "/v1/queues/{name}/pause"): Role.OPERATOR,
    ("POST", "/v1/queues/{name}/resume"): Role.OPERATOR,
    ("GET", "/metrics"): Role.USER,
    # Hosts, processes, and what backends wrote to stderr.
    ("GET", "/v1/workers"): Role.OPERATOR,
    ("GET", "/v1/backends"): Role.OPERATOR,
    ("POST", "/v1/backends/{name}/disable"): Role.OPERATOR,
    ("POST", "/v1/backends/{name}/enable"): Role.OPERATOR,
    ("POST", "/v1/backends/{name}/restart"): Role.OPERATOR,
    ("GET", "/v1/backends/{name}/logs"): Role.OPERATOR,
    ("DELETE", "/v1/backends/{name}"): Role.OPERATOR,
    # Those that the caller may see. Who may put: `documents.put` may say another role.
    PUT_DOCUMENT: Role.OPERATOR,
    ("GET", "/v1/blobs"): Role.USER,
    ("GET", "/v1/blobs/{sha256}"): Role.USER,
    ("DELETE", "/v1/blobs/{sha256}"): Role.USER,
    ("GET", "/v1/keys"): Role.ADMIN,
    ("POST", "/v1/keys"): Role.ADMIN,
    ("DELETE", "/v1/keys/{name}"): Role.ADMIN,
}


def needed(method: str, path: str, documents: Documents) -> Role:
    if (method, path) == PUT_DOCUMENT:
        return Role(documents.put)
    read = "GET" if method == "HEAD" else method
    return NEEDED.get((read, path), Role.ADMIN)


def guard(prefix: str = "") -> Callable[[Request], Awaitable[None]]:
    """A dependency of routes that stand under this prefix.

    Raises:
        ForbiddenError: The caller's key has not the role that the route needs.
    """

    async def check(request: Request) -> None:
        caller = request.scope["state"]["caller"]
        assert isinstance(caller, Caller)  # noqa: S101 - the door put it there
        runtime: Runtime = request.app.state.runtime
        path = prefix + request.scope["route"].path
        role = needed(request.method, path, runtime.settings.documents)
        if not caller.role.allows(role):
            runtime.metrics.refuse("role")
            raise ForbiddenError(needs=role, has=caller.role)

    return check
