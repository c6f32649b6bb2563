"""Who asks."""

from dataclasses import dataclass
from typing import Self

LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    name: str
    admin: bool = False  # sees all jobs on the REST interface, never over MCP

    @property
    def over_mcp(self) -> Self:
        """The same caller, who sees only its own jobs."""
        return type(self)(name=self.name)

    @property
    def identified(self) -> bool:
        """By a key: not just whoever reaches this process."""
        return self.name != LOCAL
