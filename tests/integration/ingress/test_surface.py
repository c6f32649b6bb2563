"""The door, the problems, health, metrics and OpenAPI over a real server."""

from collections.abc import AsyncIterator
from pathlib import Path

import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ingress.errors import PROBLEMS
from tests.support.surfaces import Surface, surface

pytestmark = pytest.mark.anyio

KEYS = [{"key": "alice-key", "caller": "alice"}, {"key": "bob-key", "caller": "bob"}]
ROUTES = ["/v1/jobs", "/v1/queues", "/v1/workers", "/v1/backends", "/v1/tools", "/metrics", "/mcp"]


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Surface]:
    async with surface(tmp_path) as made:
        yield made


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Surface]:
    async with surface(tmp_path, local_key="made-here", listen={"api_keys": KEYS}) as made:
        yield made


class TestDoor:
    @pytest.mark.parametrize("path", ROUTES)
    async def test_every_route_asks_for_a_key(self, guarded: Surface, path: str) -> None:
        response = await guarded.http.get(path)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["type"] == "urn:longhaul:error:unauthorized"

    @pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/docs", "/openapi.json"])
    async def test_health_and_docs_are_open(self, guarded: Surface, path: str) -> None:
        assert (await guarded.http.get(path)).status_code == 200

    async def test_the_address_itself_names_what_is_there(self, here: Surface) -> None:
        text = (await here.http.get("/")).text
        assert "/mcp" in text
        assert "/docs" in text

    async def test_health_is_open_to_any_host_and_nothing_else_is(self, here: Surface) -> None:
        elsewhere = {"host": "evil.example"}
        assert (await here.http.get("/livez", headers=elsewhere)).status_code == 200
        assert (await here.http.get("/docs", headers=elsewhere)).status_code == 421
        assert (await here.http.get("/v1/jobs", headers=elsewhere)).status_code == 421

    async def test_a_foreign_page_is_refused(self, here: Surface) -> None:
        response = await here.http.post("/mcp", headers={"origin": "http://evil.example"})
        assert response.status_code == 403
        assert response.json()["type"] == "urn:longhaul:error:foreign-origin"

    async def test_a_listed_page_may_call_from_a_browser(self, tmp_path: Path) -> None:
        page = {"origin": "https://console.example"}
        asks = {
            "access-control-request-method": "POST",
            "access-control-request-headers": "x-api-key",
        }
        listen = {"api_keys": KEYS, "allowed_origins": [page["origin"]]}
        async with surface(tmp_path, listen=listen) as here:
            first = await here.http.options("/mcp", headers=page | asks)
            assert first.status_code == 200
            assert first.headers["access-control-allow-origin"] == page["origin"]
            keyless = await here.http.get("/v1/jobs", headers=page)
            assert keyless.status_code == 401
            then = await here.http.get("/v1/jobs", headers=page | {"x-api-key": "bob-key"})
            assert then.status_code == 200
            assert then.headers["access-control-allow-origin"] == page["origin"]
            other = {"origin": "https://evil.example"}
            assert (await here.http.options("/mcp", headers=other | asks)).status_code == 400
            assert (await here.http.get("/v1/jobs", headers=other)).status_code == 403

    async def test_a_key_names_the_caller_of_a_job(self, guarded: Surface) -> None:
        for header, caller in (("bob-key", "bob"), ("made-here", "local")):
            guarded.http.headers["x-api-key"] = header
            assert (await guarded.submit())["caller"] == caller

    async def test_a_good_request_id_is_kept_and_a_bad_one_replaced(self, here: Surface) -> None:
        kept = await here.http.get("/livez", headers={"x-request-id": "trace-1:2"})
        assert kept.headers["x-request-id"] == "trace-1:2"
        for bad in ("a b", 'x"y', "-x", "é", "x" * 200):
            made = await here.http.get("/livez", headers=[(b"x-request-id", bad.encode())])
            assert made.headers["x-request-id"] not in {bad, ""}

    async def test_a_request_id_stands_on_the_record(self, here: Surface) -> None:
        here.http.headers["x-request-id"] = "from-outside"
        job = await here.submit()
        assert (await here.head(job["id"])).spec.request_id == "from-outside"


class TestBodies:
    @pytest.mark.parametrize("path", ["/v1/jobs", "/mcp", "/nothing-here"])
    async def test_a_body_that_says_it_is_too_large(self, here: Surface, path: str) -> None:
        response = await here.http.post(path, content=b"x" * (4 * 1024 * 1024 + 1))
        assert response.status_code == 413
        assert response.json()["type"] == "urn:longhaul:error:too-large"

    @pytest.mark.parametrize("path", ["/v1/jobs", "/mcp"])
    async def test_a_body_that_turns_out_too_large(self, here: Surface, path: str) -> None:
        async def endless() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b"x" * 65_536

        headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
        }
        response = await here.http.post(path, content=endless(), headers=headers)
        assert response.status_code == 413

    async def test_a_body_that_is_not_json(self, here: Surface) -> None:
        headers = {"content-type": "application/json"}
        response = await here.http.post("/v1/jobs", content=b"{", headers=headers)
        assert response.status_code == 400
        assert response.json()["type"] == "urn:longhaul:error:malformed"
        form = await here.http.post("/v1/jobs", data={"tool": "b__export"})
        assert form.status_code == 400
        assert "Content-Type: application/json" in form.json()["detail"]


