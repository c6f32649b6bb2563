"""A server of both eras whose tool asks in the older way only: over the connection, in mid-call."""

from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel

server = MCPServer("elicits", log_level="WARNING")


class Name(BaseModel):
    name: str


@server.tool()
async def greet(ctx: Context) -> str:
    """Asks for a name."""
    asked = await ctx.elicit("Your name?", Name)
    return f"hello {asked.data.name}" if asked.action == "accept" else asked.action


if __name__ == "__main__":
    server.run("stdio")
