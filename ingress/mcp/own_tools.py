"""The tools that Longhaul itself offers, so that any client can go on with a job by its id. Pure.

They declare no output schema: what they return is another tool's result.
"""

from collections.abc import Mapping
from typing import Any

from common.catalogue import CatalogueTool, tool_version
from common.config.names import OWN_TOOLS
from common.jobs.idempotency import KEY_PATTERN

WAIT, RESULT, CANCEL, JOBS, BATCH = OWN_TOOLS
MOST_IDS = 50  # jobs that one call waits for
PAGE = 20  # jobs, or results of a batch, that one answer lists
CURSOR = "^[0-9]{1,15}$"  # of a job's output, or of a batch's results
MOST_ROWS = 10_000  # of a batch, inline; more are a document

_ID = {
    "type": "string",
    "description": "The id of the job or batch, as the answer to the call gave it.",
}
_READS: Mapping[str, Any] = {"readOnlyHint": True, "openWorldHint": False}


def _tool(
    name: str, title: str, description: str, schema: dict[str, Any], annotations: Mapping[str, Any]
) -> CatalogueTool:
    definition = {
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": {"type": "object", "additionalProperties": False, **schema},
        "annotations": dict(annotations),
    }
    return CatalogueTool(
        name=name,
        backend="longhaul",
        backend_tool=name,
        version=tool_version(definition),
        definition=definition,
        trusted=True,
    )


TOOLS: Mapping[str, CatalogueTool] = {
    tool.name: tool
    for tool in (
        _tool(
            WAIT,
            "Wait for jobs",
            "Waits for tool calls that were answered with a job id, and returns their results; for "
            "batches, and says what came of them. Call it again while it says that one still runs.",
            {
                "properties": {
                    "ids": {"type": "array", "items": _ID, "minItems": 1, "maxItems": MOST_IDS},
                    "until": {
                        "enum": ["all", "any"],
                        "description": "Wait for all of the jobs (default), or for the first.",
                    },
                    "seconds": {
                        "type": "number",
                        "minimum": 0,
                        "description": "How long to wait; by default as long as this client can.",
                    },
                },
                "required": ["ids"],
            },
            _READS,
        ),
        _tool(
            RESULT,
            "Result of a job",
            "Returns the result of a job that has ended, else how far it is and what its tool has "
            "said so far; of a batch how far it is, its errors, and results of its rows. "
            "Does not wait.",
            {
                "properties": {
                    "id": _ID,
                    "cursor": {
                        "type": "string",
                        "pattern": CURSOR,
                        "description": "Of an earlier answer: only what came after it.",
                    },
                },
                "required": ["id"],
            },
            _READS,
        ),
        _tool(
            CANCEL,
            "Cancel a job",
            "Stops a job, or what has not ended of a batch; results that come later are dropped.",
            {"properties": {"id": _ID}, "required": ["id"]},
            {"destructiveHint": True, "idempotentHint": True, "openWorldHint": False},
        ),
        _tool(
            JOBS,
            "Your jobs",
            f"Lists your jobs, the newest first, {PAGE} at a time: their ids, tools and states.",
            {
                "properties": {
                    "cursor": {"type": "string", "description": "Where the last list ended."}
                }
            },
            _READS,
        ),
        _tool(
            BATCH,
            "Call a tool many times",
            "Calls one tool once for each row, as one batch that goes on by itself; answers at "
            "once with its id. Each row is the arguments of one call. Use it instead of calling a "
            "tool many times.",
            {
                "properties": {
                    "tool": {"type": "string", "description": "The tool's name, as listed here."},
                    "rows": {
                        "type": "array",
                        "items": {"type": "object"},
                        "minItems": 1,
                        "maxItems": MOST_ROWS,
                    },
                    "blob": {
                        "type": "string",
                        "pattern": "^[0-9a-f]{64}$",
                        "description": "Instead of rows: the SHA-256 of a stored document with a "
                        "JSON object per line, or of a CSV.",
                    },
                    "in_flight": {
                        "type": "integer",
                        "minimum": 1,
                        "description": "How many rows may be under way at once.",
                    },
                    "priority": {"type": "integer", "minimum": 0, "maximum": 9},
                    "key": {
                        "type": "string",
                        "pattern": f"^{KEY_PATTERN}$",
                        "description": "The same key with the same rows is the same batch.",
                    },
                },
                "required": ["tool"],
                "oneOf": [{"required": ["rows"]}, {"required": ["blob"]}],
            },
            {"destructiveHint": True, "openWorldHint": True},
        ),
    )
}
