"""The JSON of `/v1/keys`. Fields are added, never renamed."""

from typing import Annotated

from pydantic import Field

from common.api_keys import NAME_PATTERN, Role
from ingress.api.shapes import Shape

LONGEST_LIFE = 100 * 366 * 86_400  # seconds of a key
KeyName = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", examples=["ci"])]


class NewApiKey(Shape):
    name: KeyName
    role: Role = Role.USER
    caller: KeyName | None = Field(
        default=None,
        description="whose jobs it sees; default: its name. Several keys may share one",
    )
    expires_in: float | None = Field(
        default=None, gt=0, le=LONGEST_LIFE, description="seconds; default: never"
    )


class ApiKey(Shape):
    name: str
    caller: str
    role: Role
    prefix: str = Field(description="its first characters")
    created_at: str
    expires_at: str | None
    expired: bool


class ApiKeys(Shape):
    keys: list[ApiKey]


class NewApiKeyMade(ApiKey):
    key: str = Field(description="told once, here")
