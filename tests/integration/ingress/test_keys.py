"""API keys with roles over REST: what each may, who hears of a change when, and what is told."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typing_extensions import override

from common.api_keys import PREFIX, Role
from common.clock import SystemClock
from ingress.api.roles import MCP, NEEDED
from ingress.auth import KEYLESS, OPEN
from ingress.caller import Caller
from ingress.errors import EXPIRED_KEY, UNKNOWN_KEY
from ingress.key_ring import TRUSTED_FOR, UNREAD, KeyRing
from tests.support.private import PrivateServer
from tests.support.surfaces import Surface, surface
from tests.support.system import Place, running
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio

ROOT = {"x-api-key": "root-key"}
LISTEN = {"api_keys": [{"key": "root-key", "caller": "root"}]}
Key = Mapping[str, str]


@asynccontextmanager
async def guarded(place: Place) -> AsyncIterator[Surface]:
    where = place.settings().model_dump(include={"broker_url", "store_url", "namespace"})
    async with surface(place.data, **where, listen=LISTEN) as made:
        yield made


@pytest.fixture
async def here(place: Place) -> AsyncIterator[Surface]:
    async with guarded(place) as made:
        yield made


async def make(here: Surface, name: str, role: Role, **more: Any) -> Key:
    body = {"name": name, "role": role, **more}
    response = await here.http.post("/v1/keys", json=body, headers=ROOT)
    assert response.status_code == 201, response.text
    assert response.headers["cache-control"] == "no-store"
    return {"x-api-key": response.json()["key"]}


async def submit(here: Surface, key: Key) -> str:
    body = {"tool": "b__export", "arguments": {"rows": 3}}
    response = await here.http.post("/v1/jobs", json=body, headers=key)
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


async def counted(here: Surface, reason: str) -> float:
    said = (await here.http.get("/metrics", headers=ROOT)).text
    (value,) = re.findall(rf'longhaul_auth_failures_total{{reason="{reason}"}} (\S+)', said)
    return float(value)


class TestRoles:
    async def test_every_route_stands_in_the_table_and_asks_for_its_role(
        self, here: Surface
    ) -> None:
        paths = (await here.http.get("/openapi.json")).json()["paths"]
        routes = {(verb.upper(), path) for path, verbs in paths.items() for verb in verbs}
        routes = {(verb, path) for verb, path in routes if path not in OPEN | KEYLESS}
        assert routes | {MCP} == set(NEEDED)
        keys = {role: await make(here, f"k-{role}", role) for role in Role}
        wrong = []
        for verb, path in routes:
            for role, key in keys.items():
                body: dict[str, Any] | None = None if verb == "GET" else {}
                response = await here.http.request(
                    verb, re.sub(r"{\w+}", "none", path), json=body, headers=key
                )
                refused = response.status_code == 403
                if refused == role.allows(NEEDED[verb, path]):
                    wrong.append((verb, path, role, response.status_code))
        assert not wrong

    async def test_a_refusal_says_what_is_needed(self, here: Surface) -> None:
        user = await make(here, "alice", Role.USER)
        response = await here.http.get("/v1/keys", headers=user)
        assert response.status_code == 403
        problem = response.json()
        assert problem["type"] == "urn:longhaul:error:forbidden"
        assert (problem["needs"], problem["role"]) == ("admin", "user")
        assert "role admin" in problem["detail"]
        assert await counted(here, "role") == 1

    async def test_a_user_sees_and_touches_its_own_jobs_only(self, here: Surface) -> None:
        alice = await make(here, "alice", Role.USER)
        bob = await make(here, "bob", Role.USER)
        job = await submit(here, alice)
        assert (await here.http.get(f"/v1/jobs/{job}", headers=alice)).status_code == 200
        assert len((await here.http.get("/v1/jobs", headers=alice)).json()["jobs"]) == 1
        assert (await here.http.get("/v1/jobs", headers=bob)).json()["jobs"] == []
        for verb, path, body in (
            ("GET", "", None),
            ("DELETE", "", None),
            ("GET", "/result", None),
            ("GET", "/events", None),
            ("POST", "/answer", {"answers": {}}),
        ):
            where = f"/v1/jobs/{job}{path}"
            response = await here.http.request(verb, where, json=body, headers=bob)
            assert response.status_code == 404, (verb, path)
            assert response.json()["type"] == "urn:longhaul:error:not-found"
        assert (await here.head(job)).state == "queued"
        assert (await here.http.delete(f"/v1/jobs/{job}", headers=alice)).status_code == 202

    async def test_an_operator_touches_everybodys_jobs(self, here: Surface) -> None:
        job = await submit(here, await make(here, "alice", Role.USER))
        operator = await make(here, "olga", Role.OPERATOR)
        listed = (await here.http.get("/v1/jobs", headers=operator)).json()["jobs"]
        assert [each["caller"] for each in listed] == ["alice"]
        response = await here.http.delete(f"/v1/jobs/{job}", headers=operator)
        assert response.status_code == 202
        assert "olga" in (await here.head(job)).reason

    async def test_two_keys_of_one_caller_see_the_same_jobs(self, here: Surface) -> None:
        """So that a key can be replaced before the old one is revoked."""
        job = await submit(here, await make(here, "alice", Role.USER))
        fresh = await make(here, "alice-2027", Role.USER, caller="alice")
        assert (await here.http.get(f"/v1/jobs/{job}", headers=fresh)).status_code == 200


class TestKeys:
    async def test_a_key_is_told_once(
        self, here: Surface, capfd: pytest.CaptureFixture[str]
    ) -> None:
        key = (await make(here, "alice", Role.USER))["x-api-key"]
        assert re.fullmatch(r"lh_[A-Za-z0-9_-]{43}", key)
        listed = await here.http.get("/v1/keys", headers=ROOT)
        (shown,) = listed.json()["keys"]
        assert (shown["name"], shown["caller"], shown["role"]) == ("alice", "alice", "user")
        assert (shown["expires_at"], shown["expired"]) == (None, False)
        assert key.startswith(shown["prefix"])
        assert key not in listed.text
        table = await here.runtime.store.api_keys.read()
        assert table is not None
        assert key not in repr(table)
        logged = "".join(capfd.readouterr())
        assert "key.created" in logged
        assert key[len(PREFIX) :] not in logged

    async def test_a_name_is_given_once(self, here: Surface) -> None:
        await make(here, "alice", Role.USER)
        again = await here.http.post("/v1/keys", json={"name": "alice"}, headers=ROOT)
        assert again.status_code == 409
        assert again.json()["type"] == "urn:longhaul:error:key-taken"

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"name": ""},
            {"name": "a b"},
            {"name": "x" * 65},
            {"name": "a", "role": "root"},
            {"name": "a", "expires_in": 0},
            {"name": "a", "expires_in": 1e300},
            {"name": "local"},
            {"name": "a", "caller": "local"},
        ],
    )
    async def test_what_cannot_be_a_key_is_refused(
        self, here: Surface, body: dict[str, Any]
    ) -> None:
        assert (await here.http.post("/v1/keys", json=body, headers=ROOT)).status_code == 422
        assert (await here.http.get("/v1/keys", headers=ROOT)).json()["keys"] == []

    async def test_a_revoked_key_opens_nothing(self, here: Surface) -> None:
        alice = await make(here, "alice", Role.USER)
        assert (await here.http.delete("/v1/keys/alice", headers=ROOT)).status_code == 204
        for path in ("/v1/jobs", "/mcp", "/metrics"):
            response = await here.http.get(path, headers=alice)
            assert response.status_code == 401
            assert response.json()["type"] == "urn:longhaul:error:unauthorized"
        assert await counted(here, "unknown") == 3
        assert (await here.http.delete("/v1/keys/alice", headers=ROOT)).status_code == 404

    async def test_an_expired_key_opens_nothing(self, here: Surface) -> None:
        alice = await make(here, "alice", Role.USER, expires_in=0.05)

        async def refused() -> httpx2.Response | None:
            response = await here.http.get("/v1/jobs", headers=alice)
            return response if response.status_code == 401 else None

        response = await until_answered(refused)
        assert response is not None
        assert "expired" in response.json()["title"]
        assert await counted(here, "expired") >= 1
        (shown,) = (await here.http.get("/v1/keys", headers=ROOT)).json()["keys"]
        assert shown["expired"]


class TestReplicas:
    async def test_a_change_is_everybodys_within_a_second(self, distributed_place: Place) -> None:
        clock = SystemClock()
        async with guarded(distributed_place) as one, guarded(distributed_place) as other:
            alice = await make(one, "alice", Role.USER)

            async def answers(status: int) -> bool:
                return (await other.http.get("/v1/jobs", headers=alice)).status_code == status

            began = clock.monotonic()
            await until_answered(lambda: answers(200))
            assert clock.monotonic() - began < 1.0
            await one.http.delete("/v1/keys/alice", headers=ROOT)
            began = clock.monotonic()
            await until_answered(lambda: answers(401))
            assert clock.monotonic() - began < 1.0

    async def test_without_a_hint_it_is_too(self, here: Surface) -> None:
        """A worker's keys, and an ingress whose hint was lost: nothing tells this ring."""
        clock, ring = SystemClock(), KeyRing(here.runtime)
        key = (await make(here, "alice", Role.OPERATOR))["x-api-key"]
        async with running(ring.run()):
            await until(lambda: isinstance(ring.find(key), Caller))
            assert ring.find(key) == Caller(name="alice", role=Role.OPERATOR)
            await here.runtime.store.api_keys.revoke("alice")
            began = clock.monotonic()
            await until(lambda: ring.find(key) is UNKNOWN_KEY)
            assert clock.monotonic() - began < 1.0

    async def test_keys_that_nobody_could_read_for_long_are_not_trusted(
        self, here: Surface
    ) -> None:
        clock = Shifted()
        ring = KeyRing(replace(here.runtime, clock=clock))
        key = (await make(here, "alice", Role.USER, expires_in=3600))["x-api-key"]
        assert ring.find(key) is UNREAD, "before the first look nobody is told that it is unknown"
        await ring.refresh()
        assert ring.find(key) == Caller(name="alice")
        clock.by = TRUSTED_FOR + 1
        assert ring.find(key) is UNREAD
        await ring.refresh()
        assert ring.find(key) == Caller(name="alice")
        clock.by = 3601
        await ring.refresh()
        assert ring.find(key) is EXPIRED_KEY


