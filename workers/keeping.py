"""Keeping: where the answer of a tool goes before its record says that it is there."""

import asyncio
import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

from common.blobs.base import in_pieces
from common.config.model import Settings
from common.jobs.head import Head
from common.runtime import Runtime
from common.wire import dump_json
from workers.enclosing import NotEnclosedError, enclose
from workers.outcome import Answered, Apart, Outcome, Refused, too_many_bytes
from workers.preview import preview_of


async def keep(runtime: Runtime, head: Head, outcome: Outcome, outbox: Path | None) -> Outcome:
    """What the record is to say: files and a large result are blobs by then, and it a preview.

    Raises:
        BlobsUnreachableError: It is nowhere yet.
    """
    limit = runtime.settings.inline_limit
    match outcome:
        case Answered():
            return await _keep_answer(runtime, head, outcome, outbox)
        case Refused(error=error):
            size = len(dump_json(error))
            if size <= limit:
                return outcome
            return replace(outcome, error=too_many_bytes("the backend's error", size, limit))
        case _:
            return outcome


def _room(head: Head, settings: Settings) -> int:
    """What its caller's client takes, as far as a record takes it."""
    wanted = head.spec.preview
    return settings.preview if wanted < 0 else min(wanted, settings.inline_limit)


async def _keep_answer(
    runtime: Runtime, head: Head, answer: Answered, outbox: Path | None
) -> Answered | Refused:
    settings, blobs, metrics = runtime.settings, runtime.blobs, runtime.metrics
    result, files = answer.result, answer.files
    if outbox is not None and blobs is not None:
        try:
            enclosed = await enclose(blobs, head.id, outbox, result, settings.max_file)
        except NotEnclosedError as refusal:
            return Refused(refusal.error)
        result, files = enclosed.result, enclosed.files
        metrics.blob_bytes.labels(kind="file").inc(sum(each.size for each in files))
    raw = dump_json(result)
    size = len(raw)
    if size > settings.max_result:
        metrics.results_too_large.labels(tool=head.tool).inc()
        return Refused(too_many_bytes("the tool's result", size, settings.max_result))
    if blobs is None or size <= settings.inline_limit:
        return Answered(result, files, raw=raw)
    digest = partial(asyncio.to_thread, _digest, raw)
    blob = await blobs.put(head.id, in_pieces(raw), digest=digest)
    metrics.blob_bytes.labels(kind="result").inc(size)
    shown = preview_of(result, head.id, blob, _room(head, settings))
    return Answered(shown, files, Apart(blob, answer.tool_error))


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