class TestProblems:
    async def test_foreign_and_unknown_jobs_are_one(self, guarded: Surface) -> None:
        guarded.http.headers["x-api-key"] = "alice-key"
        missing = await guarded.http.get("/v1/jobs/00000000000000000000aa")
        assert missing.status_code == 404
        for path in ("/v1/jobs/x", "/v1/jobs/x/result", "/v1/jobs/x/events", "/v1/tools/x", "/x"):
            found = await guarded.http.get(path)
            assert found.status_code == 404
            assert found.json()["type"] == "urn:longhaul:error:not-found"

    async def test_what_a_page_did_not_give_out_is_no_cursor(self, here: Surface) -> None:
        response = await here.http.get("/v1/jobs", params={"cursor": "1:'; DROP TABLE jobs"})
        assert response.status_code == 400

    async def test_another_method(self, here: Surface) -> None:
        response = await here.http.put("/v1/jobs")
        assert response.status_code == 405
        assert response.headers["content-type"] == "application/problem+json"

    def test_every_type_is_its_own(self) -> None:
        names = [problem.name for problem in PROBLEMS]
        assert len(set(names)) == len(names)


class TestWatching:
    async def test_ready_says_what_it_can_do_without(self, here: Surface) -> None:
        response = await here.http.get("/readyz")
        assert response.status_code == 200
        assert response.json() == {
            "status": "ready",
            "reasons": [],
            "warnings": ["no worker is running; calls wait in their queues"],
        }

    async def test_metrics_measure_the_store(self, here: Surface) -> None:
        await here.beat(queues={"b": {"slots": 3, "busy": 1}})
        await here.submit()
        await here.start((await here.submit())["id"])
        values = await measured(here)
        assert values["longhaul_jobs", ("state", "queued"), ("tool", "b__export")] == 1
        assert values["longhaul_jobs", ("state", "running"), ("tool", "b__export")] == 1
        assert values["longhaul_queue_waiting", ("queue", "b")] == 1
        assert values["longhaul_queue_ready_tokens", ("queue", "b")] == 2
        assert values["longhaul_queue_oldest_seconds", ("queue", "b")] > 0
        assert values["longhaul_submissions_total", ("tool", "b__export")] == 2
        assert values["longhaul_store_up",] == 1

    async def test_a_made_up_tool_leaves_no_label(self, here: Surface) -> None:
        await here.http.post("/v1/jobs", json={"tool": "made-up-by-a-caller"})
        text = (await here.http.get("/metrics")).text
        assert "made-up-by-a-caller" not in text
        assert 'longhaul_refusals_total{reason="unknown_tool"} 1.0' in text

    async def test_the_oldest_of_a_queue_is_found_beneath_higher_priorities(
        self, here: Surface
    ) -> None:
        oldest = await here.submit(priority=1)
        for priority in (9, 4, 4):
            await here.submit(priority=priority)
        created = (await here.head(oldest["id"])).created_at
        now = here.runtime.clock.now()
        (queue,) = (await here.http.get("/v1/queues")).json()["queues"]
        assert queue["waiting"] == 4
        assert queue["oldest_seconds"] == pytest.approx(now - created / 1000, abs=0.5)
        assert queue["oldest_seconds"] >= now - created / 1000 - 0.001

    async def test_backends_show_what_a_broken_one_said_last(self, here: Surface) -> None:
        broken = {
            "state": "backoff",
            "since": 1.0,
            "last_error": "exit status 3",
            "last_stderr": "no licence",
            "url": "http://user:secret@host/mcp?token=secret",
        }
        await here.beat(
            queues={"b": {"slots": 1, "busy": 0}},
            backends=[{"name": "b", "transport": "http", "replicas": [broken]}],
        )
        response = await here.http.get("/v1/backends")
        (backend,) = response.json()["backends"]
        assert (backend["state"], backend["tools"]) == ("down", 1)
        assert backend["replicas"][0]["last_stderr"] == "no licence"
        assert "secret" not in response.text
        (worker,) = (await here.http.get("/v1/workers")).json()["workers"]
        assert worker["backends"] == {"b": "0/1 ready"}


class TestDocs:
    async def test_openapi_describes_the_interface(self, here: Surface) -> None:
        document = (await here.http.get("/openapi.json")).json()
        assert document["openapi"].startswith("3.1")
        assert set(document["paths"]) >= {
            *("/v1/jobs", "/v1/jobs/{job_id}", "/v1/jobs/{job_id}/result"),
            *("/v1/jobs/{job_id}/events", "/v1/queues", "/v1/workers", "/v1/backends"),
            *("/v1/tools", "/livez", "/readyz", "/metrics"),
        }
        schemas = document["components"]["schemas"]
        for schema in schemas.values():
            jsonschema.Draft202012Validator.check_schema(schema)
        shown = await here.submit()
        jsonschema.validate(
            shown, {"$ref": "#/components/schemas/Job", "components": {"schemas": schemas}}
        )


async def measured(here: Surface) -> dict[tuple[object, ...], float]:
    response = await here.http.get("/metrics")
    assert response.status_code == 200
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
