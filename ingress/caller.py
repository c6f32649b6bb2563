"""Who asks."""

from dataclasses import dataclass
from typing import Self

from common.api_keys import Role

LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    name: str
    role: Role = Role.USER

    @property
    def operator(self) -> bool:
        """Sees and touches everybody's jobs on the REST interface, never over MCP."""
        return self.role.allows(Role.OPERATOR)

    @property
    def over_mcp(self) -> Self:
        """The same caller, who sees only its own jobs."""
        return type(self)(name=self.name)

    @property
    def identified(self) -> bool:
        """By a key: not just whoever reaches this process."""
        return self.name != LOCAL
