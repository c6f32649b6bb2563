"""A stdio server of the older protocol, written by hand: it does what real servers do, and worse.

Standard library only, so that it starts at once. Flags: `silent` never answers what it does not
know, `fragile` dies of it, `stubborn` ignores closed stdin and SIGTERM, `endless` lists pages for
ever, `odd` lists malformed tools, `mute` exits at once with words on stderr.
"""

import json
import os
import signal
import subprocess
import sys
from typing import Any

FLAGS = set(sys.argv[1:])
VERSION = next((flag for flag in FLAGS if flag.startswith("20")), "2025-06-18")
NAMES = ["echo", "steps", "hang", "crash", "noise", "big", "ask", "grow", "child", "refuse", "mum"]
ODD: list[Any] = [
    "not even an object",
    {"name": "", "inputSchema": {"type": "object"}},
    {"name": "no_schema"},
    {"name": "wrong_schema", "inputSchema": {"type": "string"}},
    {"name": "wrong_annotations", "inputSchema": {"type": "object"}, "annotations": "none"},
    {
        "name": "bad_header",
        "inputSchema": {
            "type": "object",
            "properties": {"region": {"type": "string", "x-mcp-header": "not a token"}},
        },
    },
    {"name": "echo", "inputSchema": {"type": "object"}, "description": "a second echo"},
]


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def tools() -> list[Any]:
    listed = [{"name": name, "inputSchema": {"type": "object"}, "x-vendor": 1} for name in NAMES]
    return [*listed, *ODD] if "odd" in FLAGS else listed


def page(params: dict[str, Any]) -> dict[str, Any]:
    """Three tools at a time; a cursor is the place to go on."""
    start = int(params.get("cursor", 0))
    whole = tools()
    result: dict[str, Any] = {"tools": whole[start : start + 3]}
    if start + 3 < len(whole) or "endless" in FLAGS:
        result["nextCursor"] = str(start + 3)
    return result


def call(request_id: Any, params: dict[str, Any]) -> dict[str, Any] | None:
    arguments = params.get("arguments") or {}
    token = (params.get("_meta") or {}).get("progressToken")
    match params["name"]:
        case "crash" | "mum" | "hang" | "refuse" as badly:
            behave(badly, request_id)
            return None
        case "echo":
            odd = {"type": "hologram", "depth": 1.5, "nothing": None}
            return {"content": [odd], "_meta": {"vendor": None}, "vendorTop": [params]}
        case "steps":
            for step in range(arguments["count"]):
                progress = {"progressToken": token, "progress": step + 1, "total": 9}
                progress["_meta"] = {"longhaul/checkpoint": [step + 1]}
                say({"method": "notifications/progress", "params": progress})
                line = {"level": "info", "data": f"log {step + 1}"}
                say({"method": "notifications/message", "params": line})
        case "noise":
            sys.stdout.write("DEBUG: hello from print()\n{}\n[]\n")
        case "big":
            return {"content": [{"type": "text", "text": "x" * arguments["size"]}]}
        case "ask":
            say({"id": "a", "method": "ping"})
            say({"id": "b", "method": "elicitation/create", "params": {"message": "?"}})
            return {"content": [], "answers": [read(), read()]}
        case "grow":
            NAMES.append("grown")
            say({"method": "notifications/tools/list_changed"})
        case "child":
            sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
            started = subprocess.Popen(sleeper)
            return {"content": [], "pid": started.pid}
    return {"content": [{"type": "text", "text": "done"}]}


def behave(badly: str, request_id: Any) -> None:
    """Do anything but give a result."""
    match badly:
        case "hang":
            note(f"hanging {request_id}")
        case "crash":
            note("about to die")
            os._exit(3)
        case "mum":
            os.close(1)
        case "refuse":
            error = {"code": -31_777, "message": "not today", "data": {"until": None}}
            say({"id": request_id, "error": error})


def note(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def read() -> Any:
    line = sys.stdin.readline()
    if not line:
        while "stubborn" in FLAGS:
            signal.pause()
        sys.exit(0)
    return json.loads(line)


def answer(message: dict[str, Any]) -> None:
    method, params = message.get("method"), message.get("params") or {}
    match method:
        case "initialize":
            result: dict[str, Any] | None = {
                "protocolVersion": VERSION,
                "capabilities": {"tools": {"listChanged": True}, "logging": {}},
                "serverInfo": {"name": "legacy", "version": "0"},
                "instructions": "Ask me.",
            }
        case "tools/list":
            result = page(params)
        case "tools/call":
            result = call(message["id"], params)
        case "logging/setLevel":
            note(f"level {params['level']}")
            result = {}
        case "notifications/cancelled":
            note(f"cancelled {params['requestId']}")
            return
        case _:
            if "id" not in message or "silent" in FLAGS:
                return
            if "fragile" in FLAGS:
                sys.exit(f"KeyError: {method}")
            say({"id": message["id"], "error": {"code": -32601, "message": "Method not found"}})
            return
    if result is not None:
        say({"id": message["id"], "result": result})


def main() -> None:
    if "mute" in FLAGS:
        sys.exit("cannot read /etc/acme.conf")
    if "stubborn" in FLAGS:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        answer(read())


if __name__ == "__main__":
    main()
