"""The roles apart from each other, on a real RabbitMQ and a real Redis, behind an API key."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from tests.support.desk import GATED, Desk
from tests.support.namespaces import Namespace
from tests.support.ports import free_port
from tests.support.servers import Shared

KEY = {"x-api-key": "the-key"}


@pytest.fixture
def servers(rabbit: Shared, redis_server: Shared, namespace: Namespace) -> Mapping[str, str]:
    namespace.queues.add("b")
    return {
        "LONGHAUL_BROKER_URL": rabbit.url,
        "LONGHAUL_STORE_URL": redis_server.url,
        "LONGHAUL_NAMESPACE": namespace,
        "LONGHAUL_API_KEY": "alice=the-key",
    }


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.configure({"b": {"command": sys.executable, "args": [str(GATED)]}})
    return desk


def test_an_ingress_and_a_worker_serve_a_call_together(
    desk: Desk, servers: Mapping[str, str]
) -> None:
    ingress = desk.role("ingress", "--port", "0", **servers)
    worker = desk.role("worker", "--queue", "b=1", "--port", "0", **servers)
    with ingress as face, worker as hands:
        mine = {"LONGHAUL_URL": face["address"], "LONGHAUL_API_KEY": "alice=the-key"}
        desk.wait_for_tools(**mine)
        ran = desk.run("call", "b__work", "--json", desk.work(), "--json", **mine)
        assert (ran.code, ran.json["caller"]) == (0, "alice")
        (worker_seen,) = desk.run("workers", "--json", **mine).json["workers"]
        assert worker_seen["queues"] == {"b": {"slots": 1, "busy": 0}}

        refused = desk.run("tools", LONGHAUL_URL=face["address"], LONGHAUL_API_KEY="wrong")
        assert refused.code == 2
        assert "LONGHAUL_API_KEY" in refused.err
        check_watching(face["address"], "longhaul_jobs{")
        check_watching(hands["address"], 'longhaul_job_run_seconds_count{tool="b__work"} 1.0')
    gone = desk.run("tools", **mine)
    assert gone.code == 3


def test_a_call_outlasts_a_restart_of_the_ingress(desk: Desk, servers: Mapping[str, str]) -> None:
    ingress = ("ingress", "--port", str(free_port()))
    with ExitStack() as stack:
        stack.enter_context(desk.role("worker", "--queue", "b=1", **servers))
        with desk.role(*ingress, **servers) as face:
            mine = {"LONGHAUL_URL": face["address"], "LONGHAUL_API_KEY": "alice=the-key"}
            desk.wait_for_tools(**mine)
            words = ("call", "b__work", "--json", desk.work(gate="later", steps=2))
            terminal = stack.enter_context(desk.on_a_terminal(*words, **mine))
            terminal.until_shown("step 2")
        desk.gate("later").touch()
        with desk.role(*ingress, **servers):
            assert terminal.end() == (0, "run 1\n")


def test_a_queue_nobody_configured_is_refused(desk: Desk, servers: Mapping[str, str]) -> None:
    ran = desk.run_process("worker", "--queue", "nope", **servers)
    assert ran.code == 2
    assert "the configuration has: b" in ran.err


def check_watching(address: str, metric: str) -> None:
    for path in ("/livez", "/readyz"):
        assert httpx2.get(f"{address}{path}", timeout=60).status_code == 200
    assert httpx2.get(f"{address}/metrics", timeout=60).status_code == 401
    assert metric in httpx2.get(f"{address}/metrics", headers=KEY, timeout=60).text


def test_keys_are_made_seen_and_revoked(desk: Desk, servers: Mapping[str, str]) -> None:
    ingress = desk.role("ingress", "--port", "0", **servers)
    worker = desk.role("worker", "--queue", "b=1", "--port", "0", **servers)
    with ingress as face, worker as hands:
        mine = {"LONGHAUL_URL": face["address"], "LONGHAUL_API_KEY": "alice=the-key"}
        desk.wait_for_tools(**mine)
        made = desk.run("keys", "create", "ci", "--expires", "90d", **mine)
        assert (made.code, "not shown again" in made.err) == (0, True)
        key = made.out.strip()
        theirs = mine | {"LONGHAUL_API_KEY": key}
        ran = desk.run("call", "b__work", "--json", desk.work(), "--json", **theirs)
        assert (ran.code, ran.json["caller"]) == (0, "ci")
        watched = httpx2.get(f"{hands['address']}/metrics", headers={"x-api-key": key}, timeout=60)
        assert watched.status_code == 200

        listed = desk.run("keys", "ls", **mine)
        assert "in 90 d" in listed.out
        assert key not in listed.out
        refused = desk.run("keys", "ls", **theirs)
        assert refused.code == 2
        assert "role admin" in refused.err
        assert desk.run("keys", "create", "ci", **mine).code == 2

        assert desk.run("keys", "revoke", "ci", **mine).code == 0
        gone = desk.run("tools", **theirs)
        assert (gone.code, "revoked" in gone.err) == (2, True)
        watched = httpx2.get(f"{hands['address']}/metrics", headers={"x-api-key": key}, timeout=60)
        assert watched.status_code == 401
        assert desk.run("keys", "revoke", "ci", **mine).code == 4
        for log in ("ingress.log", "worker.log"):
            assert key.removeprefix("lh_") not in (desk.folder / log).read_text()
