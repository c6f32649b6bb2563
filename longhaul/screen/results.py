"""A tool's result on the screen: its text as it is, the rest described. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from longhaul.screen.words import size

Json = Mapping[str, Any]


def result_text(result: Json) -> str:
    """What a person wants to see; without any text block the structured content is shown."""
    blocks = [block for block in result.get("content") or () if isinstance(block, Mapping)]
    lines = [_block(block) for block in blocks]
    structured = result.get("structuredContent")
    if structured is not None and not any(block.get("type") == "text" for block in blocks):
        lines.append(json.dumps(structured, indent=2, ensure_ascii=False))
    return "\n".join(lines)


def _block(block: Json) -> str:
    match block.get("type"):
        case "text":
            return str(block.get("text", ""))
        case "image" | "audio" as kind:
            # Base64: four characters carry three bytes.
            count = len(str(block.get("data", ""))) * 3 // 4
            return f"[{kind} {block.get('mimeType', '')}, {size(count)}]"
        case "resource_link":
            return f"[link {block.get('uri', '')}]"
        case "resource":
            resource = block.get("resource") or {}
            return str(resource.get("text") or f"[resource {resource.get('uri', '')}]")
        case kind:
            return f"[{kind}]"
