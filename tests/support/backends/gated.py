"""A stdio server whose tools do what a test says, and write down what they did.

Standard library only, so that it starts at once. Every call appends lines to a file of the test's
choice: a count that no router keeps for it. A gate is a file; a tool waits until it exists.
"""

import json
import os
import signal
import sys
import threading
import time
from typing import Any

LOOK = 0.005  # seconds between two looks at a gate
WORK = {
    "type": "object",
    "properties": {
        "log": {"type": "string"},  # the file to write down what happened
        "label": {"type": "string"},  # begins each of this call's lines
        "gate": {"type": "string"},
        "then": {
            "enum": [
                *("answer", "crash", "crash once", "refuse", "tool error", "kill the worker"),
                "name its process",
            ]
        },
        "seconds": {"type": "number"},  # of work, after the gate
        "steps": {"type": "integer"},  # progress and a log line each, before the gate
        "says": {"type": "string"},  # its output, a piece with the progress of each step
        "checkpoint": {},  # what each step says of itself, behind its number
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


CANCELLED: dict[Any, threading.Event] = {}  # of the calls that run; set when one is cancelled
ONE_AT_A_TIME = threading.Lock()  # lines on stdout, and in a log


def hear(message: dict[str, Any], line: str) -> None:
    match message.get("method"):
        case "initialize":
            answer(message["id"], initialized())
        case "tools/list":
            answer(message["id"], {"tools": TOOLS})
        case "tools/call":
            begin(message, line)
        case "notifications/cancelled":
            event = CANCELLED.get(message["params"]["requestId"])
            if event is not None:
                event.set()
        case _ if "id" in message:
            error = {"code": -32601, "message": "Method not found"}
            say({"id": message["id"], "error": error})


def begin(message: dict[str, Any], line: str) -> None:
    request, params = message["id"], message["params"]
    arguments = params.get("arguments", {})
    match params["name"]:
        case "say":
            write(arguments["raw"].replace("ID", str(request)))
        case "hear":
            answer(request, {"content": [{"type": "text", "text": line}]})
        case _:
            token = (params.get("_meta") or {}).get("progressToken")
            CANCELLED[request] = threading.Event()
            resumed = (params.get("_meta") or {}).get("longhaul/resume_from")
            arguments["resumed"] = resumed
            threading.Thread(target=work, args=(request, token, arguments), daemon=True).start()


def work(request: Any, token: Any, arguments: dict[str, Any]) -> None:
    log, label = arguments["log"], arguments.get("label", "")
    runs = note(log, f"{label} started")
    for step in range(arguments.get("steps", 0)):
        progress = {"progressToken": token, "progress": step + 1, "message": f"step {step + 1}"}
        if "says" in arguments:
            progress["_meta"] = {"longhaul/output": f"{arguments['says']} {step + 1}\n"}
        if "checkpoint" in arguments:
            progress["_meta"] = {"longhaul/checkpoint": [step + 1, arguments["checkpoint"]]}
        say({"method": "notifications/progress", "params": progress})
        line = {"level": "info", "data": f"log {step + 1}"}
        say({"method": "notifications/message", "params": line})
    if "gate" in arguments and not passed(request, arguments):
        return
    time.sleep(arguments.get("seconds", 0))
    then = arguments.get("then", "answer")
    if then == "kill the worker":
        os.kill(os.getppid(), signal.SIGKILL)
        return
    if then == "crash" or (then == "crash once" and runs == 1):
        os._exit(3)
    if then == "refuse":
        error = {"code": -31_777, "message": "not today", "data": {"until": None, "n": 2**70 + 1}}
        say({"id": request, "error": error})
        return
    text = "x" * arguments.get("big", 0) or f"run {runs}"
    if then == "name its process":
        text = str(os.getpid())
    note(log, f"{label} finished")
    content = [{"type": "text", "text": text}]
    answer(request, {"content": content, "isError": then == "tool error"} | resumed(arguments))


def resumed(arguments: dict[str, Any]) -> dict[str, Any]:
    """Where the router says that the call before this one was."""
    found = arguments["resumed"]
    return {} if found is None else {"_meta": {"resumed": found}}


def passed(request: Any, arguments: dict[str, Any]) -> bool:
    """Wait until the gate exists; False when it was cancelled before, and is not deaf to that."""
    event = CANCELLED[request]
    noted = False
    while not os.path.exists(arguments["gate"]):  # noqa: PTH110 - pathlib costs a start time
        if event.wait(LOOK) and not noted:
            note(arguments["log"], f"{arguments.get('label', '')} cancelled")
            noted = True
            if not arguments.get("deaf"):
                return False
        if noted:
            time.sleep(LOOK)
    return True


def note(log: str, line: str) -> int:
    """Append a line, durably enough for a process that is killed next; how many there are now."""
    with ONE_AT_A_TIME, open(log, "a+") as file:  # noqa: PTH123 - pathlib costs a start time
        file.write(f"{line.strip()}\n")
        file.flush()
        file.seek(0)
        return len(file.readlines())


def answer(request: Any, result: dict[str, Any]) -> None:
    say({"id": request, "result": result})


def initialized() -> dict[str, Any]:
    return {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}, "logging": {}},
        "serverInfo": {"name": "gated", "version": "0"},
    }


def say(message: dict[str, Any]) -> None:
    write(json.dumps({"jsonrpc": "2.0", **message}))


def write(text: str) -> None:
    with ONE_AT_A_TIME:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    for heard in sys.stdin:
        hear(json.loads(heard), heard)
