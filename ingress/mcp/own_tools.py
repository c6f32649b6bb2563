"""The tools that Longhaul itself offers, so that any client can go on with a job by its id. Pure.

They declare no output schema: what they return is another tool's result.
"""

from collections.abc import Mapping
from typing import Any

from common.catalogue import CatalogueTool, tool_version
from common.config.names import OWN_TOOLS

WAIT, RESULT, CANCEL, JOBS = OWN_TOOLS
MOST_IDS = 50  # jobs that one call waits for
PAGE = 20  # jobs that one answer lists
CURSOR = "^[0-9]{1,15}$"  # of a job's output

_ID = {"type": "string", "description": "The id of the job, as the answer to the call gave it."}
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
            "Waits for tool calls that were answered with a job id, and returns their results. "
            "Call it again while it says that a job still runs.",
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
            "said so far. Does not wait.",
            {
                "properties": {
                    "id": _ID,
                    "cursor": {
                        "type": "string",
                        "pattern": CURSOR,
                        "description": "Of an earlier answer: only what was said after it.",
                    },
                },
                "required": ["id"],
            },
            _READS,
        ),
        _tool(
            CANCEL,
            "Cancel a job",
            "Stops a job; its result, if one comes, is dropped.",
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
    )
}
