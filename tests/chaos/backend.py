"""An MCP server over stdio that knows nothing of routers: each call is written down as it starts.

Standard library only, so that a restarted worker has it at once. The file is the only count of
starts that no router keeps: one line per start, appended in one write.
"""

import json
import os
import sys
import threading
import time
from typing import Any

CALL = {
    "type": "object",
    "properties": {
        "n": {"type": "integer"},
        "seconds": {"type": "number"},
        "file": {"type": "string"},
    },
    "required": ["n", "seconds", "file"],
}
TOOLS = [{"name": "once", "inputSchema": CALL}, {"name": "again", "inputSchema": CALL}]
ONE_AT_A_TIME = threading.Lock()


def hear(message: dict[str, Any]) -> None:
    match message.get("method"):
        case "initialize":
            offered = {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "counting", "version": "0"},
            }
            say(message["id"], {"result": offered})
        case "tools/list":
            say(message["id"], {"result": {"tools": TOOLS}})
        case "tools/call":
            arguments = message["params"]["arguments"]
            threading.Thread(target=work, args=(message["id"], arguments), daemon=True).start()
        case _ if "id" in message:
            say(message["id"], {"error": {"code": -32601, "message": "Method not found"}})


def work(request: Any, arguments: dict[str, Any]) -> None:
    file = os.open(arguments["file"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{arguments['n']}\n".encode())
    os.close(file)
    time.sleep(arguments["seconds"])
    say(request, {"result": {"content": [{"type": "text", "text": str(arguments["n"])}]}})


def say(request: Any, answer: dict[str, Any]) -> None:
    with ONE_AT_A_TIME:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": request, **answer}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    for line in sys.stdin:
        hear(json.loads(line))
