"""What a record keeps of a result that is too large for it: its beginning, and where the whole is.

It is a tool result itself, so every face answers with it as with any other. Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from common.blobs.base import Blob
from common.jobs.links import KEPT, LINK, MEDIA_TYPE, result_path, result_uri
from common.wire import dump_json

OWN_META = 4_096  # bytes of the tool's own `_meta` that are kept
NAMED = 20  # parts that do not fit and are named; more of them are counted
OF_A_NAME = 100  # characters


def preview_of(result: Mapping[str, Any], job: str, blob: Blob, room: int) -> dict[str, Any]:
    """The first `room` bytes of its text, and what else of its content fits.

    A client that was promised structured content rejects a result without it unless it is an error.
    """
    structured = "structuredContent" in result
    fact = {"job": job, "sha256": blob.sha256, "size": blob.size, "mimeType": MEDIA_TYPE}
    meta = result.get("_meta")
    small = isinstance(meta, Mapping) and len(dump_json(meta)) <= OWN_META
    preview: dict[str, Any] = {
        "content": [
            _text(_lead(job, blob, structured=structured)),
            *_beginning(result, room),
            _link(job, blob),
        ],
        "_meta": {**(meta if small and isinstance(meta, Mapping) else {}), KEPT: fact},
    }
    if structured or result.get("isError") is True:
        preview["isError"] = True
    return preview


def _lead(job: str, blob: Blob, *, structured: bool) -> str:
    begin = "Not an error: the" if structured else "The"
    uri = result_uri(job)
    return (
        f"{begin} result has {blob.size} bytes, too many for one answer; below is its beginning. "
        f"The whole, as JSON, is the resource {uri}: read it with resources/read, in parts as "
        f"{uri}?offset=0&length=65536, or with GET {result_path(job)}, which takes ranges. Do "
        "not call the tool again for it."
    )


def _beginning(result: Mapping[str, Any], room: int) -> Iterator[dict[str, Any]]:
    content = result.get("content")
    blocks = [each for each in content if isinstance(each, Mapping)] if content else []
    said = any(block.get("type") == "text" and block.get("text") for block in blocks)
    if not said and "structuredContent" in result:
        blocks.append(_text(dump_json(result["structuredContent"]).decode()))
    named = 0
    for number, block in enumerate(blocks):
        if room <= 0 or named == NAMED:
            yield _text(f"[{len(blocks) - number} more parts are left out here]")
            return
        size = len(dump_json(block))
        if size <= room:
            yield dict(block)
        elif block.get("type") == "text":
            yield {**_text(_cut(str(block.get("text")), room))}
        else:
            kind = str(block.get("type"))[:OF_A_NAME]
            media = str(block.get("mimeType") or "no media type")[:OF_A_NAME]
            yield _text(f"[{kind}, {media}, {size} bytes, is left out here]")
            named += 1
            continue
        room -= size


def _cut(text: str, room: int) -> str:
    return text.encode(errors="replace")[:room].decode(errors="ignore") + " […]"


def _link(job: str, blob: Blob) -> dict[str, Any]:
    return {
        "type": LINK,
        "uri": result_uri(job),
        "name": f"result-{job}",
        "description": "The whole result, as the tool gave it.",
        "mimeType": MEDIA_TYPE,
        "size": blob.size,
    }


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
