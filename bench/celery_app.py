"""What a Celery user writes for the same batch: a task that calls the MCP server.

Run with the python of the peer `celery`. What Longhaul promises is switched on where Celery has it:
persistent messages, confirmed publications, acknowledged once the task has ended.
"""

import http.client
import json
import os
import threading
from typing import Any
from urllib.parse import urlsplit

from celery import Celery

VERSION = "2026-07-28"
BACKEND = urlsplit(os.environ["ECHO_URL"])
HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": VERSION,
    "mcp-method": "tools/call",
    "mcp-name": "echo",
}
META = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
}

app = Celery("batch", broker=os.environ["BATCH_BROKER"], backend=os.environ["BATCH_STORE"])
app.conf.update(
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=4,
    worker_hijack_root_logger=False,
)
_kept = threading.local()  # a connection for each worker process or thread


@app.task(name="echo")
def echo(arguments: dict[str, Any]) -> dict[str, Any]:
    params = {"name": "echo", "arguments": arguments, "_meta": META}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    connection = getattr(_kept, "connection", None)
    if connection is None:
        connection = _kept.connection = http.client.HTTPConnection(BACKEND.netloc)
    connection.request("POST", BACKEND.path, body, HEADERS)
    response = connection.getresponse()
    said = response.read()
    if response.status != 200:
        raise RuntimeError(f"the backend answered {response.status}")
    result: dict[str, Any] = json.loads(said.rpartition(b"data: ")[2] or said)["result"]
    return result
