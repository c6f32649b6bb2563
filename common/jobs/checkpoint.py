"""Checkpoint: how far a cooperative tool says it has come, kept beside the record for its next try.

It is the tool's own JSON and decides nothing here. The newest stands, as long as the record does.
"""

from collections.abc import Mapping
from typing import Any

from common.jobs.change import Now, Value
from common.wire import load_json

CHECKPOINT = "checkpoint"  # the part of the record
CHECKPOINT_BYTES = 65_536  # as it is stored; a larger one is refused, and the older one stays
CHECKPOINT_META = "longhaul/checkpoint"  # in `_meta` of a progress notification
RESUME_META = "longhaul/resume_from"  # in `_meta` of a call: the newest, as the tool said it


def too_large(size: int) -> str:
    """What the job's output says of one that is not kept."""
    return (
        f"a checkpoint of {size} bytes was not kept, {CHECKPOINT_BYTES} at most are: "
        "the one before it stands"
    )


def stored(checkpoint: bytes | None) -> Mapping[str, Value]:
    """What the head says of one that is written with it."""
    if checkpoint is None:
        return {}
    return {"checkpoint_at": Now(), "checkpoint_bytes": len(checkpoint)}


def resuming(meta: Mapping[str, Any], checkpoint: bytes | None) -> Mapping[str, Any]:
    """The `_meta` of a call that goes on from there; None: it begins at the beginning."""
    return meta if checkpoint is None else {**meta, RESUME_META: load_json(checkpoint)}
