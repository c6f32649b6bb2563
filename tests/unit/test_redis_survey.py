"""What `longhaul check` says about a Redis, by what the server says of itself."""

from typing import Any

import pytest

from common.store.redis.survey import judge

GOOD = {"redis_version": "8.0.1", "aof_enabled": 1, "maxmemory_policy": "noeviction"}
ALWAYS = {"appendfsync": "always", "maxmemory-policy": "noeviction"}


def test_a_redis_set_up_well_gets_no_warning() -> None:
    survey = judge(GOOD, ALWAYS)
    assert (survey.version, survey.warnings) == ("8.0.1", ())


@pytest.mark.parametrize(
    ("info", "settings", "words"),
    [
        ({"aof_enabled": 0}, {}, "set appendonly yes"),
        ({}, {"appendfsync": "everysec"}, "appendfsync everysec"),
        ({}, {"appendfsync": "no"}, "appendfsync no"),
        ({}, {"maxmemory-policy": "allkeys-lru"}, "maxmemory-policy allkeys-lru"),
        ({"maxmemory": 100, "used_memory": 81}, {}, "more than 80 %"),
        ({"connected_slaves": 1}, {}, "replicas"),
        ({"redis_version": "6.2.7"}, {}, "older than 7.0"),
    ],
)
def test_what_loses_jobs_is_warned_about(
    info: dict[str, Any], settings: dict[str, str], words: str
) -> None:
    (warning,) = judge(GOOD | info, ALWAYS | settings).warnings
    assert words in warning


def test_a_server_that_hides_its_settings_is_judged_by_what_it_says() -> None:
    warnings = judge(GOOD | {"maxmemory_policy": "volatile-ttl"}, None).warnings
    assert any("maxmemory-policy volatile-ttl" in warning for warning in warnings)
    assert any("CONFIG is not allowed" in warning for warning in warnings)
