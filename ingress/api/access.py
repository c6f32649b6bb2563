"""What every route of the REST interface asks for: the ingress, and who calls."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Request, Security, params
from fastapi.security import APIKeyHeader, HTTPBearer

from ingress.api.roles import guard
from ingress.caller import Caller
from ingress.ingress import Ingress


def _ingress(request: Request) -> Ingress:
    ingress = request.app.state.ingress
    assert isinstance(ingress, Ingress)  # noqa: S101 - `create_app` put it there
    return ingress


def _caller(request: Request) -> Caller:
    caller = request.scope["state"]["caller"]
    assert isinstance(caller, Caller)  # noqa: S101 - the door put it there
    return caller


TheIngress = Annotated[Ingress, Depends(_ingress)]
CurrentCaller = Annotated[Caller, Depends(_caller)]

# The door checks keys, in front of all routes; these only tell OpenAPI how one is sent.
_KEYS = [
    Security(HTTPBearer(auto_error=False, description="An API key.")),
    Security(APIKeyHeader(name="X-API-Key", auto_error=False, description="The same.")),
]


def guarded(prefix: str = "") -> Sequence[params.Depends]:
    """What all routes under this prefix have in common: a key with the role they need."""
    return [*_KEYS, Depends(guard(prefix))]
