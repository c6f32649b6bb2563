"""`/v1/keys`: API keys with roles."""

from typing import Any

from fastapi import APIRouter, Response

from common.api_keys import StoredKey
from common.errors import NotFoundError
from ingress.api.access import CurrentCaller, TheIngress
from ingress.api.job_view import rfc3339, rfc3339_or_none
from ingress.api.json_body import JsonRoute
from ingress.api.key_shapes import ApiKey, ApiKeys, NewApiKey, NewApiKeyMade
from ingress.caller import LOCAL
from ingress.errors import KEY_TAKEN, MEDIA_TYPE, REFUSED, respond

_PROBLEM: dict[str, Any] = {"description": "A problem", "content": {MEDIA_TYPE: {}}}

router = APIRouter(
    prefix="/keys",
    tags=["keys"],
    responses=dict.fromkeys((403, 503), _PROBLEM),
    route_class=JsonRoute,
)


@router.get("")
async def list_keys(ingress: TheIngress) -> ApiKeys:
    """Those that were made here, also the expired ones. Keys of the environment are not listed."""
    now = ingress.runtime.clock.now() * 1000
    return ApiKeys(keys=[_shown(key, now) for key in await ingress.keys.list()])


@router.post("", status_code=201, response_model=NewApiKeyMade, responses={409: _PROBLEM})
async def create_key(
    body: NewApiKey, response: Response, ingress: TheIngress, caller: CurrentCaller
) -> NewApiKeyMade | Response:
    """Make a key. It is in this answer, and nowhere else."""
    whose = body.caller or body.name
    if whose == LOCAL:
        return respond(REFUSED.saying(f"{LOCAL} is the caller of those who need no key"))
    made = await ingress.keys.create(
        body.name, caller=whose, role=body.role, life=body.expires_in, by=caller.name
    )
    if made is None:
        return respond(KEY_TAKEN.saying(f"there is a key {body.name}: revoke it, or name another"))
    kept, key = made
    response.headers["cache-control"] = "no-store"
    shown = _shown(kept, ingress.runtime.clock.now() * 1000)
    return NewApiKeyMade(**shown.model_dump(), key=key)


@router.delete("/{name}", status_code=204, responses={404: _PROBLEM})
async def revoke_key(name: str, ingress: TheIngress, caller: CurrentCaller) -> None:
    """Within a second it opens nothing, on any router. What it began goes on."""
    if not await ingress.keys.revoke(name, by=caller.name):
        raise NotFoundError(f"no key {name}")


def _shown(key: StoredKey, now: float) -> ApiKey:
    return ApiKey(
        name=key.name,
        caller=key.caller,
        role=key.role,
        prefix=key.shown,
        created_at=rfc3339(key.created_at),
        expires_at=rfc3339_or_none(key.expires_at),
        expired=bool(key.expires_at) and now >= key.expires_at,
    )
