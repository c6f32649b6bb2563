"""What a Redis is and how it could lose jobs; for `longhaul check`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from common.config.urls import mask_url
from common.errors import StoreUnreachableError

SURVEY_WITHIN = 5.0  # seconds for each answer
OLDEST_TRIED = (7, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSurvey:
    version: str
    warnings: tuple[str, ...]


async def survey(url: str) -> StoreSurvey:
    """Connect once and look.

    Raises:
        StoreUnreachableError: Not reachable, or the login was refused; the text says which.
    """
    client = Redis.from_url(
        url,
        socket_timeout=SURVEY_WITHIN,
        socket_connect_timeout=SURVEY_WITHIN,
        decode_responses=True,
    )
    try:
        info = await client.info()
        settings = await _settings(client)
    except (RedisError, OSError) as error:
        raise StoreUnreachableError(mask_url(str(error))) from error
    finally:
        await client.aclose()
    return judge(info, settings)


async def _settings(client: Any) -> Mapping[str, str] | None:
    """None where CONFIG is not allowed, as on most hosted servers."""
    try:
        return dict(await client.config_get("appendfsync", "maxmemory-policy"))
    except RedisError:
        return None


def judge(info: Mapping[str, Any], settings: Mapping[str, str] | None) -> StoreSurvey:
    """What INFO says, and the settings where they could be read."""
    version = str(info.get("redis_version", "?"))
    known = settings or {}
    fsync = known.get("appendfsync")
    warnings = [*_age(version), *_persistence(info, fsync), *_memory(info, known)]
    if int(info.get("connected_slaves") or 0):
        warnings.append(
            "it has replicas, which follow it without waiting: a failover may forget the last "
            "commits, and with them that a tool was started"
        )
    if settings is None:
        warnings.append("CONFIG is not allowed, so appendfsync could not be read; use everysec")
    return StoreSurvey(version=version, warnings=tuple(warnings))


def _age(version: str) -> list[str]:
    numbers = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    if len(numbers) == 2 and tuple(numbers) < OLDEST_TRIED:
        return [f"Redis {version} is older than 7.0, the oldest that Longhaul is tested with"]
    return []


def _persistence(info: Mapping[str, Any], fsync: str | None) -> list[str]:
    if not int(info.get("aof_enabled") or 0):
        return [
            (
                "the append-only file is off: a restart of Redis loses accepted jobs; "
                "set appendonly yes"
            )
        ]
    if fsync == "no":
        return ["appendfsync no: a crash of its machine may lose half a minute; use everysec"]
    if fsync == "everysec":
        return [
            (
                "appendfsync everysec: if its machine is lost, so is up to a second of commits, "
                "and with them that a tool was started; appendfsync always closes the gap, slowly"
            )
        ]
    return []


def _memory(info: Mapping[str, Any], settings: Mapping[str, str]) -> list[str]:
    policy = settings.get("maxmemory-policy") or str(info.get("maxmemory_policy") or "")
    limit = int(info.get("maxmemory") or 0)
    if policy and policy != "noeviction":
        return [f"maxmemory-policy {policy}: a full Redis throws jobs away; set noeviction"]
    if limit and int(info.get("used_memory") or 0) > limit * 0.8:
        return ["more than 80 % of maxmemory is used: new jobs are refused soon"]
    return []
