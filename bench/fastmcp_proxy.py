"""The peer: a FastMCP proxy with one shared client in front of a backend. Runs in its own venv."""

import asyncio
import sys

from fastmcp import Client
from fastmcp.server import create_proxy


async def main() -> None:
    async with Client(sys.argv[1]) as shared:
        proxy = create_proxy(shared)
        await proxy.run_http_async(
            host="127.0.0.1", port=int(sys.argv[2]), log_level="error", show_banner=False
        )


asyncio.run(main())
