"""The peer for tasks: a FastMCP server with fastmcp-tasks. Runs in its own venv.

Its worker process is started from this file, too: `fastmcp_tasks.worker_cli worker THIS_FILE`.
"""

import os
import sys

from fastmcp import FastMCP
from fastmcp.utilities.tasks import TaskConfig
from fastmcp_tasks import TasksExtension

server = FastMCP("errands")
server.add_extension(TasksExtension(url=os.environ["ERRANDS_STORE"], concurrency=64))


@server.tool(task=TaskConfig(mode="required"))
async def errand(text: str) -> str:
    return text


if __name__ == "__main__":
    server.run(
        "http", host="127.0.0.1", port=int(sys.argv[1]), log_level="error", show_banner=False
    )
