"""Keeping: where the answer of a tool goes before its record says that it is there."""

from dataclasses import replace

from common.blobs.base import in_pieces
from common.errors import TOO_LARGE
from common.jobs.head import Head
from common.runtime import Runtime
from common.wire import dump_json
from workers.outcome import Answered, Apart, Outcome, Refused
from workers.preview import preview_of


async def keep(runtime: Runtime, head: Head, outcome: Outcome) -> Outcome:
    """What the record is to say: a large result is a blob by then, and the record its preview.

    Raises:
        BlobsUnreachableError: It is nowhere yet.
    """
    settings, blobs = runtime.settings, runtime.blobs
    match outcome:
        case Answered(result=result):
            raw = dump_json(result)
            size = len(raw)
            if size > settings.max_result:
                runtime.metrics.results_too_large.labels(tool=head.tool).inc()
                return Refused(_too_large("the tool's result", size, settings.max_result))
            if blobs is None or size <= settings.inline_limit:
                return outcome
            blob = await blobs.put(head.id, in_pieces(raw))
            runtime.metrics.blob_bytes.labels(kind="result").inc(size)
            shown = preview_of(result, head.id, blob, settings.preview)
            return Answered(shown, Apart(blob, outcome.tool_error))
        case Refused(error=error):
            size = len(dump_json(error))
            if size <= settings.inline_limit:
                return outcome
            return replace(
                outcome, error=_too_large("the backend's error", size, settings.inline_limit)
            )
        case _:
            return outcome


def _too_large(what: str, size: int, most: int) -> dict[str, object]:
    message = f"{what} has {size} bytes, more than the {most} that may be kept"
    return {"code": TOO_LARGE, "message": message, "data": {"size": size, "limit": most}}
