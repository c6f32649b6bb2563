"""A stdio server whose tools do what a test says, and write down what they did.

Standard library only, so that it starts at once. Every call appends lines to a file of the test's
choice: a count that no router keeps for it. A gate is a file; a tool waits until it exists.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

LOOK = 0.005  # seconds between two looks at a gate
WORK = {
    "type": "object",
    "properties": {
        "log": {"type": "string"},  # the file to write down what happened
        "label": {"type": "string"},  # begins each of this call's lines
        "gate": {"type": "string"},
        "then": {"enum": ["answer", "crash", "crash once", "refuse", "tool error", "silence"]},
        "steps": {"type": "integer"},  # progress and a log line each, before the gate
        "big": {"type": "integer"},  # characters of the answer
        "deaf": {"type": "boolean"},  # goes on when it is cancelled
    },
    "required": ["log"],
}
TOOLS = [
    {"name": "work", "inputSchema": WORK},
    {"name": "safe", "inputSchema": WORK, "annotations": {"readOnlyHint": True}},
    {"name": "say", "inputSchema": {"type": "object"}},  # lines, word for word; ID is its id
    {"name": "hear", "inputSchema": {"type": "object"}},
]


class Server:
    def __init__(self) -> None:
        self._calls: dict[Any, asyncio.Task[None]] = {}

    async def run(self) -> None:
        reader = asyncio.StreamReader(limit=2**24)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            self._hear(json.loads(line), line.decode())

    def _hear(self, message: dict[str, Any], line: str) -> None:
        match message.get("method"):
            case "initialize":
                self._answer(message["id"], initialized())
            case "tools/list":
                self._answer(message["id"], {"tools": TOOLS})
            case "tools/call":
                self._begin(message, line)
            case "notifications/cancelled":
                call = self._calls.get(message["params"]["requestId"])
                if call is not None:
                    call.cancel()
            case _ if "id" in message:
                error = {"code": -32601, "message": "Method not found"}
                say({"id": message["id"], "error": error})

    def _answer(self, request: Any, result: dict[str, Any]) -> None:
        say({"id": request, "result": result})

    def _begin(self, message: dict[str, Any], line: str) -> None:
        request, params = message["id"], message["params"]
        arguments = params.get("arguments", {})
        match params["name"]:
            case "say":
                write(arguments["raw"].replace("ID", str(request)))
            case "hear":
                self._answer(request, {"content": [{"type": "text", "text": line}]})
            case _:
                token = (params.get("_meta") or {}).get("progressToken")
                task = asyncio.create_task(work(request, token, arguments))
                self._calls[request] = task
                task.add_done_callback(lambda _: self._calls.pop(request))


async def work(request: Any, token: Any, arguments: dict[str, Any]) -> None:
    log, label = Path(arguments["log"]), arguments.get("label", "")
    runs = note(log, f"{label} started".strip())
    for step in range(arguments.get("steps", 0)):
        progress = {"progressToken": token, "progress": step + 1, "message": f"step {step + 1}"}
        say({"method": "notifications/progress", "params": progress})
        line = {"level": "info", "data": f"log {step + 1}"}
        say({"method": "notifications/message", "params": line})
    while "gate" in arguments and not await passed(arguments, log):
        continue
    match arguments.get("then", "answer"):
        case "crash":
            os._exit(3)
        case "crash once" if runs == 1:
            os._exit(3)
        case "silence":
            await asyncio.Event().wait()
        case "refuse":
            error = {"code": -31_777, "message": "not today", "data": {"until": None, "n": 2**70}}
            say({"id": request, "error": error})
        case then:
            text = "x" * arguments.get("big", 0) or f"run {runs}"
            content = {"content": [{"type": "text", "text": text}]}
            note(log, f"{label} finished".strip())
            say({"id": request, "result": content | {"isError": then == "tool error"}})


async def passed(arguments: dict[str, Any], log: Path) -> bool:
    """One look at the gate; a call that is not deaf ends here when it was cancelled."""
    try:
        await asyncio.sleep(LOOK)
    except asyncio.CancelledError:
        note(log, f"{arguments.get('label', '')} cancelled".strip())
        if not arguments.get("deaf"):
            raise
    return Path(arguments["gate"]).exists()


def note(log: Path, line: str) -> int:
    """Append a line, durably enough for a process that is killed next; how many there are now."""
    with log.open("a") as file:
        file.write(f"{line}\n")
    return len(log.read_text().splitlines())


def initialized() -> dict[str, Any]:
    return {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}, "logging": {}},
        "serverInfo": {"name": "gated", "version": "0"},
    }


def say(message: dict[str, Any]) -> None:
    write(json.dumps({"jsonrpc": "2.0", **message}))


def write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(Server().run())
