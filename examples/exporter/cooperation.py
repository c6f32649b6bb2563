"""What the exporter says to Longhaul, and hears from it: `docs/cooperative-tools.md`.

Another client says none of this and ignores what it is told.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import Context
from mcp_types import ProgressNotification, ProgressNotificationParams

from examples.exporter.part import Mark

CHECKPOINT = "longhaul/checkpoint"
RESUME = "longhaul/resume_from"
OUTBOX = "longhaul/outbox"


def outbox_of(ctx: Context) -> Path | None:
    """A folder for files that Longhaul will keep; only one that is really here."""
    said = _meta(ctx).get(OUTBOX)
    return Path(said) if isinstance(said, str) and Path(said).is_dir() else None


def mark_of(ctx: Context) -> Mark | None:
    """How far an earlier try of this call came."""
    match _meta(ctx).get(RESUME):
        case {"part": str(part), "rows": int(rows), "bytes": int(size)}:
            return Mark(part=part, rows=rows, bytes=size)
        case _:
            return None


def may_call_again(ctx: Context) -> bool:
    """Whoever calls takes checkpoints: a call that is cut off may be followed by another."""
    client = ctx.session.client_params
    return client is not None and client.client_info.name == "longhaul"


async def report(ctx: Context, done: int, total: int, mark: Mark) -> None:
    """As `ctx.report_progress`, which has no place for a checkpoint."""
    token = _meta(ctx).get("progress_token")
    if token is None:
        return
    params = ProgressNotificationParams(
        progress_token=token,
        progress=done,
        total=total,
        message=f"{done:,} of {total:,} rows",
        _meta={CHECKPOINT: asdict(mark)},
    )
    said = ProgressNotification(params=params)
    await ctx.session.send_notification(said, related_request_id=ctx.request_id)


def _meta(ctx: Context) -> dict[str, Any]:
    return {**(ctx.request_context.meta or {})}
