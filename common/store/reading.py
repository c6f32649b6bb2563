"""Heads as they were taken from a store: one that cannot be read must not hide the others."""

from collections.abc import Iterable, Mapping

import structlog

from common.jobs.head import Head, decode_head

log = structlog.get_logger(__name__)


def read_taken(taken: Iterable[Mapping[str, str | int]]) -> list[Head]:
    """Those that can be read; for the others an operator is called."""
    heads = []
    for fields in taken:
        try:
            heads.append(decode_head(fields))
        except (ValueError, TypeError) as error:
            log.error("record.unreadable", job_id=fields.get("id"), error=str(error))  # noqa: TRY400 - its own words say all
    return heads