class Shifted(SystemClock):
    """The clock of somebody who slept."""

    by = 0.0

    @override
    def now(self) -> float:
        return super().now() + self.by

    @override
    def monotonic(self) -> float:
        return super().monotonic() + self.by


async def test_where_no_key_is_needed_one_still_says_who_calls(tmp_path: Path) -> None:
    async with surface(tmp_path) as here:
        made = await here.http.post("/v1/keys", json={"name": "alice"})
        alice = {"x-api-key": made.json()["key"]}
        await submit(here, {})
        job = await submit(here, alice)
        listed = (await here.http.get("/v1/jobs", headers=alice)).json()["jobs"]
        assert [each["id"] for each in listed] == [job]
        assert (await here.http.get("/v1/keys", headers=alice)).status_code == 403
        await here.http.delete("/v1/keys/alice")
        assert (await here.http.get("/v1/jobs", headers=alice)).status_code == 401
        assert len((await here.http.get("/v1/jobs")).json()["jobs"]) == 2


async def test_while_the_store_is_away_a_key_is_still_known(
    tmp_path: Path, private_redis: PrivateServer
) -> None:
    settings: dict[str, Any] = {"store_url": private_redis.url, "listen": LISTEN}
    async with surface(tmp_path, **settings) as here:
        alice = await make(here, "alice", Role.USER)
        private_redis.pause()
        try:
            assert (await here.http.get("/v1/tools", headers=alice)).status_code == 200
            away = await here.http.get("/v1/jobs", headers=alice)
            assert away.status_code == 503
            assert away.json()["type"] == "urn:longhaul:error:store-unreachable"
            stranger = {"x-api-key": "lh_nobody"}
            assert (await here.http.get("/v1/tools", headers=stranger)).status_code == 401
        finally:
            private_redis.resume()
