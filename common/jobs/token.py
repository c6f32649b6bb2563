"""The token: the broker message that says "this job may run". A wake-up, never the truth."""

from collections.abc import Mapping

import orjson

from common.values import value_type

TOKEN_FORMAT = 1


class MalformedTokenError(ValueError):
    """The bytes of a delivery are not a token; they become a dead letter as they are."""


@value_type(frozen=True, slots=True, kw_only=True)
class ToolRef:
    """Which tool a job runs; on a token it serves only the worker's local preconditions."""

    backend: str
    tool: str  # the backend's own name for it
    version: str  # digest of the tool's definition


@value_type(frozen=True, slots=True, kw_only=True)
class Token:
    job: str
    generation: int  # grows each time a job goes back to the queue for a new reason
    version: int  # of the record when the token was made: a first claim needs no read
    tool: ToolRef
    format: int = TOKEN_FORMAT
    raw: bytes = b""  # as it came, when its format is newer than ours: it is passed on like that


def encode_token(token: Token) -> bytes:
    if token.raw:
        return token.raw
    tool = token.tool
    return orjson.dumps(
        {
            "v": token.format,
            "job": token.job,
            "generation": token.generation,
            "version": token.version,
            "tool": [tool.backend, tool.tool, tool.version],
        }
    )


def decode_token(raw: bytes) -> Token:
    """Read a token of this or an older format; of a newer one only that it is one.

    Raises:
        MalformedTokenError: Not a token of any format.
    """
    try:
        body = orjson.loads(raw)
        if isinstance(body["v"], int) and body["v"] > TOKEN_FORMAT:
            return _newer(body, raw)
        backend, tool, tool_version = body["tool"]
        token = Token(
            format=body["v"],
            job=body["job"],
            generation=body["generation"],
            version=body["version"],
            tool=ToolRef(backend=backend, tool=tool, version=tool_version),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise MalformedTokenError(f"not a token: {error}") from error
    numbers = type(token.format), type(token.generation), type(token.version)
    if type(token.job) is not str or numbers != (int, int, int):
        raise MalformedTokenError("not a token: a field has the wrong type")
    if not token.job or token.generation < 1 or token.version < 1:
        # A commit at version 0 makes a record: a claim must never do that.
        raise MalformedTokenError("not a token: it stands for no record")
    return token


def _newer(body: Mapping[str, object], raw: bytes) -> Token:
    """Every format keeps `v` and `job`; the rest is for those who know it."""
    return Token(
        format=int(str(body["v"])),
        job=str(body["job"]),
        generation=1,
        version=1,
        tool=ToolRef(backend="", tool="", version=""),
        raw=raw,
    )
