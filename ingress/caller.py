"""Who asks."""

from dataclasses import dataclass

LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    name: str
    admin: bool = False  # sees all jobs on the REST interface, never over MCP
