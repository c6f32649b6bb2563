"""The probe: an MCP server over stdio whose tools do no harm. Each call is counted as it starts.

It runs behind a router as any backend does and knows nothing of it. The file is the one count of
starts that no router keeps: a line for each, in a single write. It takes the file from whoever
configures the backend, never from a call, for anybody may call a tool.
"""

import os
import re
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from common.clock import SystemClock

LONGEST = 600.0  # seconds of one probe
ONCE = "once"
AGAIN = "again"
_LABEL = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
_ARGUMENTS = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "pattern": f"^{_LABEL.pattern}$"},
        "seconds": {"type": "number", "minimum": 0, "maximum": LONGEST},
    },
    "required": ["label", "seconds"],
    "additionalProperties": False,
}
TOOLS = [
    {
        "name": ONCE,
        "description": "Waits; must never be started a second time.",
        "inputSchema": _ARGUMENTS,
        "annotations": {"readOnlyHint": False, "idempotentHint": False},
    },
    {
        "name": AGAIN,
        "description": "Waits; may be started again.",
        "inputSchema": _ARGUMENTS,
        "annotations": {"readOnlyHint": True},
    },
]


class Probe:
    def __init__(self, starts: Path) -> None:
        self._starts = starts
        self._clock = SystemClock()
        self._one_at_a_time = threading.Lock()

    def serve(self) -> None:
        """Until standard input ends."""
        for line in sys.stdin.buffer:
            self._hear(orjson.loads(line))

    def _hear(self, message: Mapping[str, Any]) -> None:
        match message.get("method"):
            case "initialize":
                offered = {
                    "protocolVersion": "2025-06-18",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "longhaul-drill-probe", "version": "1"},
                }
                self._say(message["id"], result=offered)
            case "tools/list":
                self._say(message["id"], result={"tools": TOOLS})
            case "tools/call":
                threading.Thread(target=self._call, args=(message,), daemon=True).start()
            case "ping":
                self._say(message["id"], result={})
            case _ if "id" in message:
                self._say(message["id"], error={"code": -32601, "message": "Method not found"})

    def _call(self, message: Mapping[str, Any]) -> None:
        given = message["params"].get("arguments") or {}
        label, seconds = str(given.get("label", "")), float(given.get("seconds", 0))
        if _LABEL.fullmatch(label) is None or not 0 <= seconds <= LONGEST:
            self._say(message["id"], error={"code": -32602, "message": "Invalid arguments"})
            return
        self.count(label)
        self._clock.pause(seconds)
        self._say(message["id"], result={"content": [{"type": "text", "text": label}]})

    def count(self, label: str) -> None:
        """Known to whoever reads the file from now on, whatever happens to this process next."""
        file = os.open(self._starts, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, f"{label}\n".encode())
        finally:
            os.close(file)

    def _say(self, request: object, **answer: Any) -> None:
        line = orjson.dumps({"jsonrpc": "2.0", "id": request, **answer})
        with self._one_at_a_time:
            sys.stdout.buffer.write(line + b"\n")
            sys.stdout.buffer.flush()
