"""What a held call and a queued job cost the ingress in memory."""

import asyncio
from urllib.parse import urlsplit

import orjson

from bench.caller import Connection, request
from bench.processes import memory_bytes

HELD = 400
QUEUED = 5_000


async def per_held_call(url: str, pid: int) -> float:
    """Bytes per call that is open and waits; `hold` goes to a queue that no worker serves."""
    bytes_ = request(url, "echo__hold", {"seconds": 1})
    before = memory_bytes(pid)
    connections = [await Connection.to(url) for _ in range(HELD)]
    for connection in connections:
        connection.send(bytes_)
    await asyncio.sleep(3)  # all are held; nothing tells from outside that the last one is
    after = memory_bytes(pid)
    for connection in connections:
        connection.close()
    return (after - before) / HELD


async def per_queued_job(url: str, pid: int) -> float:
    """Bytes of the ingress per job that waits in the queue and is followed by nobody."""
    parts = urlsplit(url)
    body = orjson.dumps({"tool": "echo__hold", "arguments": {"seconds": 1}})
    head = (
        f"POST /v1/jobs HTTP/1.1\r\nhost: {parts.netloc}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    connection = await Connection.to(url)
    for _ in range(500):  # what the first ones cost is not per job
        await connection.call(head.encode() + body, b'"id"', status=b"202")
    before = memory_bytes(pid)
    for _ in range(QUEUED):
        await connection.call(head.encode() + body, b'"id"', status=b"202")
    after = memory_bytes(pid)
    connection.close()
    return (after - before) / QUEUED
